//! Expected and observed shares of each bin, made comparable. Every distance of this crate is computed from them.

use crate::DriftError;

/// Expected and observed shares of the bins of one signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// The expected share of each bin: above 0, adding up to 1.
    pub expected: Vec<f64>,
    /// The share of the counted rows in each bin: above 0, adding up to 1.
    pub seen: Vec<f64>,
    /// The number of counted rows.
    pub rows: u64,
}

impl Shares {
    /// Compares M counted rows with a reference of N = `reference_rows` rows. `expected` are the [`smoothed`] shares of the
    /// reference, and `counts` the counted rows, both per bin.
    ///
    /// Both sides are smoothed as if they were of n = min(M, N) rows: (n·share + ½) / (n + B/2). If each were smoothed by its own
    /// number of rows, a bin that is empty on both sides would have an expected share of about ½/N and an observed share of about
    /// ½/M. Much traffic would then seem to drift from a small reference although it does not.
    ///
    /// # Errors
    /// Returns an error if the slices differ in length, an expected share is not in (0, 1], the reference has no rows, or the sum of
    /// the counts does not fit into a `u64`.
    pub fn new(expected: &[f64], reference_rows: u64, counts: &[u64]) -> Result<Self, DriftError> {
        if expected.len() != counts.len() {
            return Err(DriftError::LengthMismatch { expected: expected.len(), counts: counts.len() });
        }
        // The condition is negated so that NaN is refused, too.
        if let Some(bin) = expected.iter().position(|&p| !(p > 0.0 && p <= 1.0)) {
            return Err(DriftError::BadRatio { bin, ratio: expected[bin] });
        }
        if reference_rows == 0 {
            return Err(DriftError::EmptyReference);
        }
        let rows = counts.iter().try_fold(0_u64, |sum, &count| sum.checked_add(count));
        let rows = rows.ok_or(DriftError::TooManyRows)?;
        let (seen, known, bins) = (rows as f64, reference_rows as f64, counts.len());
        let common = seen.min(known);
        let smoothed = |share: f64| smooth(common * share, common, bins);
        Ok(Self {
            expected: expected
                .iter()
                // Recovers the share before smoothing, which rounding may make slightly negative.
                .map(|ratio| smoothed(((ratio * (known + bins as f64 / 2.0) - 0.5) / known).max(0.0)))
                .collect(),
            seen: counts.iter().map(|&count| smoothed(count as f64 / seen.max(1.0))).collect(),
            rows,
        })
    }

    /// Returns the expected and the observed share of each bin.
    pub fn pairs(&self) -> impl Iterator<Item = (f64, f64)> {
        self.expected.iter().copied().zip(self.seen.iter().copied())
    }
}

/// Returns the share (c + ½) / (n + B/2) of a bin with c of n rows in B bins: the Krichevsky–Trofimov estimate, a
/// Dirichlet(½) prior.
pub(crate) fn smooth(rows_in_bin: f64, rows: f64, bins: usize) -> f64 {
    (rows_in_bin + 0.5) / (rows + bins as f64 / 2.0)
}

/// Returns the smoothed shares (c + ½) / (n + B/2) of n rows that are counted in B bins.
///
/// Every share is above 0 and they add up to 1, even if there are no rows.
pub fn smoothed(counts: &[u64]) -> Vec<f64> {
    let rows = counts.iter().sum::<u64>() as f64;
    counts.iter().map(|&count| smooth(count as f64, rows, counts.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn invalid_expected_shares_and_counts_are_refused() {
        let mismatch = Err(DriftError::LengthMismatch { expected: 1, counts: 2 });
        assert_eq!(Shares::new(&[1.0], 9, &[1, 2]), mismatch);
        assert_eq!(Shares::new(&[0.0, 1.0], 9, &[1, 2]), Err(DriftError::BadRatio { bin: 0, ratio: 0.0 }));
        assert!(matches!(
            Shares::new(&[f64::NAN, 1.0], 9, &[1, 2]),
            Err(DriftError::BadRatio { bin: 0, .. })
        ));
        assert_eq!(Shares::new(&[0.5, 0.5], 0, &[1, 2]), Err(DriftError::EmptyReference));
        assert_eq!(Shares::new(&[0.5, 0.5], 9, &[u64::MAX, 1]), Err(DriftError::TooManyRows));
    }

    #[test]
    fn rows_like_the_reference_have_the_expected_shares() {
        // The last three bins are empty on both sides, which must not count as a difference at any number of rows.
        let expected = smoothed(&[70, 77, 0, 0, 0]);
        for scale in [0, 1, 1_000, 1_000_000_000] {
            let shares = Shares::new(&expected, 147, &[70 * scale, 77 * scale, 0, 0, 0]).unwrap();
            let apart = shares.pairs().map(|(p, q)| (p - q).abs()).fold(0.0, f64::max);
            assert!(apart < 1e-12, "{scale}: {shares:?}");
        }
    }

    proptest! {
        #[test]
        fn shares_are_above_0_and_add_up_to_1(
            (weights, counts) in (1usize..12).prop_flat_map(|bins| (
                prop::collection::vec(1u64..1000, bins),
                prop::collection::vec(0u64..1_000_000, bins),
            ))
        ) {
            let shares = Shares::new(&smoothed(&weights), weights.iter().sum(), &counts).unwrap();
            for side in [&shares.expected, &shares.seen] {
                prop_assert!((side.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                prop_assert!(side.iter().all(|&share| share > 0.0));
            }
        }
    }
}
