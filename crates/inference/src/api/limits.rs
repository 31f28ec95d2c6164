//! The limits on one request.

use super::answer::AnswerTexts;
use crate::{Settings, memory::SMALL_ANSWER, reason::Reason, refusal::Refusal};
use bytesize::ByteSize;
use model::ModelCard;

/// The greatest size of a body that is parsed and scored on the worker. This takes about a millisecond, for which other requests of the
/// worker have to wait.
const SMALL_BODY: usize = 16 << 10;

/// The bytes per feature up to which a body is small, so that one row of many features is not a large request. They are enough for two
/// numbers as JSON.
const SMALL_FEATURE: usize = 64;

/// The memory of a row of a tensor, in bytes, in addition to its values, until its prediction is written: the lists of its values and of
/// its probabilities, with the overhead of their allocations.
const TENSOR_ROW: usize = 160;

/// The greatest memory of the rows of tensors, in bytes per byte of the body, in addition to the values. Together with two copies of
/// each value, which take at most 16 bytes per byte of the body, this is `memory::WORK_PER_BODY_BYTE`.
const TENSOR_ROWS_PER_BODY_BYTE: usize = 32;

/// The limits on one request.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The greatest number of bytes of the answer for one row.
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

    /// Returns whether a request with a body of this size is a large one.
    pub fn is_large_body(&self, bytes: usize) -> bool {
        bytes > self.small_body
    }

    /// Returns whether a request is a large one because of the answer for this number of rows.
    pub fn is_large_answer(&self, rows: usize) -> bool {
        rows > 1 && self.answer_bytes(rows) > SMALL_ANSWER
    }

    /// Returns the greatest number of bytes of the answer for this number of rows.
    pub fn answer_bytes(&self, rows: usize) -> usize {
        rows.saturating_mul(self.row).saturating_add(32)
    }

    /// Checks that this number of rows of tensors does not take more memory than the announced limit. A row may be a single byte long.
    ///
    /// # Errors
    /// Returns an error if the rows would take more, or if the answer could be too large. The error names the number of rows to send.
    pub fn check_tensor_rows(&self, rows: usize) -> Result<(), Refusal> {
        self.check_answer(rows)?;
        if rows <= self.tensor_rows.max(1) {
            return Ok(());
        }
        let message =
            format!("expected at most {} rows per request, got {rows}; send fewer", self.tensor_rows);
        Err(Refusal::new(Reason::BodyTooLarge, message).at("inputs"))
    }

    /// Checks that the answer for this number of rows cannot be too large.
    ///
    /// # Errors
    /// Returns an error if the answer could be too large. The error names the number of rows to send.
    pub fn check_answer(&self, rows: usize) -> Result<(), Refusal> {
        if rows <= 1 || self.answer_bytes(rows) <= self.answer {
            return Ok(());
        }
        let most = (self.answer / self.row).max(1);
        let message = format!(
            "the answer for {rows} rows could be larger than {}; send at most {most} rows per request",
            ByteSize(self.answer as u64)
        );
        Err(Refusal::new(Reason::AnswerTooLarge, message).at("instances"))
    }
}
