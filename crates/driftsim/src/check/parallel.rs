//! Processes items on all cores while one thread reads them.

use anyhow::Result;
use rayon::iter::{ParallelBridge, ParallelIterator};
use std::{panic::resume_unwind, sync::mpsc, thread};

/// Maps each item on all cores, while the calling thread reads the items from `items`, and combines the results in any order.
/// Only a few items are held in memory at a time.
///
/// # Errors
/// Returns the first error among the items.
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
            // Sending fails only after a panic of the receiving thread, which is passed on below.
            if sender.send(item?).is_err() {
                break;
            }
        }
        drop(sender);
        combined.join().or_else(|panic| resume_unwind(panic))
    })
}
