//! Which errors of predicted numbers are counted, and in which sums of powers.
//!
//! A sum in double precision has 53 bits. One very large error would take all of them in the sum of fourth powers: what is added later
//! would be rounded away, and the intervals would be wrong until the process ends, long after the error has left every window. So large
//! errors have sums of their own, and errors that would take the bits of those are not counted.

use drift::Bins;
use model::ModelCard;

/// A model's scale is at least this share of the greatest number that it predicts for the reference, so that labels in a unit that is
/// 1000 times too large or too small are always counted.
const LEAST_SHARE: f64 = 1.0 / 1024.0;

/// Errors from this many scales on are large. The fourth power of a smaller one is below 2³² scales, so a thousand of them leave more
/// than ten bits below the fourth power of an error of one scale.
const LARGE: f64 = 256.0;

/// Errors beyond this many scales are not counted. A fourth power of 2⁸⁰ leaves five bits below that of the least large error.
const LARGEST: f64 = 1_048_576.0;

/// The greatest error for any scale. Sums of many fourth powers of smaller errors are finite.
const FINITE: f64 = 1e70;

/// The sizes that errors of one model are told apart by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ErrorSizes {
    /// The least large error.
    large: f64,
    /// The largest error that is counted.
    pub(super) largest: f64,
}

impl ErrorSizes {
    /// Returns the sizes for a model. Its scale is the root mean square error on the reference, if that is known and no less than
    /// `LEAST_SHARE` of the predicted numbers.
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

    /// What is added to a sum of fourth powers after a thousand errors, as a share of what should be.
    fn counted_after(before: f64, error: f64) -> f64 {
        let mut sum = 0.0;
        (0..1000).for_each(|_| sum += before.powi(4));
        let start: f64 = sum;
        (0..1000).for_each(|_| sum += error.powi(4));
        (sum - start) / (1000.0 * error.powi(4))
    }

    #[test]
    fn a_thousand_of_the_largest_errors_of_a_size_leave_room_for_the_least() {
        let sizes = ErrorSizes::of_scale(1.7);
        let below = sizes.large * (1.0 - f64::EPSILON);
        assert_eq!([1.7, -below, -sizes.large, sizes.largest].map(|error| sizes.index(error)), [0, 0, 1, 1]);
        assert!((counted_after(below, 1.7) - 1.0).abs() < 1e-3);
        // In one sum they would not.
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
