//! The location and spread of the classes, and the distance of a row to the nearest class.
//!
//! With few columns, each class has a covariance of its own. With many, a covariance per class would have features² × classes
//! numbers, too many to be estimated. The classes then share one covariance, of a few factors and a residual variance per column.

use crate::design::dot;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The greatest number of encoded columns with which each class has a covariance of its own.
pub(crate) const MAX_FULL: usize = 32;

/// The greatest number of factors of a shared covariance.
const MAX_FACTORS: usize = 16;

/// The number of rows, evenly spaced, from which the factors are computed. More rows hardly change the result.
const FACTOR_ROWS: usize = 4000;

/// The number of rounds of subspace iteration.
const ROUNDS: usize = 8;

/// The strength with which a covariance that is estimated from few rows is shrunk towards its diagonal: correlations are multiplied by
/// 1 − 0.1·columns/rows. Iris (4 columns, 50 rows per class) keeps 99 % of its correlations; 30 columns with 15 rows keep 80 %.
/// Without shrinkage, there is no inverse if there are fewer rows than columns.
const SHRINKAGE: f64 = 0.1;

/// The smallest variance that a column is assumed to have within a class, in squared standard deviations of the whole column.
/// Without it, any other value of a feature that is constant within a class would be infinitely far away.
const VARIANCE_FLOOR: f64 = 1e-4;

/// The location and the spread of the classes, on encoded columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// The location of each class.
    pub classes: Vec<ClassCentre>,
    /// The spread of rows around the centre of their class.
    pub spread: Spread,
}

/// The location of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassCentre {
    /// The number of reference rows of this class. A class without rows, which only a profile may have, has no location.
    pub rows: u64,
    /// One mean per encoded column.
    pub means: Vec<f64>,
}

/// The spread of rows around the centre of their class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// Each class has a covariance of its own.
    PerClass {
        /// Sample covariances (divisor n − 1), columns × columns, one per class.
        covariances: Vec<Vec<Vec<f64>>>,
    },
    /// All classes share a covariance: `factors`ᵀ·`factors` plus `residual` on the diagonal.
    Shared {
        /// One list per factor, one loading per column.
        factors: Vec<Vec<f64>>,
        /// The variance of each column that the factors do not explain.
        residual: Vec<f64>,
    },
}

impl Shape {
    /// Measures the classes among `rows`. `encode` writes a row's encoded columns, `label` is its class. A class without rows
    /// is left out.
    pub(crate) fn of_rows(
        rows: &[usize],
        classes: usize,
        width: usize,
        label: impl Fn(usize) -> usize,
        encode: impl Fn(usize, &mut Vec<f64>),
    ) -> Self {
        let mut counts = vec![0_u64; classes];
        let mut means = vec![vec![0.0; width]; classes];
        let mut encoded = Vec::new();
        for &row in rows {
            encode(row, &mut encoded);
            counts[label(row)] += 1;
            means[label(row)].iter_mut().zip(&encoded).for_each(|(sum, value)| *sum += value);
        }
        for (mean, &count) in means.iter_mut().zip(&counts) {
            mean.iter_mut().for_each(|sum| *sum /= count.max(1) as f64);
        }
        let centred = |row: usize, out: &mut Vec<f64>| {
            encode(row, out);
            out.iter_mut().zip(&means[label(row)]).for_each(|(value, mean)| *value -= mean);
        };
        let spread = if width <= MAX_FULL {
            let mut covariances = covariances(rows, &counts, width, &label, centred);
            let mut kept = counts.iter();
            covariances.retain(|_| kept.next().is_some_and(|&count| count > 0));
            Spread::PerClass { covariances }
        } else {
            let present = counts.iter().filter(|&&count| count > 0).count();
            shared(rows, rows.len().saturating_sub(present).max(1), width, centred)
        };
        let classes = counts.into_iter().zip(means).filter(|(count, _)| *count > 0);
        Self { classes: classes.map(|(rows, means)| ClassCentre { rows, means }).collect(), spread }
    }

    /// Returns whether classes of these sizes have so many rows that a single row hardly changes the shape, so that its distance
    /// can be measured by a shape that includes it. A covariance per class needs `plenty` rows per column in the smallest class. A
    /// shared one needs `plenty`·√(2·width) rows there, because a squared distance has a standard deviation of √(2·width).
    pub(crate) fn is_plenty(counts: &[usize], width: usize, plenty: usize) -> bool {
        let smallest = counts.iter().copied().min().unwrap_or_default();
        let needed = if width <= MAX_FULL {
            plenty * width
        } else {
            plenty * ((2.0 * width as f64).sqrt() as usize).max(MAX_FACTORS)
        };
        smallest >= needed
    }
}

fn covariances(
    rows: &[usize],
    counts: &[u64],
    width: usize,
    label: impl Fn(usize) -> usize,
    centred: impl Fn(usize, &mut Vec<f64>),
) -> Vec<Vec<Vec<f64>>> {
    let mut covariances = vec![vec![vec![0.0; width]; width]; counts.len()];
    let mut values = Vec::new();
    for &row in rows {
        centred(row, &mut values);
        for (i, line) in covariances[label(row)].iter_mut().enumerate() {
            line.iter_mut().zip(&values).for_each(|(cell, value)| *cell += values[i] * value);
        }
    }
    for (covariance, &count) in covariances.iter_mut().zip(counts) {
        let divisor = count.saturating_sub(1).max(1) as f64;
        covariance.iter_mut().flatten().for_each(|cell| *cell /= divisor);
    }
    covariances
}

/// Returns the covariance that all classes share, as factors and residual variances.
///
/// The factors are the leading eigenvectors of the correlations within classes. An eigenvalue λ of correlations that are
/// estimated from few rows is overstated; its true value ℓ solves λ = ℓ·(1 + γ/(ℓ − 1)) with γ = columns/rows, and
/// eigenvalues below (1 + √γ)² are noise (D. Donoho, M. Gavish, I. Johnstone, "Optimal shrinkage of eigenvalues in the spiked
/// covariance model", 2018). The rows of γ are those that the eigenvalues are computed from, less one per class.
fn shared(rows: &[usize], freedom: usize, width: usize, centred: impl Fn(usize, &mut Vec<f64>)) -> Spread {
    let mut variances = vec![0.0; width];
    let mut values = Vec::new();
    for &row in rows {
        centred(row, &mut values);
        variances.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value * value);
    }
    let sds: Vec<f64> =
        variances.iter().map(|sum| (sum / freedom as f64).max(VARIANCE_FLOOR).sqrt()).collect();

    let step = rows.len().div_ceil(FACTOR_ROWS).max(1);
    let some: Vec<Vec<f64>> = rows
        .iter()
        .step_by(step)
        .map(|&row| {
            centred(row, &mut values);
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
        let mut next = vec![vec![0.0; width]; count];
        for row in rows {
            for (vector, next) in vectors.iter().zip(&mut next) {
                let along = dot(row, vector);
                next.iter_mut().zip(row).for_each(|(sum, value)| *sum += along * value);
            }
        }
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

/// Measures the smallest class-conditional Mahalanobis distance of a row (P. C. Mahalanobis, 1936): the distance from the nearest
/// class, in standard deviations of that class and with regard to its correlations.
#[derive(Debug, Clone)]
pub struct Distance(Kind);

#[derive(Debug, Clone)]
enum Kind {
    PerClass(Vec<Whitening>),
    Shared(Box<SharedWhitening>),
}

#[derive(Debug, Clone)]
struct Whitening {
    means: Vec<f64>,
    /// Lower triangle, row by row, of L with Σ = L·Lᵀ; the diagonal holds 1/Lᵢᵢ.
    factor: Vec<f64>,
}

/// Σ⁻¹ for Σ = Φᵀ·Φ + Ψ by Woodbury's identity: with u = Ψ^(−½)·x and P = L⁻¹·Φ·Ψ^(−½), where L·Lᵀ = 1 + Φ·Ψ⁻¹·Φᵀ, the squared
/// length is u·u − (P·u)·(P·u).
#[derive(Debug, Clone)]
struct SharedWhitening {
    scales: Vec<f64>,
    projection: Vec<Vec<f64>>,
    centres: Vec<(Vec<f64>, Vec<f64>)>,
}

impl Distance {
    /// Prepares the distance to classes of these shapes.
    pub fn new(shape: &Shape) -> Self {
        Self(match &shape.spread {
            Spread::PerClass { covariances } => Kind::PerClass(
                shape
                    .classes
                    .iter()
                    .zip(covariances)
                    .filter(|(class, _)| class.rows > 0)
                    .map(|(class, own)| Whitening::new(class, own))
                    .collect(),
            ),
            Spread::Shared { factors, residual } => {
                Kind::Shared(Box::new(SharedWhitening::new(&shape.classes, factors, residual)))
            }
        })
    }

    /// Returns the distance of an encoded row, in standard deviations. `scratch` is a buffer that is overwritten.
    pub fn of(&self, row: &[f64], scratch: &mut Vec<f64>) -> f64 {
        let least = |least: f64, squared: f64| if squared < least { squared } else { least };
        match &self.0 {
            Kind::PerClass(classes) => {
                scratch.resize(row.len(), 0.0);
                classes.iter().map(|class| class.squared(row, scratch)).fold(f64::INFINITY, least)
            }
            Kind::Shared(shared) => shared.squared(row, scratch).fold(f64::INFINITY, least),
        }
        .sqrt()
    }
}

impl Whitening {
    fn new(class: &ClassCentre, covariance: &[Vec<f64>]) -> Self {
        let features = class.means.len();
        let keep = 1.0 - (SHRINKAGE * features as f64 / class.rows as f64).min(0.9);
        let mut factor = Vec::with_capacity(features * (features + 1) / 2);
        let at = |i: usize, j: usize| i * (i + 1) / 2 + j;
        for i in 0..features {
            for j in 0..=i {
                let above: f64 = (0..j)
                    .map(|k| {
                        let (left, right) =
                            (factor[at(i, k)], if i == j { None } else { Some(factor[at(j, k)]) });
                        left * right.unwrap_or(left)
                    })
                    .sum();
                if i == j {
                    let variance = covariance[i][i].max(VARIANCE_FLOOR);
                    let left = variance - above;
                    // Rounding, or a covariance of fewer rows than columns, can make a pivot 0 or negative.
                    factor.push(1.0 / left.max(VARIANCE_FLOOR * variance).sqrt());
                } else {
                    factor.push((keep * covariance[i][j] - above) * factor[at(j, j)]);
                }
            }
        }
        Self { means: class.means.clone(), factor }
    }

    /// Returns the squared distance, by forward substitution of L·z = x − mean. `z` has one element per column.
    fn squared(&self, row: &[f64], z: &mut [f64]) -> f64 {
        let mut factor = &self.factor[..];
        let mut squared = 0.0;
        for (i, (&value, &mean)) in row.iter().zip(&self.means).enumerate() {
            let (line, below) = factor.split_at(i + 1);
            let known: f64 = line.iter().zip(&z[..i]).map(|(l, z)| l * z).sum();
            let solved = (value - mean - known) * line[i];
            squared += solved * solved;
            z[i] = solved;
            factor = below;
        }
        squared
    }
}

impl SharedWhitening {
    fn new(classes: &[ClassCentre], factors: &[Vec<f64>], residual: &[f64]) -> Self {
        let scales: Vec<f64> = residual.iter().map(|variance| 1.0 / variance.sqrt()).collect();
        let mut projection: Vec<Vec<f64>> = factors
            .iter()
            .map(|factor| factor.iter().zip(&scales).map(|(part, scale)| part * scale).collect())
            .collect();
        // L, and then the solution of L·P = Φ·Ψ^(−½), line by line.
        let count = projection.len();
        let mut lower = vec![vec![0.0; count]; count];
        for i in 0..count {
            for j in 0..=i {
                let own = f64::from(u8::from(i == j)) + dot(&projection[i], &projection[j]);
                let left = own - dot(&lower[i][..j], &lower[j][..j]);
                lower[i][j] = if i == j { left.sqrt() } else { left / lower[j][j] };
            }
        }
        for (i, lower) in lower.iter().enumerate() {
            let (above, rest) = projection.split_at_mut(i);
            for (line, part) in above.iter().zip(lower) {
                rest[0].iter_mut().zip(line).for_each(|(value, other)| *value -= part * other);
            }
            rest[0].iter_mut().for_each(|value| *value /= lower[i]);
        }
        let centre = |class: &ClassCentre| {
            let scaled: Vec<f64> =
                class.means.iter().zip(&scales).map(|(mean, scale)| mean * scale).collect();
            let projected = projection.iter().map(|line| dot(line, &scaled)).collect();
            (scaled, projected)
        };
        let centres = classes.iter().filter(|class| class.rows > 0).map(centre).collect();
        Self { scales, projection, centres }
    }

    /// Returns the squared distance to each class.
    fn squared<'a>(&'a self, row: &[f64], scratch: &'a mut Vec<f64>) -> impl Iterator<Item = f64> + 'a {
        scratch.clear();
        scratch.extend(row.iter().zip(&self.scales).map(|(value, scale)| value * scale));
        let width = scratch.len();
        for line in &self.projection {
            let projected = dot(line, &scratch[..width]);
            scratch.push(projected);
        }
        let (scaled, projected) = scratch.split_at(width);
        self.centres.iter().map(move |(centre, centre_projected)| {
            let apart =
                |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum() };
            let squared = apart(scaled, centre) - apart(projected, centre_projected);
            // Rounding can leave a negative number. An overflow must stay visible, as an infinite distance.
            if squared.is_nan() { f64::INFINITY } else { squared.max(0.0) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Class<'a> = (u64, &'a [f64], &'a [&'a [f64]]);

    fn per_class(classes: &[Class]) -> Shape {
        let centres =
            classes.iter().map(|(rows, means, _)| ClassCentre { rows: *rows, means: means.to_vec() });
        let covariances =
            classes.iter().map(|(_, _, lines)| lines.iter().map(|line| line.to_vec()).collect());
        Shape { classes: centres.collect(), spread: Spread::PerClass { covariances: covariances.collect() } }
    }

    fn of_rows(rows: &[Vec<f64>], labels: &[usize], classes: usize) -> Shape {
        let all: Vec<usize> = (0..rows.len()).collect();
        let encode = |row: usize, out: &mut Vec<f64>| out.clone_from(&rows[row]);
        Shape::of_rows(&all, classes, rows[0].len(), |row| labels[row], encode)
    }

    #[test]
    fn distances_agree_with_numpy() {
        // numpy: d = x - m; sqrt(d @ inv(S) @ d), with S off the diagonal times 1 − 0.1·2/10⁹
        let shape = per_class(&[
            (1_000_000_000, &[0.0, 0.0], &[&[1.0, 0.8], &[0.8, 1.0]]),
            (1_000_000_000, &[5.0, 5.0], &[&[2.0, -0.5], &[-0.5, 1.0]]),
        ]);
        let distance = Distance::new(&shape);
        let mut scratch = Vec::new();
        assert!((distance.of(&[1.0, -1.0], &mut scratch) - 10.0_f64.sqrt()).abs() < 1e-6);
        assert!((distance.of(&[1.0, 1.0], &mut scratch) - (1.0 / 0.9_f64).sqrt()).abs() < 1e-6);
        assert!((distance.of(&[5.0, 6.0], &mut scratch) - (2.0 / 1.75_f64).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn a_shared_covariance_is_the_inverse_of_factors_and_residual() {
        // Σ = [1, 2]ᵀ·[1, 2] + diag(1, 2) = [[2, 2], [2, 6]], whose inverse is [[6, −2], [−2, 2]]/8.
        let shape = Shape {
            classes: vec![ClassCentre { rows: 9, means: vec![1.0, 0.0] }],
            spread: Spread::Shared { factors: vec![vec![1.0, 2.0]], residual: vec![1.0, 2.0] },
        };
        let distance = Distance::new(&shape);
        let mut scratch = Vec::new();
        for (row, squared) in [([2.0, 0.0], 0.75), ([1.0, 1.0], 0.25), ([2.0, 1.0], 0.5), ([1.0, 0.0], 0.0)] {
            assert!((distance.of(&row, &mut scratch).powi(2) - squared).abs() < 1e-12, "{row:?}");
        }
    }

    #[test]
    fn covariances_are_measured_within_each_class() {
        let rows = [[0.0, 0.0], [2.0, 2.0], [10.0, 0.0], [10.0, 4.0]].map(|row| row.to_vec());
        let shape = of_rows(&rows, &[0, 0, 2, 2], 3);
        let centres: Vec<_> = shape.classes.iter().map(|class| (class.rows, class.means.clone())).collect();
        assert_eq!(centres, [(2, vec![1.0, 1.0]), (2, vec![10.0, 2.0])]);
        let expected = [vec![vec![2.0, 2.0], vec![2.0, 2.0]], vec![vec![0.0, 0.0], vec![0.0, 8.0]]];
        assert_eq!(shape.spread, Spread::PerClass { covariances: expected.to_vec() });
    }

    #[test]
    fn the_number_of_factors_is_limited_by_columns_and_rows() {
        let of = [(33, 1000), (1000, 1000), (40, 23), (40, 3)];
        assert_eq!(of.map(|(width, rows)| most_factors(width, rows)), [8, 16, 5, 0]);
    }

    #[test]
    fn the_divisor_of_a_covariance_is_the_number_of_rows_less_one() {
        let rows = [[0.0, 1.0], [3.0, 1.0], [6.0, 4.0]].map(|row| row.to_vec());
        // numpy.cov(rows.T)
        let expected = vec![vec![vec![9.0, 4.5], vec![4.5, 3.0]]];
        assert_eq!(of_rows(&rows, &[0; 3], 1).spread, Spread::PerClass { covariances: expected });
    }

    #[test]
    fn a_class_without_rows_does_not_change_the_shape() {
        let rows = two_factors(150, 40);
        let labels: Vec<usize> = (0..150).map(|row| row % 2).collect();
        assert_eq!(of_rows(&rows, &labels, 3), of_rows(&rows, &labels, 2));
    }

    #[test]
    fn a_factor_of_many_columns_is_found() {
        // Each column is 0.8 of one common number plus noise of variance 0.36.
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut noise = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let rows: Vec<Vec<f64>> = (0..2000)
            .map(|_| {
                let common = noise();
                (0..40).map(|_| 0.8 * common + 0.6 * noise()).collect()
            })
            .collect();
        let shape = of_rows(&rows, &vec![0; 2000], 1);
        let Spread::Shared { factors, residual } = &shape.spread else { panic!("{:?}", shape.spread) };
        assert_eq!(factors.len(), 1);
        for (loading, residual) in factors[0].iter().zip(residual) {
            assert!(
                (loading.abs() - 0.8).abs() < 0.06 && (residual - 0.36).abs() < 0.06,
                "{loading} {residual}"
            );
        }
        // The mean squared distance of rows of the same distribution is the number of columns.
        let distance = Distance::new(&shape);
        let mut scratch = Vec::new();
        let mean = rows.iter().map(|row| distance.of(row, &mut scratch).powi(2)).sum::<f64>() / 2000.0;
        assert!((mean / 40.0 - 1.0).abs() < 0.05, "{mean}");
    }

    #[test]
    fn independent_columns_have_no_factor() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let rows: Vec<Vec<f64>> = (0..400).map(|_| (0..60).map(|_| rng.random::<f64>()).collect()).collect();
        let shape = of_rows(&rows, &vec![0; 400], 1);
        let Spread::Shared { factors, .. } = shape.spread else { panic!() };
        assert!(factors.len() <= 1, "{}", factors.len());
    }

    #[test]
    fn noise_in_the_selected_rows_is_not_taken_for_a_factor() {
        // Every tenth of 40,000 rows is used. Their eigenvalues reach (1 + √(40/4000))² = 1.21, and those of all rows 1.06.
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let rows: Vec<Vec<f64>> =
            (0..40_000).map(|_| (0..40).map(|_| rng.random::<f64>()).collect()).collect();
        let Spread::Shared { factors, .. } = of_rows(&rows, &vec![0; 40_000], 1).spread else { panic!() };
        assert!(factors.len() <= 1, "{}", factors.len());
    }

    #[test]
    fn distances_are_finite_with_fewer_rows_than_features() {
        for width in [20, 50] {
            let rows: Vec<Vec<f64>> =
                (0..5).map(|r| (0..width).map(|f| f64::from((r * 7 + f * 3) % 11)).collect()).collect();
            let distance = Distance::new(&of_rows(&rows, &[0; 5], 1));
            let mut scratch = Vec::new();
            for row in &rows {
                let own = distance.of(row, &mut scratch);
                let far: Vec<f64> = row.iter().map(|value| value + 100.0).collect();
                assert!(own.is_finite() && own < distance.of(&far, &mut scratch));
            }
        }
    }

    #[test]
    fn distances_of_three_and_five_columns_agree_with_numpy() {
        // numpy: sqrt(d @ inv(S) @ d); per class S = C off the diagonal times 1 − 0.1·3/10, shared S = F.T @ F + diag(R)
        let own =
            per_class(&[(10, &[1.0, -1.0, 0.5], &[&[2.0, 0.6, -0.4], &[0.6, 1.5, 0.3], &[-0.4, 0.3, 0.8]])]);
        let mut scratch = Vec::new();
        for (row, expected) in [([2.0, 0.0, 0.0], 1.1528005979005898), ([0.0, -2.0, 3.0], 3.3815082085587442)]
        {
            let got = Distance::new(&own).of(&row, &mut scratch);
            assert!((got - expected).abs() < 1e-12, "{row:?}: {got}");
        }
        let shared = |mean: [f64; 5]| Shape {
            classes: vec![ClassCentre { rows: 9, means: mean.to_vec() }],
            spread: Spread::Shared {
                factors: vec![vec![1.0, 0.5, -0.5, 2.0, 0.0], vec![0.0, 1.0, 1.5, -1.0, 0.5]],
                residual: vec![0.5, 1.0, 2.0, 0.25, 1.5],
            },
        };
        let (first, second) = ([1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 2.0, -1.0, 0.5, 3.0]);
        let (near, far) = ([1.5, -1.0, 0.5, 2.0, 0.0], [0.0, 2.5, -0.5, 0.0, 4.0]);
        for (mean, row, squared) in [
            (first, near, 2.8374293599684584),
            (first, far, 16.511630963332895),
            (second, near, 17.669996057300565),
            (second, far, 0.6145354185832568),
        ] {
            let got = Distance::new(&shared(mean)).of(&row, &mut scratch).powi(2);
            assert!((got - squared).abs() < 1e-11, "{row:?}: {got}");
        }
        // Of two classes, the nearer one counts.
        let both = Shape {
            classes: [first, second].map(|mean| ClassCentre { rows: 9, means: mean.to_vec() }).to_vec(),
            ..shared(first)
        };
        assert!((Distance::new(&both).of(&far, &mut scratch).powi(2) - 0.6145354185832568).abs() < 1e-11);
    }

    #[test]
    fn a_column_that_is_constant_within_a_class_has_a_least_variance() {
        // The variance floor is 1e-4, so a difference of 0.5 is 50 standard deviations.
        let constant = per_class(&[(1_000_000_000, &[1.0, 0.0], &[&[0.0, 0.0], &[0.0, 4.0]])]);
        let squared = Distance::new(&constant).of(&[1.5, 2.0], &mut Vec::new()).powi(2);
        assert!((squared - 2501.0).abs() < 1e-6, "{squared}");
        // If two columns are equal, a ten-thousandth of the variance of the second one is left.
        let equal = per_class(&[(u64::MAX, &[0.0, 0.0], &[&[4.0, 4.0], &[4.0, 4.0]])]);
        let squared = Distance::new(&equal).of(&[2.0, 2.1], &mut Vec::new()).powi(2);
        assert!((squared - (1.0 + 0.01 / 4e-4)).abs() < 1e-6, "{squared}");
    }

    #[test]
    fn correlations_are_shrunk_by_nine_tenths_at_most() {
        // With one row and two columns, the factor is 1 − 0.1·2/1. With one row and twenty columns, it is a tenth.
        let pair = |rows: u64| {
            let shape = per_class(&[(rows, &[0.0, 0.0], &[&[1.0, 0.5], &[0.5, 1.0]])]);
            Distance::new(&shape).of(&[1.0, 1.0], &mut Vec::new()).powi(2)
        };
        // (1, 1)·Σ⁻¹·(1, 1)ᵀ is 2/(1 + ρ).
        assert!((pair(1) - 2.0 / 1.4).abs() < 1e-12 && (pair(2) - 2.0 / 1.45).abs() < 1e-12);
        let mut lines = vec![vec![0.0; 20]; 20];
        (0..20).for_each(|at| lines[at][at] = 1.0);
        (lines[0][1], lines[1][0]) = (0.5, 0.5);
        let lines: Vec<&[f64]> = lines.iter().map(Vec::as_slice).collect();
        let mut row = [0.0; 20];
        (row[0], row[1]) = (1.0, 1.0);
        let wide = Distance::new(&per_class(&[(1, &[0.0; 20], &lines)]));
        assert!((wide.of(&row, &mut Vec::new()).powi(2) - 2.0 / 1.05).abs() < 1e-12);
    }

    #[test]
    fn classes_share_a_covariance_from_33_columns_on() {
        for (width, is_shared) in [(32, false), (33, true)] {
            let rows: Vec<Vec<f64>> =
                (0..40).map(|r| (0..width).map(|f| f64::from((r * r + f * 3) % 11)).collect()).collect();
            let shape = of_rows(&rows, &[0; 40], 1);
            assert_eq!(matches!(shape.spread, Spread::Shared { .. }), is_shared, "{width}");
        }
    }

    #[test]
    fn the_rows_that_count_as_plenty_depend_on_columns_or_factors() {
        for (smallest, width, expected) in [
            (79, 4, false),
            (80, 4, true),
            (639, 32, false),
            (640, 32, true),
            (319, 33, false),
            (320, 33, true),
            // √(2·200) is 20.
            (399, 200, false),
            (400, 200, true),
        ] {
            assert_eq!(Shape::is_plenty(&[1000, smallest], width, 20), expected, "{smallest} {width}");
        }
    }

    /// Returns rows with two factors. All values are whole tenths, so that Python computes with the same numbers.
    fn two_factors(rows: usize, width: usize) -> Vec<Vec<f64>> {
        let tenths = |number: usize, modulus: usize| (number % modulus) as f64 / 10.0;
        let value = |r: usize, c: usize| {
            let noise = tenths(r * r * (c + 1) + 3 * r * c + 7 * r, 101);
            let first = if c.is_multiple_of(4) { 0.0 } else { tenths(r * r * 5 + 3 * r, 89) };
            let second = if c.is_multiple_of(3) { tenths(r * r * 11 + 17 * r, 83) * 0.8 } else { 0.0 };
            noise + first + second
        };
        (0..rows).map(|r| (0..width).map(|c| value(r, c)).collect()).collect()
    }

    #[test]
    fn factors_agree_with_numpy() {
        // numpy: C = X − class means; sd = sqrt((C**2).sum(0)/(n − 2)); Z = C/sd, of 4,100 rows every second one; m = n − 2 or half
        // of it; λ, v = eigh(Z.T @ Z/m); γ = 40/m; for λ > (1 + √γ)²: ℓ = brentq(ℓ·(1 + γ/(ℓ − 1)) − λ); the factor is
        // v·√(ℓ − 1)·sd, and the residual sd²·max(1 − Σ v²·(ℓ − 1), 0.05).
        let of = |count: usize| {
            let labels: Vec<usize> = (0..count).map(|row| row % 2).collect();
            let Spread::Shared { factors, residual } = of_rows(&two_factors(count, 40), &labels, 2).spread
            else {
                panic!()
            };
            (factors, residual)
        };
        let close = |got: &[f64], expected: [f64; 4], within: f64| {
            for (at, expected) in [0, 1, 3, 39].into_iter().zip(expected) {
                assert!((got[at].abs() / expected - 1.0).abs() < within, "{at}: {} {expected}", got[at]);
            }
        };
        let (factors, residual) = of(150);
        assert_eq!(factors.len(), 2);
        close(
            &factors[0],
            [1.1115735527462292, 2.986671119922751, 3.5232732175960577, 2.9418598369404316],
            1e-4,
        );
        close(
            &factors[1],
            [1.3431050133153148, 0.2685388877271486, 0.8023485261297543, 0.7653437236074189],
            1e-2,
        );
        close(&residual, [10.41223258, 9.64874555, 10.72420805, 8.63574659], 5e-3);
        let (factors, _) = of(4100);
        close(
            &factors[0],
            [0.5786336785719314, 2.6770571833258923, 3.1435083753399726, 3.0435444419719953],
            1e-4,
        );
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

    #[test]
    fn the_distance_of_a_row_that_overflows_is_infinite() {
        let shape = Shape {
            classes: vec![ClassCentre { rows: 9, means: vec![0.0, 0.0] }],
            spread: Spread::Shared { factors: vec![vec![1.0, 2.0]], residual: vec![1.0, 2.0] },
        };
        let distance = Distance::new(&shape);
        assert_eq!(distance.of(&[1e200, -1e200], &mut Vec::new()), f64::INFINITY);
        assert_eq!(distance.of(&[0.0, 0.0], &mut Vec::new()), 0.0);
    }
}
