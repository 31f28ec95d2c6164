//! Copies of bodies that pass through the proxy. All copies together are limited in memory, so that a slow observer or large bodies
//! cannot make the proxy grow.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The memory that all copies may take together.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    /// Creates a budget of this number of bytes.
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(bytes) })
    }

    /// Takes bytes, unless fewer are left.
    fn try_take(&self, bytes: usize) -> bool {
        let take = |left: usize| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Why a body was not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotCopied {
    /// The body is larger than the limit on one body.
    TooLarge,
    /// The copies of other bodies take all the memory.
    NoMemory,
}

/// A copy that grows while its body passes.
#[derive(Debug)]
pub(super) struct Copy {
    bytes: Vec<u8>,
    /// The bytes taken from the budget.
    taken: usize,
    limit: usize,
    failed: Option<NotCopied>,
    budget: Arc<Budget>,
}

impl Copy {
    /// Creates an empty copy of a body of at most `limit` bytes.
    pub(super) fn new(limit: usize, budget: &Arc<Budget>) -> Self {
        Self { bytes: Vec::new(), taken: 0, limit, failed: None, budget: Arc::clone(budget) }
    }

    /// Takes the memory for a body of this many bytes. If many bodies arrive at once and take memory piece by piece, none of the copies
    /// may become complete.
    pub(super) fn expect(&mut self, length: u64) {
        if self.failed.is_some() {
            return;
        }
        match usize::try_from(length) {
            Ok(length) if length <= self.limit => self.take(length),
            _ => self.fail(NotCopied::TooLarge),
        }
    }

    /// Adds the next bytes of the body.
    pub(super) fn add(&mut self, chunk: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let needed = self.bytes.len() + chunk.len();
        if needed > self.limit {
            return self.fail(NotCopied::TooLarge);
        }
        if needed > self.taken {
            // Doubled, so that a body of many chunks is not moved at each of them.
            self.take(needed.max(2 * self.taken).min(self.limit));
        }
        if self.failed.is_none() {
            self.bytes.extend_from_slice(chunk);
        }
    }

    /// Takes the memory for `wanted` bytes in all.
    fn take(&mut self, wanted: usize) {
        if !self.budget.try_take(wanted - self.taken) {
            return self.fail(NotCopied::NoMemory);
        }
        self.taken = wanted;
        self.bytes.reserve_exact(wanted - self.bytes.len());
    }

    /// Returns the bytes, or why there are none.
    pub(super) fn bytes(&self) -> Result<&[u8], NotCopied> {
        self.failed.map_or(Ok(&self.bytes), Err)
    }

    /// Gives the memory back. The body is not copied for this reason.
    pub(super) fn fail(&mut self, reason: NotCopied) {
        self.failed = Some(reason);
        self.bytes = Vec::new();
        self.budget.give_back(mem::take(&mut self.taken));
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.budget.give_back(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_the_body_and_returns_its_memory() {
        let budget = Budget::new(100);
        let mut copy = Copy::new(50, &budget);
        for chunk in [&b"ab"[..], b"", b"cdefghij"] {
            copy.add(chunk);
        }
        assert_eq!(copy.bytes(), Ok(&b"abcdefghij"[..]));
        assert_eq!(budget.left.load(Ordering::Relaxed), 90);
        drop(copy);
        assert_eq!(budget.left.load(Ordering::Relaxed), 100);
    }

    #[test]
    fn a_body_of_known_length_takes_its_memory_at_once() {
        let budget = Budget::new(100);
        let (mut first, mut second, mut large) =
            (Copy::new(60, &budget), Copy::new(60, &budget), Copy::new(60, &budget));
        first.expect(60);
        second.expect(50);
        large.expect(61);
        first.add(&[1; 30]);
        first.add(&[2; 30]);
        second.add(&[3; 10]);
        assert_eq!(first.bytes(), Ok(&[[1; 30], [2; 30]].concat()[..]));
        assert_eq!(second.bytes(), Err(NotCopied::NoMemory));
        assert_eq!(large.bytes(), Err(NotCopied::TooLarge));
        drop((first, second, large));
        assert_eq!(budget.left.load(Ordering::Relaxed), 100);
    }

    #[test]
    fn large_bodies_and_bodies_beyond_the_budget_are_not_copied() {
        let budget = Budget::new(100);
        let mut large = Copy::new(50, &budget);
        large.add(&[0; 40]);
        large.add(&[0; 11]);
        // Nothing is added after a part was left out.
        large.add(b"x");
        assert_eq!(large.bytes(), Err(NotCopied::TooLarge));
        let mut held = Copy::new(90, &budget);
        held.add(&[0; 90]);
        let mut other = Copy::new(90, &budget);
        other.add(&[0; 10]);
        assert!(other.bytes().is_ok());
        other.add(&[0; 1]);
        assert_eq!(other.bytes(), Err(NotCopied::NoMemory));
        drop((held, other, large));
        assert_eq!(budget.left.load(Ordering::Relaxed), 100);
    }
}
