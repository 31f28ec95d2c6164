//! Errors in numbers that came from outside, such as a scraped page.

use thiserror::Error;

/// Why counts can't be compared with a reference.
#[derive(Debug, Error, PartialEq)]
pub enum DriftError {
    /// Expected ratios and counts speak of different bins.
    #[error("{expected} expected ratios but {counts} counts: they must name the same bins")]
    LengthMismatch {
        /// How many expected ratios were given.
        expected: usize,
        /// How many counts were given.
        counts: usize,
    },
    /// A ratio that no reference can have.
    #[error("expected ratio of bin {bin} must be above 0 and at most 1, got {ratio}")]
    BadRatio {
        /// Position of the bin.
        bin: usize,
        /// What it held.
        ratio: f64,
    },
    /// A reference without rows says nothing.
    #[error("the reference has no rows")]
    EmptyReference,
    /// Counts that no service can have counted.
    #[error("the counts add up to more rows than can be counted")]
    TooManyRows,
    /// A critical value that is not a positive number.
    #[error("the critical chi-squared must be a positive number, got {0}")]
    BadCritical(f64),
}
