//! The population stability index, with smoothing that keeps an empty bin finite but visible.

use crate::DriftError;

/// How far counted rows are from what was expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Psi {
    /// The index: 0 for perfect agreement, without upper bound.
    pub value: f64,
    /// How many rows were counted.
    pub rows: u64,
    /// What each bin adds to the value; none is negative.
    pub contributions: Vec<f64>,
}

/// PSI = Σ (q − p)·ln(q / p), over bins with expected shares p and observed shares q.
///
/// This is the symmetric Kullback–Leibler (Jeffreys) divergence; see B. Yurdakul, "Statistical Properties of
/// Population Stability Index" (2018), for its distribution without drift.
///
/// `expected` are a reference's [`smoothed`] ratios, `reference_rows` its rows N, `counts` the M rows to compare. Both
/// shares are smoothed as if they stood on n = min(M, N) rows: (n·share + ½) / (n + B/2). With each smoothed by its own
/// rows, a bin that is empty on both sides would be expected at ½/N and observed at ½/M; so much traffic against a small
/// reference would seem to drift for ever, and the more of it the surer.
///
/// # Errors
/// When the slices differ in length, an expected ratio is not in (0, 1], or the reference has no rows.
///
/// ```
/// let psi = drift::psi(&drift::psi::smoothed(&[500, 500]), 1000, &[80, 20])?;
/// assert_eq!(psi.rows, 100);
/// assert!((psi.value - 0.4063).abs() < 1e-4);
/// # Ok::<(), drift::DriftError>(())
/// ```
pub fn psi(expected: &[f64], reference_rows: u64, counts: &[u64]) -> Result<Psi, DriftError> {
    if expected.len() != counts.len() {
        return Err(DriftError::LengthMismatch { expected: expected.len(), counts: counts.len() });
    }
    // Written so that NaN is refused too.
    if let Some(bin) = expected.iter().position(|&p| !(p > 0.0 && p <= 1.0)) {
        return Err(DriftError::BadRatio { bin, ratio: expected[bin] });
    }
    if reference_rows == 0 {
        return Err(DriftError::EmptyReference);
    }
    let rows: u64 = counts.iter().sum();
    let (seen, known, half_bins) = (rows as f64, reference_rows as f64, counts.len() as f64 / 2.0);
    let common = seen.min(known);
    let smooth = |share: f64| (common * share + 0.5) / (common + half_bins);
    let contribution = |(&ratio, &count): (&f64, &u64)| {
        // The share that the smoothed ratio came from; rounding may leave a little less than nothing.
        let reference = ((ratio * (known + half_bins) - 0.5) / known).max(0.0);
        let (p, q) = (smooth(reference), smooth(count as f64 / seen.max(1.0)));
        (q - p) * (q / p).ln()
    };
    let contributions: Vec<f64> = expected.iter().zip(counts).map(contribution).collect();
    Ok(Psi { value: contributions.iter().sum(), rows, contributions })
}

/// Ratios (c + ½) / (n + B/2), with n rows in B bins: the Krichevsky–Trofimov estimate, a Dirichlet(½) prior.
///
/// Every ratio is above 0 and they add up to 1, with no rows at all too.
pub fn smoothed(counts: &[u64]) -> Vec<f64> {
    let total = counts.iter().sum::<u64>() as f64 + counts.len() as f64 / 2.0;
    counts.iter().map(|&count| (count as f64 + 0.5) / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_numbers_computed_elsewhere() {
        // Python, for N in (50, 1000): n = min(100, N)
        //   p = [(n*e/N + .5)/(n + 2) for e in ref]; q = [(n*c/100 + .5)/(n + 2) for c in (7, 21, 40, 32)]
        //   sum((b - a)*math.log(b/a) for a, b in zip(p, q))
        for (reference, expected) in
            [([5, 10, 15, 20], 0.05321390262581474), ([100, 200, 300, 400], 0.055424438647633134)]
        {
            let rows = reference.iter().sum();
            let psi = psi(&smoothed(&reference), rows, &[7, 21, 40, 32]).unwrap();
            assert!((psi.value - expected).abs() < 1e-12, "{}", psi.value);
        }
    }

    #[test]
    fn refuses_what_it_cannot_compare() {
        let mismatch = Err(DriftError::LengthMismatch { expected: 1, counts: 2 });
        assert_eq!(psi(&[1.0], 9, &[1, 2]), mismatch);
        assert_eq!(psi(&[0.0, 1.0], 9, &[1, 2]), Err(DriftError::BadRatio { bin: 0, ratio: 0.0 }));
        assert!(matches!(psi(&[f64::NAN, 1.0], 9, &[1, 2]), Err(DriftError::BadRatio { bin: 0, .. })));
        assert_eq!(psi(&[0.5, 0.5], 0, &[1, 2]), Err(DriftError::EmptyReference));
    }

    #[test]
    fn opposite_replicas_cancel_when_pooled() {
        let expected = smoothed(&[500, 500]);
        let (a, b) = ([999, 1], [1, 999]);
        let pooled: Vec<u64> = a.iter().zip(b).map(|(a, b)| a + b).collect();
        assert!(psi(&expected, 1000, &pooled).unwrap().value < 1e-12);
        assert!(psi(&expected, 1000, &a).unwrap().value > 3.0);
    }

    #[test]
    fn what_agrees_agrees_however_many_rows_there_are() {
        // Bins that are empty on both sides included.
        let expected = smoothed(&[70, 77, 0, 0, 0]);
        for scale in [1, 1_000, 1_000_000_000] {
            let psi = psi(&expected, 147, &[70 * scale, 77 * scale, 0, 0, 0]).unwrap();
            assert!(psi.value < 1e-12, "{scale}: {}", psi.value);
        }
        assert!(psi(&expected, 147, &[0; 5]).unwrap().value < 1e-12, "no rows are no distance");
    }

    proptest! {
        #[test]
        fn is_finite_and_never_negative(
            (weights, counts) in (2usize..12).prop_flat_map(|bins| (
                prop::collection::vec(1u64..1000, bins),
                prop::collection::vec(0u64..1_000_000, bins),
            ))
        ) {
            let psi = psi(&smoothed(&weights), weights.iter().sum(), &counts).unwrap();
            prop_assert!(psi.value.is_finite() && psi.value >= 0.0);
            prop_assert!(psi.contributions.iter().all(|&part| part >= 0.0));
        }

        #[test]
        fn smoothed_ratios_add_up(counts in prop::collection::vec(0u64..1_000_000, 1..20)) {
            let ratios = smoothed(&counts);
            prop_assert!(ratios.iter().all(|&ratio| ratio > 0.0));
            prop_assert!((ratios.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}
