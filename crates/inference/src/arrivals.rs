//! Limits the memory for request bodies that are still arriving.
//!
//! Clients that never finish their bodies cannot block others: when the limit is reached, the body that has been arriving
//! for the longest time is evicted. A body that arrived with its head is never counted here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// The limit on arriving bodies, in bytes, shared by all connections.
#[derive(Debug, Clone)]
pub struct Arrivals(Arc<Mutex<Held>>);

#[derive(Debug)]
struct Held {
    limit: usize,
    bytes: usize,
    next: u64,
    /// The arriving bodies, the oldest first.
    bodies: BTreeMap<u64, Arriving>,
}

#[derive(Debug)]
struct Arriving {
    bytes: usize,
    evicted: Arc<Notify>,
}

/// One arriving body; dropping it returns its bytes to the limit.
#[derive(Debug)]
pub struct Arrival {
    arrivals: Arrivals,
    id: u64,
    evicted: Arc<Notify>,
}

/// The body was evicted.
#[derive(Debug, PartialEq, Eq)]
pub struct Evicted;

impl Arrivals {
    /// Creates a limit of this number of bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Held { limit, bytes: 0, next: 0, bodies: BTreeMap::new() })))
    }

    /// Registers a body that begins to arrive.
    pub fn begin(&self) -> Arrival {
        let mut held = self.held();
        let id = held.next;
        held.next += 1;
        let evicted = Arc::new(Notify::new());
        held.bodies.insert(id, Arriving { bytes: 0, evicted: Arc::clone(&evicted) });
        drop(held);
        Arrival { arrivals: self.clone(), id, evicted }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrival {
    /// Adds bytes of this body that have arrived. Above the limit, the oldest bodies are evicted.
    ///
    /// # Errors
    /// Returns an error if this body is evicted.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Evicted> {
        let mut held = self.arrivals.held();
        let Some(this) = held.bodies.get_mut(&self.id) else { return Err(Evicted) };
        this.bytes += bytes;
        held.bytes += bytes;
        while held.bytes > held.limit {
            let Some((id, oldest)) = held.bodies.pop_first() else { break };
            held.bytes -= oldest.bytes;
            if id == self.id {
                return Err(Evicted);
            }
            oldest.evicted.notify_one();
        }
        Ok(())
    }

    /// Resolves when this body is evicted.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut held = self.arrivals.held();
        // An evicted body has been removed already.
        if let Some(this) = held.bodies.remove(&self.id) {
            held.bytes -= this.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_oldest_body_is_evicted_above_the_limit() {
        let arrivals = Arrivals::new(10);
        let (mut first, mut second, mut third) = (arrivals.begin(), arrivals.begin(), arrivals.begin());
        assert_eq!((first.grow(4), second.grow(4)), (Ok(()), Ok(())));
        assert_eq!(third.grow(4), Ok(()));
        assert_eq!(first.grow(1), Err(Evicted));
        assert_eq!(arrivals.held().bytes, 8);
        // The body that grows is the oldest one.
        assert_eq!(second.grow(7), Err(Evicted));
        assert_eq!(arrivals.held().bytes, 4);
        drop((first, second, third));
        assert_eq!(arrivals.held().bytes, 0);
    }

    #[tokio::test]
    async fn an_eviction_wakes_the_task_of_the_body() {
        let arrivals = Arrivals::new(10);
        let (mut old, mut new) = (arrivals.begin(), arrivals.begin());
        old.grow(8).unwrap();
        new.grow(8).unwrap();
        old.evicted().await;
    }

    proptest! {
        #[test]
        fn bodies_stay_below_the_limit_and_dropped_ones_return_their_bytes(steps in prop::collection::vec((0usize..6, 0usize..2_000, 0u8..8), 0..200)) {
            let arrivals = Arrivals::new(5_000);
            let mut bodies: Vec<Option<Arrival>> = (0..6).map(|_| None).collect();
            for (at, bytes, what) in steps {
                match (&mut bodies[at], what) {
                    (body, 0) => *body = None,
                    (Some(body), _) => { let _ = body.grow(bytes); }
                    (body, _) => *body = Some(arrivals.begin()),
                }
                prop_assert!(arrivals.held().bytes <= 5_000);
            }
            drop(bodies);
            prop_assert_eq!(arrivals.held().bytes, 0);
        }
    }
}
