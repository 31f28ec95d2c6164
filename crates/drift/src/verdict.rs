//! From counts to one of three words. "Cannot tell" is a word of its own: no traffic is not "no drift".

use crate::{
    DriftError, Psi, Shares, companions::js_distance, companions::ks_distance, critical::exceeded_by_chance,
    detectable::detectable_psi, psi::psi,
};

/// Below this a PSI is too small to matter, however certain it is. 0.1 is where the credit-scoring custom begins
/// to speak of a shift (N. Siddiqi, "Credit Risk Scorecards", 2006).
pub const PRACTICAL_PSI: f64 = 0.1;

/// Fewer rows than this give no verdict: the χ² approximation wants about five rows in every bin, and a profile has
/// up to ten quantile bins besides those for values out of range.
pub const MIN_ROWS: u64 = 60;

/// Is the traffic still like the reference?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing beyond what chance explains, or nothing that matters.
    Steady,
    /// Further from the reference than chance explains, and far enough to matter.
    Drifting,
    /// Too few rows to say either.
    CannotTell {
        /// Rows that were counted.
        rows: u64,
        /// Rows it takes.
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
    /// What the distance has to exceed; infinite without rows.
    pub threshold: f64,
    /// 1/N + 1/M: what a unit of χ² is worth; infinite without rows.
    pub noise: f64,
    /// Jensen–Shannon distance, for people.
    pub js_distance: f64,
    /// Kolmogorov–Smirnov distance over the bins in their order, for people; without meaning for categories.
    pub ks_distance: f64,
}

impl Judgement {
    /// The probability that chance alone takes PSI this far; 1 without rows. No correction for many signals and looks: that
    /// is in the critical value.
    pub fn p_value(&self, degrees_of_freedom: usize) -> f64 {
        exceeded_by_chance(self.psi.value / self.noise, degrees_of_freedom)
    }

    /// The smallest true PSI that would have been reported nine times in ten, see
    /// [`detectable_psi`]: what "steady" does not rule out. Infinite where nothing can be told.
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
/// When the numbers can't belong together: see [`DriftError`].
pub fn judge(
    expected: &[f64],
    counts: &[u64],
    reference_rows: u64,
    critical_chi2: f64,
) -> Result<Judgement, DriftError> {
    if !(critical_chi2.is_finite() && critical_chi2 > 0.0) {
        return Err(DriftError::BadCritical(critical_chi2));
    }
    let shares = Shares::new(expected, reference_rows, counts)?;
    let psi = psi(&shares);
    let noise = 1.0 / reference_rows as f64 + 1.0 / psi.rows as f64;
    let threshold = (noise * critical_chi2).max(PRACTICAL_PSI);
    let verdict = if psi.rows < MIN_ROWS {
        Verdict::CannotTell { rows: psi.rows, needs: MIN_ROWS }
    } else if psi.value > threshold {
        Verdict::Drifting
    } else {
        Verdict::Steady
    };
    let (js_distance, ks_distance) = (js_distance(&shares), ks_distance(&shares));
    Ok(Judgement { verdict, psi, threshold, noise, js_distance, ks_distance })
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
    fn says_each_of_its_three_words() {
        assert_eq!(verdict([250, 250, 250, 250], 1000), Verdict::Steady);
        assert_eq!(verdict([970, 10, 10, 10], 1000), Verdict::Drifting);
        assert_eq!(verdict([12, 0, 0, 0], 1000), Verdict::CannotTell { rows: 12, needs: 60 });
        assert_eq!(verdict([0; 4], 1000), Verdict::CannotTell { rows: 0, needs: 60 });
    }

    #[test]
    fn a_small_reference_can_prove_little() {
        let counts = [400, 300, 200, 100];
        assert_eq!(verdict(counts, 100), Verdict::Steady);
        assert_eq!(verdict(counts, 100_000), Verdict::Drifting);
    }

    #[test]
    fn a_certain_trifle_is_no_drift() {
        assert_eq!(verdict([2_600_000, 2_400_000, 2_500_000, 2_500_000], 10_000_000), Verdict::Steady);
    }

    #[test]
    fn says_how_sure_it_is_and_what_it_could_miss() {
        let judged = |counts: [u64; 4]| judge(&EXPECTED, &counts, 1000, CRITICAL).unwrap();
        let (steady, drifting, empty) =
            (judged([260, 240, 250, 250]), judged([970, 10, 10, 10]), judged([0; 4]));
        // scipy: chi2.sf(psi / (1/1000 + 1/1000), 3), psi = 0.000797
        assert!((steady.p_value(3) - 0.940_528).abs() < 1e-6, "{}", steady.p_value(3));
        assert!(drifting.p_value(3) < 1e-100);
        assert_eq!(empty.p_value(3), 1.0);
        assert!(steady.detectable_psi(3) > steady.threshold && steady.detectable_psi(3) < 0.15);
        assert_eq!(empty.detectable_psi(3), f64::INFINITY);
    }

    #[test]
    fn refuses_numbers_that_cannot_be() {
        assert_eq!(judge(&EXPECTED, &[1; 4], 0, 1.0), Err(DriftError::EmptyReference));
        assert!(matches!(judge(&EXPECTED, &[1; 4], 9, f64::NAN), Err(DriftError::BadCritical(_))));
    }
}
