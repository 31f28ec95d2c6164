//! Decides which errors of predicted numbers are counted, and in which sums of powers.
//!
//! A sum in double precision has 53 bits. After one very large error, the sum of fourth powers would be so large that later errors are
//! lost by rounding. The intervals would be wrong until the process ends, long after the error has left every window. So large errors
//! are added to separate sums, and errors that would be too large for those sums are not counted.

use drift::Bins;
use model::ModelCard;

/// The least scale of a model, as a share of the greatest number that it predicts for the reference. With this minimum, labels in a unit
/// that is 1000 times too large or too small are always counted.
const LEAST_SHARE: f64 = 1.0 / 1024.0;

/// The number of scales from which on an error is large. The fourth power of a smaller error is below 2³², so that in the sum of a
/// thousand of them, the fourth power of an error of one scale still has more than ten bits.
const LARGE: f64 = 256.0;

/// The number of scales above which an error is not counted. In a sum of fourth powers up to 2⁸⁰, that of the least large error still
/// has five bits.
const LARGEST: f64 = 1_048_576.0;

/// The greatest error that is counted for any scale. Sums of many fourth powers of such errors are finite.
const FINITE: f64 = 1e70;

/// The limits between the sizes of errors of one model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ErrorSizes {
    /// The least large error.
    large: f64,
    /// The largest error that is counted.
    pub(super) largest: f64,
}

impl ErrorSizes {
    /// Returns the limits for a model. Its scale is the root mean square error on the reference, but at least `LEAST_SHARE` of the greatest
    /// predicted number.
    pub(super) fn of(card: &ModelCard) -> Self {
        let reference = &card.reference;
        let error = reference.errors.as_ref().map_or(0.0, |errors| errors.root_mean_square);
        let greatest = match &reference.by_role().prediction.bins {
            Bins::Numeric { edges } => edges.iter().fold(0.0_f64, |greatest, edge| greatest.max(edge.abs())),
            Bins::Categories { .. } | Bins::Classes { .. } => 0.0,
        };
        Self::of_scale(error.max(greatest * LEAST_SHARE))
    }

    fn of_scale(scale: f64) -> Self {
        Self { large: LARGE * scale, largest: (LARGEST * scale).min(FINITE) }
    }

    /// Returns the position of an error in [`SIZES`].
    pub(super) fn index(self, error: f64) -> usize {
        usize::from(error.abs() >= self.large)
    }
}

/// The values of the label `size`.
pub(super) const SIZES: [&str; 2] = ["usual", "large"];

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the amount by which one more error increases a sum of fourth powers after a thousand errors, as a share of the exact amount.
    fn counted_after(before: f64, error: f64) -> f64 {
        let mut sum = 0.0;
        (0..1000).for_each(|_| sum += before.powi(4));
        let start: f64 = sum;
        (0..1000).for_each(|_| sum += error.powi(4));
        (sum - start) / (1000.0 * error.powi(4))
    }

    #[test]
    fn the_smallest_error_counts_after_a_thousand_of_the_largest_of_its_size() {
        let sizes = ErrorSizes::of_scale(1.7);
        let below = sizes.large * (1.0 - f64::EPSILON);
        assert_eq!([1.7, -below, -sizes.large, sizes.largest].map(|error| sizes.index(error)), [0, 0, 1, 1]);
        assert!((counted_after(below, 1.7) - 1.0).abs() < 1e-3);
        // In a single sum, the smallest error would be lost.
        assert_eq!(counted_after(sizes.largest, 1.7), 0.0);
        let one = sizes.largest.powi(4);
        let added = (one + sizes.large.powi(4) - one) / sizes.large.powi(4);
        assert!((added - 1.0).abs() < 1.0 / 32.0, "{added}");
    }

    #[test]
    fn powers_are_finite_for_every_scale() {
        let sizes = ErrorSizes::of_scale(1e150);
        assert!((1e9 * sizes.largest.powi(4)).is_finite());
        assert_eq!(sizes.index(sizes.largest), 0);
    }
}
