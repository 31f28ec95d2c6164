//! Checks and raises the limit on open file descriptors, which files, connections and the threads of a runtime use.
//!
//! A runtime panics when it cannot open a descriptor, so the limit is checked before it starts.

use anyhow::bail;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The descriptors that a thread with its own runtime uses: a poller, its waker, and one or two connections.
pub const PER_THREAD: u64 = 8;

/// Raises the limit on open descriptors as far as the system allows, and returns it; `u64::MAX` means that there is no limit.
///
/// Systems start processes with a limit of 1,024 because `select` cannot handle more. A program without `select` may raise it.
pub fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // If this is refused, the limit stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the limit, and checks that `least` descriptors may be open.
///
/// # Errors
/// If the system allows fewer; the error states the limit and how to raise it.
pub fn require(least: u64) -> anyhow::Result<u64> {
    let limit = raise();
    if limit < least {
        bail!(
            "too few file descriptors: at most {limit} may be open, and at least {least} are needed; raise the limit with \
             `ulimit -n {suggested}`, or for a container with --ulimit nofile={suggested}",
            suggested = least.max(1024)
        );
    }
    Ok(limit)
}

/// Returns the descriptors that a program with a runtime on every core needs before it has any connection.
pub fn least_of_a_server() -> u64 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    32 + PER_THREAD * cores
}
