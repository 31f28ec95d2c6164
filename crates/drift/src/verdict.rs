//! The verdict on counts. "Cannot tell" is a verdict of its own: no traffic does not mean no drift.

use crate::{DriftError, Psi, Shares, detectable::detectable_psi, psi::psi};

/// The smallest PSI that matters in practice. By convention, credit scoring treats 0.1 and more as a shift (N. Siddiqi, "Credit
/// Risk Scorecards", 2006).
pub const PRACTICAL_PSI: f64 = 0.1;

/// The fewest rows that are judged. The χ² approximation needs about five rows in every bin, and a signal has up to ten quantile
/// bins and further ones for missing values and values out of range.
pub const MIN_ROWS: u64 = 60;

/// Whether traffic follows its reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The distance may be due to chance, or is too small to matter.
    Steady,
    /// The distance is greater than chance explains, and large enough to matter.
    Drifting,
    /// There are too few rows for a verdict.
    CannotTell {
        /// The number of counted rows.
        rows: u64,
        /// The number of rows that a verdict needs.
        needs: u64,
    },
}

/// A verdict and the numbers behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The distance from the reference.
    pub psi: Psi,
    /// The limit above which PSI is drift. It is infinite if there are no rows.
    pub threshold: f64,
    /// 1/N + 1/M, the factor between χ² and PSI. It is infinite if there are no rows.
    pub noise: f64,
}

impl Judgement {
    /// Returns the smallest true PSI that would have been detected with a probability of 90 %, see [`detectable_psi`]. It is infinite
    /// if there are too few rows for a verdict.
    pub fn detectable_psi(&self, degrees_of_freedom: usize) -> f64 {
        match self.verdict {
            Verdict::CannotTell { .. } => f64::INFINITY,
            Verdict::Steady | Verdict::Drifting => {
                detectable_psi(self.threshold, self.noise, degrees_of_freedom)
            }
        }
    }
}

/// Judges the counts of one signal: drifting when PSI > max([`PRACTICAL_PSI`], (1/N + 1/M)·χ²) with N reference rows
/// and M counted ones.
///
/// Without drift PSI is distributed about as (1/N + 1/M)·χ² (Yurdakul 2018), since both samples are noisy.
///
/// # Errors
/// Returns a [`DriftError`] if the numbers contradict each other.
pub fn judge(
    expected: &[f64],
    counts: &[u64],
    reference_rows: u64,
    critical_chi2: f64,
) -> Result<Judgement, DriftError> {
    if !(critical_chi2.is_finite() && critical_chi2 > 0.0) {
        return Err(DriftError::BadCritical(critical_chi2));
    }
    let psi = psi(&Shares::new(expected, reference_rows, counts)?);
    let noise = 1.0 / reference_rows as f64 + 1.0 / psi.rows as f64;
    let threshold = (noise * critical_chi2).max(PRACTICAL_PSI);
    let verdict = if psi.rows < MIN_ROWS {
        Verdict::CannotTell { rows: psi.rows, needs: MIN_ROWS }
    } else if psi.value > threshold {
        Verdict::Drifting
    } else {
        Verdict::Steady
    };
    Ok(Judgement { verdict, psi, threshold, noise })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: [f64; 4] = [0.25; 4];
    const CRITICAL: f64 = 30.0;

    fn verdict(counts: [u64; 4], reference_rows: u64) -> Verdict {
        judge(&EXPECTED, &counts, reference_rows, CRITICAL).unwrap().verdict
    }

    #[test]
    fn each_of_the_three_verdicts_occurs() {
        assert_eq!(verdict([250, 250, 250, 250], 1000), Verdict::Steady);
        assert_eq!(verdict([970, 10, 10, 10], 1000), Verdict::Drifting);
        assert_eq!(verdict([12, 0, 0, 0], 1000), Verdict::CannotTell { rows: 12, needs: 60 });
        assert_eq!(verdict([0; 4], 1000), Verdict::CannotTell { rows: 0, needs: 60 });
    }

    #[test]
    fn a_shift_is_drift_against_a_large_reference_but_not_a_small_one() {
        let counts = [400, 300, 200, 100];
        assert_eq!(verdict(counts, 100), Verdict::Steady);
        assert_eq!(verdict(counts, 100_000), Verdict::Drifting);
    }

    #[test]
    fn a_significant_but_small_shift_is_not_drift() {
        assert_eq!(verdict([2_600_000, 2_400_000, 2_500_000, 2_500_000], 10_000_000), Verdict::Steady);
    }

    #[test]
    fn a_verdict_states_the_smallest_detectable_drift() {
        let judged = |counts: [u64; 4]| judge(&EXPECTED, &counts, 1000, CRITICAL).unwrap();
        let (steady, empty) = (judged([260, 240, 250, 250]), judged([0; 4]));
        assert!(steady.detectable_psi(3) > steady.threshold && steady.detectable_psi(3) < 0.15);
        assert_eq!(empty.detectable_psi(3), f64::INFINITY);
    }

    #[test]
    fn a_psi_equal_to_the_threshold_is_steady() {
        // 60 rows are enough for a verdict, and PSI is drift only above its threshold.
        let fewest = judge(&EXPECTED, &[60, 0, 0, 0], 1_000_000, 1.0).unwrap();
        assert_eq!((fewest.verdict, fewest.psi.rows), (Verdict::Drifting, 60));
        assert_eq!(verdict([59, 0, 0, 0], 1_000_000), Verdict::CannotTell { rows: 59, needs: 60 });
        let judged = |critical| judge(&EXPECTED, &[400, 300, 200, 100], 1000, critical).unwrap();
        let exact = judged(1.0).psi.value / (1.0 / 1000.0 + 1.0 / 1000.0);
        assert_eq!(judged(exact * (1.0 + 1e-12)).verdict, Verdict::Steady);
        assert_eq!(judged(exact * (1.0 - 1e-12)).verdict, Verdict::Drifting);
        // The threshold equals PSI to the last bit.
        let mut critical = exact * (1.0 - 1e-15);
        while judged(critical).threshold < judged(critical).psi.value {
            critical = critical.next_up();
        }
        let equal = judged(critical);
        assert_eq!((equal.threshold, equal.verdict), (equal.psi.value, Verdict::Steady));
        assert_eq!(judged(30.0).threshold, PRACTICAL_PSI);
        assert!((judged(80.0).threshold - 0.16).abs() < 1e-12);
        assert!((judged(80.0).noise - 0.002).abs() < 1e-15);
    }

    #[test]
    fn an_empty_reference_and_invalid_critical_values_are_refused() {
        assert_eq!(judge(&EXPECTED, &[1; 4], 0, 1.0), Err(DriftError::EmptyReference));
        for critical in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            assert!(matches!(judge(&EXPECTED, &[1; 4], 9, critical), Err(DriftError::BadCritical(_))));
        }
    }
}
