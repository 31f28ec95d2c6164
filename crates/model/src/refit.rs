//! Fits weights to most of the rows that other weights were fitted to.
//!
//! The weights change little then, and Newton's method needs few steps: each of them minimises a quadratic function that has the
//! loss's gradient and curvature at the current weights. This is the step of approximate leave-one-out (K. R. Rad, A. Maleki, "A
//! scalable estimate of the out-of-sample prediction error via approximate leave-one-out cross-validation", 2020), repeated until
//! nothing changes any more. A single step is not enough: in a table that the model separates well, a probability of a row that is
//! left out can still be wrong by 0.5 after it.
//!
//! With more weights than rows, the fitted rows can be separated completely, their curvature almost vanishes, and each of many steps is
//! long. On the one such table that was measured, L-BFGS took about half the time, so it is used.

use crate::{
    TrainError,
    design::{Design, dot},
    logistic::Fit,
    loss::{Evaluation, Loss},
};
use argmin::{
    core::{Error, Executor, Operator, State},
    solver::conjugategradient::ConjugateGradient,
};

/// The quadratic function of a step is minimised until the norm of its gradient is less than this part of the norm at the start. More
/// precise steps are no shorter way to the minimum of the loss, because that function is an approximation.
const PRECISION: f64 = 0.1;

/// The greatest number of products with the curvature in a step.
const PRODUCTS: u64 = 300;

/// The fit ends after a step that is expected to improve the mean loss by less than this. The next one would improve it by about a
/// hundredth of that. In two folds of each of six tables of 569 to 20,000 rows, no probability of a row that was left out then differed
/// by more than 4e-4 from that at the minimum.
const IMPROVEMENT: f64 = 1e-6;

/// The greatest number of steps.
const STEPS: usize = 30;

/// A step must improve the loss by at least this part of what its slope promises. Otherwise it is halved, at most [`HALVINGS`] times.
const SUFFICIENT: f64 = 1e-4;
const HALVINGS: usize = 10;

/// Fits weights to parts of the rows that the served weights were fitted to.
pub(crate) struct Refits<'a> {
    pub(crate) design: &'a Design,
    labels: &'a [usize],
    alpha: f64,
    served: &'a Fit,
    /// The factor of each weight that makes the diagonal of the curvature 1. With it, fewer products are needed.
    scales: Vec<f64>,
}

impl<'a> Refits<'a> {
    /// Prepares fits to parts of `rows`, to which the `served` weights were fitted.
    pub(crate) fn new(
        design: &'a Design,
        labels: &'a [usize],
        rows: &[usize],
        served: &'a Fit,
        alpha: f64,
    ) -> Self {
        let loss = Loss { design, labels, rows, classes: served.classes, alpha };
        let diagonal = loss.curvature_diagonal(&loss.evaluated(&served.weights));
        let scales = diagonal.into_iter().map(|value| 1.0 / value.sqrt()).collect();
        Self { design, labels, alpha, served, scales }
    }

    /// Fits weights to some of the rows.
    ///
    /// # Errors
    /// Returns an error if no weights are found.
    pub(crate) fn to(&self, rows: &[usize]) -> Result<Fit, TrainError> {
        let classes = self.served.classes;
        let loss = Loss { design: self.design, labels: self.labels, rows, classes, alpha: self.alpha };
        if self.served.weights.len() > rows.len() {
            return self.served.fitted(self.design, self.labels, rows, self.alpha);
        }
        let mut fit = self.served.clone();
        let mut evaluation = loss.evaluated(&fit.weights);
        for _ in 0..STEPS {
            let step = self.step(&loss, &evaluation)?;
            let promised = -dot(&step, &evaluation.gradient);
            let moved = |length: f64| -> Vec<f64> {
                fit.weights.iter().zip(&step).map(|(weight, step)| weight + length * step).collect()
            };
            // The minimum of the quadratic function lies half of the promised improvement lower.
            if 0.5 * promised < IMPROVEMENT {
                return Ok(Fit { weights: moved(1.0), classes });
            }
            let improved = (0..=HALVINGS).find_map(|halvings| {
                let length = 0.5_f64.powi(halvings as i32);
                let weights = moved(length);
                let tried = loss.evaluated(&weights);
                (tried.loss <= evaluation.loss - SUFFICIENT * length * promised).then_some((weights, tried))
            });
            let Some(improved) = improved else { break };
            (fit.weights, evaluation) = improved;
        }
        fit.fitted(self.design, self.labels, rows, self.alpha)
    }

    /// Returns the step to the minimum of the quadratic function, found by conjugate gradients on scaled weights.
    fn step(&self, loss: &Loss, at: &Evaluation) -> Result<Vec<f64>, TrainError> {
        let scaled = |vector: &[f64]| -> Vec<f64> {
            vector.iter().zip(&self.scales).map(|(value, scale)| value * scale).collect()
        };
        let downhill: Vec<f64> = scaled(&at.gradient).iter().map(|slope| -slope).collect();
        let start = dot(&downhill, &downhill);
        if start == 0.0 {
            return Ok(downhill);
        }
        let apply = |vector: &[f64]| scaled(&loss.curvature(at, &scaled(vector)));
        // The solver calls the square of the residual's norm the cost.
        let solved = Executor::new(Curvature(apply), ConjugateGradient::new(downhill))
            .configure(|state| {
                let zero = vec![0.0; self.scales.len()];
                state.param(zero).max_iters(PRODUCTS).target_cost(PRECISION * PRECISION * start)
            })
            .run()
            .map_err(TrainError::fit)?;
        let step = solved.state.get_best_param().ok_or_else(|| TrainError::fit("no step was found"))?;
        Ok(scaled(step))
    }
}

/// The product of the curvature with a vector, both for scaled weights.
struct Curvature<F>(F);

impl<F: Fn(&[f64]) -> Vec<f64>> Operator for Curvature<F> {
    type Param = Vec<f64>;
    type Output = Vec<f64>;

    fn apply(&self, vector: &Self::Param) -> Result<Self::Output, Error> {
        // The solver starts at 0.
        Ok(if vector.iter().all(|&value| value == 0.0) { vector.clone() } else { self.0(vector) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, Table, iris};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Returns the norm of the mean loss's gradient at the weights of `fit`.
    fn slope(fit: &Fit, design: &Design, labels: &[usize], rows: &[usize], alpha: f64) -> f64 {
        let loss = Loss { design, labels, rows, classes: fit.classes, alpha };
        let (_, gradient) = loss.at(&fit.weights);
        dot(&gradient, &gradient).sqrt()
    }

    #[test]
    fn refits_reach_the_minimum_of_the_rows_that_are_left() {
        let table = iris::table();
        let all: Vec<usize> = (0..table.len()).collect();
        let design = Design::new(&table, &all);
        let served = Fit::zero(&design, 3).fitted(&design, &table.labels, &all, 0.1).unwrap();
        let refits = Refits::new(&design, &table.labels, &all, &served, 0.1);
        // One row in twenty, one in two, and nearly the whole last class are left out.
        let parts: [fn(usize) -> bool; 3] = [|row| row % 20 != 3, |row| row % 2 == 0, |row| row < 100];
        for part in parts {
            let rows: Vec<usize> = all.iter().copied().filter(|&row| part(row)).collect();
            let before = slope(&served, &design, &table.labels, &rows, 0.1);
            let refit = refits.to(&rows).unwrap();
            let after = slope(&refit, &design, &table.labels, &rows, 0.1);
            assert!(before > 1e-3 && after < 1e-4, "{} {before} {after}", rows.len());
            // The weights are those of the other optimiser, started elsewhere.
            let cold = Fit::zero(&design, 3).fitted(&design, &table.labels, &rows, 0.1).unwrap();
            for &row in &all {
                let [mut own, mut other] = [&refit, &cold].map(|fit| fit.logits(&design, row));
                crate::logistic::softmax(&mut own);
                crate::logistic::softmax(&mut other);
                for (own, other) in own.iter().zip(&other) {
                    assert!((own - other).abs() < 5e-3, "{row}: {own} {other}");
                }
            }
        }
    }

    #[test]
    fn a_step_that_is_too_long_is_shortened() {
        // The served weights are far too large, so the curvature is nearly 0 at most rows, and whole steps increase the loss.
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let rows: Vec<Vec<Option<f64>>> =
            (0..300).map(|_| (0..3).map(|_| Some(rng.random::<f64>())).collect()).collect();
        let labels: Vec<usize> = rows
            .iter()
            .map(|row| usize::from(row[0] > row[1]) ^ usize::from(rng.random::<f64>() < 0.2))
            .collect();
        let columns = ["a", "b", "c"].map(Column::named).to_vec();
        let table = Table::from_rows(columns, vec!["x".into(), "y".into()], &rows, labels);
        let all: Vec<usize> = (0..300).collect();
        let design = Design::new(&table, &all);
        let served = Fit { weights: vec![-30.0, 20.0, 10.0, 3.0], classes: 2 };
        let refit = Refits::new(&design, &table.labels, &all, &served, 1.0).to(&all).unwrap();
        let after = slope(&refit, &design, &table.labels, &all, 1.0);
        assert!(after < 1e-4, "{after}");
    }

    #[test]
    fn more_weights_than_rows_are_fitted_by_the_other_optimiser() {
        let table = iris::table();
        let all: Vec<usize> = (0..table.len()).collect();
        let design = Design::new(&table, &all);
        let served = Fit::zero(&design, 3).fitted(&design, &table.labels, &all, 1.0).unwrap();
        let refits = Refits::new(&design, &table.labels, &all, &served, 1.0);
        // There are 15 weights.
        for (count, same) in [(14, true), (15, false)] {
            let rows: Vec<usize> = (0..count).map(|at| at * 10).collect();
            let other = served.fitted(&design, &table.labels, &rows, 1.0).unwrap();
            assert_eq!(refits.to(&rows).unwrap().weights == other.weights, same, "{count}");
        }
    }
}
