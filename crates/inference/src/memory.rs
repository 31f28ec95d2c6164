//! The most memory that clients can make the service hold, from the limits on connections, requests and bodies.

use crate::{Settings, connection};

/// Answers up to this size may be held by every request in flight.
pub(crate) const SMALL_ANSWER: usize = 64 << 10;

/// The limit on arriving bodies, and that on queued ones, in bodies of the largest size.
const BODIES: usize = 32;

/// The most bytes of memory that reading a body and scoring its rows takes per byte of the body. A row of one named feature,
/// `{"a":0},`, takes 38 times its size until it is answered, the most that was measured. The test
/// `memory_stays_below_what_is_announced_whatever_clients_send` holds the sum against the process's peak.
pub const WORK_PER_BODY_BYTE: usize = 48;

/// The most memory that clients can make the service hold, in bytes.
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
    /// Computes it from the settings and the number of connections.
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

    /// Returns the limit on arriving bodies, which is also that on queued ones.
    pub fn bodies(settings: &Settings) -> usize {
        settings.body_limit.saturating_mul(BODIES)
    }

    /// Returns the sum.
    pub fn total(&self) -> usize {
        let parts = [self.connections, self.small, self.large, self.arriving, self.queued];
        parts.into_iter().fold(0, usize::saturating_add)
    }
}
