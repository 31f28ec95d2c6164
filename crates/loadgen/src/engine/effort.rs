//! Measures how busy the generator's own threads are: the share of the time in which they ran or waited for a core.
//!
//! Linux counts both for each thread in `schedstat` (nanoseconds on a core, nanoseconds in the run queue, time slices:
//! <https://docs.kernel.org/scheduler/sched-stats.html>). CPU time alone is not enough: on a machine shared with the target, a
//! thread that gets half a core but needs a whole one is at its limit, too.

use std::{
    fs::File,
    io::{self, Read, Seek},
    time::Duration,
};

/// Reads how long one thread has been busy, or `None` if the system does not count it.
#[derive(Debug)]
pub(super) struct Meter(Option<File>);

impl Meter {
    /// Creates a meter of the calling thread. Any thread may read it.
    pub(super) fn of_this_thread() -> Self {
        Self(File::open("/proc/thread-self/schedstat").ok())
    }

    fn busy(&mut self) -> Option<Duration> {
        let mut text = String::new();
        let file = self.0.as_mut()?;
        let read: io::Result<usize> = file.rewind().and_then(|()| file.read_to_string(&mut text));
        read.ok()?;
        let mut nanos = text.split_whitespace().map(|number| number.parse::<u64>().ok());
        let busy = nanos.next()?? + nanos.next()??;
        // A thread that reads its own meter has run, so 0 means that the kernel does not count.
        (busy > 0).then(|| Duration::from_nanos(busy))
    }
}

/// The busy time of all threads in each phase.
#[derive(Debug, Default)]
pub struct Effort {
    meters: Vec<Meter>,
    last: Option<Reading>,
    phases: Vec<Spent>,
}

#[derive(Debug)]
struct Reading {
    at: Duration,
    phase: Option<usize>,
    busy: Vec<Option<Duration>>,
}

/// The measurements of one phase.
#[derive(Debug, Clone, Default)]
struct Spent {
    covered: Duration,
    busy: Vec<Option<Duration>>,
}

impl Effort {
    pub(super) fn new(meters: Vec<Meter>, phases: usize) -> Self {
        Self { meters, last: None, phases: vec![Spent::default(); phases] }
    }

    /// Reads the meters at the time `at` of the run, in the phase `phase`, or after the last phase if it is `None`. The time
    /// between two readings in different phases counts for neither phase.
    pub fn observe(&mut self, at: Duration, phase: Option<usize>) {
        let busy = self.meters.iter_mut().map(Meter::busy).collect();
        self.take(Reading { at, phase, busy });
    }

    fn take(&mut self, reading: Reading) {
        if let (Some(last), Some(phase)) = (&self.last, reading.phase)
            && last.phase == reading.phase
            && let Some(spent) = self.phases.get_mut(phase)
        {
            spent.covered += reading.at.saturating_sub(last.at);
            spent.busy.resize(reading.busy.len(), Some(Duration::ZERO));
            for ((spent, now), before) in spent.busy.iter_mut().zip(&reading.busy).zip(&last.busy) {
                *spent = spent
                    .zip(now.zip(*before))
                    .map(|(spent, (now, before))| spent + now.saturating_sub(before));
            }
        }
        self.last = Some(reading);
    }

    /// Returns the share of `phase` in which its busiest thread ran or waited for a core, or `None` if that is not known.
    pub fn busiest(&self, phase: usize) -> Option<f64> {
        let spent = self.phases.get(phase).filter(|spent| !spent.covered.is_zero())?;
        let busiest = spent.busy.iter().copied().collect::<Option<Vec<_>>>()?.into_iter().max()?;
        // The kernel updates the counters when it switches threads, so the difference of two readings may be a little more
        // than the time between them.
        Some((busiest.as_secs_f64() / spent.covered.as_secs_f64()).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn reading(at: u64, phase: usize, busy: [Option<u64>; 2]) -> Reading {
        Reading {
            at: Duration::from_millis(at),
            phase: Some(phase),
            busy: busy.map(|busy| busy.map(Duration::from_millis)).into(),
        }
    }

    #[test]
    fn each_phase_has_the_share_of_its_busiest_thread() {
        let mut effort = Effort::new(Vec::new(), 2);
        effort.take(reading(0, 0, [Some(0), Some(0)]));
        effort.take(reading(500, 0, [Some(100), Some(400)]));
        effort.take(reading(1000, 0, [Some(200), Some(900)]));
        effort.take(reading(1500, 1, [Some(700), Some(950)]));
        effort.take(reading(2000, 1, [Some(750), Some(1000)]));
        assert!((effort.busiest(0).unwrap() - 0.9).abs() < 1e-9);
        assert!((effort.busiest(1).unwrap() - 0.1).abs() < 1e-9);
        assert_eq!(effort.busiest(2), None);
    }

    #[test]
    fn the_share_is_unknown_where_the_system_does_not_count() {
        let mut effort = Effort::new(Vec::new(), 1);
        effort.take(reading(0, 0, [Some(0), None]));
        effort.take(reading(500, 0, [Some(500), None]));
        assert_eq!(effort.busiest(0), None);
    }

    #[test]
    fn the_meter_follows_the_time_that_the_kernel_counts() {
        const DEADLINE: Duration = Duration::from_secs(10);
        let counted = || {
            std::fs::read_to_string("/proc/thread-self/schedstat").is_ok_and(|text| !text.starts_with("0 0 "))
        };
        let mut meter = Meter::of_this_thread();
        let start = Instant::now();
        // The counters of a new thread are 0 before its first time slice ends. Without SCHED_INFO, the kernel never counts.
        while !counted() && start.elapsed() < DEADLINE {}
        if !counted() {
            return assert_eq!(meter.busy(), None);
        }
        let before = meter.busy().expect("the kernel counts");
        while meter.busy() == Some(before) {
            assert!(start.elapsed() < 2 * DEADLINE, "the meter does not follow a busy thread");
        }
    }
}
