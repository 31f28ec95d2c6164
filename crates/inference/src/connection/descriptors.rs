//! File descriptors: how many connections they allow, with a reserve for everything else.

use anyhow::{Result, ensure};
use rustix::process::{Resource, getrlimit};

/// Descriptors that are not connections: standard streams, listeners, files, the timers and queues of each worker.
const OTHERS: usize = 64;
const OF_A_WORKER: usize = 8;

/// How many of the connections asked for the descriptors of this process allow.
///
/// # Errors
/// When there is no room for a single one.
pub(crate) fn allowed(connections: usize, workers: usize) -> Result<usize> {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return Ok(connections) };
    let reserve = reserve(workers);
    let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(reserve);
    ensure!(
        room > 0,
        "this process may open {limit} files, and needs {} to serve a single connection; raise the limit with `ulimit -n`",
        reserve + 1
    );
    Ok(connections.min(room))
}

/// What is kept free of connections of the main listener.
fn reserve(workers: usize) -> usize {
    OTHERS + OF_A_WORKER * workers + super::METRICS_CONNECTIONS + workers * super::SURPLUS
}
