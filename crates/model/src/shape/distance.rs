//! Measures the distance of a row to the nearest class.

use super::{ClassCentre, Shape, Spread, VARIANCE_FLOOR};
use crate::design::dot;

/// The strength with which a covariance that is estimated from few rows is shrunk towards its diagonal: correlations are multiplied by
/// 1 − 0.1·columns/rows. Iris (4 columns, 50 rows per class) keeps 99 % of its correlations; 30 columns with 15 rows keep 80 %.
/// With fewer rows than columns, the covariance can be inverted only after it is shrunk.
const SHRINKAGE: f64 = 0.1;

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
