//! What a model expects of one signal: its bins and the share of rows in each.

use crate::{Bins, smoothed};
use serde::{Deserialize, Serialize};

/// Bins and expected ratios of one signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalReference {
    /// The signal's name, as its metric label has it.
    pub name: String,
    /// Where a value is counted.
    pub bins: Bins,
    /// Smoothed share of the reference rows in each bin: above 0, adding up to 1.
    pub expected: Vec<f64>,
    /// How many reference rows there were.
    pub rows: u64,
    /// How many bins the reference rows fill.
    pub filled: usize,
}

impl SignalReference {
    /// The reference of a numeric signal; `None` is a missing value, the others must be finite.
    pub fn of_values(name: &str, values: &[Option<f64>]) -> Self {
        let bins = Bins::of_values(values);
        Self::of_indices(name, values.iter().map(|&value| bins.index(value)).collect::<Vec<_>>(), bins)
    }

    /// The reference of a categorical signal, from each row's position in `labels`.
    ///
    /// # Panics
    /// When a category is no position in `labels`.
    pub fn of_categories(name: &str, categories: &[usize], labels: &[String]) -> Self {
        Self::of_indices(name, categories.to_vec(), Bins::Categories { labels: labels.to_vec() })
    }

    fn of_indices(name: &str, indices: Vec<usize>, bins: Bins) -> Self {
        let mut counts = vec![0; bins.len()];
        for index in &indices {
            counts[*index] += 1;
        }
        Self {
            name: name.to_owned(),
            bins,
            expected: smoothed(&counts),
            rows: indices.len() as u64,
            filled: counts.iter().filter(|&&count| count > 0).count(),
        }
    }

    /// Degrees of freedom of the null distribution of PSI: the filled bins less one, but at least 1.
    ///
    /// Bins that the reference leaves empty (out of range, missing) are held open by smoothing alone.
    pub fn degrees_of_freedom(&self) -> usize {
        self.filled.saturating_sub(1).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_bins_expect_little_but_not_nothing() {
        let values: Vec<Option<f64>> = (0..147).map(|i| Some(f64::from(i))).collect();
        let reference = SignalReference::of_values("x", &values);
        assert_eq!(reference.bins.len(), 8);
        assert_eq!(reference.degrees_of_freedom(), 4);
        assert!((reference.expected[0] - 0.5 / 151.0).abs() < 1e-15);
        assert!((reference.expected.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn missing_values_of_the_reference_are_expected() {
        let values: Vec<Option<f64>> = (0..100).map(|i| (i % 4 != 0).then_some(f64::from(i))).collect();
        let reference = SignalReference::of_values("x", &values);
        let missing = reference.expected.last().copied().unwrap();
        assert!((missing - 25.5 / (100.0 + reference.bins.len() as f64 / 2.0)).abs() < 1e-12);
        assert_eq!(reference.degrees_of_freedom(), reference.filled - 1);
    }
}
