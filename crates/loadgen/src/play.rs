//! `loadgen run`: puts engine, watch, progress and report together.
//!
//! This thread only watches; the requests are sent by the engine's own threads.

use crate::{
    before::{check_alerts, check_queries, check_signals},
    cli::RunArgs,
    engine::{self, Record, Running},
    exit::Exit,
    judge::expectations::Seen,
    plan::Plan,
    report::{Findings, Report, file::OutputFile, progress::Progress, summary},
    scenario::{Scenario, library},
    watch::{
        PrometheusWatch, Snapshot, Told, Watch, asking, next_reading,
        reader::{Reader, below},
    },
};
use anyhow::{Context, anyhow, bail};
use std::{
    io::{ErrorKind, Write},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::MissedTickBehavior,
};

/// How often the progress is looked at.
const TICK: Duration = Duration::from_millis(250);

/// Runs a scenario to its verdict.
///
/// # Errors
/// Whatever keeps it from starting: the scenario, the target, a file that can't be written.
pub fn play(args: &RunArgs) -> anyhow::Result<Exit> {
    let found = library::find(&args.scenario)?;
    let mut scenario = Scenario::parse(&found.text, &found.place)?;
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    let json = args.json.as_deref().map(|path| OutputFile::new("--json", path)).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(run(args, Arc::new(scenario)))?;
    // The file first: it is not to suffer from a reader of the summary that has seen enough. But a full disk is not to
    // cost the summary either.
    let written = json.map_or(Ok(()), |file| file.write(&report.to_json()));
    match std::io::stdout().write_all(summary::render(&report).as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            return Err(error).context("writing the summary");
        }
        _ => {}
    }
    if !report.totals.add_up() {
        bail!("a request was lost or counted twice, which is a fault of this program: {:?}", report.totals);
    }
    written?;
    Ok(report.verdict.into())
}

/// The signals that ask to stop: Ctrl-C, and SIGTERM, with which containers are stopped. Watched for from the start, so
/// that one that comes early is not lost.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn run(args: &RunArgs, scenario: Arc<Scenario>) -> anyhow::Result<Report> {
    let mut stops = StopSignals::new()?;
    let reader = Reader::new(args.target.clone(), args.prometheus.clone())?;
    let card = reader.card().await.map_err(|error| anyhow!("--target {}: {error}", args.target))?;
    check_signals(&scenario, &card)?;
    check_alerts(&scenario, &reader).await?;
    check_queries(&scenario, &reader).await?;
    let seed = scenario.seed;
    let plan = Plan::new(scenario, Arc::new(card), seed).map_err(anyhow::Error::msg)?;

    let mut state = Session::new(&plan);
    state.watch.observe(Duration::ZERO, reader.metrics().await);
    if let Some(alerts) = reader.alerts().await {
        state.prometheus.observe(Told::Alerts(Duration::ZERO, alerts));
    }
    if state.prometheus.expects_alerts()
        && let Some(held) = reader.held().await
    {
        state.prometheus.observe(Told::Held(Duration::ZERO, held));
    }
    let started_at = SystemTime::now();
    let mut running = engine::start(&plan, &below(&args.target, "predict"), engine::default_workers())?;
    let elapsed = state.follow(&mut running, &reader, &mut stops).await;
    running.join()?;
    state.watch.close(elapsed);

    let names: Vec<String> = plan.scenario.phases.iter().map(|phase| phase.name.clone()).collect();
    let findings = Findings {
        plan: &plan,
        target: args.target.to_string(),
        prometheus: args.prometheus.as_ref().map(ToString::to_string),
        started_at,
        elapsed,
        interrupted: state.interrupted.is_some(),
        record: &state.record,
        seen: Seen {
            phases: state.watch.phases(),
            names: &names,
            boundaries: &state.boundaries,
            prometheus: args.prometheus.is_some().then_some(&state.prometheus),
            interrupted: state.interrupted,
        },
    };
    Ok(Report::new(&findings))
}

/// A reading of the service, made at a time counted from the run's start.
type Reading = (Duration, Result<Snapshot, String>);

/// A run as it is followed.
struct Session<'a> {
    plan: &'a Plan,
    boundaries: Vec<Duration>,
    record: Record,
    watch: Watch,
    prometheus: PrometheusWatch,
    /// When, if it was.
    interrupted: Option<Duration>,
}

impl<'a> Session<'a> {
    fn new(plan: &'a Plan) -> Self {
        let boundaries = plan.boundaries();
        Self {
            plan,
            record: Record::default(),
            watch: Watch::new(&boundaries),
            prometheus: PrometheusWatch::new(&plan.scenario.expectations, &boundaries),
            boundaries,
            interrupted: None,
        }
    }

    /// Follows a run to its end and the alerts a little beyond; says how long the run lasted.
    async fn follow(&mut self, running: &mut Running, reader: &Reader, stops: &mut StopSignals) -> Duration {
        let total = self.boundaries.last().copied().unwrap_or_default();
        let mut progress = Progress::new(total);
        let mut readings = read_on(reader.clone(), self.boundaries.clone(), running.started);
        let (sender, mut told) = mpsc::unbounded_channel();
        let expectations = &self.plan.scenario.expectations;
        asking::ask_on(reader, expectations, &self.boundaries, running.started, &sender);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let started = running.started;
        let mut ended: Option<Duration> = None;
        loop {
            tokio::select! {
                record = running.records.recv(), if ended.is_none() => match record {
                    Some(record) => {
                        progress.add(&record);
                        self.record.merge(&record);
                    }
                    None => {
                        let elapsed = started.elapsed();
                        ended = Some(elapsed);
                        self.watch.observe(elapsed, reader.metrics().await);
                        if self.interrupted.is_none() {
                            say_awaited(&self.prometheus.awaited(elapsed), elapsed, &progress);
                        }
                    }
                },
                Some((at, reading)) = readings.recv() => self.watch.observe(at, reading),
                Some(told) = told.recv() => self.prometheus.observe(told),
                _ = ticks.tick() => {
                    let elapsed = started.elapsed();
                    progress.show(self.phase_at(elapsed), elapsed);
                }
                () = stops.next() => {
                    if self.interrupted.is_some() {
                        std::process::exit(Exit::Interrupted.code().into());
                    }
                    self.interrupted = Some(started.elapsed());
                    progress.say("interrupted; once more to give up the summary too");
                    running.stop();
                }
            }
            if let Some(ended) = ended
                && (self.interrupted.is_some() || self.prometheus.awaited(started.elapsed()).is_empty())
            {
                progress.finish();
                self.prometheus.close(started.elapsed());
                return ended;
            }
        }
    }

    fn phase_at(&self, elapsed: Duration) -> &'a str {
        let phases = &self.plan.scenario.phases;
        match self.boundaries.iter().filter(|&&start| start <= elapsed).count() {
            0 => "",
            count if count > phases.len() => "waiting",
            count => &phases[count - 1].name,
        }
    }
}

/// Says what the run still waits for, and how long at most.
fn say_awaited(awaited: &[(String, Duration)], now: Duration, progress: &Progress) {
    let Some(until) = awaited.iter().map(|(_, until)| *until).max() else { return };
    let mut what: Vec<&str> = awaited.iter().map(|(what, _)| what.as_str()).collect();
    what.dedup();
    progress.say(&format!(
        "all requests are through; waiting for {}; {:.0} s at most",
        what.join(", "),
        until.saturating_sub(now).as_secs_f64().ceil()
    ));
}

/// Reads the service at every second of a phase and at its end.
fn read_on(reader: Reader, boundaries: Vec<Duration>, started: Instant) -> mpsc::UnboundedReceiver<Reading> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut due = next_reading(&boundaries, Duration::ZERO);
        while let Some(at) = due {
            tokio::time::sleep_until((started + at).into()).await;
            let asked = started.elapsed();
            let reading = reader.metrics().await;
            if sender.send((asked, reading)).is_err() {
                return;
            }
            // A reading that took long must not be made up for by a burst of them.
            due = next_reading(&boundaries, asked.max(at));
        }
    });
    receiver
}
