//! The loss of logistic regression over some rows: its value and its gradient.

use crate::{
    design::{Design, dot},
    logistic::softmax,
    products::weighted_sums,
};
use rayon::prelude::*;

/// The number of rows whose sums are computed as one block. The number of threads does not change the sum over blocks.
const BLOCK: usize = 512;

/// The mean penalised loss over some rows: (Σ −ln p + ½·`alpha`·Σ w²)/rows, intercepts not penalised.
pub(crate) struct Loss<'a> {
    pub(crate) design: &'a Design,
    pub(crate) labels: &'a [usize],
    pub(crate) rows: &'a [usize],
    pub(crate) classes: usize,
    pub(crate) alpha: f64,
}

/// Returns the number of classes that have weights. For two classes, only the second one has.
pub(crate) fn free_classes(classes: usize) -> usize {
    if classes == 2 { 1 } else { classes }
}

impl Loss<'_> {
    /// Returns the loss and its gradient.
    pub(crate) fn at(&self, weights: &[f64]) -> (f64, Vec<f64>) {
        let first = self.classes - free_classes(self.classes);
        let block = |rows: &[usize]| {
            let mut loss = 0.0;
            let mut logits = vec![0.0; self.classes];
            let gradient = weighted_sums(self.design, rows, weights, |at, values| {
                logits[0] = 0.0;
                logits[first..].copy_from_slice(values);
                let label = self.labels[rows[at]];
                let own = logits[label];
                loss += softmax(&mut logits) - own;
                values.copy_from_slice(&logits[first..]);
                if label >= first {
                    values[label - first] -= 1.0;
                }
            });
            (loss, gradient)
        };
        let blocks: Vec<(f64, Vec<f64>)> = self.rows.par_chunks(BLOCK).map(block).collect();
        let (mut loss, mut gradient) = (0.0, vec![0.0; weights.len()]);
        for (block_loss, block_gradient) in blocks {
            loss += block_loss;
            gradient.iter_mut().zip(block_gradient).for_each(|(sum, part)| *sum += part);
        }
        let width = self.design.weights_width();
        for line in weights.chunks_exact(width + 1) {
            loss += 0.5 * self.alpha * dot(&line[..width], &line[..width]);
        }
        self.add_penalty(&mut gradient, weights);
        let rows = self.rows.len() as f64;
        gradient.iter_mut().for_each(|slope| *slope /= rows);
        (loss / rows, gradient)
    }

    /// Adds the penalty's part of a gradient.
    fn add_penalty(&self, sums: &mut [f64], weights: &[f64]) {
        let width = self.design.weights_width();
        for (sums, line) in sums.chunks_exact_mut(width + 1).zip(weights.chunks_exact(width + 1)) {
            sums[..width].iter_mut().zip(line).for_each(|(sum, weight)| *sum += self.alpha * weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        iris,
        table::{Categories, Column},
    };

    #[test]
    fn the_gradient_equals_the_numeric_derivative_of_the_loss() {
        let mut table = iris::table();
        let known = vec!["a".to_owned(), "b".to_owned()];
        table.columns.push(Column {
            categories: Some(Categories { known, ..Categories::default() }),
            ..Column::named("text")
        });
        // The values are each category, another category, and a missing value.
        table.values.push((0..table.len()).map(|row| [0.0, 1.0, 2.0, f64::NAN][row % 4]).collect());
        let rows: Vec<usize> = (0..table.len()).collect();
        let design = Design::new(&table, &rows);
        let loss = Loss { design: &design, labels: &table.labels, rows: &rows, classes: 3, alpha: 0.7 };
        // There are four numbers, four columns of the categorical feature, and the intercept.
        let weights: Vec<f64> = (0..27).map(|at| f64::from(at * 7 % 5) / 5.0 - 0.4).collect();
        let (_, gradient) = loss.at(&weights);
        for (at, slope) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = weights.clone();
                moved[at] += by;
                loss.at(&moved).0
            };
            let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - numeric).abs() < 1e-8, "{at}: {slope} {numeric}");
        }
    }
}
