//! Multinomial logistic regression: smartcore finds the weights, this turns them into probabilities.

use crate::TrainError;
use serde::{Deserialize, Serialize};
use smartcore::{
    linalg::basic::{arrays::Array, matrix::DenseMatrix},
    linear::logistic_regression::{LogisticRegression, LogisticRegressionParameters},
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Two probabilities closer than this are a tie, which smartcore's arithmetic and ours may break differently.
const TIE: f64 = 1e-9;

/// Weights on standardised features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// One row a class, one column a feature. For two classes the first row is 0, which makes softmax a sigmoid.
    pub coefficients: Vec<Vec<f64>>,
    /// One a class.
    pub intercepts: Vec<f64>,
}

impl Weights {
    /// Fits weights to standardised rows, minimising Σ −ln p + ½·alpha·Σ w² by smartcore's L-BFGS.
    ///
    /// # Errors
    /// When smartcore can't fit, or its own predictions differ from the softmax over its weights.
    pub fn fit(rows: &[Vec<f64>], labels: &[usize], classes: usize, alpha: f64) -> Result<Self, TrainError> {
        let x = DenseMatrix::from_2d_vec(&rows.to_vec()).map_err(TrainError::fit)?;
        let y: Vec<u32> = labels.iter().map(|&label| label as u32).collect();
        let parameters = LogisticRegressionParameters::default().with_alpha(alpha);
        // The line search panics when it can't descend; bad data must not take the caller down.
        let (fitted, predicted) = catch_unwind(AssertUnwindSafe(|| {
            let fitted = LogisticRegression::fit(&x, &y, parameters)?;
            let predicted = fitted.predict(&x)?;
            Ok((fitted, predicted))
        }))
        .map_err(|_| TrainError::Fit("the optimiser gave up; try a larger --alpha or drop a column".into()))?
        .map_err(|error: smartcore::error::Failed| TrainError::fit(error))?;

        let (coefficients, intercept) = (fitted.coefficients(), fitted.intercept());
        let (fitted_classes, features) = coefficients.shape();
        let mut weights = Self {
            coefficients: (0..fitted_classes)
                .map(|class| (0..features).map(|feature| *coefficients.get((class, feature))).collect())
                .collect(),
            intercepts: (0..fitted_classes).map(|class| *intercept.get((class, 0))).collect(),
        };
        if classes == 2 {
            weights.coefficients.insert(0, vec![0.0; features]);
            weights.intercepts.insert(0, 0.0);
        }
        if !weights.coefficients.iter().flatten().chain(&weights.intercepts).all(|weight| weight.is_finite())
        {
            return Err(TrainError::Fit("the weights diverged; try a larger --alpha".into()));
        }
        weights.agree_with(rows, &predicted)?;
        Ok(weights)
    }

    /// Class probabilities of a standardised row; they add up to 1, or are NaN where the row overflows.
    pub fn probabilities(&self, row: &[f64]) -> Vec<f64> {
        let mut logits = self.logits(row);
        softmax(&mut logits);
        logits
    }

    /// Log probabilities of a standardised row, but for a constant.
    pub(crate) fn logits(&self, row: &[f64]) -> Vec<f64> {
        let classes = self.coefficients.iter().zip(&self.intercepts);
        classes.map(|(weights, intercept)| intercept + dot(weights, row)).collect()
    }

    /// Weights whose logits are divided by `temperature`.
    pub(crate) fn with_temperature(mut self, temperature: f64) -> Self {
        self.coefficients.iter_mut().flatten().chain(&mut self.intercepts).for_each(|w| *w /= temperature);
        self
    }

    fn agree_with(&self, rows: &[Vec<f64>], predicted: &[u32]) -> Result<(), TrainError> {
        for (index, (row, &theirs)) in rows.iter().zip(predicted).enumerate() {
            let probabilities = self.probabilities(row);
            let ours = argmax(&probabilities);
            if probabilities[ours] - probabilities[theirs as usize] > TIE {
                return Err(TrainError::Disagreement { row: index, ours, theirs: theirs as usize });
            }
        }
        Ok(())
    }
}

/// Position of the greatest value, the first one of equals.
pub fn argmax(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Softmax in place, shifted by the greatest logit so that it can't overflow.
pub(crate) fn softmax(logits: &mut [f64]) {
    let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - greatest).exp();
        sum += *logit;
    }
    for probability in logits {
        *probability /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_classes_are_a_sigmoid() {
        let weights = Weights { coefficients: vec![vec![0.0], vec![2.0]], intercepts: vec![0.0, -1.0] };
        let probability = weights.probabilities(&[1.5])[1];
        assert!((probability - 1.0 / (1.0 + (-2.0_f64).exp())).abs() < 1e-15);
    }

    #[test]
    fn a_disagreement_is_found() {
        let weights = Weights { coefficients: vec![vec![0.0], vec![2.0]], intercepts: vec![0.0, 0.0] };
        let error = weights.agree_with(&[vec![1.0], vec![1.0]], &[1, 0]).unwrap_err();
        assert!(matches!(error, TrainError::Disagreement { row: 1, ours: 1, theirs: 0 }));
    }

    proptest! {
        #[test]
        fn probabilities_add_up(logits in prop::collection::vec(-1e3..1e3f64, 2..20)) {
            let mut probabilities = logits.clone();
            softmax(&mut probabilities);
            prop_assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert_eq!(argmax(&probabilities), argmax(&logits));
        }
    }
}
