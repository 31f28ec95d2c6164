//! The number of connections that the limit on file descriptors allows, with a reserve for everything else.

use anyhow::{Result, ensure};
use rustix::process::{Resource, getrlimit};

/// Descriptors for standard streams, listeners and files.
const RESERVED: usize = 64;

/// Descriptors for the timers and queues of each worker.
const RESERVED_PER_WORKER: usize = 8;

/// Returns how many of `connections` the limit on descriptors allows.
///
/// # Errors
/// If it does not allow a single one.
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

/// Returns how many descriptors connections of the main listener must leave free.
fn reserve(workers: usize) -> usize {
    RESERVED + RESERVED_PER_WORKER * workers + super::METRICS_CONNECTIONS + workers * super::SURPLUS
}
