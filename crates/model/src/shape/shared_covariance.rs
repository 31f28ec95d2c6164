//! Estimates the covariance that all classes share from the rows: a few factors, and a residual variance per column.

use super::{Spread, VARIANCE_FLOOR};
use crate::{
    design::dot,
    products::gram_products,
    rare_categories::{PooledColumns, average},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The greatest number of factors of a shared covariance.
pub(super) const MAX_FACTORS: usize = 16;

/// The number of rows, evenly spaced, from which the factors are computed. More rows hardly change the result.
const FACTOR_ROWS: usize = 4000;

/// The number of rounds of subspace iteration.
const ROUNDS: usize = 8;

/// Returns the covariance that all classes share, as factors and residual variances.
///
/// The factors are the leading eigenvectors of the correlations within classes. An eigenvalue λ of correlations that are
/// estimated from few rows is overstated; its true value ℓ solves λ = ℓ·(1 + γ/(ℓ − 1)) with γ = columns/rows, and
/// eigenvalues below (1 + √γ)² are noise (D. Donoho, M. Gavish, I. Johnstone, "Optimal shrinkage of eigenvalues in the spiked
/// covariance model", 2018). The rows of γ are those that the eigenvalues are computed from, less one per class.
pub(super) fn shared(
    rows: &[usize],
    freedom: usize,
    width: usize,
    centred: impl Fn(usize, &mut Vec<f64>),
    pools: &PooledColumns,
) -> Spread {
    let mut variances = vec![0.0; width];
    let mut values = Vec::new();
    for &row in rows {
        centred(row, &mut values);
        variances.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value * value);
    }
    average(&mut variances, pools);
    let sds: Vec<f64> =
        variances.iter().map(|sum| (sum / freedom as f64).max(VARIANCE_FLOOR).sqrt()).collect();

    let step = rows.len().div_ceil(FACTOR_ROWS).max(1);
    let some: Vec<Vec<f64>> = rows
        .iter()
        .step_by(step)
        .map(|&row| {
            centred(row, &mut values);
            average(&mut values, pools);
            values.iter().zip(&sds).map(|(value, sd)| value / sd).collect()
        })
        .collect();
    let (vectors, products) = leading(&some, width, most_factors(width, some.len()));
    let some_freedom = some.len() as f64 * freedom as f64 / rows.len() as f64;
    let gamma = width as f64 / some_freedom;
    let mut factors = Vec::new();
    let mut explained = vec![0.0; width];
    for (vector, product) in vectors.iter().zip(products) {
        let value = product / some_freedom;
        if value <= (1.0 + gamma.sqrt()).powi(2) {
            continue;
        }
        let middle = value + 1.0 - gamma;
        let spike = f64::midpoint(middle, (middle * middle - 4.0 * value).max(0.0).sqrt());
        let factor: Vec<f64> = vector.iter().map(|part| part * (spike - 1.0).max(0.0).sqrt()).collect();
        explained.iter_mut().zip(&factor).for_each(|(sum, part)| *sum += part * part);
        factors.push(factor.iter().zip(&sds).map(|(part, sd)| part * sd).collect());
    }
    let residual = explained
        .iter()
        .zip(&sds)
        .map(|(explained, sd)| (sd * sd * (1.0 - explained).max(0.05)).max(VARIANCE_FLOOR));
    Spread::Shared { residual: residual.collect(), factors }
}

/// Returns the number of factors to look for: at most one per four columns, and at most one per four rows.
fn most_factors(width: usize, rows: usize) -> usize {
    MAX_FACTORS.min(width / 4).min(rows / 4)
}

/// Returns the leading right singular vectors of some rows, and the squares of the singular values, by subspace iteration
/// from a fixed start.
fn leading(rows: &[Vec<f64>], width: usize, count: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut vectors: Vec<Vec<f64>> =
        (0..count).map(|_| (0..width).map(|_| rng.random::<f64>() - 0.5).collect()).collect();
    orthonormalise(&mut vectors);
    let mut squares = vec![0.0; count];
    for _ in 0..ROUNDS {
        let next = gram_products(rows, &vectors);
        squares = vectors.iter().zip(&next).map(|(vector, next)| dot(vector, next)).collect();
        vectors = next;
        orthonormalise(&mut vectors);
    }
    (vectors, squares)
}

/// Makes vectors orthonormal, in their order (Gram and Schmidt, twice for accuracy). A vector that depends on those before it
/// becomes 0.
fn orthonormalise(vectors: &mut [Vec<f64>]) {
    for at in 0..vectors.len() {
        let (before, rest) = vectors.split_at_mut(at);
        let vector = &mut rest[0];
        let length = dot(vector, vector).sqrt();
        for _ in 0..2 {
            for other in before.iter() {
                let along = dot(vector, other);
                vector.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
            }
        }
        let left = dot(vector, vector).sqrt();
        let scale = if left > 1e-9 * length { 1.0 / left } else { 0.0 };
        vector.iter_mut().for_each(|value| *value *= scale);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_factors_is_limited_by_columns_and_rows() {
        let of = [(33, 1000), (1000, 1000), (40, 23), (40, 3)];
        assert_eq!(of.map(|(width, rows)| most_factors(width, rows)), [8, 16, 5, 0]);
    }

    #[test]
    fn orthonormal_vectors_span_the_same_space() {
        let mut vectors = vec![vec![3.0, 4.0, 0.0], vec![6.0, 8.0, 0.0], vec![3.0, 4.0, 2.0]];
        orthonormalise(&mut vectors);
        let expected = [[0.6, 0.8, 0.0], [0.0; 3], [0.0, 0.0, 1.0]];
        for (got, expected) in vectors.iter().flatten().zip(expected.iter().flatten()) {
            assert!((got - expected).abs() < 1e-12, "{vectors:?}");
        }
    }

    #[test]
    fn the_leading_vectors_have_the_greatest_singular_values() {
        // The rows are those of a matrix with the singular values 4, 2 and 0.1.
        let rows = [vec![0.0, 4.0, 0.0], vec![2.0, 0.0, 0.0], vec![0.0, 0.0, 0.1]];
        let (vectors, squares) = leading(&rows, 3, 2);
        assert!((squares[0] - 16.0).abs() < 1e-3 && (squares[1] - 4.0).abs() < 1e-3, "{squares:?}");
        assert!(vectors[0][1].abs() > 0.999 && vectors[1][0].abs() > 0.999, "{vectors:?}");
    }
}
