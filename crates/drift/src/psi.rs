//! The population stability index: the distance that verdicts compare with a limit.

use crate::Shares;

/// The distance between counted rows and the reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Psi {
    /// The index: 0 for perfect agreement, without upper bound.
    pub value: f64,
    /// The number of counted rows.
    pub rows: u64,
}

/// Computes PSI = Σ (q − p)·ln(q / p), over bins with expected shares p and observed shares q.
///
/// This is the symmetric Kullback–Leibler (Jeffreys) divergence; see B. Yurdakul, "Statistical Properties of
/// Population Stability Index" (2018), for its distribution without drift.
///
/// ```
/// let expected = drift::smoothed(&[500, 500]);
/// let psi = drift::psi(&drift::Shares::new(&expected, 1000, &[80, 20])?);
/// assert_eq!(psi.rows, 100);
/// assert!((psi.value - 0.4063).abs() < 1e-4);
/// # Ok::<(), drift::DriftError>(())
/// ```
pub fn psi(shares: &Shares) -> Psi {
    Psi { value: shares.pairs().map(|(p, q)| (q - p) * (q / p).ln()).sum(), rows: shares.rows }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoothed;
    use proptest::prelude::*;

    fn of(reference: &[u64], counts: &[u64]) -> Psi {
        psi(&Shares::new(&smoothed(reference), reference.iter().sum(), counts).unwrap())
    }

    #[test]
    fn psi_agrees_with_numbers_computed_in_python() {
        // Python, for N in (50, 1000): n = min(100, N)
        //   p = [(n*e/N + .5)/(n + 2) for e in ref]; q = [(n*c/100 + .5)/(n + 2) for c in (7, 21, 40, 32)]
        //   sum((b - a)*math.log(b/a) for a, b in zip(p, q))
        for (reference, expected) in
            [([5, 10, 15, 20], 0.05321390262581474), ([100, 200, 300, 400], 0.055424438647633134)]
        {
            let psi = of(&reference, &[7, 21, 40, 32]);
            assert!((psi.value - expected).abs() < 1e-12, "{}", psi.value);
        }
    }

    #[test]
    fn opposite_shifts_of_two_replicas_cancel_when_pooled() {
        let (a, b) = ([999, 1], [1, 999]);
        let pooled: Vec<u64> = a.iter().zip(b).map(|(a, b)| a + b).collect();
        assert!(of(&[500, 500], &pooled).value < 1e-12);
        assert!(of(&[500, 500], &a).value > 3.0);
    }

    proptest! {
        #[test]
        fn psi_is_finite_and_never_negative(
            (weights, counts) in (2usize..12).prop_flat_map(|bins| (
                prop::collection::vec(1u64..1000, bins),
                prop::collection::vec(0u64..1_000_000, bins),
            ))
        ) {
            let psi = of(&weights, &counts);
            prop_assert!(psi.value.is_finite() && psi.value >= 0.0);
        }
    }
}
