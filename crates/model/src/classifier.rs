//! A model ready to answer: one row in, one prediction out, no I/O and no state.

use crate::{
    ModelFile,
    logistic::{Weights, argmax},
    shape::Distance,
};
use thiserror::Error;

/// What the model makes of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Position in the model's classes.
    pub class: usize,
    /// One probability a class; they add up to 1.
    pub probabilities: Vec<f64>,
    /// The greatest probability.
    pub confidence: f64,
    /// Smallest class-conditional Mahalanobis distance, in standard deviations.
    pub distance: f64,
}

/// A value so large that scoring it overflows.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("feature {feature} is too large to score: {value:e}")]
pub struct TooLarge {
    /// Position of the feature.
    pub feature: usize,
    /// Its value.
    pub value: f64,
}

/// Standardises rows, scores them, measures their distance.
#[derive(Debug, Clone)]
pub struct Classifier {
    scaling: Vec<Scaling>,
    weights: Weights,
    distance: Distance,
}

/// How one feature is standardised.
#[derive(Debug, Clone, Copy)]
pub struct Scaling {
    /// Subtracted from a value, and taken in place of a missing one.
    pub mean: f64,
    /// What the difference is divided by.
    pub sd: f64,
}

impl Scaling {
    /// Returns a value in standard deviations from the mean; a missing one is 0, the mean itself.
    pub fn apply(self, value: Option<f64>) -> f64 {
        value.map_or(0.0, |value| (value - self.mean) / self.sd)
    }
}

impl Classifier {
    /// Creates a classifier from a model file.
    pub fn new(file: &ModelFile) -> Self {
        Self {
            scaling: file.card.features.iter().map(|f| Scaling { mean: f.mean, sd: f.sd }).collect(),
            weights: file.weights.clone(),
            distance: Distance::new(&file.card.reference.class_shapes),
        }
    }

    /// Classifies a row of finite values; `None` is missing and taken as the column's mean.
    ///
    /// # Errors
    /// [`TooLarge`] when the row's numbers overflow; it names the value furthest from its mean.
    ///
    /// # Panics
    /// When the row has not one value a feature.
    pub fn predict(&self, row: &[Option<f64>]) -> Result<Prediction, TooLarge> {
        assert_eq!(row.len(), self.scaling.len(), "one value a feature");
        let standardised: Vec<f64> =
            self.scaling.iter().zip(row).map(|(scaling, &value)| scaling.apply(value)).collect();
        let probabilities = self.weights.probabilities(&standardised);
        let distance = self.distance.of(&standardised, &mut Vec::with_capacity(row.len()));
        let class = argmax(&probabilities);
        let confidence = probabilities[class];
        if !(confidence.is_finite() && distance.is_finite()) {
            return Err(furthest(row, &standardised));
        }
        Ok(Prediction { class, probabilities, confidence, distance })
    }
}

fn furthest(row: &[Option<f64>], standardised: &[f64]) -> TooLarge {
    let sizes: Vec<f64> = standardised.iter().map(|value| value.abs()).collect();
    let feature = argmax(&sizes);
    TooLarge { feature, value: row[feature].unwrap_or_default() }
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
}
