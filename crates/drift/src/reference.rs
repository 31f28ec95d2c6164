//! The reference of one signal: its bins, the share of rows in each, and its critical value.

use crate::{
    Bins,
    critical::{critical_chi2, rare_bin_chi2},
    shares::smooth,
};
use serde::{Deserialize, Serialize};

/// Bins and expected ratios of one signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalReference {
    /// The signal's name, as its metric label has it.
    pub name: String,
    /// The bins in which values are counted.
    pub bins: Bins,
    /// Smoothed share of the rows to expect in each bin: above 0, adding up to 1.
    ///
    /// One more row than was observed is expected below the reference's range, and one above it, because a new value lies beyond
    /// the greatest of N values with probability 1/(N + 1) (S. S. Wilks, "Determination of Sample Sizes for Setting Tolerance
    /// Limits", 1941).
    pub expected: Vec<f64>,
    /// The number of reference rows.
    pub rows: u64,
    /// The number of reference rows in each bin.
    pub counts: Vec<u64>,
}

impl SignalReference {
    /// Creates the reference of numbers that a model computes; `None` is a missing value, the others must be finite.
    pub fn of_values(name: &str, values: &[Option<f64>]) -> Self {
        let bins = Bins::of_values(values);
        Self::of_indices(name, values.iter().map(|&value| bins.index(value)).collect(), bins)
    }

    /// Creates the reference of a numeric feature; `None` is a missing value, the others must be finite. See [`Bins::of_feature`].
    pub fn of_feature(name: &str, values: &[Option<f64>]) -> Self {
        let bins = Bins::of_feature(values);
        Self::of_indices(name, values.iter().map(|&value| bins.index(value)).collect(), bins)
    }

    /// Creates the reference of a categorical feature, from each row's position in `categories`; a position beyond them is any
    /// other category, and `None` is missing.
    pub fn of_categories(name: &str, values: &[Option<f64>], categories: &[String]) -> Self {
        let bins = Bins::Categories { categories: categories.to_vec() };
        Self::of_indices(name, values.iter().map(|&value| bins.index(value)).collect(), bins)
    }

    /// Creates the reference of predicted classes, from each row's position in `labels`.
    ///
    /// # Panics
    /// If a class is not a position in `labels`.
    pub fn of_classes(name: &str, classes: &[usize], labels: &[String]) -> Self {
        Self::of_indices(name, classes.to_vec(), Bins::Classes { labels: labels.to_vec() })
    }

    fn of_indices(name: &str, indices: Vec<usize>, bins: Bins) -> Self {
        let mut counts = vec![0; bins.len()];
        for index in &indices {
            counts[*index] += 1;
        }
        Self::of_counts(name.to_owned(), counts, bins)
    }

    /// Returns the reference of other rows in the same bins, from their count per bin.
    pub fn recounted(&self, counts: Vec<u64>) -> Self {
        Self::of_counts(self.name.clone(), counts, self.bins.clone())
    }

    fn of_counts(name: String, counts: Vec<u64>, bins: Bins) -> Self {
        let all: u64 = counts.iter().sum();
        let (rows, beyond) = (all as f64, bins.beyond());
        // Adds one row at either end, then scales the counts back to the number of rows.
        let kept = if beyond.is_empty() { 1.0 } else { rows / (rows + beyond.len() as f64) };
        let likely = |(bin, &count): (usize, &u64)| {
            kept * (count as f64 + if beyond.contains(&bin) { 1.0 } else { 0.0 })
        };
        let expected = counts.iter().enumerate().map(|bin| smooth(likely(bin), rows, counts.len())).collect();
        Self { name, bins, expected, rows: all, counts }
    }

    /// Returns the degrees of freedom of the null distribution of PSI: the filled bins less one, and one more for the two bins beyond
    /// the range; at least 1.
    ///
    /// Simulations showed that those two bins together count as one degree of freedom. With many rows in the window and 60 to 1,000
    /// in the reference, the share of windows above the χ² limit is then 0.6 to 1.0 of the nominal share, for nominal shares of 1 in
    /// 100 to 1 in 10,000. If no rows were expected beyond the range, and no degree of freedom were counted for it, the share would
    /// be 5 to 100 times the nominal one. Other empty bins (a category, missing values) have an expected share only by smoothing and
    /// add no degree of freedom.
    pub fn degrees_of_freedom(&self) -> usize {
        let filled = self.counts.iter().filter(|&&count| count > 0).count();
        let beyond = usize::from(!self.bins.beyond().is_empty());
        (filled + beyond).saturating_sub(1).max(1)
    }

    /// Returns the value that PSI / (1/N + 1/M) exceeds with probability `alpha`, in (0, 1), without drift: a χ² quantile, or
    /// more where a bin is so rare that its share has a longer tail than χ² assumes.
    pub fn critical_chi2(&self, alpha: f64) -> f64 {
        let chances = self.counts.len() as f64;
        let alone = |shape, count| rare_bin_chi2(shape, count, self.rows, alpha / chances);
        // A missing value or an unknown category is drift if the reference has none. A class that the model never predicted on the
        // reference may still be predicted without drift.
        let possible = |count: u64| count > 0 || matches!(self.bins, Bins::Classes { .. });
        let rare = self
            .counts
            .iter()
            .filter(|&&count| possible(count))
            .map(|&count| alone(count as f64 + 0.5, count));
        // The share of rows beyond the range is distributed like one gap between sorted rows.
        let outer = self.bins.beyond().first().map(|_| alone(1.0, 1));
        rare.chain(outer).fold(critical_chi2(alpha, self.degrees_of_freedom()), f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_shares_of_empty_bins_are_small_and_above_0() {
        let values: Vec<Option<f64>> = (0..147).map(|i| Some(f64::from(i))).collect();
        let reference = SignalReference::of_values("x", &values);
        assert_eq!(reference.bins.len(), 8);
        assert_eq!(reference.degrees_of_freedom(), 5);
        // One row of 149 is expected at either end, and none is missing.
        assert!((reference.expected[0] - (147.0 / 149.0 + 0.5) / 151.0).abs() < 1e-15);
        assert!((reference.expected[7] - 0.5 / 151.0).abs() < 1e-15);
        let shares = crate::Shares::new(&reference.expected, 147, &[1; 8]).unwrap();
        assert!((shares.expected.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((reference.expected.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn missing_values_are_expected_at_the_rate_of_the_reference() {
        let values: Vec<Option<f64>> = (0..100).map(|i| (i % 4 != 0).then_some(f64::from(i))).collect();
        let reference = SignalReference::of_values("x", &values);
        let missing = reference.expected.last().copied().unwrap();
        let expected = (25.0 * 100.0 / 102.0 + 0.5) / (100.0 + reference.bins.len() as f64 / 2.0);
        assert!((missing - expected).abs() < 1e-12);
        assert_eq!(reference.degrees_of_freedom(), reference.bins.len() - 2);
    }

    #[test]
    fn a_rare_class_raises_the_critical_value() {
        let of = |rare: usize| {
            let categories: Vec<usize> = (0..147).map(|row| usize::from(row >= rare)).collect();
            SignalReference::of_classes("x", &categories, &["a".into(), "b".into()]).critical_chi2(3.5e-6)
        };
        let chi2 = critical_chi2(3.5e-6, 1);
        assert!((of(73) / chi2 - 1.0).abs() < 0.02, "{} {chi2}", of(73));
        // scipy: s = beta.isf(3.5e-6 / 2, 7.5, 140.5); p, q = 7.5 / 148, (147 * s + .5) / 148
        //   147 * (q - p) * (log(q / p) - log((1 - q) / (1 - p)))
        assert!((of(7) - 25.72556301048293).abs() < 1e-3, "{}", of(7));
    }

    #[test]
    fn missing_values_raise_the_critical_value_if_the_reference_has_some() {
        let critical = |values: &[Option<f64>]| SignalReference::of_values("x", values).critical_chi2(3.5e-6);
        // No bin is rare. If the empty bin for missing values counted, the value would be 40.25 (scipy, as above, with 8 bins).
        let filled: Vec<Option<f64>> = (0..147).map(|i| Some(f64::from(i))).collect();
        assert!((critical(&filled) - 33.158_686_417).abs() < 1e-6, "{}", critical(&filled));
        // One missing value of 147, in four bins: s = beta.isf(3.5e-6 / 4, 1.5, 146.5)
        let one_missing: Vec<Option<f64>> = (0..147).map(|i| (i > 0).then_some(7.0)).collect();
        assert!((critical(&one_missing) - 32.87536347716934).abs() < 1e-3, "{}", critical(&one_missing));
    }

    #[test]
    fn a_class_never_predicted_on_the_reference_raises_the_critical_value() {
        let categories: Vec<usize> = (0..40).map(|row| row % 2).collect();
        let labels = ["a", "b", "c"].map(str::to_owned);
        let critical = SignalReference::of_classes("x", &categories, &labels).critical_chi2(3.5e-6);
        // scipy, as above: s = beta.isf(3.5e-6 / 3, 0.5, 40.5); p, q = 0.5 / 41, (40 * s + .5) / 41
        assert!((critical - 33.2553385364378).abs() < 1e-3, "{critical}");
    }
}
