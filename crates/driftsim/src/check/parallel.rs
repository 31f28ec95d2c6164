//! Computes on all cores what is read on one.

use anyhow::Result;
use rayon::iter::{ParallelBridge, ParallelIterator};
use std::{panic::resume_unwind, sync::mpsc, thread};

/// Computes something for each item on all cores, while the calling thread takes the items from `items`, and combines the
/// results in any order. Only a few items are held at a time.
///
/// # Errors
/// The first error among the items.
pub(super) fn map_reduce<I: Send, C: Send>(
    items: impl Iterator<Item = Result<I>>,
    compute: impl Fn(I) -> C + Send + Sync,
    nothing: impl Fn() -> C + Send + Sync,
    combine: impl Fn(C, C) -> C + Send + Sync,
) -> Result<C> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        let combined =
            scope.spawn(|| receiver.into_iter().par_bridge().map(compute).reduce(nothing, combine));
        for item in items {
            // The receiver is gone after a panic, which is passed on below.
            if sender.send(item?).is_err() {
                break;
            }
        }
        drop(sender);
        combined.join().or_else(|panic| resume_unwind(panic))
    })
}
