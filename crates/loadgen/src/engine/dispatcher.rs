//! Releases every request at its planned instant, whether or not earlier ones were answered.
//!
//! The dispatcher is a thread that sleeps until the next instant. Timers of tokio would round up to the next millisecond, and
//! a busy loop would take a core from a target on the same machine.

use super::{
    in_flight::InFlight,
    record::{DropReason, Record},
    worker::{Command, FLUSH},
};
use crate::{
    plan::{Plan, Releases},
    scenario::{Executor, Problem},
    schedule::Schedule,
};
use std::{
    thread,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

/// The longest sleep. It is short so that an interruption takes effect soon.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

pub(super) struct Dispatcher {
    pub(super) started: Instant,
    pub(super) workers: Vec<mpsc::UnboundedSender<Command>>,
    pub(super) records: mpsc::UnboundedSender<Record>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) in_flight: InFlight,
    pub(super) record: Record,
    pub(super) flushed: Instant,
    pub(super) turn: usize,
}

/// The commands of a phase.
pub(super) enum Work {
    /// An open loop: requests at instants of the plan.
    Open(Box<Releases>),
    /// A closed loop of this many users.
    Closed(usize),
}

/// Prepares the work of each phase before the run, so that no phase starts late.
pub(super) fn prepare(plan: &Plan) -> Result<Vec<Work>, Problem> {
    let phases = plan.scenario.phases.iter().enumerate();
    let work = phases.map(|(at, phase)| match (plan.releases(at)?, &phase.executor) {
        (Some(releases), _) => Ok(Work::Open(Box::new(releases))),
        (None, Executor::Closed { vus, .. }) => Ok(Work::Closed(plan.shard.share(*vus))),
        (None, Executor::Open { .. }) => unreachable!("open phases have releases"),
    });
    work.collect()
}

impl Dispatcher {
    /// Runs the phases one after the other, until the end of the last one or until the run is stopped.
    pub(super) fn run(mut self, work: Vec<Work>, schedule: &Schedule) {
        for (phase, work) in work.into_iter().enumerate() {
            let span = schedule.span(phase);
            let (start, end) = (self.started + span.start, self.started + span.end);
            self.sleep_until(start);
            match work {
                Work::Open(releases) => self.release(phase, start, *releases),
                Work::Closed(vus) => self.share_out(phase, vus, end),
            }
            self.sleep_until(end);
            if self.stopped() {
                break;
            }
        }
        self.flush();
    }

    fn release(&mut self, phase: usize, start: Instant, releases: Releases) {
        // Each request is prepared before its instant, so that it is not sent late.
        for (due, request) in releases {
            let intended = start + due;
            self.sleep_until(intended);
            if self.stopped() {
                return;
            }
            let Some(permit) = self.in_flight.try_acquire() else {
                self.record.phase(phase).dropped(request.payload, DropReason::InFlightLimit);
                continue;
            };
            self.turn = (self.turn + 1) % self.workers.len();
            let payload = request.payload;
            let command = Command::Send { phase, request, intended, permit };
            if self.workers[self.turn].send(command).is_err() {
                self.record.phase(phase).dropped(payload, DropReason::WorkerGone);
            }
        }
    }

    fn share_out(&self, phase: usize, vus: usize, until: Instant) {
        let workers = self.workers.len();
        for (at, worker) in self.workers.iter().enumerate() {
            let users = at * vus / workers..(at + 1) * vus / workers;
            // A worker whose thread has ended has no users; the other workers go on.
            let _ = worker.send(Command::Users { phase, users, until });
        }
    }

    fn sleep_until(&mut self, instant: Instant) {
        loop {
            let now = Instant::now();
            if now.saturating_duration_since(self.flushed) >= FLUSH {
                self.flush();
                self.flushed = now;
            }
            if now >= instant || self.stopped() {
                return;
            }
            thread::sleep((instant - now).min(LONGEST_SLEEP));
        }
    }

    fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    fn flush(&mut self) {
        let record = std::mem::take(&mut self.record);
        if !record.is_empty() {
            // The receiver is dropped when the run is given up.
            let _ = self.records.send(record);
        }
    }
}
