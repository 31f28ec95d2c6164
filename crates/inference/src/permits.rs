//! Limits on concurrent requests. A request above the limit is refused at once instead of queued: a queue would turn overload
//! into latency for all clients.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A limit on concurrent requests.
#[derive(Debug, Clone)]
pub struct Permits {
    free: Arc<Semaphore>,
    limit: usize,
}

/// The permit of one request, which is returned by dropping it. It is held until the answer is in the connection's buffer. It is
/// also held if the client closes its connection, because actix continues for a client that closed only its sending side.
pub type Permit = OwnedSemaphorePermit;

impl Permits {
    /// Creates a limit of this number of requests.
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(limit)), limit }
    }

    /// Returns a permit, unless all are taken.
    pub fn try_acquire(&self) -> Option<Permit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// Returns a permit that counts as `many` permits, unless fewer are left.
    pub fn try_acquire_many(&self, many: usize) -> Option<Permit> {
        Arc::clone(&self.free).try_acquire_many_owned(many.try_into().ok()?).ok()
    }

    /// Waits for a permit. Waiters are served in the order of their calls.
    pub async fn acquire(&self) -> Permit {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        permit.unwrap_or_else(|_| unreachable!("the semaphore is never closed"))
    }

    /// Returns the number of permits that are taken.
    pub fn in_use(&self) -> usize {
        self.limit - self.free.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_limited_and_returned() {
        let permits = Permits::new(2);
        let (first, second) = (permits.try_acquire(), permits.try_acquire());
        assert!(first.is_some() && second.is_some() && permits.try_acquire().is_none());
        assert_eq!(permits.in_use(), 2);
        drop(first);
        assert!(permits.try_acquire().is_some());
        drop(second);
        assert_eq!(permits.in_use(), 0);
    }
}
