//! Sends the planned requests at their planned instants and records their results.
//!
//! ```text
//! dispatcher ── Command ──▶ workers (one per core) ─ Record, once a second ─▶ the caller of start()
//!      └────────────────── Record (dropped) ────────────────────────────────▶
//! ```
//!
//! Memory is bounded by the requests in flight: a request that has been recorded is not kept, and the plan is generated during
//! the run. Every offered request ends as exactly one of completed, failed, timed out, dropped, interrupted. Feedback on
//! predictions is counted apart from them.

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

use crate::{connect::Target, plan::Plan, scenario::Problem};
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

/// The time from the end of the preparation to the first planned instant. It is long enough for all threads to start and wait.
const LEAD: Duration = Duration::from_millis(20);

/// Why a run cannot start, or why its results were lost.
#[derive(Debug, Error)]
pub enum EngineError {
    /// A payload does not fit the model.
    #[error("{0}")]
    Payload(Problem),
    /// A worker could not create its connections or its runtime.
    #[error("a worker cannot start: {0}")]
    Worker(String),
    /// The system does not provide a thread.
    #[error("cannot start a thread: {0}; raise the limit on processes and threads (ulimit -u)")]
    Thread(#[from] io::Error),
    /// A thread panicked.
    #[error(
        "a thread of the load generator panicked, which is a fault of this program; the results of the run are lost"
    )]
    Panicked,
}

/// A run whose threads have been started.
pub struct Running {
    /// The start of the run, from which the instants of the plan are counted.
    pub started: Instant,
    /// The records of all threads, each with what happened since the thread's last one. The channel closes at the end of the run.
    pub records: mpsc::UnboundedReceiver<Record>,
    /// The meters of the threads' busy time.
    pub effort: Effort,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

/// Returns the number of workers: one per core, even if the target runs on the same machine, because the system divides the
/// cores among both better than a fixed split.
pub fn default_workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Returns how many connections to the target are allowed, if `reserved` descriptors are needed for other purposes.
fn most_connections(reserved: u64) -> usize {
    let reserve = descriptors::least_of_a_server() + reserved;
    let limit = descriptors::raise();
    usize::try_from(limit.saturating_sub(reserve).max(limit / 4)).unwrap_or(usize::MAX)
}

/// Starts a run of `plan` against `target`. The connections to the target leave `reserved` descriptors free, so that this
/// program's own listeners accept connections even if a slow target holds many.
///
/// # Errors
/// If a payload does not fit the model, or if the system does not provide threads or sockets.
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
    /// Stops the run; requests under way count as interrupted.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the threads to end. Call it after [`Running::records`] has closed.
    ///
    /// # Errors
    /// [`EngineError::Panicked`] if a thread panicked.
    pub fn join(self) -> Result<(), EngineError> {
        let mut sound = true;
        for thread in self.threads {
            sound &= thread.join().is_ok();
        }
        if sound { Ok(()) } else { Err(EngineError::Panicked) }
    }
}
