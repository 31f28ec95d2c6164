//! Jobs spread over threads, their results in the order of the jobs: how many threads there are changes nothing.

use std::{
    io::{IsTerminal, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Where progress is not watched live, a line now and then is enough.
const REPORT_EVERY: Duration = Duration::from_secs(15);

/// Threads to work on, and a word on stderr about how far they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workers {
    pub(crate) threads: usize,
    pub(crate) quiet: bool,
}

impl Workers {
    /// Does `jobs` jobs; `what` names them.
    pub(crate) fn map<T: Send>(self, what: &str, jobs: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Progress::new(what, jobs, self.quiet));
        let work = || {
            let mut results = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= jobs {
                    return results;
                }
                results.push((at, job(at)));
                done.lock().unwrap_or_else(PoisonError::into_inner).step();
            }
        };
        let mut results = thread::scope(|scope| {
            let handles: Vec<_> =
                (0..self.threads.clamp(1, jobs.max(1))).map(|_| scope.spawn(work)).collect();
            let joined = handles
                .into_iter()
                .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.flatten().collect::<Vec<_>>()
        });
        results.sort_by_key(|(at, _)| *at);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

struct Progress<'a> {
    what: &'a str,
    jobs: usize,
    done: usize,
    quiet: bool,
    live: bool,
    started: Instant,
    reported: Instant,
}

impl<'a> Progress<'a> {
    fn new(what: &'a str, jobs: usize, quiet: bool) -> Self {
        let started = Instant::now();
        let live = std::io::stderr().is_terminal();
        Self { what, jobs, done: 0, quiet, live, started, reported: started }
    }

    fn step(&mut self) {
        self.done += 1;
        let last = self.done == self.jobs;
        if self.quiet || !(self.live || last || self.reported.elapsed() >= REPORT_EVERY) {
            return;
        }
        self.reported = Instant::now();
        let (start, end) = if self.live { ("\r", if last { "\n" } else { "" }) } else { ("", "\n") };
        let seconds = self.started.elapsed().as_secs();
        // The receiver may be gone; the work continues.
        let _ = write!(
            std::io::stderr(),
            "{start}{}: {} of {} done, {seconds} s{end}",
            self.what,
            self.done,
            self.jobs
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_jobs() {
        for threads in [1, 3, 50] {
            let squares = Workers { threads, quiet: true }.map("squares", 20, |at| at * at);
            assert_eq!(squares, (0..20).map(|at| at * at).collect::<Vec<_>>());
        }
        assert!(Workers { threads: 2, quiet: true }.map("none", 0, |at| at).is_empty());
    }
}
