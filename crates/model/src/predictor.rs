//! Scores rows and measures their distance from the reference, without I/O and without state.

use crate::{
    Feature, ModelFile,
    encoding::Encoding,
    engine::{Batch, BatchRows, Engine, EngineError, Linear, Output, too_large},
    shape::{Distance, Shape},
};
use std::sync::Arc;

/// The output of a model for one row, and the row's distance from the reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The output of the model.
    pub output: Output,
    /// The probability of the predicted class; `None` if the model gives none.
    pub confidence: Option<f64>,
    /// The smallest class-conditional Mahalanobis distance, in standard deviations.
    pub distance: f64,
}

impl Prediction {
    /// Returns the value of the signal `prediction`: the position of the class, or the number.
    pub fn value(&self) -> f64 {
        self.output.value()
    }

    /// Returns the position of the predicted class; `None` if a number is predicted.
    pub fn class(&self) -> Option<usize> {
        match self.output {
            Output::Class { class, .. } => Some(class),
            Output::Number(_) => None,
        }
    }

    /// Returns the values of the output's signals, in their order: prediction, confidence if there is one, distance.
    pub fn signal_values(&self) -> impl Iterator<Item = f64> {
        [Some(self.value()), self.confidence, Some(self.distance)].into_iter().flatten()
    }
}

/// Scores rows with an engine and measures their distance from the reference.
#[derive(Debug, Clone)]
pub struct Predictor {
    engine: Arc<dyn Engine>,
    distances: Distances,
}

/// Measures the distance of rows from the reference.
#[derive(Debug, Clone)]
pub struct Distances {
    encoding: Encoding,
    distance: Distance,
}

impl Distances {
    /// Creates the distances of rows with these features, whose reference has this shape.
    pub fn new(features: &[Feature], shape: &Shape) -> Self {
        Self { encoding: Encoding::new(features), distance: Distance::new(shape) }
    }

    /// Returns the predictions that consist of these outputs of a model, one per row, and the distances of the rows.
    ///
    /// # Errors
    /// Returns an error if a number is so large that the distance of its row cannot be computed.
    ///
    /// # Panics
    /// If a row does not have one value per feature.
    pub fn predictions(
        &self,
        rows: BatchRows<'_>,
        outputs: Vec<Output>,
    ) -> Result<Vec<Prediction>, EngineError> {
        assert!(rows.is_empty() || rows.features() == self.encoding.features(), "one value per feature");
        let (mut encoded, mut buffer) = (Vec::with_capacity(self.encoding.width()), Vec::new());
        let predict = |(at, (row, output)): (usize, (&[Option<f64>], Output))| {
            self.encoding.encode(row, &mut encoded);
            let distance = self.distance.of(&encoded, &mut buffer);
            if !distance.is_finite() {
                return Err(too_large(&self.encoding, at, row));
            }
            Ok(output.at_distance(distance))
        };
        rows.iter().zip(outputs).enumerate().map(predict).collect()
    }
}

impl Predictor {
    /// Creates a predictor for rows of these features, whose reference has this shape.
    pub fn new(engine: Arc<dyn Engine>, features: &[Feature], shape: &Shape) -> Self {
        Self { engine, distances: Distances::new(features, shape) }
    }

    /// Creates the predictor of a built-in model; `None` for a profile, whose model is in another file.
    pub fn built_in(file: &ModelFile) -> Option<Self> {
        let weights = file.weights.clone()?;
        let engine = Arc::new(Linear::new(&file.card.features, weights));
        Some(Self::new(engine, &file.card.features, &file.card.reference.shape))
    }

    /// Predicts rows of finite values. The built-in model replaces a missing number by the column's mean.
    ///
    /// # Errors
    /// Returns an error if the model cannot take one of the values, or if it fails.
    ///
    /// # Panics
    /// If a row does not have one value per feature.
    pub fn predict(&self, batch: Batch) -> Result<Vec<Prediction>, EngineError> {
        assert!(
            batch.rows.is_empty() || batch.rows.features() == self.distances.encoding.features(),
            "one value per feature"
        );
        self.distances.predictions(batch.rows, self.engine.score(batch)?)
    }

    /// Predicts one row. See [`Predictor::predict`].
    ///
    /// # Errors
    /// Returns an error if the model cannot take one of the values, or if it fails.
    pub fn predict_row(&self, row: &[Option<f64>]) -> Result<Prediction, EngineError> {
        let mut predictions = self.predict(Batch { rows: BatchRows::one(row), others: &[] })?;
        predictions.pop().ok_or_else(|| EngineError::Failed("no output for the row".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TrainOptions, engine::ValueProblem, iris, train};

    fn built_in(file: &ModelFile) -> Predictor {
        Predictor::built_in(file).unwrap()
    }

    #[test]
    fn the_error_for_an_overflow_names_the_feature() {
        let file = train(&iris::table(), &TrainOptions::new("iris")).unwrap();
        let predictor = built_in(&file);
        for huge in [1e308, -1e308, 1e200] {
            let error = predictor.predict_row(&[Some(5.0), Some(3.0), Some(huge), Some(0.2)]).unwrap_err();
            let problem = ValueProblem::TooLarge(huge);
            assert_eq!(error, EngineError::Value { row: 0, feature: 2, problem });
        }
        assert!(predictor.predict_row(&[Some(5.0), Some(3.0), Some(1e100), Some(0.2)]).is_ok());
    }

    #[test]
    fn probabilities_are_the_softmax_of_the_logits_and_categories_never_overflow() {
        let body: String = (0..80)
            .map(|row| format!("{},{},{}\n", ["a", "b"][row % 2], row % 7, ["x", "y"][row / 3 % 2]))
            .collect();
        let text = format!("letter,number,class\n{body}");
        let table = crate::read_csv(text.as_bytes(), "t", &crate::CsvOptions::new("class")).unwrap().table;
        let mut file = train(&table, &TrainOptions::new("t")).unwrap();
        let numeric = file.card.features[1].numeric().unwrap();
        let standardised = (4.0 - numeric.mean) / numeric.sd;
        // The logit is 0.5, plus 2 for category b, minus the standardised number.
        let weights = file.weights.as_mut().unwrap();
        weights.coefficients = vec![vec![0.0; 5], vec![1.0, 2.0, 0.0, 0.0, -1.0]];
        weights.intercepts = vec![0.0, 0.5];
        let prediction = built_in(&file).predict_row(&[Some(1.0), Some(4.0)]).unwrap();
        let odds = (2.5 - standardised).exp();
        assert_eq!(prediction.class(), Some(1));
        assert!((prediction.confidence.unwrap() / (odds / (1.0 + odds)) - 1.0).abs() < 1e-12);
        let rows = [Some(0.0), Some(1.0), Some(1e6), Some(1e200)];
        let batch = Batch { rows: BatchRows::new(&rows, 2), others: &[] };
        let error = built_in(&file).predict(batch).unwrap_err();
        let problem = ValueProblem::TooLarge(1e200);
        assert_eq!(error, EngineError::Value { row: 1, feature: 1, problem });
    }
}
