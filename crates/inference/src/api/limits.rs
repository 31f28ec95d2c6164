//! How much one request may ask for, and what memory follows from that at worst.

use super::{ApiError, Reason, predict};
use crate::{Settings, connection};
use bytesize::ByteSize;
use model::ModelCard;

/// A body up to this size is read and scored where it arrived. It takes about a millisecond, so other requests on the same
/// worker wait at most that long.
const SMALL_BODY: usize = 16 << 10;

/// Bytes allowed per feature, so that one wide row does not count as a large request: enough for two numbers as JSON.
const SMALL_FEATURE: usize = 64;

/// Answers up to this size may be held by every request in flight.
const SMALL_ANSWER: usize = 64 << 10;

/// How many bodies of the largest size may be arriving, and how many may wait for their turn.
const BODIES: usize = 32;

/// Most bytes of memory that reading a body and scoring its rows takes for each of its bytes. A row of one named feature,
/// `{"a":0},`, takes 38 times its size until it is answered; the test
/// `memory_stays_below_what_is_announced_whatever_clients_send` measures that.
pub const WORK_PER_BODY_BYTE: usize = 48;

/// What a request may ask for.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most bytes of the answer to one row.
    row: usize,
    small_body: usize,
    answer: usize,
}

impl Limits {
    /// What the settings allow for this model.
    pub fn new(settings: &Settings, card: &ModelCard) -> Self {
        Self {
            row: predict::largest_answer(card),
            small_body: SMALL_BODY.max(SMALL_FEATURE * card.features.len()),
            answer: settings.answer_limit,
        }
    }

    /// Whether a body is to be worked on apart, so that others don't have to wait for it.
    pub fn is_large_body(&self, bytes: usize) -> bool {
        bytes > self.small_body
    }

    /// Whether the answer to so many rows is to be made apart.
    pub fn is_large_answer(&self, rows: usize) -> bool {
        rows > 1 && self.answer_bytes(rows) > SMALL_ANSWER
    }

    /// Most bytes that the answer to so many rows can take.
    pub fn answer_bytes(&self, rows: usize) -> usize {
        rows.saturating_mul(self.row).saturating_add(32)
    }

    /// Refuses rows whose answer could be too large.
    ///
    /// # Errors
    /// With the number of rows that can be answered.
    pub fn check_answer(&self, rows: usize) -> Result<(), ApiError> {
        if rows <= 1 || self.answer_bytes(rows) <= self.answer {
            return Ok(());
        }
        let most = (self.answer / self.row).max(1);
        let message = format!(
            "the answer to {rows} rows could be larger than {}; send at most {most} rows at a time",
            ByteSize(self.answer as u64)
        );
        Err(ApiError::new(Reason::AnswerTooLarge, message).at("instances"))
    }
}

/// What memory the service takes at worst, in bytes, whatever its clients do.
#[derive(Debug, Clone, Copy)]
pub struct WorstCase {
    /// Buffers of all connections.
    pub connections: usize,
    /// Small requests in flight.
    pub small: usize,
    /// Large requests in flight: reading, scoring, and answers that are not sent yet.
    pub large: usize,
    /// Bodies that are still arriving.
    pub arriving: usize,
    /// Bodies of large requests that wait for their turn.
    pub queued: usize,
}

impl WorstCase {
    /// What the settings lead to.
    pub fn of(settings: &Settings, connections: usize) -> Self {
        let large =
            settings.body_limit.saturating_mul(WORK_PER_BODY_BYTE).saturating_add(settings.answer_limit);
        Self {
            connections: connections
                .saturating_add(settings.metrics_listen.map_or(0, |_| connection::METRICS_CONNECTIONS))
                .saturating_mul(connection::BYTES_PER_CONNECTION),
            small: settings.max_in_flight.saturating_mul(SMALL_ANSWER),
            large: settings.max_large_in_flight.saturating_mul(large),
            arriving: Self::bodies(settings),
            queued: Self::bodies(settings),
        }
    }

    /// Most bytes of arriving bodies, and of queued ones.
    pub fn bodies(settings: &Settings) -> usize {
        settings.body_limit.saturating_mul(BODIES)
    }

    /// All of it.
    pub fn total(&self) -> usize {
        let parts = [self.connections, self.small, self.large, self.arriving, self.queued];
        parts.into_iter().fold(0, usize::saturating_add)
    }
}
