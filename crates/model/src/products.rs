//! Products of rows with the lines of a matrix of weights, and the sums over the rows that such products are weighted with. Losses,
//! gradients and curvatures consist of these two.
//!
//! The code is compiled for several sets of vector instructions, and the best one that the processor has is chosen when it runs. All of
//! them add in the same order, so they give the same numbers.

use crate::design::Design;
use pulp::{Arch, Simd, WithSimd};

/// The number of rows whose products are computed together, so that a line of weights is loaded once for all of them.
const TOGETHER: usize = 4;

/// The number of partial sums of a dot product.
const LANES: usize = 8;

/// For each of some rows of a design, computes its products with the lines of `weights` (for each class the coefficients, then the
/// intercept), lets `residuals` replace them, and returns Σ residualᵀ·(row, 1), in the order of the weights. `residuals` gets the
/// position of the row among `rows`.
pub(crate) fn weighted_sums(
    design: &Design,
    rows: &[usize],
    weights: &[f64],
    residuals: impl FnMut(usize, &mut [f64]),
) -> Vec<f64> {
    Arch::new().dispatch(WeightedSums { design, rows, weights, residuals })
}

struct WeightedSums<'a, F> {
    design: &'a Design,
    rows: &'a [usize],
    weights: &'a [f64],
    residuals: F,
}

impl<F: FnMut(usize, &mut [f64])> WithSimd for WeightedSums<'_, F> {
    type Output = Vec<f64>;

    // Only what is inlined is compiled for each set of instructions.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> Vec<f64> {
        let (design, stride) = (self.design, self.design.weights_width() + 1);
        let (numbers, intercept) = (design.numbers, design.weights_width());
        let lines = self.weights.len() / stride;
        let mut sums = vec![0.0; self.weights.len()];
        let mut values = vec![0.0; TOGETHER * lines];
        for (block, rows) in self.rows.chunks(TOGETHER).enumerate() {
            // In a last block of fewer rows, the last row is repeated with residuals of 0.
            let row = |at: usize| rows[at.min(rows.len() - 1)];
            let x: [&[f64]; TOGETHER] = std::array::from_fn(|at| design.numeric(row(at)));
            let active: [&[u32]; TOGETHER] = std::array::from_fn(|at| design.active(row(at)));
            for (at, line) in self.weights.chunks_exact(stride).enumerate() {
                let products = dots(x, &line[..numbers]);
                for row in 0..rows.len() {
                    let own =
                        active[row].iter().fold(products[row], |sum, &column| sum + line[column as usize]);
                    values[row * lines + at] = line[intercept] + own;
                }
            }
            for row in 0..rows.len() {
                (self.residuals)(block * TOGETHER + row, &mut values[row * lines..(row + 1) * lines]);
            }
            for (at, sums) in sums.chunks_exact_mut(stride).enumerate() {
                let residuals: [f64; TOGETHER] =
                    std::array::from_fn(|row| if row < rows.len() { values[row * lines + at] } else { 0.0 });
                add(&mut sums[..numbers], residuals, x);
                for (active, residual) in active.iter().zip(residuals).take(rows.len()) {
                    active.iter().for_each(|&column| sums[column as usize] += residual);
                    sums[intercept] += residual;
                }
            }
        }
        sums
    }
}

/// Returns the products of `vectors` with the matrix Σ rowᵀ·row over some rows.
pub(crate) fn gram_products(rows: &[Vec<f64>], vectors: &[Vec<f64>]) -> Vec<Vec<f64>> {
    Arch::new().dispatch(GramProducts { rows, vectors })
}

struct GramProducts<'a> {
    rows: &'a [Vec<f64>],
    vectors: &'a [Vec<f64>],
}

impl WithSimd for GramProducts<'_> {
    type Output = Vec<Vec<f64>>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let mut products: Vec<Vec<f64>> = self.vectors.iter().map(|vector| vec![0.0; vector.len()]).collect();
        for rows in self.rows.chunks(TOGETHER) {
            let x: [&[f64]; TOGETHER] = std::array::from_fn(|at| &rows[at.min(rows.len() - 1)][..]);
            for (vector, product) in self.vectors.iter().zip(&mut products) {
                let mut along = dots(x, vector);
                along[rows.len()..].fill(0.0);
                add(product, along, x);
            }
        }
        products
    }
}

/// Returns the dot product of each row with a line, as [`crate::design::dot`] computes it.
#[inline(always)]
fn dots(rows: [&[f64]; TOGETHER], line: &[f64]) -> [f64; TOGETHER] {
    let rows = rows.map(|row| &row[..line.len()]);
    if line.len() < LANES {
        return rows.map(|row| row.iter().zip(line).map(|(a, b)| a * b).sum());
    }
    let (line_blocks, line_rest) = line.as_chunks::<LANES>();
    let split = rows.map(|row| row.as_chunks::<LANES>());
    let mut sums = [[0.0; LANES]; TOGETHER];
    for (at, line) in line_blocks.iter().enumerate() {
        for (sums, (blocks, _)) in sums.iter_mut().zip(split) {
            for lane in 0..LANES {
                sums[lane] += blocks[at][lane] * line[lane];
            }
        }
    }
    std::array::from_fn(|row| {
        let rest: f64 = split[row].1.iter().zip(line_rest).map(|(a, b)| a * b).sum();
        sums[row].iter().sum::<f64>() + rest
    })
}

/// Adds each row, times its factor, to `sums`.
#[inline(always)]
fn add(sums: &mut [f64], factors: [f64; TOGETHER], rows: [&[f64]; TOGETHER]) {
    let rows = rows.map(|row| &row[..sums.len()]);
    for (at, sum) in sums.iter_mut().enumerate() {
        for row in 0..TOGETHER {
            *sum += factors[row] * rows[row][at];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Table,
        table::{Categories, Column},
    };

    #[test]
    fn gram_products_are_sums_over_the_rows() {
        let rows: Vec<Vec<f64>> =
            (0..7).map(|row| (0..11).map(|at| f64::from((row * 5 + at * 3) % 7)).collect()).collect();
        let vectors: Vec<Vec<f64>> =
            (0..2).map(|k| (0..11).map(|at| f64::from(at % (k + 2))).collect()).collect();
        for count in 0..=7 {
            let products = gram_products(&rows[..count], &vectors);
            for (vector, product) in vectors.iter().zip(&products) {
                for at in 0..11 {
                    let expected: f64 =
                        rows[..count].iter().map(|row| crate::design::dot(row, vector) * row[at]).sum();
                    assert_eq!(product[at], expected);
                }
            }
        }
    }

    #[test]
    fn blocks_of_rows_give_the_sums_of_single_rows() {
        // 11 numbers have a block of eight and a rest; 3 have no block. 1 to 9 rows have full and incomplete blocks of four.
        for numbers in [3, 11] {
            let known = vec!["a".to_owned(), "b".to_owned()];
            let mut columns: Vec<Column> = (0..numbers).map(|at| Column::named(&format!("x{at}"))).collect();
            columns.push(Column {
                categories: Some(Categories { known, ..Categories::default() }),
                ..Column::named("text")
            });
            let value = |row: usize, at: usize| Some(((row * 7 + at * at * 5 + row * at) % 13) as f64);
            let row = |row: usize| -> Vec<Option<f64>> {
                (0..numbers).map(|at| value(row, at)).chain([Some((row % 3) as f64)]).collect()
            };
            let rows: Vec<Vec<Option<f64>>> = (0..9).map(row).collect();
            let table = Table::from_rows(columns, vec!["c".into()], &rows, vec![0; 9]);
            let all: Vec<usize> = (0..9).collect();
            let design = Design::new(&table, &all);
            let stride = design.weights_width() + 1;
            let weights: Vec<f64> =
                (0..2 * stride).map(|at| f64::from((at * 11 % 17) as u8) / 8.0 - 1.0).collect();
            for count in 1..=9 {
                let mut seen = Vec::new();
                let sums = weighted_sums(&design, &all[..count], &weights, |at, values| {
                    seen.push((at, values.to_vec()));
                    values[0] *= 0.5;
                    values[1] += at as f64;
                });
                let mut expected = vec![0.0; weights.len()];
                for (row, (at, values)) in seen.iter().enumerate() {
                    assert_eq!(row, *at);
                    for (line, value) in weights.chunks_exact(stride).zip(values) {
                        assert!((value - line[stride - 1] - design.dot(row, line)).abs() < 1e-12);
                    }
                    let residuals = [values[0] * 0.5, values[1] + row as f64];
                    for (sums, residual) in expected.chunks_exact_mut(stride).zip(residuals) {
                        for (sum, x) in sums.iter_mut().zip(design.numeric(row)) {
                            *sum += residual * x;
                        }
                        design.active(row).iter().for_each(|&at| sums[at as usize] += residual);
                        sums[stride - 1] += residual;
                    }
                }
                assert_eq!(seen.len(), count);
                for (sum, expected) in sums.iter().zip(&expected) {
                    assert!((sum - expected).abs() < 1e-9, "{numbers} {count}: {sum} {expected}");
                }
            }
        }
    }
}
