//! The loss of logistic regression over some rows: its value, its gradient, and its curvature.

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

/// The loss at some weights.
pub(crate) struct Evaluation {
    pub(crate) loss: f64,
    pub(crate) gradient: Vec<f64>,
    /// The probabilities of the classes with weights, row by row, in blocks of rows. They have half the usual precision, which is
    /// enough for a curvature, because there may be many.
    probabilities: Vec<Vec<f32>>,
}

/// Returns the number of classes that have weights. For two classes, only the second one has.
pub(crate) fn free_classes(classes: usize) -> usize {
    if classes == 2 { 1 } else { classes }
}

impl Loss<'_> {
    /// Returns the loss and its gradient.
    pub(crate) fn at(&self, weights: &[f64]) -> (f64, Vec<f64>) {
        let evaluation = self.evaluate(weights, |_, _| ());
        (evaluation.loss, evaluation.gradient)
    }

    /// Returns the loss, its gradient, and the probabilities that its curvature is computed from.
    pub(crate) fn evaluated(&self, weights: &[f64]) -> Evaluation {
        self.evaluate(weights, |kept, own| kept.extend(own.iter().map(|&p| p as f32)))
    }

    fn evaluate(&self, weights: &[f64], keep: impl Fn(&mut Vec<f32>, &[f64]) + Sync) -> Evaluation {
        let first = self.classes - free_classes(self.classes);
        let block = |rows: &[usize]| {
            let (mut loss, mut kept) = (0.0, Vec::new());
            let mut logits = vec![0.0; self.classes];
            let gradient = weighted_sums(self.design, rows, weights, |at, values| {
                logits[0] = 0.0;
                logits[first..].copy_from_slice(values);
                let label = self.labels[rows[at]];
                let own = logits[label];
                loss += softmax(&mut logits) - own;
                keep(&mut kept, &logits[first..]);
                values.copy_from_slice(&logits[first..]);
                if label >= first {
                    values[label - first] -= 1.0;
                }
            });
            (loss, gradient, kept)
        };
        let blocks: Vec<(f64, Vec<f64>, Vec<f32>)> = self.rows.par_chunks(BLOCK).map(block).collect();
        let (mut loss, mut gradient, mut probabilities) = (0.0, vec![0.0; weights.len()], Vec::new());
        for (block_loss, block_gradient, kept) in blocks {
            loss += block_loss;
            gradient.iter_mut().zip(block_gradient).for_each(|(sum, part)| *sum += part);
            probabilities.push(kept);
        }
        let width = self.design.weights_width();
        for line in weights.chunks_exact(width + 1) {
            loss += 0.5 * self.alpha * dot(&line[..width], &line[..width]);
        }
        self.add_penalty(&mut gradient, weights);
        let rows = self.rows.len() as f64;
        gradient.iter_mut().for_each(|slope| *slope /= rows);
        Evaluation { loss: loss / rows, gradient, probabilities }
    }

    /// Returns the product of the loss's second derivative with a vector. `at` is the evaluation of the loss at the weights where the
    /// derivative is taken.
    pub(crate) fn curvature(&self, at: &Evaluation, vector: &[f64]) -> Vec<f64> {
        let free = free_classes(self.classes);
        let block = |(rows, probabilities): (&[usize], &Vec<f32>)| {
            weighted_sums(self.design, rows, vector, |row, values| {
                let own = &probabilities[row * free..(row + 1) * free];
                let mean: f64 = own.iter().zip(values.iter()).map(|(&p, value)| f64::from(p) * value).sum();
                values.iter_mut().zip(own).for_each(|(value, &p)| *value = f64::from(p) * (*value - mean));
            })
        };
        let blocks: Vec<Vec<f64>> = self.rows.par_chunks(BLOCK).zip(&at.probabilities).map(block).collect();
        let mut product = vec![0.0; vector.len()];
        for block in blocks {
            product.iter_mut().zip(block).for_each(|(sum, part)| *sum += part);
        }
        self.add_penalty(&mut product, vector);
        let rows = self.rows.len() as f64;
        product.iter_mut().for_each(|value| *value /= rows);
        product
    }

    /// Returns the diagonal of the loss's second derivative, plus the penalty also for the intercepts, so that nothing is 0.
    pub(crate) fn curvature_diagonal(&self, at: &Evaluation) -> Vec<f64> {
        let (free, width) = (free_classes(self.classes), self.design.weights_width());
        let mut diagonal = vec![self.alpha; free * (width + 1)];
        for (rows, probabilities) in self.rows.chunks(BLOCK).zip(&at.probabilities) {
            for (&row, own) in rows.iter().zip(probabilities.chunks_exact(free)) {
                let numbers = self.design.numeric(row);
                for (line, &p) in diagonal.chunks_exact_mut(width + 1).zip(own) {
                    let variance = f64::from(p * (1.0 - p));
                    line.iter_mut().zip(numbers).for_each(|(sum, x)| *sum += variance * x * x);
                    self.design.active(row).iter().for_each(|&at| line[at as usize] += variance);
                    line[width] += variance;
                }
            }
        }
        let rows = self.rows.len() as f64;
        diagonal.iter_mut().for_each(|value| *value /= rows);
        diagonal
    }

    /// Adds the penalty's part of a gradient, or of a product with a vector in the place of the weights.
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

    #[test]
    fn the_curvature_equals_the_numeric_derivative_of_the_gradient() {
        for classes in [2, 3] {
            let mut table = iris::table();
            table.labels.iter_mut().for_each(|label| *label %= classes);
            let rows: Vec<usize> = (0..table.len()).collect();
            let design = Design::new(&table, &rows);
            let loss = Loss { design: &design, labels: &table.labels, rows: &rows, classes, alpha: 0.7 };
            let length = free_classes(classes) * 5;
            let weights: Vec<f64> = (0..length).map(|at| (at * 7 % 5) as f64 / 5.0 - 0.4).collect();
            let evaluation = loss.evaluated(&weights);
            let diagonal = loss.curvature_diagonal(&evaluation);
            for at in 0..length {
                let moved = |by: f64| {
                    let mut moved = weights.clone();
                    moved[at] += by;
                    loss.at(&moved).1
                };
                let unit: Vec<f64> = (0..length).map(|other| f64::from(u8::from(other == at))).collect();
                let product = loss.curvature(&evaluation, &unit);
                for ((own, above), below) in product.iter().zip(moved(1e-5)).zip(moved(-1e-5)) {
                    let numeric = (above - below) / 2e-5;
                    assert!((own - numeric).abs() < 1e-7, "{classes} {at}: {own} {numeric}");
                }
                // The intercepts are the last weight of each class.
                let penalty = if at % 5 == 4 { 0.7 / 147.0 } else { 0.0 };
                assert!((diagonal[at] - penalty - product[at]).abs() < 1e-7, "{classes} {at}");
            }
        }
    }
}
