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

/// PSI = Σ (q − p)·ln(q / p), over bins with expected ratios p and smoothed observed ratios q.
///
/// This is the symmetric Kullback–Leibler (Jeffreys) divergence; see B. Yurdakul, "Statistical Properties of
/// Population Stability Index" (2018), for its distribution without drift.
///
/// # Errors
/// When the slices differ in length or an expected ratio is not in (0, 1].
///
/// ```
/// let psi = drift::psi(&[0.5, 0.5], &[80, 20])?;
/// assert_eq!(psi.rows, 100);
/// assert!((psi.value - 0.4063).abs() < 1e-4);
/// # Ok::<(), drift::DriftError>(())
/// ```
pub fn psi(expected: &[f64], counts: &[u64]) -> Result<Psi, DriftError> {
    if expected.len() != counts.len() {
        return Err(DriftError::LengthMismatch { expected: expected.len(), counts: counts.len() });
    }
    // Written so that NaN is refused too.
    if let Some(bin) = expected.iter().position(|&p| !(p > 0.0 && p <= 1.0)) {
        return Err(DriftError::BadRatio { bin, ratio: expected[bin] });
    }
    let contributions: Vec<f64> =
        expected.iter().zip(smoothed(counts)).map(|(&p, q)| (q - p) * (q / p).ln()).collect();
    Ok(Psi { value: contributions.iter().sum(), rows: counts.iter().sum(), contributions })
}

/// Observed ratios (c + ½) / (n + B/2), with n rows in B bins: the Krichevsky–Trofimov estimate, a Dirichlet(½) prior.
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
        // Python: p = [.1,.2,.3,.4]; c = [7,21,40,32]; q = [(x+.5)/(100+2) for x in c]
        //         sum((b-a)*math.log(b/a) for a, b in zip(p, q))
        let psi = psi(&[0.1, 0.2, 0.3, 0.4], &[7, 21, 40, 32]).unwrap();
        assert!((psi.value - 0.05441898545367818).abs() < 1e-12, "{}", psi.value);
    }

    #[test]
    fn refuses_what_it_cannot_compare() {
        assert_eq!(psi(&[1.0], &[1, 2]), Err(DriftError::LengthMismatch { expected: 1, counts: 2 }));
        assert_eq!(psi(&[0.0, 1.0], &[1, 2]), Err(DriftError::BadRatio { bin: 0, ratio: 0.0 }));
        assert!(matches!(psi(&[f64::NAN, 1.0], &[1, 2]), Err(DriftError::BadRatio { bin: 0, .. })));
    }

    #[test]
    fn opposite_replicas_cancel_when_pooled() {
        let expected = [0.5, 0.5];
        let (a, b) = ([999, 1], [1, 999]);
        let pooled: Vec<u64> = a.iter().zip(b).map(|(a, b)| a + b).collect();
        assert!(psi(&expected, &pooled).unwrap().value < 1e-12);
        assert!(psi(&expected, &a).unwrap().value > 3.0);
    }

    proptest! {
        #[test]
        fn is_finite_and_never_negative(
            (weights, counts) in (2usize..12).prop_flat_map(|bins| (
                prop::collection::vec(1u64..1000, bins),
                prop::collection::vec(0u64..1_000_000, bins),
            ))
        ) {
            let psi = psi(&smoothed(&weights), &counts).unwrap();
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
