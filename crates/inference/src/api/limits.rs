//! The limits on one request.

use super::answer::AnswerTexts;
use crate::{Settings, memory::SMALL_ANSWER, reason::Reason, refusal::Refusal};
use bytesize::ByteSize;
use model::ModelCard;

/// A body up to this size is parsed and scored on the worker. That takes about a millisecond, so other requests of the worker
/// wait at most that long.
const SMALL_BODY: usize = 16 << 10;

/// Bytes allowed per feature, so that one wide row does not count as a large request: enough for two numbers as JSON.
const SMALL_FEATURE: usize = 64;

/// Bytes of memory that a row of a tensor takes beside its values, until its prediction is written: lists of its values and of
/// its probabilities, with the overhead of their allocations.
const TENSOR_ROW: usize = 160;

/// Bytes of memory per byte of a body that the rows of tensors may take, beside the values. Together with two copies of each
/// value, which take at most 16 bytes per byte of the body, that is `memory::WORK_PER_BODY_BYTE`.
const TENSOR_ROWS_PER_BODY_BYTE: usize = 32;

/// The limits on one request.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most bytes of the answer to one row.
    row: usize,
    small_body: usize,
    answer: usize,
    tensor_rows: usize,
}

impl Limits {
    /// Computes the limits for a model.
    pub fn new(settings: &Settings, card: &ModelCard) -> Self {
        Self {
            row: AnswerTexts::new(card).largest_answer(),
            small_body: SMALL_BODY.max(SMALL_FEATURE * card.features.len()),
            answer: settings.answer_limit,
            tensor_rows: settings.body_limit.saturating_mul(TENSOR_ROWS_PER_BODY_BYTE)
                / (TENSOR_ROW + size_of::<f64>() * card.classes.len()),
        }
    }

    /// Returns whether a body makes its request a large one.
    pub fn is_large_body(&self, bytes: usize) -> bool {
        bytes > self.small_body
    }

    /// Returns whether the answer to so many rows makes their request a large one.
    pub fn is_large_answer(&self, rows: usize) -> bool {
        rows > 1 && self.answer_bytes(rows) > SMALL_ANSWER
    }

    /// Returns the most bytes that the answer to so many rows can take.
    pub fn answer_bytes(&self, rows: usize) -> usize {
        rows.saturating_mul(self.row).saturating_add(32)
    }

    /// Checks that so many rows of tensors, which may be a byte long, take no more memory than is announced.
    ///
    /// # Errors
    /// If they would, or if the answer could be too large; the error names the number of rows that can be answered.
    pub fn check_tensor_rows(&self, rows: usize) -> Result<(), Refusal> {
        self.check_answer(rows)?;
        if rows <= self.tensor_rows.max(1) {
            return Ok(());
        }
        let message = format!("{rows} rows are too many; send at most {} rows at a time", self.tensor_rows);
        Err(Refusal::new(Reason::BodyTooLarge, message).at("inputs"))
    }

    /// Checks that the answer to so many rows cannot be too large.
    ///
    /// # Errors
    /// If it could; the error names the number of rows that can be answered.
    pub fn check_answer(&self, rows: usize) -> Result<(), Refusal> {
        if rows <= 1 || self.answer_bytes(rows) <= self.answer {
            return Ok(());
        }
        let most = (self.answer / self.row).max(1);
        let message = format!(
            "the answer to {rows} rows could be larger than {}; send at most {most} rows at a time",
            ByteSize(self.answer as u64)
        );
        Err(Refusal::new(Reason::AnswerTooLarge, message).at("instances"))
    }
}
