//! Accuracy on rows with feedback, and how far it may be below the expected accuracy by chance.

use crate::FalseAlarmBudget;

/// The smallest gap that matters in practice: one more error in twenty rows.
pub const PRACTICAL_GAP: f64 = 0.05;

/// The standard normal quantile for intervals of 95 %.
pub(crate) const Z95: f64 = 1.959_964;

/// Returns the 95 % interval around a share of `right` in `rows`, by E. B. Wilson, "Probable Inference, the Law of
/// Succession, and Statistical Inference" (1927). Unlike the normal approximation, it stays within [0, 1] and does not shrink to
/// a point at either end. `None` without rows.
///
/// ```
/// let [low, high] = drift::wilson(81, 263).unwrap(); // R. G. Newcombe (1998), Table I
/// assert!((low - 0.2553).abs() < 5e-5 && (high - 0.3662).abs() < 5e-5);
/// ```
pub fn wilson(right: u64, rows: u64) -> Option<[f64; 2]> {
    if rows == 0 {
        return None;
    }
    let (n, share) = (rows as f64, right as f64 / rows as f64);
    let square = Z95 * Z95;
    let middle = share + square / (2.0 * n);
    let width = Z95 * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
    Some([middle - width, middle + width].map(|end| end / (1.0 + square / n)))
}

/// Returns the accuracy to expect on rows from the mean `confidence` of a model on them: the confidence, less the difference between
/// confidence and accuracy on the reference, limited to 0 and 1. The difference is about 0 for a calibrated model.
///
/// This assumes that the difference is the same on all rows. It is not if a model is badly calibrated and the rows are much harder
/// or easier than those of the reference.
///
/// ```
/// // On the reference, confidence is 0.95 and accuracy 0.80. On the rows, confidence is 0.93.
/// assert!((drift::accuracy_estimate(0.93, 0.95, 0.80) - 0.78).abs() < 1e-12);
/// ```
pub fn accuracy_estimate(confidence: f64, reference_confidence: f64, reference_accuracy: f64) -> f64 {
    (confidence - (reference_confidence - reference_accuracy)).clamp(0.0, 1.0)
}

/// Returns the greatest distance of accuracy below the `expected` accuracy that is not significant or does not matter in practice.
/// Alerts on accuracy use this limit. `labelled` is the number of rows with feedback, and `reference_rows` the number of rows that
/// the expected accuracy was measured on.
///
/// It is the greater of [`PRACTICAL_GAP`] and Bernstein's bound, L/(3m) + √((L/(3m))² + 2·L·v/m), with v =
/// expected·(1 − expected), 1/m = 1/labelled + 1/reference_rows and L = ln(1/α) (S. Boucheron, G. Lugosi, P. Massart,
/// "Concentration Inequalities", 2013, section 2.8). Rows differ in their probability of a correct prediction; v is the greatest
/// variance that they can have with this mean. The bound holds for any number of rows, where a normal approximation would give
/// false alarms at an accuracy near 1. It covers sampling only, not the difference between the weights that are served and those
/// that the calibration was measured with. Returns infinity if there are no rows.
pub fn accuracy_gap_limit(
    expected: f64,
    labelled: u64,
    reference_rows: u64,
    budget: &FalseAlarmBudget,
) -> f64 {
    let noise = 1.0 / labelled as f64 + 1.0 / reference_rows as f64;
    if noise.is_infinite() {
        return f64::INFINITY;
    }
    let spent = -budget.alpha(1).ln() * noise;
    let variance = expected * (1.0 - expected);
    let chance = spent / 3.0 + ((spent / 3.0).powi(2) + 2.0 * spent * variance).sqrt();
    chance.max(PRACTICAL_GAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_intervals_stay_within_0_and_1() {
        for (right, rows) in [(0, 1), (1, 1), (0, 20), (20, 20), (999, 1000)] {
            let [low, high] = wilson(right, rows).unwrap();
            let share = right as f64 / rows as f64;
            assert!(-1e-12 <= low && low <= share + 1e-12 && share - 1e-12 <= high && high <= 1.0 + 1e-12);
            assert!(high - low > 1e-3);
        }
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn accuracy_estimates_stay_within_0_and_1() {
        assert_eq!(accuracy_estimate(0.9, 0.9, 0.9), 0.9);
        assert_eq!(accuracy_estimate(0.99, 0.7, 0.9), 1.0);
        assert_eq!(accuracy_estimate(0.4, 0.95, 0.5), 0.0);
    }

    #[test]
    fn accuracy_exceeds_the_limit_by_chance_less_often_than_the_budget_allows() {
        // Adds up the exact binomial probabilities of 60 rows at an accuracy of 0.95 that lie beyond the limit.
        let budget = FalseAlarmBudget::default();
        let limit = accuracy_gap_limit(0.95, 60, u64::MAX, &budget);
        let mut term = 0.95_f64.powi(60);
        let mut below = 1.0;
        for wrong in 0..=60_u32 {
            if f64::from(wrong) / 60.0 - 0.05 > limit {
                break;
            }
            below -= term;
            term *= f64::from(60 - wrong) / f64::from(wrong + 1) * (0.05 / 0.95);
        }
        assert!(below < budget.alpha(1), "{below:e} at a limit of {limit}");
    }

    #[test]
    fn the_limit_solves_bernsteins_inequality() {
        // scipy: brentq(lambda t: m*t*t/(2*v + 2*t/3) + log(15/604800), 1e-12, 1e3), m = 1/(1/labelled + 1/reference)
        let exact = [
            (0.9, 60, 147, 0.310_297_040_842_538_7),
            (0.7, 500, 1000, 0.126_683_271_314_692_2),
            (0.99, 80, 300, 0.136_324_462_864_652_3),
            (0.5, 100, 100, 0.403_930_221_268_058_7),
        ];
        for (expected, labelled, reference, limit) in exact {
            let got = accuracy_gap_limit(expected, labelled, reference, &FalseAlarmBudget::default());
            assert!((got / limit - 1.0).abs() < 1e-9, "{expected} {labelled} {reference}: {got}");
        }
    }

    #[test]
    fn the_limit_falls_with_more_rows_to_the_practical_gap() {
        let at = |rows| accuracy_gap_limit(0.9, rows, 1_000_000, &FalseAlarmBudget::default());
        assert!(at(60) > at(600) && at(600) > at(6_000));
        assert_eq!(at(1_000_000), PRACTICAL_GAP);
        for accuracy in [0.0, 0.9, 1.0] {
            let limit = accuracy_gap_limit(accuracy, 0, 147, &FalseAlarmBudget::default());
            assert_eq!(
                limit,
                f64::INFINITY,
                "the limit is infinite without rows, at an accuracy of {accuracy}"
            );
        }
    }
}
