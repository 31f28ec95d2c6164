//! Distributes jobs over threads. The results are in the order of the jobs, so they do not depend on the number of threads.

use anyhow::{Context, Result};
use rayon::prelude::*;
use std::{
    io::{IsTerminal, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The time between two lines of progress if standard error is not a terminal.
const REPORT_EVERY: Duration = Duration::from_secs(15);

/// How many threads to use, and whether to report progress on standard error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workers {
    pub(crate) threads: usize,
    pub(crate) quiet: bool,
}

impl Workers {
    /// Calls `job` with each number below `jobs`, and returns the results in the order of the numbers. `name` is shown with the
    /// progress.
    ///
    /// # Errors
    /// If a job fails, or if the threads cannot be started.
    pub(crate) fn map<T: Send>(
        self,
        name: &str,
        jobs: usize,
        job: impl Fn(usize) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let progress = Mutex::new(Progress::new(name, jobs, self.quiet));
        let step = |at| {
            let result = job(at);
            progress.lock().unwrap_or_else(PoisonError::into_inner).step();
            result
        };
        // Jobs differ in length by orders of magnitude, so each is scheduled on its own.
        let run = || (0..jobs).into_par_iter().with_max_len(1).map(step).collect();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .build()
            .with_context(|| format!("cannot start {} threads; try a smaller --threads", self.threads))?;
        pool.install(run)
    }
}

struct Progress<'a> {
    name: &'a str,
    jobs: usize,
    done: usize,
    quiet: bool,
    live: bool,
    started: Instant,
    reported: Instant,
}

impl<'a> Progress<'a> {
    fn new(name: &'a str, jobs: usize, quiet: bool) -> Self {
        let started = Instant::now();
        let live = std::io::stderr().is_terminal();
        Self { name, jobs, done: 0, quiet, live, started, reported: started }
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
        // If standard error is closed, the work continues without progress lines.
        let _ = write!(
            std::io::stderr(),
            "{start}{}: {} of {} done, {seconds} s{end}",
            self.name,
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
            let squares = Workers { threads, quiet: true }.map("squares", 20, |at| Ok(at * at));
            assert_eq!(squares.unwrap(), (0..20).map(|at| at * at).collect::<Vec<_>>());
        }
        assert!(Workers { threads: 2, quiet: true }.map("none", 0, Ok).unwrap().is_empty());
    }
}
