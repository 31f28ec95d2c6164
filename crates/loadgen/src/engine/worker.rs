//! Runs a worker: a thread with its own runtime, connections and record. Workers share only the limits on requests in flight
//! and on connections, so they do not slow each other down.

use super::{
    Target,
    effort::Meter,
    feedback,
    in_flight::{InFlight, Permit},
    record::Record,
    sender::{Recorder, Sender},
};
use crate::plan::{Plan, PreparedRequest, PreparedRequests};
use std::{
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    task::LocalSet,
    time::MissedTickBehavior,
};

/// How often a worker hands over its record: as often as the service is read, so that both cover the same seconds.
pub(crate) const FLUSH: Duration = Duration::from_secs(1);

/// How long a user of a closed loop waits after a request without an answer. A refused connection takes almost no time, so
/// users that retry at once would use up all CPU time of their worker.
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// A command to a worker. Once the channel closes, the worker finishes the requests under way.
pub(super) enum Command {
    /// Send this request, which was due at `intended`.
    Send { phase: usize, request: PreparedRequest, intended: Instant, permit: Permit },
    /// Act as these users of a closed loop until the given instant.
    Users { phase: usize, users: std::ops::Range<usize>, until: Instant },
}

/// The channels of a worker.
pub(super) struct Wiring {
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    pub(super) records: mpsc::UnboundedSender<Record>,
    pub(super) stop: watch::Receiver<bool>,
}

/// A worker before its thread is started. Errors of the setup occur here, before the run.
pub(super) struct Worker {
    pub(super) plan: Plan,
    pub(super) target: Target,
    /// The limit on connections, shared with the other workers.
    pub(super) connections: InFlight,
}

impl Worker {
    /// Runs until the commands end and all requests have ended, or until the run is stopped.
    pub(super) fn run(self, mut wiring: Wiring, ready: impl FnOnce(Result<Meter, String>)) {
        let recorder = Recorder::default();
        let sender = Sender::new(&self.target, self.connections, &self.plan, Rc::clone(&recorder));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start a worker: {error}"));
        let (sender, runtime) = match sender.and_then(|sender| Ok((Rc::new(sender), runtime?))) {
            Ok(built) => built,
            Err(error) => return ready(Err(error)),
        };
        ready(Ok(Meter::of_this_thread()));
        let tasks = LocalSet::new();
        runtime.block_on(work(tasks, &sender, &self.plan, &mut wiring));
        flush(&recorder, &wiring.records);
    }
}

async fn work(mut tasks: LocalSet, sender: &Rc<Sender>, plan: &Plan, wiring: &mut Wiring) {
    let Wiring { commands, records, stop } = wiring;
    let mut ticks = tokio::time::interval(FLUSH);
    // After a delay, records return to whole seconds. Otherwise two could fall into one second and none into the next.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let interrupted = tasks
        .run_until(async {
            loop {
                tokio::select! {
                    command = commands.recv() => match command {
                        Some(command) => handle(command, sender, plan),
                        None => return false,
                    },
                    _ = ticks.tick() => flush(&sender.recorder, records),
                    _ = stop.changed() => return true,
                }
            }
        })
        .await;
    if !interrupted {
        loop {
            tokio::select! {
                () = &mut tasks => break,
                _ = ticks.tick() => flush(&sender.recorder, records),
                _ = stop.changed() => break,
            }
        }
    }
    // Requests still under way count themselves as interrupted when they are dropped.
    drop(tasks);
    while let Some(command) = commands.recv().await {
        if let Command::Send { phase, request, .. } = command {
            // The request counts itself as interrupted when it is dropped.
            drop(sender.ticket(phase, request.payload));
        }
    }
}

fn handle(command: Command, sender: &Rc<Sender>, plan: &Plan) {
    match command {
        Command::Send { phase, request, intended, permit } => {
            let sender = Rc::clone(sender);
            // The guard is created here, not in the task, because a task that is dropped before it first runs must be counted, too.
            let ticket = sender.ticket(phase, request.payload);
            tokio::task::spawn_local(async move {
                let payload = request.payload;
                let sent = sender.send(ticket, request, Some(intended)).await;
                drop(permit);
                feedback::follow_up(&sender, phase, payload, sent.feedback);
            });
        }
        Command::Users { phase, users, until } => {
            for user in users {
                // The plan was checked before the run.
                let Ok(requests) = plan.requests(phase, plan.shard.item(user)) else { continue };
                tokio::task::spawn_local(be_user(Rc::clone(sender), phase, requests, until));
            }
        }
    }
}

/// Sends requests one after the other, each when the one before has been answered.
async fn be_user(sender: Rc<Sender>, phase: usize, mut requests: PreparedRequests, until: Instant) {
    while Instant::now() < until {
        let request = requests.draw();
        let payload = request.payload;
        let sent = sender.send(sender.ticket(phase, payload), request, None).await;
        feedback::follow_up(&sender, phase, payload, sent.feedback);
        if !sent.answered {
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }
}

fn flush(recorder: &Recorder, records: &mpsc::UnboundedSender<Record>) {
    let record = recorder.take();
    if !record.is_empty() {
        // The receiver is dropped when the run is given up.
        let _ = records.send(record);
    }
}
