//! Sends the planned requests at their planned instants and records their results.
//!
//! ```text
//! dispatcher ── Command ──▶ workers (one a core) ── Record, once a second ──▶ the caller of start()
//!      └────────────────── Record (dropped) ────────────────────────────────▶
//! ```
//!
//! Memory is bounded by the requests in flight: nothing is kept per request once it is recorded, and the plan is
//! drawn as it is played. Every offered request ends in exactly one of completed, failed, timed out, dropped,
//! interrupted. Feedback on predictions is counted apart from them.

mod answer;
mod connections;
mod dispatcher;
pub mod duration_histogram;
pub mod effort;
mod feedback;
mod in_flight;
pub mod record;
mod sender;
mod worker;

pub use duration_histogram::{DurationHistogram, Figures};
pub use effort::Effort;
pub use record::{
    DropReason, Ending, Failure, FeedbackOutcome, FeedbackTotals, Outcome, PhaseRecord, Record, Timing,
    Totals,
};

use crate::{connect::Target, plan::Plan};
use cli_io::descriptors;
use dispatcher::Dispatcher;
use effort::Meter;
use in_flight::InFlight;
use std::{
    io,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
pub(crate) use worker::FLUSH;
use worker::{Wiring, Worker};

/// The time from the end of the preparation to the first planned instant: long enough for all threads to be asleep and
/// waiting.
const LEAD: Duration = Duration::from_millis(20);

/// Why a run cannot start, or was lost.
#[derive(Debug, Error)]
pub enum EngineError {
    /// A payload does not fit the model.
    #[error("{0}")]
    Payload(String),
    /// A worker has no client or no runtime.
    #[error("a worker cannot start: {0}")]
    Worker(String),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// A bug in this program.
    #[error("a thread of the load generator panicked; its part of the run is lost")]
    Panicked,
}

/// A run under way.
pub struct Running {
    /// The instant from which the plan is counted.
    pub started: Instant,
    /// The records of several threads since their last ones. The channel closes at the end of the run.
    pub records: mpsc::UnboundedReceiver<Record>,
    /// How hard the threads work.
    pub effort: Effort,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

/// Returns one worker a core. With the target on the same machine they compete, but the system shares cores more finely
/// than a guess at their split could.
pub fn default_workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Returns how many connections to the target are allowed, if `reserved` descriptors are needed for other purposes.
fn most_connections(reserved: u64) -> usize {
    let reserve = descriptors::least_of_a_server() + reserved;
    let limit = descriptors::raise();
    usize::try_from(limit.saturating_sub(reserve).max(limit / 4)).unwrap_or(usize::MAX)
}

/// Starts a run of `plan` against `target`. The connections to the target leave `reserved` descriptors free, so that the
/// listeners of this program still accept connections when a target is slow.
///
/// # Errors
/// If a payload does not fit the model, or the system refuses threads or sockets.
pub fn start(plan: &Plan, target: &Target, workers: usize, reserved: u64) -> Result<Running, EngineError> {
    let work = dispatcher::prepare(plan).map_err(EngineError::Payload)?;
    let (record_sender, records) = mpsc::unbounded_channel();
    let (stop, stop_receiver) = watch::channel(false);
    let (ready_sender, ready) = std::sync::mpsc::channel();
    let connections = InFlight::new(most_connections(reserved));
    let mut threads = Vec::new();
    let mut commands = Vec::new();
    for at in 0..workers.max(1) {
        let (command_sender, command_receiver) = mpsc::unbounded_channel();
        commands.push(command_sender);
        let wiring = Wiring {
            commands: command_receiver,
            records: record_sender.clone(),
            stop: stop_receiver.clone(),
        };
        let worker = Worker { plan: plan.clone(), target: target.clone(), connections: connections.clone() };
        let ready = ready_sender.clone();
        let run = move || worker.run(wiring, move |result| drop(ready.send(result)));
        threads.push(thread::Builder::new().name(format!("worker-{at}")).spawn(run)?);
    }
    drop(ready_sender);
    let mut meters = Vec::new();
    for meter in ready {
        meters.push(meter.map_err(EngineError::Worker)?);
    }
    let started = Instant::now() + LEAD;
    let dispatcher = Dispatcher {
        started,
        workers: commands,
        records: record_sender,
        stop: stop_receiver,
        in_flight: InFlight::new(plan.max_in_flight()),
        record: Record::default(),
        flushed: started,
        turn: 0,
    };
    let schedule = plan.schedule();
    let (meter_sender, meter) = std::sync::mpsc::channel();
    let run = move || {
        // The other end waits for it.
        let _ = meter_sender.send(Meter::of_this_thread());
        dispatcher.run(work, &schedule);
    };
    threads.push(thread::Builder::new().name("dispatcher".into()).spawn(run)?);
    meters.extend(meter.recv());
    let effort = Effort::new(meters, plan.scenario.phases.len());
    Ok(Running { started, records, effort, stop, threads })
}

impl Running {
    /// Ends the run; requests under way count as interrupted.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the threads; call it once [`Running::records`] has ended.
    ///
    /// # Errors
    /// [`EngineError::Panicked`].
    pub fn join(self) -> Result<(), EngineError> {
        let mut sound = true;
        for thread in self.threads {
            sound &= thread.join().is_ok();
        }
        if sound { Ok(()) } else { Err(EngineError::Panicked) }
    }
}
