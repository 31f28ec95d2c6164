//! Calibrates probabilities, so that mean confidence equals the share of rows that are correctly classified.
//!
//! Method: all logits are divided by one number, the temperature (C. Guo et al., "On Calibration of Modern Neural
//! Networks", 2017), which changes no prediction. It is chosen such that mean confidence equals accuracy on rows that the
//! weights were not fitted to, because confidence in fitted rows is too high (L. Clarté, B. Loureiro, F. Krzakala,
//! L. Zdeborová, "Expectation consistency for calibration of neural networks", 2023). Monitoring uses mean confidence as an
//! estimate of accuracy, so the two must be equal on average. A temperature by maximum likelihood does not ensure that, because the
//! logits of a few outlying rows dominate the likelihood: with heavy-tailed features, mean confidence is then 0.15 below accuracy,
//! at any number of rows.
//!
//! The accuracy includes one additional row, of which half counts as an error (the estimate of Krichevsky and Trofimov, as for the
//! bins). So a model without any error on these rows has a high mean confidence, but not 1.

use crate::logistic::{argmax, softmax};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The greatest 1/temperature that is tried; the least is 1/GREATEST. Outside these limits, all probabilities are nearly equal, or
/// nearly 0 and 1.
const GREATEST: f64 = 100.0;

/// The number of times that the search interval is halved. Its width is 1e-13 after that.
const HALVINGS: usize = 50;

/// The number of rows whose confidences are added up as one block.
const BLOCK: usize = 4096;

/// The calibration of a model's probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The number by which the fitted logits were divided: above 1 if the confidence was too high, below 1 if it was too low.
    pub temperature: f64,
    /// Mean −ln p of the true class before calibration, on rows that the weights were not fitted to.
    pub log_loss_before: f64,
    /// Mean −ln p of the true class after calibration, on the same rows.
    pub log_loss: f64,
}

impl Calibration {
    /// Calibrates on rows with these `logits`, one list per row, and the true classes `labels`.
    pub(crate) fn fit(logits: &[Vec<f64>], labels: &[usize]) -> Self {
        let right = logits.iter().zip(labels).filter(|(logits, label)| argmax(logits) == **label).count();
        let accuracy = (right as f64 + 0.5) / (labels.len() as f64 + 1.0);
        // Mean confidence rises with 1/temperature, from 1/classes to 1.
        let confidence = |sharpness: f64| {
            // The greatest probability is 1 / Σ exp(logit − greatest).
            let row = |logits: &Vec<f64>| {
                let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                1.0 / logits.iter().map(|logit| (sharpness * (logit - greatest)).exp()).sum::<f64>()
            };
            // Confidences are added up block by block, so that the number of threads does not change the sum.
            let blocks: Vec<f64> = logits.par_chunks(BLOCK).map(|rows| rows.iter().map(row).sum()).collect();
            blocks.iter().sum::<f64>() / logits.len() as f64
        };
        let (mut low, mut high) = (1.0 / GREATEST, GREATEST);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if confidence(middle) < accuracy { low = middle } else { high = middle }
        }
        let temperature = 1.0 / f64::midpoint(low, high);
        Self {
            temperature,
            log_loss_before: log_loss(logits, labels, 1.0),
            log_loss: log_loss(logits, labels, temperature),
        }
    }
}

fn log_loss(logits: &[Vec<f64>], labels: &[usize], temperature: f64) -> f64 {
    let row = |(logits, &label): (&Vec<f64>, &usize)| {
        let mut probabilities: Vec<f64> = logits.iter().map(|logit| logit / temperature).collect();
        softmax(&mut probabilities);
        // A probability may be rounded to 0, whose logarithm cannot be represented in JSON.
        -probabilities[label].max(f64::MIN_POSITIVE).ln()
    };
    logits.iter().zip(labels).map(row).sum::<f64>() / labels.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Returns random logits, and labels that are drawn with the probabilities of these logits.
    fn calibrated(rows: usize) -> (Vec<Vec<f64>>, Vec<usize>) {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        (0..rows)
            .map(|_| {
                let logits: Vec<f64> = (0..3).map(|_| rng.random_range(-3.0..3.0)).collect();
                let mut probabilities = logits.clone();
                softmax(&mut probabilities);
                let mut left = rng.random::<f64>();
                let label = probabilities.iter().position(|p| {
                    left -= p;
                    left < 0.0
                });
                (logits, label.unwrap_or(2))
            })
            .unzip()
    }

    #[test]
    fn the_temperature_is_the_factor_by_which_logits_were_multiplied() {
        let (logits, labels) = calibrated(20_000);
        for overstated in [0.25, 1.0, 4.0] {
            let stated: Vec<Vec<f64>> =
                logits.iter().map(|row| row.iter().map(|logit| overstated * logit).collect()).collect();
            let found = Calibration::fit(&stated, &labels);
            assert!((found.temperature / overstated - 1.0).abs() < 0.05, "{overstated}: {found:?}");
            assert!(found.log_loss <= found.log_loss_before + 1e-3, "{found:?}");
        }
    }

    #[test]
    fn mean_confidence_stays_below_1_without_any_error() {
        let labels = [0, 1].repeat(20);
        let logits: Vec<Vec<f64>> =
            labels.iter().map(|&label| if label == 0 { vec![2.0, 0.0] } else { vec![0.0, 2.0] }).collect();
        let found = Calibration::fit(&logits, &labels);
        // 40.5 of 41 rows count as correct, so the odds are 81.
        assert!((2.0 / found.temperature - 81.0_f64.ln()).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn equal_logits_stay_finite() {
        let found = Calibration::fit(&vec![vec![0.0, 0.0]; 10], &[0, 1].repeat(5));
        assert!(found.temperature.is_finite() && (found.log_loss - 2.0_f64.ln()).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn temperature_and_log_loss_agree_with_scipy() {
        // f = lambda s: softmax(s*L, axis=1).max(1).mean() - (4 + .5)/(5 + 1); s = 1/temperature = brentq(f, .01, 100)
        // log loss at s: (logsumexp(s*L, axis=1) - s*L[arange(5), y]).mean()
        let logits = [[2.0, 0.5, -1.0], [0.0, 3.0, 1.0], [1.0, 1.5, 4.0], [0.5, 2.5, -0.5], [3.0, -1.0, 0.0]];
        let found = Calibration::fit(&logits.map(|row| row.to_vec()), &[0, 1, 2, 0, 0]);
        assert!((found.temperature - 1.4346027892179336).abs() < 1e-9, "{found:?}");
        assert!((found.log_loss_before - 0.554152039579305).abs() < 1e-12, "{found:?}");
        assert!((found.log_loss - 0.5691660606577662).abs() < 1e-9, "{found:?}");
    }
}
