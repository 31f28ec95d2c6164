//! The limits on work at a time. Over them, a request is refused at once rather than queued: a queue would only turn
//! overload into latency for everyone.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counts requests being worked on, up to a limit.
#[derive(Debug, Clone)]
pub struct InFlight {
    free: Arc<Semaphore>,
    limit: usize,
}

/// A place; dropping it gives it back, however the work ends. A place is kept until the answer is sent: see
/// [`crate::api`]. That a client hangs up does not end the work (actix goes on for one that closed only its sending side),
/// so it is the request's time limit that bounds how long a place is kept.
pub type Place = OwnedSemaphorePermit;

impl InFlight {
    /// A counter with room for `limit`.
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(limit)), limit }
    }

    /// Takes a place, if there is one.
    pub fn enter(&self) -> Option<Place> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// Takes so many places at once, if there are as many.
    pub fn enter_many(&self, places: usize) -> Option<Place> {
        Arc::clone(&self.free).try_acquire_many_owned(places.try_into().ok()?).ok()
    }

    /// Takes a place as soon as there is one, in the order of asking.
    pub async fn wait(&self) -> Place {
        let place = Arc::clone(&self.free).acquire_owned().await;
        place.unwrap_or_else(|_| unreachable!("the semaphore is never closed"))
    }

    /// How many places are taken.
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
