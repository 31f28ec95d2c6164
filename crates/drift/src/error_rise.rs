//! The errors of predicted numbers on rows with feedback, and how far their mean may exceed that of the reference by chance.

use crate::{FalseAlarmBudget, MIN_ROWS, accuracy::Z95};

/// The smallest rise of the mean absolute error that matters in practice, as a share of the error on the reference. It is relative,
/// because errors have the unit of the predicted number. A tenth is also about the relative standard error of the mean absolute
/// error of 60 rows, the fewest that are judged, if errors are normal: √(π/2 − 1)/√60 = 0.098.
pub const PRACTICAL_RISE: f64 = 0.1;

/// Sums over the errors (predicted minus actual number) of rows with feedback. Sums can be added up over time and over replicas.
///
/// ```
/// let mut sums = drift::ErrorSums::default();
/// for row in 0..100 {
///     sums.add(if row % 4 == 0 { -3.0 } else { 1.0 });
/// }
/// let bias = sums.bias().unwrap();
/// assert_eq!((sums.mean_absolute_error().unwrap().value, bias.value), (1.5, 0.0));
/// assert!(bias.low < 0.0 && 0.0 < bias.high);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ErrorSums {
    /// The number of errors.
    pub rows: u64,
    /// The sum of the errors above 0.
    pub over: f64,
    /// The sum of the errors below 0, without their sign.
    pub under: f64,
    /// The sum of the squared errors.
    pub squared: f64,
    /// The sum of the fourth powers of the errors.
    pub fourth_power: f64,
}

/// An estimated number and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

/// The absolute errors on the reference rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReferenceErrors {
    /// The mean of the absolute errors.
    pub mean_absolute: f64,
    /// The standard deviation of the absolute errors.
    pub absolute_sd: f64,
    /// The number of reference rows.
    pub rows: u64,
}

impl ErrorSums {
    /// Adds the error of one row.
    pub fn add(&mut self, error: f64) {
        self.rows += 1;
        self.over += error.max(0.0);
        self.under += (-error).max(0.0);
        self.squared += error.powi(2);
        self.fourth_power += error.powi(4);
    }

    /// Returns the mean absolute error, in the unit of the predicted number. `None` below 60 rows, because the interval is a normal
    /// approximation.
    pub fn mean_absolute_error(&self) -> Option<Estimate> {
        let mean = self.mean(self.over + self.under)?;
        let width = Z95 * self.absolute_variance(mean).sqrt();
        Some(Estimate { value: mean, low: (mean - width).max(0.0), high: mean + width })
    }

    /// Returns the root mean square error, in the unit of the predicted number. Its interval follows from that of the mean square
    /// error, whose standard error is √((Σ error⁴/n − MSE²)/n). `None` below 60 rows.
    pub fn root_mean_square_error(&self) -> Option<Estimate> {
        let mean_square = self.mean(self.squared)?;
        let width = Z95 * self.variance(self.mean(self.fourth_power)?, mean_square).sqrt();
        Some(Estimate {
            value: mean_square.sqrt(),
            low: (mean_square - width).max(0.0).sqrt(),
            high: (mean_square + width).sqrt(),
        })
    }

    /// Returns the mean error, in the unit of the predicted number: above 0 if predictions are too high. `None` below 60 rows.
    pub fn bias(&self) -> Option<Estimate> {
        let mean = self.mean(self.over - self.under)?;
        let width = Z95 * self.variance(self.mean(self.squared)?, mean).sqrt();
        Some(Estimate { value: mean, low: mean - width, high: mean + width })
    }

    /// Returns how far the mean absolute error is above that of the reference. `None` below 60 rows.
    pub fn rise(&self, reference: &ReferenceErrors) -> Option<f64> {
        Some(self.mean(self.over + self.under)? - reference.mean_absolute)
    }

    /// Returns the greatest rise of the mean absolute error above that of the reference that is not significant or does not matter
    /// in practice. `None` below 60 rows.
    ///
    /// It is the greater of [`PRACTICAL_RISE`] times the reference's error and √(2·L)·√(s²/n + s_ref²/N), with L = ln(1/α) and the
    /// standard deviations s of the absolute error. √(2·L) is the z at which Chernoff's bound of a normal variable,
    /// P(Z > z) ≤ exp(−z²/2), is α (S. Boucheron, G. Lugosi, P. Massart, "Concentration Inequalities", 2013, section 2.2). It is
    /// above the exact quantile, which makes up for standard deviations that are measured on the same rows as the means. Bernstein's
    /// bound, which limits accuracy, cannot be used here, because it needs a greatest possible error.
    pub fn rise_limit(&self, reference: &ReferenceErrors, budget: &FalseAlarmBudget) -> Option<f64> {
        let mean = self.mean(self.over + self.under)?;
        let variance = self.absolute_variance(mean) + reference.absolute_sd.powi(2) / reference.rows as f64;
        let chance = (-2.0 * budget.alpha(1).ln() * variance).sqrt();
        Some(chance.max(PRACTICAL_RISE * reference.mean_absolute))
    }

    fn mean(&self, sum: f64) -> Option<f64> {
        (self.rows >= MIN_ROWS).then(|| sum / self.rows as f64)
    }

    /// Returns the variance of the mean absolute error. The squares of absolute errors are those of the errors.
    fn absolute_variance(&self, mean: f64) -> f64 {
        self.variance(self.squared / self.rows as f64, mean)
    }

    /// Returns the variance of a mean, from the mean of the squares. If all values are equal, rounding could make it negative, so it is
    /// at least 0.
    fn variance(&self, mean_of_squares: f64, mean: f64) -> f64 {
        (mean_of_squares - mean.powi(2)).max(0.0) / self.rows as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sums(errors: impl IntoIterator<Item = f64>) -> ErrorSums {
        let mut sums = ErrorSums::default();
        errors.into_iter().for_each(|error| sums.add(error));
        sums
    }

    fn eighty() -> ErrorSums {
        sums((0..80).map(|i| f64::from(i * 37 % 101) / 10.0 - 4.0))
    }

    #[test]
    fn means_and_intervals_agree_with_numpy() {
        // i = numpy.arange(80); e = i*37 % 101/10 - 4; a = abs(e); z = 1.959964; se = lambda x: x.std()/80**.5
        // Mean absolute error and bias are mean, mean - z*se and mean + z*se of a and of e. The root mean square error is the square
        // roots of these three numbers of e*e.
        let exact = [
            (eighty().mean_absolute_error(), [2.6475, 2.290_327_564_862_482_6, 3.004_672_435_137_517_4]),
            (
                eighty().root_mean_square_error(),
                [3.109_019_137_927_587_6, 2.746_723_255_663_021, 3.433_294_533_942_571],
            ),
            (eighty().bias(), [1.0025, 0.357_608_038_488_358_1, 1.647_391_961_511_641_7]),
        ];
        for (estimate, [value, low, high]) in exact {
            let got = estimate.unwrap();
            for (got, exact) in [(got.value, value), (got.low, low), (got.high, high)] {
                assert!((got - exact).abs() < 1e-12, "{got}, not {exact}");
            }
        }
    }

    #[test]
    fn the_limit_of_the_rise_agrees_with_numpy() {
        // max(.1*mean, sqrt(2*log(604800/15))*sqrt(a.var()/80 + sd**2/rows))
        let exact = [
            (2.0, 1.5, 147, 1.014_383_316_691_453_8),
            (2.0, 1.5, 1_000_000, 0.839_279_770_273_637_8),
            (40.0, 0.5, 500, 4.0),
        ];
        for (mean_absolute, absolute_sd, rows, exact) in exact {
            let reference = ReferenceErrors { mean_absolute, absolute_sd, rows };
            let got = eighty().rise_limit(&reference, &FalseAlarmBudget::default()).unwrap();
            assert!((got - exact).abs() < 1e-12, "{got}, not {exact}");
            assert!((eighty().rise(&reference).unwrap() - (2.6475 - mean_absolute)).abs() < 1e-12);
        }
    }

    #[test]
    fn there_is_no_estimate_below_60_rows() {
        let reference = ReferenceErrors { mean_absolute: 1.0, absolute_sd: 1.0, rows: 147 };
        let few = sums((0..59).map(f64::from));
        assert_eq!((few.mean_absolute_error(), few.root_mean_square_error(), few.bias()), (None, None, None));
        assert_eq!(few.rise(&reference), None);
        assert_eq!(few.rise_limit(&reference, &FalseAlarmBudget::default()), None);
        assert!(sums((0..60).map(f64::from)).bias().is_some());
    }

    #[test]
    fn equal_errors_have_intervals_of_width_0() {
        // 0.1² added up a hundred times is not exactly a hundred times 0.1².
        let equal = sums([0.1; 100]);
        for estimate in [equal.mean_absolute_error(), equal.root_mean_square_error(), equal.bias()] {
            let Estimate { value, low, high } = estimate.unwrap();
            assert!((value - 0.1).abs() < 1e-12 && high - low < 1e-8, "{low} {value} {high}");
        }
        let perfect = ReferenceErrors { mean_absolute: 0.0, absolute_sd: 0.0, rows: 147 };
        let nothing = sums([0.0; 100]);
        assert_eq!(nothing.rise_limit(&perfect, &FalseAlarmBudget::default()), Some(0.0));
        assert_eq!(nothing.rise(&perfect), Some(0.0));
    }

    #[test]
    fn a_single_enormous_error_does_not_exceed_the_limit() {
        let reference = ReferenceErrors { mean_absolute: 0.8, absolute_sd: 0.6, rows: 1000 };
        let usual = (0..1000).map(|i| f64::from(i % 5) * 0.8 - 1.6);
        for enormous in [1e2, 1e4, 1e8] {
            let one = sums(usual.clone().chain([enormous]));
            let limit = one.rise_limit(&reference, &FalseAlarmBudget::default()).unwrap();
            assert!(one.rise(&reference).unwrap() < limit, "{enormous}");
        }
    }

    proptest! {
        #[test]
        fn intervals_contain_their_estimate(errors in prop::collection::vec(-1e3..1e3_f64, 60..200)) {
            let all = sums(errors.iter().copied());
            for estimate in [all.mean_absolute_error(), all.root_mean_square_error(), all.bias()] {
                let Estimate { value, low, high } = estimate.unwrap();
                prop_assert!(low <= value && value <= high, "{low} {value} {high}");
            }
            // |bias| ≤ MAE ≤ RMSE.
            let [mae, rmse, bias] =
                [all.mean_absolute_error(), all.root_mean_square_error(), all.bias()].map(|of| of.unwrap().value);
            prop_assert!(bias.abs() <= mae + 1e-9 && mae <= rmse + 1e-9, "{bias} {mae} {rmse}");
            let negated = sums(errors.iter().map(|error| -error)).bias().unwrap();
            prop_assert!((negated.value + bias).abs() < 1e-9);
        }
    }
}
