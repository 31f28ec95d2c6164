//! Multinomial logistic regression: weights, probabilities, and fitting.

use crate::{
    TrainError,
    design::{Design, dot},
    engine::Probabilities,
    loss::{Loss, free_classes},
};
use argmin::{
    core::{CostFunction, Error, Executor, Gradient},
    solver::{linesearch::MoreThuenteLineSearch, quasinewton::LBFGS},
};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

/// The number of pairs of steps and gradient changes that L-BFGS keeps.
const MEMORY: usize = 10;

/// The fit ends when the norm of the mean loss's gradient is below this, because predictions then hardly change any more.
const GRADIENT: f64 = 1e-5;

/// The fit ends when a step improves the mean loss by less than this.
const IMPROVEMENT: f64 = 1e-9;

/// The fit ends after this number of steps. It is reached with a small penalty and separable classes, whose best weights are large.
const STEPS: u64 = 300;

/// The curvature of the mean loss along the weight of a number is a few times smaller than 1: p·(1 − p) for two classes.
const CURVATURE: f64 = 0.1;

/// Weights on encoded columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// The coefficients: one row per class; one column per encoded column, and then one per category that has a weight but no bin. For
    /// two classes the first row is 0, which makes softmax a sigmoid.
    pub coefficients: Vec<Vec<f64>>,
    /// One intercept per class.
    pub intercepts: Vec<f64>,
}

impl Weights {
    /// Returns the class probabilities of a row; they add up to 1, or are NaN where the row overflows. `row` are the encoded columns,
    /// and `weighted` the positions of the columns after them that are 1.
    pub(crate) fn probabilities(&self, row: &[f64], weighted: &[usize]) -> Probabilities {
        let classes = self.coefficients.iter().zip(&self.intercepts);
        let logit = |(weights, intercept): (&Vec<f64>, &f64)| {
            let start = intercept + dot(&weights[..row.len()], row);
            weighted.iter().fold(start, |sum, &at| sum + weights[at])
        };
        let mut logits: Probabilities = classes.map(logit).collect();
        softmax(&mut logits);
        logits
    }
}

/// Weights in the design's order of columns: for each class the coefficients, then the intercept. For two classes there are only the
/// weights of the second class.
#[derive(Debug, Clone)]
pub(crate) struct Fit {
    pub(crate) weights: Vec<f64>,
    pub(crate) classes: usize,
}

impl Fit {
    /// Returns weights that give every class the same probability.
    pub(crate) fn zero(design: &Design, classes: usize) -> Self {
        Self { weights: vec![0.0; free_classes(classes) * (design.weights_width() + 1)], classes }
    }

    /// Fits weights to some rows of a design, by L-BFGS from the weights of `self`: the minimum of
    /// Σ −ln p + ½·`alpha`·Σ w², intercepts not penalised.
    ///
    /// # Errors
    /// Returns an error if the loss is not finite, or if no step from the start improves it.
    pub(crate) fn fitted(
        &self,
        design: &Design,
        labels: &[usize],
        rows: &[usize],
        alpha: f64,
    ) -> Result<Self, TrainError> {
        let scales = scales(design, alpha / rows.len() as f64, self.weights.len());
        let start: Vec<f64> =
            self.weights.iter().zip(&scales).map(|(weight, scale)| weight / scale).collect();
        let loss = Loss { design, labels, rows, classes: self.classes, alpha };
        let best = Mutex::new((f64::INFINITY, start.clone()));
        let recorded = Recorded { loss, scales: &scales, last: Mutex::default(), best: &best };
        let solver = LBFGS::new(MoreThuenteLineSearch::new(), MEMORY)
            .with_tolerance_grad(GRADIENT)
            .and_then(|solver| solver.with_tolerance_cost(IMPROVEMENT))
            .map_err(TrainError::fit)?;
        let none = || {
            TrainError::Fit(
                "the optimiser did not find weights; try a larger --alpha, or leave out a column with --drop"
                    .into(),
            )
        };
        let (start_loss, start_gradient) = recorded.at(&start);
        // With a loss that is not finite, the line search would never end.
        if !start_loss.is_finite() {
            return Err(none());
        }
        if dot(&start_gradient, &start_gradient).sqrt() < GRADIENT {
            return Ok(self.clone());
        }
        let run = Executor::new(recorded, solver)
            .configure(|state| state.param(start).max_iters(STEPS))
            .run()
            .map(drop);
        let (lowest, mut weights) = best.into_inner().unwrap_or_else(PoisonError::into_inner);
        weights.iter_mut().zip(&scales).for_each(|(weight, scale)| *weight *= scale);
        // Near the minimum, the line search may find no better step because of rounding. Then the best weights so far are used.
        if run.is_err() && lowest >= start_loss {
            return Err(none());
        }
        Ok(Self { weights, classes: self.classes })
    }

    /// Returns the logits of a row of the design, one per class.
    pub(crate) fn logits(&self, design: &Design, row: usize) -> Vec<f64> {
        let width = design.weights_width();
        let free = self.weights.chunks_exact(width + 1).map(|line| line[width] + design.dot(row, line));
        if self.classes == 2 { std::iter::once(0.0).chain(free).collect() } else { free.collect() }
    }

    /// Returns the weights for encoded rows, with logits divided by `temperature`.
    pub(crate) fn to_weights(&self, design: &Design, temperature: f64) -> Weights {
        let width = design.weights_width();
        let lines = self.weights.chunks_exact(width + 1);
        let scaled = |line: &[f64]| line.iter().map(|weight| weight / temperature).collect::<Vec<f64>>();
        let (mut coefficients, mut intercepts): (Vec<_>, Vec<_>) =
            lines.map(|line| (design.to_encoded(&scaled(&line[..width])), line[width] / temperature)).unzip();
        if self.classes == 2 {
            coefficients.insert(0, vec![0.0; width]);
            intercepts.insert(0, 0.0);
        }
        Weights { coefficients, intercepts }
    }
}

/// Returns the factors by which weights are divided for the optimiser. The curvature of the loss along a weight is about proportional to
/// the mean square of its column, plus the penalty per row, so it is very small for a rare category. With weights scaled by the inverse
/// square root, the curvature is about the same along all of them, and L-BFGS needs fewer steps (J. Nocedal, S. Wright, "Numerical
/// Optimization", 2006, section 2.2, "Scaling"). Weights of numbers are not scaled.
fn scales(design: &Design, penalty: f64, weights: usize) -> Vec<f64> {
    let of = |square: &f64| ((CURVATURE + penalty) / (CURVATURE * square + penalty)).sqrt();
    let line: Vec<f64> = design.mean_squares().iter().map(of).chain([1.0]).collect();
    line.iter().copied().cycle().take(weights).collect()
}

/// A loss that records the best weights that were tried.
struct Recorded<'a> {
    loss: Loss<'a>,
    /// The weights of a point are its numbers times these factors.
    scales: &'a [f64],
    /// The last point that was evaluated, with its loss and its gradient, which the optimiser requests one after the other.
    last: Mutex<(Vec<f64>, f64, Vec<f64>)>,
    best: &'a Mutex<(f64, Vec<f64>)>,
}

impl Recorded<'_> {
    fn at(&self, point: &[f64]) -> (f64, Vec<f64>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != point {
            let weights: Vec<f64> =
                point.iter().zip(self.scales).map(|(value, scale)| value * scale).collect();
            let (loss, mut gradient) = self.loss.at(&weights);
            gradient.iter_mut().zip(self.scales).for_each(|(slope, scale)| *slope *= scale);
            *last = (point.to_vec(), loss, gradient);
        }
        (last.1, last.2.clone())
    }
}

impl CostFunction for Recorded<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, weights: &Self::Param) -> Result<f64, Error> {
        let (loss, _) = self.at(weights);
        let mut best = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        if loss < best.0 {
            *best = (loss, weights.clone());
        }
        Ok(loss)
    }
}

impl Gradient for Recorded<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, weights: &Self::Param) -> Result<Self::Gradient, Error> {
        Ok(self.at(weights).1)
    }
}

/// Returns the position of the greatest value, or the first of several equal ones.
pub fn argmax(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

/// Replaces logits by probabilities and returns the logarithm of the sum of the exponentials. The greatest logit is subtracted first,
/// so that nothing overflows.
pub(crate) fn softmax(logits: &mut [f64]) -> f64 {
    let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - greatest).exp();
        sum += *logit;
    }
    for probability in logits {
        *probability /= sum;
    }
    greatest + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Table, iris,
        table::{Categories, Column},
    };
    use proptest::prelude::*;
    use smartcore::{
        linalg::basic::{arrays::Array, matrix::DenseMatrix},
        linear::logistic_regression::{LogisticRegression, LogisticRegressionParameters},
    };

    #[test]
    fn softmax_of_two_classes_is_a_sigmoid() {
        let weights = Weights { coefficients: vec![vec![0.0], vec![2.0]], intercepts: vec![0.0, -1.0] };
        let probability = weights.probabilities(&[1.5], &[])[1];
        assert!((probability - 1.0 / (1.0 + (-2.0_f64).exp())).abs() < 1e-15);
    }

    /// Fits all rows and returns the weights, and those of smartcore's optimiser for the same loss.
    fn both(table: &Table, alpha: f64) -> (Weights, Vec<Vec<f64>>) {
        let rows: Vec<usize> = (0..table.len()).collect();
        let design = Design::new(table, &rows);
        let start = Fit::zero(&design, table.classes.len());
        let own = start.fitted(&design, &table.labels, &rows, alpha).unwrap().to_weights(&design, 1.0);
        let mut encoded = Vec::new();
        let x: Vec<Vec<f64>> = rows
            .iter()
            .map(|&row| {
                design.encoded(row, &mut encoded);
                encoded.clone()
            })
            .collect();
        let y: Vec<u32> = table.labels.iter().map(|&label| label as u32).collect();
        let parameters = LogisticRegressionParameters::default().with_alpha(alpha);
        let theirs = LogisticRegression::fit(&DenseMatrix::from_2d_vec(&x).unwrap(), &y, parameters).unwrap();
        let (lines, columns) = theirs.coefficients().shape();
        let theirs = (0..lines)
            .map(|line| (0..columns).map(|column| *theirs.coefficients().get((line, column))).collect())
            .collect();
        (own, theirs)
    }

    #[test]
    fn three_classes_agree_with_smartcore() {
        let (own, theirs) = both(&iris::table(), 1.0);
        for (own, theirs) in own.coefficients.iter().flatten().zip(theirs.iter().flatten()) {
            assert!((own - theirs).abs() < 2e-2, "{own} {theirs}");
        }
    }

    #[test]
    fn two_classes_agree_with_smartcore() {
        let mut table = iris::table();
        let rows: Vec<Vec<Option<f64>>> = table.rows().skip(48).collect();
        table = Table::from_rows(
            table.columns.clone(),
            table.classes[1..].to_vec(),
            &rows,
            table.labels[48..].iter().map(|label| label - 1).collect(),
        );
        let (own, theirs) = both(&table, 1.0);
        for (own, theirs) in own.coefficients[1].iter().zip(theirs.iter().flatten()) {
            assert!((own - theirs).abs() < 2e-2, "{own} {theirs}");
        }
    }

    #[test]
    fn the_weights_of_rare_categories_are_scaled() {
        let mut table = iris::table();
        let known: Vec<String> = (0..3).map(|at| at.to_string()).collect();
        let categories = Some(Categories { known, ..Categories::default() });
        table.columns.push(Column { categories, ..Column::named("text") });
        // The categories have 98, 48 and 1 of 147 rows.
        table.values.push(
            (0..147).map(|row| [2.0, 1.0, 0.0][usize::from(row > 0) + usize::from(row > 48)]).collect(),
        );
        let rows: Vec<usize> = (0..147).collect();
        let design = Design::new(&table, &rows);
        let scales = scales(&design, 0.01, 30);
        let expected = [98.0, 48.0, 1.0].map(|own: f64| (0.11 / (0.1 * own / 147.0 + 0.01)).sqrt());
        for line in scales.chunks(10) {
            assert_eq!([&line[..4], &line[9..]].concat(), [1.0; 5]);
            let close = |(own, expected): (&f64, f64)| (own - expected).abs() < 1e-12;
            assert!(line[4..7].iter().zip(expected).all(close), "{line:?}");
            // No row has another category or a missing value.
            assert!(line[7..9].iter().all(|own| (own - 11_f64.sqrt()).abs() < 1e-12), "{line:?}");
        }
        // The scales do not change the minimum: the gradient with respect to the weights themselves is 0 there.
        let fit = Fit::zero(&design, 3).fitted(&design, &table.labels, &rows, 1.47).unwrap();
        let loss = Loss { design: &design, labels: &table.labels, rows: &rows, classes: 3, alpha: 1.47 };
        let (_, gradient) = loss.at(&fit.weights);
        assert!(gradient.iter().all(|slope| slope.abs() < 1e-4), "{gradient:?}");
    }

    #[test]
    fn fits_from_different_starts_give_the_same_weights() {
        let table = iris::table();
        let rows: Vec<usize> = (0..table.len()).collect();
        let design = Design::new(&table, &rows);
        let cold = Fit::zero(&design, 3).fitted(&design, &table.labels, &rows, 1.0).unwrap();
        let half: Vec<usize> = rows.iter().copied().filter(|row| row % 2 == 0).collect();
        let other = cold.fitted(&design, &table.labels, &half, 1.0).unwrap();
        let warm = other.fitted(&design, &table.labels, &rows, 1.0).unwrap();
        assert!(other.weights.iter().zip(&cold.weights).any(|(other, cold)| (other - cold).abs() > 0.1));
        // Only the differences between the classes' intercepts are determined.
        let lines = |fit: &Fit| fit.to_weights(&design, 1.0).coefficients.concat();
        for (warm, cold) in lines(&warm).iter().zip(lines(&cold)) {
            assert!((warm - cold).abs() < 2e-2, "{warm} {cold}");
        }
    }

    #[test]
    fn a_temperature_divides_every_weight() {
        let table = iris::table();
        let design = Design::new(&table, &(0..table.len()).collect::<Vec<_>>());
        let fit = Fit { weights: (1..16).map(f64::from).collect(), classes: 3 };
        let weights = fit.to_weights(&design, 4.0);
        assert_eq!(weights.coefficients[0], [0.25, 0.5, 0.75, 1.0]);
        assert_eq!(weights.intercepts, [1.25, 2.5, 3.75]);
    }

    #[test]
    fn the_weights_of_a_constant_column_are_0() {
        let rows: Vec<Vec<Option<f64>>> = (0..40).map(|i| vec![Some(3.0), Some(f64::from(i))]).collect();
        let columns = vec![Column::named("a"), Column::named("b")];
        let table = Table::from_rows(
            columns,
            vec!["x".into(), "y".into()],
            &rows,
            (0..40).map(|i| usize::from(i > 20)).collect(),
        );
        let all: Vec<usize> = (0..40).collect();
        let design = Design::new(&table, &all);
        let weights = Fit::zero(&design, 2).fitted(&design, &table.labels, &all, 1.0).unwrap();
        let weights = weights.to_weights(&design, 1.0);
        assert!(weights.coefficients[1][0].abs() < 1e-12 && weights.coefficients[1][1] > 1.0, "{weights:?}");
    }

    #[test]
    fn a_fit_without_a_finite_loss_is_an_error() {
        let table = iris::table();
        let rows: Vec<usize> = (0..table.len()).collect();
        let design = Design::new(&table, &rows);
        for weight in [f64::NAN, f64::INFINITY, 1e200] {
            let start = Fit { weights: vec![weight; 15], classes: 3 };
            let error = start.fitted(&design, &table.labels, &rows, 1.0).unwrap_err();
            assert!(matches!(&error, TrainError::Fit(_)), "{weight}: {error}");
        }
    }

    proptest! {
        #[test]
        fn probabilities_add_up_to_1(logits in prop::collection::vec(-1e3..1e3f64, 2..20)) {
            let mut probabilities = logits.clone();
            let log_sum = softmax(&mut probabilities);
            prop_assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert_eq!(argmax(&probabilities), argmax(&logits));
            let greatest = logits.iter().copied().fold(f64::MIN, f64::max);
            prop_assert!(log_sum >= greatest && log_sum <= greatest + (logits.len() as f64).ln() + 1e-9);
        }
    }
}
