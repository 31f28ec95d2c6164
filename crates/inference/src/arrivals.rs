//! Bodies that are still arriving, or wait for their turn: how many bytes of them are held.
//!
//! A body that is there at once needs no room here, so clients that never finish theirs can't keep others out. When the
//! room is full, the body that has been arriving for the longest time gives way.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Room for bodies, in bytes, shared by all connections.
#[derive(Debug, Clone)]
pub struct Arrivals(Arc<Mutex<Room>>);

#[derive(Debug)]
struct Room {
    limit: usize,
    held: usize,
    next: u64,
    /// Bodies that may be asked to give way, the oldest first.
    arriving: BTreeMap<u64, Arriving>,
}

#[derive(Debug)]
struct Arriving {
    bytes: usize,
    gives_way: Arc<Notify>,
}

/// One body that takes room; dropping it gives the room back.
#[derive(Debug)]
pub struct Arrival {
    arrivals: Arrivals,
    id: u64,
    /// What a body takes that can't be asked to give way any more, because it is complete.
    settled: Option<usize>,
    gives_way: Arc<Notify>,
}

/// There is no room for a body.
#[derive(Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Arrivals {
    /// Room for `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Room { limit, held: 0, next: 0, arriving: BTreeMap::new() })))
    }

    /// Takes no room yet for a body that begins to arrive.
    pub fn begin(&self) -> Arrival {
        let mut room = self.room();
        let id = room.next;
        room.next += 1;
        let gives_way = Arc::new(Notify::new());
        room.arriving.insert(id, Arriving { bytes: 0, gives_way: Arc::clone(&gives_way) });
        drop(room);
        Arrival { arrivals: self.clone(), id, settled: None, gives_way }
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrival {
    /// Takes room for more bytes of this body; older ones may have to give way.
    ///
    /// # Errors
    /// When this body is the one to give way.
    pub fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let mut room = self.arrivals.room();
        let Some(this) = room.arriving.get_mut(&self.id) else { return Err(NoRoom) };
        this.bytes += bytes;
        room.held += bytes;
        while room.held > room.limit {
            let Some((id, oldest)) = room.arriving.pop_first() else { break };
            room.held -= oldest.bytes;
            if id == self.id {
                return Err(NoRoom);
            }
            oldest.gives_way.notify_one();
        }
        Ok(())
    }

    /// Resolves when this body has to give way.
    pub async fn gives_way(&self) {
        self.gives_way.notified().await;
    }

    /// The body is complete: from here on it takes its room until it is dropped.
    ///
    /// # Errors
    /// When it had to give way already.
    pub fn complete(&mut self) -> Result<(), NoRoom> {
        let this = self.arrivals.room().arriving.remove(&self.id).ok_or(NoRoom)?;
        self.settled = Some(this.bytes);
        Ok(())
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut room = self.arrivals.room();
        let bytes = match self.settled {
            Some(bytes) => bytes,
            // Not there any more if it had to give way.
            None => room.arriving.remove(&self.id).map_or(0, |this| this.bytes),
        };
        room.held -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_oldest_gives_way() {
        let arrivals = Arrivals::new(10);
        let (mut first, mut second, mut third) = (arrivals.begin(), arrivals.begin(), arrivals.begin());
        assert_eq!((first.grow(4), second.grow(4)), (Ok(()), Ok(())));
        assert_eq!(third.grow(4), Ok(()));
        // The first is gone, whatever it does; the others are not touched.
        assert_eq!((first.grow(1), first.complete()), (Err(NoRoom), Err(NoRoom)));
        assert_eq!(second.complete(), Ok(()));
        assert_eq!(arrivals.room().held, 8);
        // What is complete can't give way, so the one that grows does.
        assert_eq!(third.grow(7), Err(NoRoom));
        assert_eq!(arrivals.room().held, 4);
        drop((first, second, third));
        assert_eq!(arrivals.room().held, 0);
    }

    #[tokio::test]
    async fn a_body_that_gives_way_is_woken() {
        let arrivals = Arrivals::new(10);
        let (mut old, mut new) = (arrivals.begin(), arrivals.begin());
        old.grow(8).unwrap();
        new.grow(8).unwrap();
        old.gives_way().await;
    }

    proptest! {
        #[test]
        fn the_limit_holds_and_all_room_is_given_back(steps in prop::collection::vec((0usize..6, 0usize..2_000, 0u8..8), 0..200)) {
            let arrivals = Arrivals::new(5_000);
            let mut bodies: Vec<Option<Arrival>> = (0..6).map(|_| None).collect();
            for (at, bytes, what) in steps {
                match (&mut bodies[at], what) {
                    (body, 0) => *body = None,
                    (Some(body), 1) => { let _ = body.complete(); }
                    (Some(body), _) => { let _ = body.grow(bytes); }
                    (body, _) => *body = Some(arrivals.begin()),
                }
                prop_assert!(arrivals.room().held <= 5_000);
            }
            drop(bodies);
            prop_assert_eq!(arrivals.room().held, 0);
        }
    }
}
