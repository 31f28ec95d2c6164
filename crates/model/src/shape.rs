//! The location and spread of each class, and the distance of a row to the nearest class.

use serde::{Deserialize, Serialize};

/// As many quantiles of a feature are kept as say all that matters of its distribution.
const MAX_QUANTILES: usize = 101;

/// How strongly a covariance estimated from few rows is drawn towards its diagonal, per feature and row: a tenth of a
/// row's worth a feature. Iris (4 features, 50 rows a class) keeps 99 % of its correlations; 60 features with 15 rows
/// keep 60 %. Without it the inverse explodes where there are fewer rows than features.
const SHRINKAGE: f64 = 0.1;

/// The variance, in squared standard deviations of the whole column, below which no direction is taken to go: it
/// keeps a feature that is constant within a class from making every other value infinitely far.
const VARIANCE_FLOOR: f64 = 1e-4;

/// The distribution of one class, on standardised features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassShape {
    /// Reference rows of this class.
    pub rows: u64,
    /// Centre: one mean a feature, in standard deviations of the column.
    pub means: Vec<f64>,
    /// Sample covariance (divisor n − 1), features × features, in the same unit.
    pub covariance: Vec<Vec<f64>>,
    /// Per feature, evenly spaced quantiles from the least value to the greatest, in the feature's own unit. Empty
    /// where the class has no value at all.
    pub quantiles: Vec<Vec<f64>>,
}

impl ClassShape {
    /// Measures rows of one class: `standardised` without gaps, `raw` as the data has them.
    pub fn of_rows(standardised: &[&[f64]], raw: &[&[Option<f64>]]) -> Self {
        let rows = standardised.len();
        let features = standardised.first().map_or(0, |row| row.len());
        let means: Vec<f64> =
            (0..features).map(|f| standardised.iter().map(|row| row[f]).sum::<f64>() / rows as f64).collect();
        let mut covariance = vec![vec![0.0; features]; features];
        for row in standardised {
            for (i, line) in covariance.iter_mut().enumerate() {
                for (j, cell) in line.iter_mut().enumerate() {
                    *cell += (row[i] - means[i]) * (row[j] - means[j]);
                }
            }
        }
        let divisor = rows.saturating_sub(1).max(1) as f64;
        covariance.iter_mut().flatten().for_each(|cell| *cell /= divisor);
        let quantiles =
            (0..features).map(|f| quantiles(raw.iter().filter_map(|row| row[f]).collect())).collect();
        Self { rows: rows as u64, means, covariance, quantiles }
    }
}

fn quantiles(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    if values.len() <= MAX_QUANTILES {
        return values;
    }
    let last = values.len() - 1;
    (0..MAX_QUANTILES).map(|i| values[(i * last + (MAX_QUANTILES - 1) / 2) / (MAX_QUANTILES - 1)]).collect()
}

/// The smallest class-conditional Mahalanobis distance of a row (P. C. Mahalanobis, 1936): how far it lies from the
/// nearest class, in that class's own standard deviations and along its own correlations.
#[derive(Debug, Clone)]
pub struct Distance {
    classes: Vec<Whitening>,
}

#[derive(Debug, Clone)]
struct Whitening {
    means: Vec<f64>,
    /// Lower triangle, row by row, of L with Σ = L·Lᵀ; the diagonal holds 1/Lᵢᵢ.
    factor: Vec<f64>,
}

impl Distance {
    /// Prepares the distance to classes of these shapes.
    pub fn new(shapes: &[ClassShape]) -> Self {
        Self { classes: shapes.iter().map(Whitening::new).collect() }
    }

    /// Distance of a standardised row, in standard deviations; `scratch` is overwritten.
    pub fn of(&self, row: &[f64], scratch: &mut Vec<f64>) -> f64 {
        let nearest = self.classes.iter().map(|class| class.squared(row, scratch));
        nearest.fold(f64::INFINITY, |least, squared| if squared < least { squared } else { least }).sqrt()
    }
}

impl Whitening {
    fn new(shape: &ClassShape) -> Self {
        let features = shape.means.len();
        let keep = 1.0 - (SHRINKAGE * features as f64 / shape.rows as f64).min(0.9);
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
                    let variance = shape.covariance[i][i].max(VARIANCE_FLOOR);
                    let left = variance - above;
                    // Rounding, or a covariance of fewer rows than features, can leave nothing of a pivot.
                    factor.push(1.0 / left.max(VARIANCE_FLOOR * variance).sqrt());
                } else {
                    factor.push((keep * shape.covariance[i][j] - above) * factor[at(j, j)]);
                }
            }
        }
        Self { means: shape.means.clone(), factor }
    }

    /// Squared distance by forward substitution of L·z = x − mean.
    fn squared(&self, row: &[f64], z: &mut Vec<f64>) -> f64 {
        z.clear();
        let mut start = 0;
        let mut squared = 0.0;
        for (i, (&value, &mean)) in row.iter().zip(&self.means).enumerate() {
            let line = &self.factor[start..=start + i];
            let known: f64 = line.iter().zip(z.iter()).map(|(l, z)| l * z).sum();
            let solved = (value - mean - known) * line[i];
            squared += solved * solved;
            z.push(solved);
            start += i + 1;
        }
        squared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(rows: u64, means: &[f64], covariance: &[&[f64]]) -> ClassShape {
        ClassShape {
            rows,
            means: means.to_vec(),
            covariance: covariance.iter().map(|line| line.to_vec()).collect(),
            quantiles: vec![Vec::new(); means.len()],
        }
    }

    #[test]
    fn agrees_with_numpy() {
        // numpy: d = x - m; sqrt(d @ inv(S) @ d), with S off the diagonal times 1 − 0.1·2/10⁹
        let shapes = [
            shape(1_000_000_000, &[0.0, 0.0], &[&[1.0, 0.8], &[0.8, 1.0]]),
            shape(1_000_000_000, &[5.0, 5.0], &[&[2.0, -0.5], &[-0.5, 1.0]]),
        ];
        let distance = Distance::new(&shapes);
        let mut scratch = Vec::new();
        assert!((distance.of(&[1.0, -1.0], &mut scratch) - 10.0_f64.sqrt()).abs() < 1e-6);
        assert!((distance.of(&[1.0, 1.0], &mut scratch) - (1.0 / 0.9_f64).sqrt()).abs() < 1e-6);
        assert!((distance.of(&[5.0, 6.0], &mut scratch) - (2.0 / 1.75_f64).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn fewer_rows_than_features_stay_finite() {
        let rows: Vec<Vec<f64>> =
            (0..5).map(|r| (0..20).map(|f| f64::from((r * 7 + f * 3) % 11)).collect()).collect();
        let raw: Vec<Vec<Option<f64>>> =
            rows.iter().map(|row| row.iter().copied().map(Some).collect()).collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let raw: Vec<&[Option<f64>]> = raw.iter().map(Vec::as_slice).collect();
        let distance = Distance::new(&[ClassShape::of_rows(&rows, &raw)]);
        let mut scratch = Vec::new();
        for row in &rows {
            let own = distance.of(row, &mut scratch);
            let far: Vec<f64> = row.iter().map(|value| value + 100.0).collect();
            assert!(own.is_finite() && own < distance.of(&far, &mut scratch));
        }
    }

    #[test]
    fn quantiles_keep_both_ends() {
        let kept = quantiles((0..1000).rev().map(f64::from).collect());
        assert_eq!((kept.len(), kept[0], kept[50], kept[100]), (MAX_QUANTILES, 0.0, 500.0, 999.0));
    }
}
