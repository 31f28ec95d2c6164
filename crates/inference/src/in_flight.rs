//! The limit on work at a time. Over it, an answer is refused at once rather than queued: a queue would only turn
//! overload into latency for everyone.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts predictions being worked on, up to a limit.
#[derive(Debug, Clone)]
pub struct InFlight {
    count: Arc<AtomicUsize>,
    limit: usize,
}

/// A place; dropping it gives it back, however the work ends. That a client hangs up does not end it (actix goes on for
/// one that closed only its sending side), so it is the request's time limit that bounds how long a place is kept.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl InFlight {
    /// A counter with room for `limit`.
    pub fn new(limit: usize) -> Self {
        Self { count: Arc::default(), limit }
    }

    /// Takes a place, if there is one.
    pub fn enter(&self) -> Option<Place> {
        let place = Place(Arc::clone(&self.count));
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        (before < self.limit).then_some(place)
    }

    /// How many places are taken.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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
