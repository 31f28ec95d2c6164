//! Limits the number of requests in flight and of connections, without ever waiting.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hands out permits up to a limit. It never waits, because waiting would make the load depend on the target's answers.
#[derive(Debug, Clone)]
pub(super) struct InFlight(Arc<Semaphore>);

/// The permit for one request, which is returned when it is dropped.
pub(super) type Permit = OwnedSemaphorePermit;

impl InFlight {
    /// Creates a limit of this many requests.
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))))
    }

    /// Returns a permit, unless all are taken.
    pub(super) fn try_acquire(&self) -> Option<Permit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_returned_on_drop() {
        let in_flight = InFlight::new(2);
        let first = in_flight.try_acquire();
        let second = in_flight.try_acquire();
        assert!(first.is_some() && second.is_some() && in_flight.try_acquire().is_none());
        drop(first);
        assert!(in_flight.try_acquire().is_some());
    }
}
