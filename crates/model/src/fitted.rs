//! Weights on the scale of some rows of a table.

use crate::{
    Table, TrainError,
    classifier::Scaling,
    logistic::{Weights, argmax},
};

/// Weights and the scaling they stand on.
pub(crate) struct Fitted {
    pub(crate) scaling: Vec<Scaling>,
    pub(crate) weights: Weights,
}

impl Fitted {
    pub(crate) fn new(table: &Table, rows: &[usize], alpha: f64) -> Result<Self, TrainError> {
        let scaling: Vec<Scaling> =
            (0..table.columns.len()).map(|feature| scaling(table, rows, feature)).collect();
        let x: Vec<Vec<f64>> = rows.iter().map(|&row| standardise(&scaling, &table.rows[row])).collect();
        let y: Vec<usize> = rows.iter().map(|&row| table.labels[row]).collect();
        let weights = Weights::fit(&x, &y, table.classes.len(), alpha)?;
        Ok(Self { scaling, weights })
    }

    /// Returns the same, with logits divided by `temperature`.
    pub(crate) fn with_temperature(self, temperature: f64) -> Self {
        Self { weights: self.weights.with_temperature(temperature), ..self }
    }

    pub(crate) fn logits(&self, row: &[Option<f64>]) -> Vec<f64> {
        self.weights.logits(&standardise(&self.scaling, row))
    }

    pub(crate) fn probabilities(&self, row: &[Option<f64>]) -> Vec<f64> {
        self.weights.probabilities(&standardise(&self.scaling, row))
    }

    pub(crate) fn accuracy(&self, table: &Table, rows: &[usize]) -> f64 {
        let right =
            rows.iter().filter(|&&row| argmax(&self.probabilities(&table.rows[row])) == table.labels[row]);
        right.count() as f64 / rows.len() as f64
    }
}

/// Mean and standard deviation of one feature over some rows, gaps aside.
fn scaling(table: &Table, rows: &[usize], feature: usize) -> Scaling {
    let values: Vec<f64> = rows.iter().filter_map(|&row| table.rows[row][feature]).collect();
    if values.is_empty() {
        return Scaling { mean: 0.0, sd: 1.0 };
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let largest = values.iter().fold(0.0_f64, |largest, value| largest.max((value - mean).abs()));
    if largest == 0.0 {
        return Scaling { mean, sd: 1.0 };
    }
    // The squares of differences as small as 1e-200 would vanish, so they are taken in units of the largest.
    let variance =
        values.iter().map(|value| ((value - mean) / largest).powi(2)).sum::<f64>() / values.len() as f64;
    Scaling { mean, sd: largest * variance.sqrt() }
}

pub(crate) fn standardise(scaling: &[Scaling], row: &[Option<f64>]) -> Vec<f64> {
    scaling.iter().zip(row).map(|(scaling, &value)| scaling.apply(value)).collect()
}
