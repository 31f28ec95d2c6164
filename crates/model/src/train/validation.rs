//! Cross-validation: scores rows with weights that were fitted without them.

use super::TrainError;
use crate::{
    CrossValidation, Table,
    design::Design,
    logistic::{Fit, argmax},
    refit::Refits,
    split::{folds, parted},
};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Scores rows with weights that were fitted without them.
pub(super) struct Validation<'a> {
    pub(super) table: &'a Table,
    pub(super) design: &'a Design,
    pub(super) served: &'a Fit,
    pub(super) alpha: f64,
}

impl Validation<'_> {
    /// Replaces the logits of the fitted rows: each of `count` folds is scored with weights that are fitted without it. Returns the
    /// accuracy over the folds. Each fit starts from the served weights, so that it takes few steps.
    pub(super) fn run(
        &self,
        train_rows: &[usize],
        count: usize,
        mut logits: Vec<Vec<f64>>,
        rng: &mut ChaCha8Rng,
    ) -> Result<(CrossValidation, Vec<Vec<f64>>), TrainError> {
        let folds = folds(self.table, count, rng);
        let fold_of: Vec<usize> = train_rows.iter().map(|&row| folds[row]).collect();
        let refits = Refits::new(self.design, &self.table.labels, train_rows, self.served, self.alpha);
        let parts: Vec<(Vec<usize>, Vec<Vec<f64>>)> = (0..count)
            .into_par_iter()
            .map(|fold| {
                let (fit, held_out) = parted(&fold_of, fold);
                let [fit, held_out] =
                    [fit, held_out].map(|at| at.iter().map(|&at| train_rows[at]).collect::<Vec<_>>());
                let refitted = self.refitted(&refits, &fit, &held_out)?;
                let logits = held_out.iter().map(|&row| refitted.logits(self.design, row)).collect();
                Ok::<_, TrainError>((held_out, logits))
            })
            .collect::<Result<_, _>>()?;
        let mut scores = Vec::new();
        for (rows, own) in parts {
            // If there are fewer rows than folds, some folds are empty.
            if !rows.is_empty() {
                let right =
                    rows.iter().zip(&own).filter(|(row, own)| argmax(own) == self.table.labels[**row]);
                scores.push(right.count() as f64 / rows.len() as f64);
            }
            rows.into_iter().zip(own).for_each(|(row, own)| logits[row] = own);
        }
        let mean_accuracy = scores.iter().sum::<f64>() / scores.len() as f64;
        let squares: f64 = scores.iter().map(|score| (score - mean_accuracy).powi(2)).sum();
        let sd = (squares / (scores.len().saturating_sub(1).max(1)) as f64).sqrt();
        Ok((CrossValidation { folds: scores.len(), mean_accuracy, sd }, logits))
    }

    fn refitted(&self, refits: &Refits, fit: &[usize], held_out: &[usize]) -> Result<Fit, TrainError> {
        let mut present = vec![false; self.table.classes.len()];
        fit.iter().for_each(|&row| present[self.table.labels[row]] = true);
        // If the only fitted row of a class is left out, the weights would be those of a model with fewer classes.
        if held_out.is_empty() || present.contains(&false) {
            return Ok(self.served.clone());
        }
        refits.to(fit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iris;

    #[test]
    fn without_a_row_of_some_class_the_served_weights_are_used() {
        let table = iris::table();
        let all: Vec<usize> = (0..table.len()).collect();
        let design = Design::new(&table, &all);
        let served = Fit::zero(&design, 3).fitted(&design, &table.labels, &all, 1.0).unwrap();
        let validation = Validation { table: &table, design: &design, served: &served, alpha: 1.0 };
        let refits = Refits::new(&design, &table.labels, &all, &served, 1.0);
        let is_served = |fit: &[usize], held_out: &[usize]| {
            validation.refitted(&refits, fit, held_out).unwrap().logits(&design, 5)
                == served.logits(&design, 5)
        };
        // The last class begins at row 98.
        assert!(is_served(&all[..98], &all[98..]));
        assert!(is_served(&all, &[]));
        assert!(!is_served(&all[..100], &all[100..]));
    }
}
