//! A model ready to answer: one row in, one prediction out, no I/O and no state.

use crate::{
    ModelFile,
    encoding::{Encoding, Slot},
    logistic::{Weights, argmax},
    shape::Distance,
};
use thiserror::Error;

/// The outputs of a model for one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Position in the model's classes.
    pub class: usize,
    /// One probability per class; they add up to 1.
    pub probabilities: Vec<f64>,
    /// The greatest probability.
    pub confidence: f64,
    /// Smallest class-conditional Mahalanobis distance, in standard deviations.
    pub distance: f64,
}

/// The error of a row with a value so large that scoring overflows.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("feature {feature} is too large to score: {value:e}")]
pub struct TooLarge {
    /// Position of the feature.
    pub feature: usize,
    /// Its value.
    pub value: f64,
}

/// Encodes rows, scores them, measures their distance.
#[derive(Debug, Clone)]
pub struct Classifier {
    encoding: Encoding,
    weights: Weights,
    distance: Distance,
}

impl Classifier {
    /// Creates a classifier from a model file.
    pub fn new(file: &ModelFile) -> Self {
        Self {
            encoding: Encoding::new(&file.card.features),
            weights: file.weights.clone(),
            distance: Distance::new(&file.card.reference.shape),
        }
    }

    /// Classifies a row of finite values; `None` is missing and, where it is a number, taken as the column's mean.
    ///
    /// # Errors
    /// [`TooLarge`] when the row's numbers overflow; it names the value furthest from its mean.
    ///
    /// # Panics
    /// When the row has not one value per feature.
    pub fn predict(&self, row: &[Option<f64>]) -> Result<Prediction, TooLarge> {
        assert_eq!(row.len(), self.encoding.features(), "one value per feature");
        let mut encoded = Vec::with_capacity(self.encoding.width());
        self.encoding.encode(row, &mut encoded);
        let probabilities = self.weights.probabilities(&encoded);
        let distance = self.distance.of(&encoded, &mut Vec::with_capacity(encoded.len()));
        let class = argmax(&probabilities);
        let confidence = probabilities[class];
        if !(confidence.is_finite() && distance.is_finite()) {
            return Err(self.furthest(row));
        }
        Ok(Prediction { class, probabilities, confidence, distance })
    }

    fn furthest(&self, row: &[Option<f64>]) -> TooLarge {
        let size = |(slot, &value): (&Slot, &Option<f64>)| match slot {
            Slot::Numeric(scaling) => scaling.apply(value).abs(),
            Slot::Categorical { .. } => 0.0,
        };
        let sizes: Vec<f64> = self.encoding.slots().iter().zip(row).map(size).collect();
        let feature = argmax(&sizes);
        TooLarge { feature, value: row[feature].unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TrainOptions, iris, train};

    #[test]
    fn an_overflow_is_an_error_that_names_the_feature() {
        let file = train(&iris::table(), &TrainOptions::new("iris")).unwrap();
        let classifier = Classifier::new(&file);
        for huge in [1e308, -1e308, 1e200] {
            let error = classifier.predict(&[Some(5.0), Some(3.0), Some(huge), Some(0.2)]).unwrap_err();
            assert_eq!(error, TooLarge { feature: 2, value: huge });
        }
        assert!(classifier.predict(&[Some(5.0), Some(3.0), Some(1e100), Some(0.2)]).is_ok());
    }

    #[test]
    fn a_prediction_is_a_softmax_of_the_weights_and_categories_never_overflow() {
        let body: String = (0..80)
            .map(|row| format!("{},{},{}\n", ["a", "b"][row % 2], row % 7, ["x", "y"][row / 3 % 2]))
            .collect();
        let text = format!("letter,number,class\n{body}");
        let table = crate::read_csv(text.as_bytes(), "t", &crate::CsvOptions::new("class")).unwrap().table;
        let mut file = train(&table, &TrainOptions::new("t")).unwrap();
        let numeric = file.card.features[1].numeric().unwrap();
        let standardised = (4.0 - numeric.mean) / numeric.sd;
        // A sigmoid of 0.5 + 2 for category b − the standardised number.
        file.weights.coefficients = vec![vec![0.0; 5], vec![1.0, 2.0, 0.0, 0.0, -1.0]];
        file.weights.intercepts = vec![0.0, 0.5];
        let prediction = Classifier::new(&file).predict(&[Some(1.0), Some(4.0)]).unwrap();
        let odds = (2.5 - standardised).exp();
        assert_eq!(prediction.class, 1);
        assert!((prediction.confidence / (odds / (1.0 + odds)) - 1.0).abs() < 1e-12);
        let error = Classifier::new(&file).predict(&[Some(1e6), Some(1e200)]).unwrap_err();
        assert_eq!(error, TooLarge { feature: 1, value: 1e200 });
    }
}
