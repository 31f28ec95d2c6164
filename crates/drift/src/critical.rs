//! Critical values: limits that PSI exceeds by chance only as often as the budget of false alarms allows.

use crate::shares::smooth;
use statrs::distribution::{Beta, ChiSquared, ContinuousCDF};
use std::time::Duration;

/// The allowed rate of false alarms, over all signals, for traffic that has not drifted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FalseAlarmBudget {
    /// One false alarm is allowed in this time.
    pub one_alarm_in: Duration,
    /// How often every signal is judged.
    pub judged_every: Duration,
}

impl Default for FalseAlarmBudget {
    /// Returns a budget of one false alarm per week, with a verdict every 15 s.
    fn default() -> Self {
        Self { one_alarm_in: Duration::from_secs(7 * 24 * 3600), judged_every: Duration::from_secs(15) }
    }
}

impl FalseAlarmBudget {
    /// Returns the probability of a false alarm for one verdict on one of `signals` signals (Bonferroni).
    ///
    /// Several windows, and frequent verdicts on windows that share most of their rows, cause slightly more false alarms than the
    /// budget in some cases and fewer in others; `driftbench` measures the sum of these effects.
    pub fn alpha(&self, signals: usize) -> f64 {
        let judgements = self.one_alarm_in.as_secs_f64() / self.judged_every.as_secs_f64();
        1.0 / (judgements * signals.max(1) as f64)
    }
}

/// Returns the value that N·PSI between one bin and the rest exceeds with probability `alpha`, when `count` of `rows` = N reference rows fell
/// into the bin.
///
/// The bin's true share is unknown. It is modelled as a Beta variable with parameters `shape` and N − `count` + ½ (with Jeffreys'
/// prior, `shape` is `count` + ½). With x the upper or lower quantile of N times that, p = (c + ½)/(N + 1) and
/// q = (x + ½)/(N + 1), N·PSI is
/// N·(q − p)·(ln(q/p) − ln((1 − q)/(1 − p))). For common bins that is less than the χ² quantile. The share of a rare bin has a
/// longer tail than a normal variable: if 1 to 19 of 147 rows fall into the bin, up to 48 of 100,000 windows exceed a χ² limit
/// that 1 of 100,000 should exceed.
pub(crate) fn rare_bin_chi2(shape: f64, count: u64, rows: u64, alpha: f64) -> f64 {
    let (count, rows) = (count as f64, rows as f64);
    let Ok(share) = Beta::new(shape, rows - count + 0.5) else { unreachable!("both shapes are above 0") };
    let p = smooth(count, rows, 2);
    let reach = |quantile: f64| {
        let q = smooth(rows * share.inverse_cdf(quantile), rows, 2);
        rows * (q - p) * ((q / p).ln() - ((1.0 - q) / (1.0 - p)).ln())
    };
    reach(1.0 - alpha).max(reach(alpha))
}

/// Returns the value that a χ² variable with `degrees_of_freedom` (at least 1) exceeds with probability `alpha` in (0, 1).
///
/// # Panics
/// If an argument is out of range. Both come from constants, never from input.
///
/// ```
/// assert!((drift::critical_chi2(0.05, 3) - 7.814_728).abs() < 1e-6); // any table of χ²
/// ```
pub fn critical_chi2(alpha: f64, degrees_of_freedom: usize) -> f64 {
    assert!(alpha > 0.0 && alpha < 1.0, "alpha must be in (0, 1), got {alpha}");
    assert!(degrees_of_freedom > 0, "degrees of freedom must be at least 1");
    let Ok(chi2) = ChiSquared::new(degrees_of_freedom as f64) else { unreachable!("checked above") };
    chi2.inverse_cdf(1.0 - alpha)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn critical_values_agree_with_published_and_computed_quantiles() {
        // The first three: NIST/SEMATECH e-Handbook, table of χ² critical values. The rest: closed forms,
        // −2 ln α for two degrees of freedom, and for four the root of exp(−x/2)(1 + x/2) = α by bisection.
        let table = [(0.05, 1, 3.841), (0.01, 9, 21.666), (0.001, 4, 18.467), (3.5e-6, 2, 25.126)];
        for (alpha, df, expected) in table {
            let got = critical_chi2(alpha, df);
            assert!((got - expected).abs() < 6e-4, "{alpha} {df}: {got}");
        }
        let four = critical_chi2(3.5e-6, 4);
        assert!(((-four / 2.0).exp() * (1.0 + four / 2.0) / 3.5e-6 - 1.0).abs() < 1e-6, "{four}");
    }

    #[test]
    fn a_rare_bin_needs_more_evidence_than_the_normal_approximation() {
        // scipy: s(u) = (N*u + .5)/(N + 1); p = (c + .5)/(N + 1); q = s(beta.ppf(t, shape, N - c + .5)), the greater of
        //   N*(q - p)*(log(q/p) - log((1 - q)/(1 - p))) for t = 1 - alpha and for t = alpha
        let exact = [
            (7.5, 7, 147, 3.5e-6, 24.035_852_262_552_677),
            (1.0, 1, 147, 1e-4, 14.994_218_482_841_513),
            // Here the lower tail is the longer one.
            (140.5, 140, 147, 1e-4, 16.072_881_951_960_91),
            (0.5, 0, 40, 1e-3, 12.457_325_085_346_778),
        ];
        for (shape, count, rows, alpha, expected) in exact {
            let got = rare_bin_chi2(shape, count, rows, alpha);
            assert!((got / expected - 1.0).abs() < 1e-4, "{count} of {rows}: {got}");
        }
    }

    #[test]
    fn an_alpha_or_degrees_of_freedom_out_of_range_panic() {
        for (alpha, freedom) in [(0.0, 1), (1.0, 1), (-0.1, 1), (0.5, 0)] {
            assert!(std::panic::catch_unwind(|| critical_chi2(alpha, freedom)).is_err(), "{alpha} {freedom}");
        }
    }

    #[test]
    fn the_default_budget_is_one_false_alarm_per_week() {
        let alpha = FalseAlarmBudget::default().alpha(7);
        assert!((alpha - 15.0 / 604_800.0 / 7.0).abs() < 1e-18);
    }
}
