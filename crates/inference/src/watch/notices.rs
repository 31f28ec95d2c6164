//! Log lines about requests that pass without being observed, or that do not pass at all. Each is limited, so that a server that is
//! down for an hour does not fill the log.

use crate::{reason::Reason, refusal::Refusal};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How often the same notice is logged at most.
const EVERY: Duration = Duration::from_secs(60);

/// The greatest number of paths that are named as not observed. Further ones are probably ids within paths.
const MOST_PATHS: usize = 8;

/// The longest path that is logged, in bytes.
const LONGEST_PATH: usize = 200;

/// What was logged, and when.
#[derive(Default)]
pub(super) struct Notices {
    last: Mutex<HashMap<Kind, Instant>>,
    unknown_paths: Paths,
    other_paths: Paths,
}

/// Paths that were named in the log.
#[derive(Default)]
struct Paths {
    named: Mutex<BTreeSet<String>>,
    is_full: AtomicBool,
}

impl Paths {
    /// Returns whether a path was not named yet, and may be.
    fn is_new(&self, path: &str) -> bool {
        if self.is_full.load(Ordering::Relaxed) {
            return false;
        }
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = named.len() < MOST_PATHS && !named.contains(path) && named.insert(path.to_owned());
        self.is_full.store(named.len() == MOST_PATHS, Ordering::Relaxed);
        is_new
    }
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    NotPassed(&'static str),
    Http2,
}

impl Notices {
    /// Logs that a request could not be passed on, if this is the fault of the model server.
    pub(super) fn not_passed_on(&self, refusal: &Refusal, upstream: &str) {
        let is_of_upstream = matches!(
            refusal.reason,
            Reason::UpstreamUnreachable | Reason::UpstreamBroken | Reason::UpstreamTimeout
        );
        if is_of_upstream && self.is_due(Kind::NotPassed(refusal.reason.code())) {
            tracing::warn!(
                upstream,
                reason = refusal.reason.code(),
                "a request was not answered: {}",
                refusal.message
            );
        }
    }

    /// Logs that a prediction is not observed, because no profile is for the model that its path names. Each path is named once.
    pub(super) fn unknown_model(&self, path: &str) {
        let path = shortened(path);
        if self.unknown_paths.is_new(path) {
            tracing::warn!(
                path,
                "predictions on this path are not observed, because no profile is for it; name its model, as in --profile MODEL=FILE, or \
                 the path itself, as in --profile /path=FILE"
            );
        }
    }

    /// Returns whether there may be further notices of other paths.
    pub(super) fn names_other_paths(&self) -> bool {
        !self.other_paths.is_full.load(Ordering::Relaxed)
    }

    /// Logs that a request that was answered with JSON was not observed, because its path is not known as one for predictions. Each path
    /// is named once.
    pub(super) fn other_path(&self, path: &str) {
        let path = shortened(path);
        if self.other_paths.is_new(path) {
            tracing::info!(
                path,
                "a POST to this path was answered with JSON, but was not observed, because the path is not known as one for predictions; if it \
                 predicts, give --profile PATH=FILE"
            );
        }
    }

    /// Logs that a client speaks HTTP/2.
    pub(super) fn http2(&self) {
        if self.is_due(Kind::Http2) {
            tracing::warn!(
                "a client began with HTTP/2, as gRPC clients do, and was disconnected; send HTTP/1.1 to the watcher, and gRPC to the \
                 server itself"
            );
        }
    }

    fn is_due(&self, kind: Kind) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.get(&kind).is_none_or(|last| last.elapsed() >= EVERY);
        if is_due {
            last.insert(kind, Instant::now());
        }
        is_due
    }
}

fn shortened(path: &str) -> &str {
    &path[..path.floor_char_boundary(LONGEST_PATH)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_is_named_once_and_only_the_first_ones() {
        let paths = Paths::default();
        assert!(paths.is_new("/score") && !paths.is_new("/score"));
        let others = (0..1000).filter(|id| paths.is_new(&format!("/users/{id}"))).count();
        assert_eq!(others, MOST_PATHS - 1);
    }

    #[test]
    fn the_same_notice_is_not_repeated_at_once() {
        let notices = Notices::default();
        assert!(notices.is_due(Kind::Http2) && !notices.is_due(Kind::Http2));
        assert!(notices.is_due(Kind::NotPassed("upstream_timeout")));
    }
}
