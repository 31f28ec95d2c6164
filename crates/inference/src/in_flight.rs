//! Limits on concurrent requests. A request above the limit is refused at once instead of queued: a queue would turn overload
//! into latency for all clients.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A limit on concurrent requests.
#[derive(Debug, Clone)]
pub struct InFlight {
    free: Arc<Semaphore>,
    limit: usize,
}

/// The permit of one request; dropping it returns it. It is held until the answer is sent. A client that closes its
/// connection does not end the work (actix continues for one that closed only its sending side), so the request timeout
/// bounds how long a permit is held.
pub type Place = OwnedSemaphorePermit;

impl InFlight {
    /// Creates a limit of so many requests.
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(limit)), limit }
    }

    /// Returns a permit, unless all are taken.
    pub fn enter(&self) -> Option<Place> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// Returns one permit that counts as `places`, unless too few are left.
    pub fn enter_many(&self, places: usize) -> Option<Place> {
        Arc::clone(&self.free).try_acquire_many_owned(places.try_into().ok()?).ok()
    }

    /// Waits for a permit. Waiters are served in the order of their calls.
    pub async fn wait(&self) -> Place {
        let place = Arc::clone(&self.free).acquire_owned().await;
        place.unwrap_or_else(|_| unreachable!("the semaphore is never closed"))
    }

    /// Returns how many permits are taken.
    pub fn count(&self) -> usize {
        self.limit - self.free.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_given_back() {
        let in_flight = InFlight::new(2);
        let (first, second) = (in_flight.enter(), in_flight.enter());
        assert!(first.is_some() && second.is_some() && in_flight.enter().is_none());
        assert_eq!(in_flight.count(), 2);
        drop(first);
        assert!(in_flight.enter().is_some());
        drop(second);
        assert_eq!(in_flight.count(), 0);
    }
}
