//! Bounds that are never waited for: on requests in flight, and on connections.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Hands out permits up to a limit. Never waits: an open loop that waited would no longer be one.
#[derive(Debug, Clone)]
pub(super) struct InFlight {
    taken: Arc<AtomicUsize>,
    limit: usize,
}

/// Leave for one request; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<AtomicUsize>);

impl InFlight {
    /// With room for `limit` requests.
    pub(super) fn new(limit: usize) -> Self {
        Self { taken: Arc::default(), limit }
    }

    /// A permit, unless all are taken.
    pub(super) fn try_acquire(&self) -> Option<Permit> {
        let more = |taken| (taken < self.limit).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Permit(Arc::clone(&self.taken)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_given_back_on_drop() {
        let in_flight = InFlight::new(2);
        let first = in_flight.try_acquire();
        let second = in_flight.try_acquire();
        assert!(first.is_some() && second.is_some() && in_flight.try_acquire().is_none());
        drop(first);
        assert!(in_flight.try_acquire().is_some());
    }
}
