//! Errors in numbers from outside, such as those of a scraped page.

use thiserror::Error;

/// Why counts can't be compared with a reference.
#[derive(Debug, Error, PartialEq)]
pub enum DriftError {
    /// The numbers of expected shares and of counts differ.
    #[error("there are {expected} expected ratios but {counts} counts; give one of each per bin")]
    LengthMismatch {
        /// The number of expected shares.
        expected: usize,
        /// The number of counts.
        counts: usize,
    },
    /// An expected share is out of range.
    #[error("expected ratio of bin {bin} must be above 0 and at most 1, got {ratio}")]
    BadRatio {
        /// Position of the bin.
        bin: usize,
        /// The invalid share.
        ratio: f64,
    },
    /// The reference has no rows to compare with.
    #[error("the reference must have at least 1 row, got 0")]
    EmptyReference,
    /// The sum of the counts is out of range.
    #[error("the counts must add up to at most {}, which they exceed", u64::MAX)]
    TooManyRows,
    /// The critical value is not a positive number.
    #[error("the critical chi-squared must be a positive number, got {0}")]
    BadCritical(f64),
}
