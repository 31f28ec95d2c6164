//! Computes the greatest memory that requests can take, from the limits on connections, requests and bodies.

use crate::{Settings, connection};

/// The greatest size of an answer that every request in flight may hold. Larger answers count as those of large requests.
pub(crate) const SMALL_ANSWER: usize = 64 << 10;

/// The limit on arriving bodies, and the limit on queued ones, as a multiple of the largest body.
const BODIES: usize = 32;

/// The greatest memory, in bytes per byte of the body, for reading a body and scoring its rows. The greatest measured value is 38,
/// for a row of one named feature, `{"a":0},`. The test `memory_stays_below_the_announced_limit` compares the sum with the
/// process's peak.
pub const WORK_PER_BODY_BYTE: usize = 48;

/// The greatest memory that requests can take, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct WorstCase {
    /// Buffers of all connections.
    pub connections: usize,
    /// The memory of small requests in flight.
    pub small: usize,
    /// The memory of large requests in flight: for reading, for scoring, and for answers that are not sent yet.
    pub large: usize,
    /// The memory of bodies that are still arriving.
    pub arriving: usize,
    /// The memory of the bodies of large requests that wait for a permit.
    pub queued: usize,
}

impl WorstCase {
    /// Computes the greatest memory from the settings and the number of connections.
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

    /// Returns the limit on arriving bodies, which is also the limit on queued ones.
    pub fn bodies(settings: &Settings) -> usize {
        settings.body_limit.saturating_mul(BODIES)
    }

    /// Returns the sum.
    pub fn total(&self) -> usize {
        let parts = [self.connections, self.small, self.large, self.arriving, self.queued];
        parts.into_iter().fold(0, usize::saturating_add)
    }
}
