//! Computes the number of connections that the limit on file descriptors allows, with a reserve for all other files.

use anyhow::{Result, ensure};
use rustix::process::{Resource, getrlimit};

/// The number of descriptors for standard streams, listeners and files.
const RESERVED: usize = 64;

/// The number of descriptors for the timers and queues of each worker.
const RESERVED_PER_WORKER: usize = 8;

/// Returns `connections`, or the number of connections that the limit on descriptors allows if that is smaller.
///
/// # Errors
/// Returns an error if the limit does not allow a single connection.
pub(crate) fn allowed(connections: usize, workers: usize) -> Result<usize> {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return Ok(connections) };
    let reserve = reserve(workers);
    let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(reserve);
    ensure!(
        room > 0,
        "this process may open {limit} files, but it needs {} to serve a single connection; raise the limit with `ulimit -n`",
        reserve + 1
    );
    Ok(connections.min(room))
}

/// Returns the number of descriptors that connections of the main listener must leave free.
fn reserve(workers: usize) -> usize {
    RESERVED + RESERVED_PER_WORKER * workers + super::METRICS_CONNECTIONS + workers * super::SURPLUS
}
