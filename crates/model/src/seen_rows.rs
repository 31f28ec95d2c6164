//! Finds out whether a model that predicts numbers was trained on the rows of its reference.
//!
//! A model that adapts to single rows predicts a number for a training row that is nearer to the row's true number than its predictions
//! for similar rows. So the columns of each row are changed to their next greater and next smaller values. The difference between the
//! prediction for the row and the mean prediction for the changed rows is then correlated with the remaining error: prediction(row) − mean
//! prediction(changed) with truth − prediction(row). On rows that the model was not trained on, this difference is as often wrong as right,
//! and the correlation is about 0 or negative. R² alone does not show this: a forest has 0.98 on its training rows, but any model has as
//! much on new rows if the noise is small.
//!
//! The method does not recognise rows that are predicted without any error, for which there is another warning; models that do not adapt
//! to single rows, such as linear ones, whose error on training rows is only slightly too small; and tables without a numeric column of
//! many values.

use crate::{
    Batch, BatchRows, Engine, OtherCategory, Output, ReferenceTable,
    table::{Column, present},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The greatest number of rows that are examined.
const ROWS: usize = 1000;

/// The number of pairs of changed rows per row.
const PAIRS: usize = 2;

/// The least number of values of a column that is changed. With fewer values, the next value is not similar.
const LEAST_VALUES: usize = 10;

/// The least correlation that is reported. Of 572 pairs of a scikit-learn model and rows that it was not trained on (22 models, 13
/// tables, two splits), one had more than 0.11: a model worse than the mean, with 0.21 on 221 rows, which is within `DEVIATIONS`. On
/// training rows, 24 of 26 random forests, 23 of 26 models of boosted trees and no linear model reached this limit.
const CORRELATION: f64 = 0.2;

/// The least correlation, in standard deviations of the correlation of independent numbers (1/√rows).
const DEVIATIONS: f64 = 5.0;

/// The least share of the difference between truth and mean prediction for the changed rows that the row itself explains. Below it, the
/// effect may be the curvature of a smooth model.
const SHARE: f64 = 0.005;

/// Returns the correlation if it shows that the model was trained on the rows.
pub(crate) fn training_rows_correlation(
    table: &ReferenceTable,
    outputs: &[Output],
    truth: &[f64],
    engine: &dyn Engine,
    seed: u64,
) -> Option<f64> {
    let steps: Vec<Option<Steps>> = table.columns.iter().zip(&table.values).map(Steps::of).collect();
    if steps.iter().all(Option::is_none) {
        return None;
    }
    let step = outputs.len().div_ceil(ROWS).max(1);
    let rows: Vec<usize> = (0..outputs.len()).step_by(step).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut beside = vec![0.0; rows.len()];
    for _ in 0..PAIRS {
        let ups: Vec<Vec<bool>> = rows.iter().map(|_| steps.iter().map(|_| rng.random()).collect()).collect();
        // Rows are changed in both directions, so that the slope of the model has no effect.
        for opposite in [false, true] {
            let answers = score(table, &rows, engine, |place, column, value| match &steps[column] {
                Some(steps) => steps.next(value, ups[place][column] != opposite),
                None => value,
            })?;
            for (sum, answer) in beside.iter_mut().zip(answers) {
                *sum += answer / (2 * PAIRS) as f64;
            }
        }
    }
    let own: Vec<f64> = rows.iter().map(|&row| outputs[row].value()).collect();
    let pull: Vec<f64> = own.iter().zip(&beside).map(|(own, beside)| own - beside).collect();
    let error: Vec<f64> = rows.iter().zip(&own).map(|(&row, own)| truth[row] - own).collect();
    let missing = rows.iter().zip(&beside).map(|(&row, beside)| truth[row] - beside);
    let (product, square) = missing.zip(&pull).fold((0.0, 0.0), |(product, square), (missing, pull)| {
        (product + missing * pull, square + missing * missing)
    });
    let correlation = correlation(&pull, &error)?;
    let limit = CORRELATION.max(DEVIATIONS / (rows.len() as f64).sqrt());
    (correlation >= limit && product >= SHARE * square).then_some(correlation)
}

/// Scores some rows with changed values. Returns `None` if the model fails.
fn score(
    table: &ReferenceTable,
    rows: &[usize],
    engine: &dyn Engine,
    changed: impl Fn(usize, usize, f64) -> f64,
) -> Option<Vec<f64>> {
    let columns = 0..table.columns.len();
    let mut texts = Vec::new();
    let mut values = Vec::with_capacity(rows.len() * table.columns.len());
    for (place, &row) in rows.iter().enumerate() {
        let value = |column: usize| present(changed(place, column, table.values[column][row]));
        values.extend(columns.clone().map(value));
        texts.extend(columns.clone().filter_map(|feature| {
            let text = OtherCategory::find(&table.others, row, feature)?;
            Some(OtherCategory { row: place, feature, text: text.into() })
        }));
    }
    let answers =
        engine.score(Batch { rows: BatchRows::new(&values, table.columns.len()), others: &texts }).ok()?;
    Some(answers.iter().map(Output::value).collect())
}

/// The different values of a numeric column, in ascending order.
struct Steps(Vec<f64>);

impl Steps {
    fn of((column, values): (&Column, &Vec<f64>)) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        (column.categories.is_none() && sorted.len() >= LEAST_VALUES).then_some(Self(sorted))
    }

    /// Returns the next greater or smaller value. For a missing value, and for the last value in this direction, it returns the same value.
    fn next(&self, value: f64, greater: bool) -> f64 {
        let at = self.0.partition_point(|own| *own < value);
        let next = if greater { self.0.get(at + 1) } else { at.checked_sub(1).and_then(|at| self.0.get(at)) };
        if value.is_nan() { value } else { *next.unwrap_or(&value) }
    }
}

/// Returns Pearson's correlation; `None` if one of the variables is constant.
fn correlation(one: &[f64], other: &[f64]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let means = [mean(one), mean(other)];
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        one.iter().zip(other).map(|(one, other)| of(one - means[0], other - means[1])).sum()
    };
    let product = sum(&|one, other| one * other);
    let scale = (sum(&|one, _| one * one) * sum(&|_, other| other * other)).sqrt();
    (scale > 0.0 && scale.is_finite()).then(|| product / scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EngineError, Notation};

    /// A model that returns a weighted mean of the numbers of the nearest training rows, like a forest with small leaves.
    #[derive(Debug)]
    struct Nearest {
        rows: Vec<(f64, f64)>,
        among: usize,
    }

    impl Engine for Nearest {
        fn score(&self, batch: Batch) -> Result<Vec<Output>, EngineError> {
            let answer = |row: &[Option<f64>]| {
                let x = row[0].unwrap_or_default();
                let mut rows = self.rows.clone();
                rows.sort_by(|one, other| (one.0 - x).abs().total_cmp(&(other.0 - x).abs()));
                let weight = |at: usize| 0.5_f64.powi(at as i32);
                let sums =
                    rows.iter().take(self.among).enumerate().fold((0.0, 0.0), |sums, (at, row)| {
                        (sums.0 + weight(at) * row.1, sums.1 + weight(at))
                    });
                Output::Number(sums.0 / sums.1)
            };
            Ok(batch.rows.iter().map(answer).collect())
        }
    }

    /// A model that returns x² and was not trained.
    #[derive(Debug)]
    struct Square;

    impl Engine for Square {
        fn score(&self, batch: Batch) -> Result<Vec<Output>, EngineError> {
            Ok(batch.rows.iter().map(|row| Output::Number(row[0].unwrap_or_default().powi(2))).collect())
        }
    }

    fn rows(seed: u64, noise: f64) -> Vec<(f64, f64)> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let row = |_| {
            let x: f64 = rng.random_range(-3.0..3.0);
            (x, x * x + noise * rng.random_range(-1.0..1.0))
        };
        (0..400).map(row).collect()
    }

    fn found(rows: &[(f64, f64)], engine: &dyn Engine) -> Option<f64> {
        let table = ReferenceTable {
            file: "table.csv".into(),
            lines: Vec::new(),
            columns: vec![Column { name: "x".into(), unit: None, extreme: None, categories: None }],
            values: vec![rows.iter().map(|row| row.0).collect()],
            others: Vec::new(),
            target: None,
            aside: Vec::new(),
            notation: Notation::default(),
            notes: Vec::new(),
        };
        let given: Vec<Option<f64>> = rows.iter().map(|row| Some(row.0)).collect();
        let outputs = engine.score(Batch { rows: BatchRows::new(&given, 1), others: &[] }).unwrap();
        let truth: Vec<f64> = rows.iter().map(|row| row.1).collect();
        training_rows_correlation(&table, &outputs, &truth, engine, 1)
    }

    #[test]
    fn only_rows_that_the_model_was_trained_on_are_recognised() {
        for noise in [0.3, 3.0] {
            let trained = rows(1, noise);
            for among in [2, 5] {
                let model = Nearest { rows: trained.clone(), among };
                assert!(found(&trained, &model).is_some_and(|own| own > 0.3), "{noise} {among}");
                assert_eq!(found(&rows(2, noise), &model), None, "{noise} {among}");
            }
            assert_eq!(found(&trained, &Square), None, "{noise}");
        }
    }
}
