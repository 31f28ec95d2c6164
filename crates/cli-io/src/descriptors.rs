//! The limit on open file descriptors: files, connections, and what a runtime needs for its threads.
//!
//! Runtimes panic when they cannot open what they need, so the limit is checked before they start.

use anyhow::bail;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of each thread with a runtime of its own: a poller, its waker, a connection or two.
pub const PER_THREAD: u64 = 8;

/// Raises the limit on open descriptors as far as the system allows, and returns it; `u64::MAX` stands for none.
///
/// Systems start processes with a limit of 1,024 for programs that use `select`, which cannot handle more; others may raise it.
pub fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // If this is refused, the limit stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the limit, and checks that `least` descriptors may be open.
///
/// # Errors
/// Names the limit and how to raise it.
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
