//! The location and spread of the classes, and the distance of a row to the nearest class.
//!
//! With few columns, each class has a covariance of its own. With many, a covariance per class would have features² × classes
//! numbers, too many to be estimated. The classes then share one covariance, of a few factors and a residual variance per column.
//!
//! Layout:
//! - this module: measures the location of the classes, and a covariance per class
//! - `shared_covariance`: estimates the covariance that all classes share
//! - `distance`: measures the distance of a row to the nearest class

mod distance;
mod shared_covariance;

pub use distance::Distance;

use crate::rare_categories::{PooledColumns, average, average_pairs};
use serde::{Deserialize, Serialize};
use shared_covariance::{MAX_FACTORS, shared};

/// The greatest number of encoded columns with which each class has a covariance of its own.
pub(crate) const MAX_FULL: usize = 32;

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
    /// is left out. The columns of a pool are described by their common averages.
    pub(crate) fn of_rows(
        rows: &[usize],
        classes: usize,
        width: usize,
        label: impl Fn(usize) -> usize,
        encode: impl Fn(usize, &mut Vec<f64>),
        pools: &PooledColumns,
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
            average(mean, pools);
        }
        let centred = |row: usize, out: &mut Vec<f64>| {
            encode(row, out);
            out.iter_mut().zip(&means[label(row)]).for_each(|(value, mean)| *value -= mean);
        };
        let spread = if width <= MAX_FULL {
            let mut covariances = covariances(rows, &counts, width, &label, centred);
            let mut kept = counts.iter();
            covariances.retain(|_| kept.next().is_some_and(|&count| count > 0));
            covariances.iter_mut().for_each(|covariance| average_pairs(covariance, pools));
            Spread::PerClass { covariances }
        } else {
            let present = counts.iter().filter(|&&count| count > 0).count();
            shared(rows, rows.len().saturating_sub(present).max(1), width, centred, pools)
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

#[cfg(test)]
mod tests;
