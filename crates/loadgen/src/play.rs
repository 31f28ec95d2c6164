//! `loadgen run`: puts engine, watch, progress and report together.
//!
//! This thread only watches; the requests are sent by the engine's own threads.

use crate::{
    cli::RunArgs,
    engine::{self, Record, Running},
    exit::Exit,
    judge::expectations::Seen,
    plan::Plan,
    report::{Findings, Report, progress::Progress, summary},
    scenario::{Demand, Scenario, SignalDemand, library},
    watch::{
        AlertLog, EVERY, Snapshot, Watch, next_reading,
        reader::{Reader, below},
    },
};
use anyhow::{Context, anyhow, bail};
use model::ModelCard;
use std::{
    collections::BTreeSet,
    fs::File,
    io::Write,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::{sync::mpsc, time::MissedTickBehavior};

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
    // Opened before the run: minutes of load are not to end in a file that can't be written.
    let json = args.json.as_ref().map(|path| {
        File::create(path).with_context(|| format!("--json {}: cannot be written", path.display()))
    });
    let json = json.transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(run(args, Arc::new(scenario)))?;
    print!("{}", summary::render(&report));
    if let Some(mut file) = json {
        serde_json::to_writer_pretty(&mut file, &report)
            .map_err(anyhow::Error::from)
            .and_then(|()| Ok(file.write_all(b"\n")?))
            .context("--json: the report could not be written")?;
    }
    Ok(report.verdict.into())
}

async fn run(args: &RunArgs, scenario: Arc<Scenario>) -> anyhow::Result<Report> {
    let reader = Reader::new(args.target.clone(), args.prometheus.clone())?;
    let card = reader.card().await.map_err(|error| anyhow!("--target {}: {error}", args.target))?;
    check_signals(&scenario, &card)?;
    let seed = scenario.seed;
    let plan = Plan::new(scenario, Arc::new(card), seed).map_err(anyhow::Error::msg)?;

    let mut state = Session::new(&plan, args.prometheus.is_some());
    state.watch.observe(Duration::ZERO, reader.metrics().await);
    if let Some(firing) = reader.alerts().await {
        state.alerts.observe(Duration::ZERO, firing);
    }
    let started_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let mut running = engine::start(&plan, &below(&args.target, "predict"), engine::default_workers())?;
    let elapsed = state.follow(&mut running, &reader).await;
    running.join()?;

    let names: Vec<String> = plan.scenario.phases.iter().map(|phase| phase.name.clone()).collect();
    let whole = state.record.whole().totals;
    assert!(whole.add_up(), "a request was lost or counted twice: {whole:?}");
    let findings = Findings {
        plan: &plan,
        target: args.target.to_string(),
        prometheus: args.prometheus.as_ref().map(ToString::to_string),
        started_at,
        elapsed,
        interrupted: state.interrupted,
        record: &state.record,
        seen: Seen {
            phases: state.watch.phases(),
            names: &names,
            boundaries: &state.boundaries,
            alerts: args.prometheus.is_some().then_some(&state.alerts),
            interrupted: state.interrupted.then_some(elapsed),
        },
    };
    Ok(Report::new(&findings))
}

/// Finds misspelt signals before the run rather than after it.
fn check_signals(scenario: &Scenario, card: &ModelCard) -> anyhow::Result<()> {
    let known: Vec<&str> = card.reference.signals.iter().map(|signal| signal.name.as_str()).collect();
    for expectation in &scenario.expectations {
        if let Demand::Signal { signal, demand } = &expectation.demand
            && signal != "*"
            && !known.contains(&signal.as_str())
        {
            let what = if matches!(demand, SignalDemand::StaysSteady) { "stays" } else { "drifts_within" };
            bail!(
                "expect.signals ({what}): model {} has no signal {signal:?}; it has {}",
                card.name,
                known.join(", ")
            );
        }
    }
    Ok(())
}

/// What is read at a time counted from the run's start.
enum Reading {
    Metrics(Duration, Result<Snapshot, String>),
    Alerts(Duration, Result<BTreeSet<String>, String>),
}

/// A run as it is followed.
struct Session<'a> {
    plan: &'a Plan,
    boundaries: Vec<Duration>,
    record: Record,
    watch: Watch,
    alerts: AlertLog,
    asks_prometheus: bool,
    interrupted: bool,
}

impl<'a> Session<'a> {
    fn new(plan: &'a Plan, asks_prometheus: bool) -> Self {
        let boundaries = plan.boundaries();
        Self {
            plan,
            record: Record::default(),
            watch: Watch::new(&boundaries),
            alerts: AlertLog::default(),
            boundaries,
            asks_prometheus,
            interrupted: false,
        }
    }

    /// Follows a run to its end and the alerts a little beyond; says how long the run lasted.
    async fn follow(&mut self, running: &mut Running, reader: &Reader) -> Duration {
        let total = self.boundaries.last().copied().unwrap_or_default();
        let mut progress = Progress::new(total);
        let mut readings = read_on(reader.clone(), self.boundaries.clone(), running.started);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let started = running.started;
        let mut ended: Option<Duration> = None;
        // Kept over the turns of the loop, so that no signal falls between two of them.
        let mut interrupt = Box::pin(tokio::signal::ctrl_c());
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
                        if !self.interrupted && self.awaits_alerts(elapsed) {
                            progress.say("all requests are through; waiting for alerts that may still come in time");
                        }
                    }
                },
                Some(reading) = readings.recv() => self.take(reading),
                _ = ticks.tick() => {
                    let elapsed = started.elapsed();
                    progress.show(self.phase_at(elapsed), elapsed);
                }
                _ = &mut interrupt => {
                    interrupt = Box::pin(tokio::signal::ctrl_c());
                    if self.interrupted {
                        std::process::exit(Exit::Interrupted.code().into());
                    }
                    self.interrupted = true;
                    progress.say("interrupted; once more to give up the summary too");
                    running.stop();
                }
            }
            if let Some(ended) = ended
                && (self.interrupted || !self.awaits_alerts(started.elapsed()))
            {
                progress.finish();
                return ended;
            }
        }
    }

    fn take(&mut self, reading: Reading) {
        match reading {
            Reading::Metrics(at, reading) => self.watch.observe(at, reading),
            Reading::Alerts(at, firing) => self.alerts.observe(at, firing),
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

    /// Whether an expected alert may still come in time.
    fn awaits_alerts(&self, now: Duration) -> bool {
        self.asks_prometheus
            && self.alerts.answered > 0
            && self.plan.scenario.expectations.iter().any(|expectation| match &expectation.demand {
                Demand::AlertFires { alert, within } => {
                    let start = self.boundaries[expectation.phase.unwrap_or_default()];
                    now < start + *within
                        && !self.alerts.fired_at(alert, start)
                        && self.alerts.began_after(alert, start).is_none()
                }
                _ => false,
            })
    }
}

/// Reads the service at every second of a phase and at its end, and Prometheus every second until nobody listens.
fn read_on(reader: Reader, boundaries: Vec<Duration>, started: Instant) -> mpsc::UnboundedReceiver<Reading> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (metrics, alerts) = ((reader.clone(), sender.clone()), (reader, sender));
    tokio::spawn(async move {
        let (reader, sender) = metrics;
        let mut due = next_reading(&boundaries, Duration::ZERO);
        while let Some(at) = due {
            tokio::time::sleep_until((started + at).into()).await;
            let asked = started.elapsed();
            let reading = reader.metrics().await;
            if sender.send(Reading::Metrics(asked, reading)).is_err() {
                return;
            }
            // A reading that took long must not be made up for by a burst of them.
            due = next_reading(&boundaries, asked.max(at));
        }
    });
    tokio::spawn(async move {
        let (reader, sender) = alerts;
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let asked = started.elapsed();
            let Some(firing) = reader.alerts().await else { return };
            if sender.send(Reading::Alerts(asked, firing)).is_err() {
                return;
            }
        }
    });
    receiver
}
