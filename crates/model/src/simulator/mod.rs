//! A pool of synthetic rows like the reference, from which traffic is drawn. Each value is coded in one byte.
//!
//! A number that many rows have is coded as a point. Any other number is coded as the interval between two edges, in which the drawn
//! value is uniform. So a drawn row keeps the relations between the columns of a row of the pool, but not its numbers.
//!
//! Layout:
//! - this module: the simulator as it is in the card
//! - `levels`: the numbers that the codes of a feature stand for
//! - `draw`: decodes the pool and draws rows from it

mod draw;
mod levels;

pub use draw::{Pool, pick_class};
pub use levels::{Levels, round_to};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The code of a missing value.
pub(crate) const MISSING: u8 = u8::MAX;

/// A pool of rows like the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Simulator {
    /// The meaning of the codes of each feature, in the order of the features.
    pub levels: Vec<Levels>,
    /// The number of rows in the pool.
    pub rows: usize,
    /// The rows in base64. Each row is the position of its class, one code per feature, and two bytes, the more significant first, per
    /// feature that has weighted categories: 0, or one more than the position of the weighted category that the code of other
    /// categories stands for.
    pub codes: String,
    /// The verdicts on rows that were drawn from the pool after training.
    pub check: SimulatorCheck,
}

/// The verdicts on rows drawn from the pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SimulatorCheck {
    /// The number of rows that were drawn.
    pub rows: u64,
    /// The signals that drift on these rows.
    pub drifting: Vec<String>,
    /// The number of held-out rows of the table that were judged in the same way; 0 if there were too few.
    pub held_out_rows: u64,
    /// The signals that drift on the held-out rows.
    pub held_out_drifting: Vec<String>,
}

/// An inconsistency in a simulator.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("simulator.{field}: {problem}")]
pub struct SimulatorError {
    /// Path of the field.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl Simulator {
    /// Returns a simulator without rows.
    pub fn empty() -> Self {
        Self::new(Vec::new(), 0, &[])
    }

    /// Returns a simulator without a check.
    pub(crate) fn new(levels: Vec<Levels>, rows: usize, codes: &[u8]) -> Self {
        Self { levels, rows, codes: BASE64_STANDARD.encode(codes), check: SimulatorCheck::default() }
    }
}
