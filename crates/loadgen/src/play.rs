//! `loadgen run`: puts engine, watch, progress and report together.
//!
//! This thread only watches; the requests are sent by the engine's own threads.

use crate::{
    cli::RunArgs,
    connect::{Endpoint, Tls},
    engine::{self, Record, Running, Target},
    exit::Exit,
    judge::expectations::Seen,
    plan::Plan,
    report::{Findings, Report, file::OutputFile, progress::Progress, summary, text::to_stdout},
    scenario::{Demand, Scenario, SignalDemand, library},
    watch::{AlertLog, Alerts, EVERY, Routes, Snapshot, Watch, next_reading, reader::Reader},
};
use anyhow::{anyhow, bail};
use model::ModelCard;
use reqwest::Url;
use sha2::{Digest, Sha256};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::MissedTickBehavior,
};

/// How long a run waits for a pending alert to fire or to clear: twice the minute that most rules wait.
const LONGEST_PENDING: Duration = Duration::from_secs(120);

/// How often the progress is looked at.
const TICK: Duration = Duration::from_millis(250);

/// Runs a scenario to its verdict.
///
/// # Errors
/// Whatever keeps it from starting: the scenario, the target, a file that can't be written.
pub fn play(args: &RunArgs) -> anyhow::Result<Exit> {
    let found = library::find(&args.scenario)?;
    let mut scenario = Scenario::parse(&found.text, &found.place)?;
    scenario.read_tokens(&found.text, &found.place)?;
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    let json = args.json.as_deref().map(|path| OutputFile::new("--json", path)).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(run(args, Arc::new(scenario), digest(&found.text)))?;
    // The file first: it is not to suffer from a reader of the summary that has seen enough. But a full disk is not to
    // cost the summary either.
    let written = json.map_or(Ok(()), |file| file.write(&report.to_json()));
    to_stdout(summary::render(&report).as_bytes())?;
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

async fn run(args: &RunArgs, scenario: Arc<Scenario>, scenario_sha256: String) -> anyhow::Result<Report> {
    let mut stops = StopSignals::new()?;
    let Servers { target, prometheus } = servers(args)?;
    let address = target.endpoint.url();
    let routes = Routes::new(&scenario.payloads, address.path());
    let reader = Reader::new(&target, routes, prometheus.clone())?;
    let card = reader.card().await.map_err(|error| anyhow!("--target {address}: {error}"))?;
    check_signals(&scenario, &card)?;
    check_alerts(&scenario, &reader).await?;
    let seed = scenario.seed;
    let plan = Plan::new(scenario, Arc::new(card), seed, args.shard).map_err(anyhow::Error::msg)?;

    let mut state = Session::new(&plan, args.prometheus.is_some());
    state.watch.observe(Duration::ZERO, reader.metrics().await);
    if let Some(firing) = reader.alerts().await {
        state.alerts.observe(Duration::ZERO, firing);
    }
    let started_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let mut running = engine::start(&plan, &target, engine::default_workers())?;
    let elapsed = state.follow(&mut running, &reader, &mut stops).await;
    let effort = running.join()?;
    state.watch.close(elapsed);

    let names: Vec<String> = plan.scenario.phases.iter().map(|phase| phase.name.clone()).collect();
    let findings = Findings {
        plan: &plan,
        scenario_sha256,
        target: address.to_string(),
        prometheus: prometheus.map(|prometheus| prometheus.url().to_string()),
        started_at,
        elapsed,
        interrupted: state.interrupted,
        record: &state.record,
        effort: &effort,
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

/// SHA-256 in hexadecimal.
fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sent to the target with every request that has no authorization of its own. No flags, for those show in `ps`.
const TOKEN: &str = "LOADGEN_BEARER_TOKEN";
const PROMETHEUS_TOKEN: &str = "LOADGEN_PROMETHEUS_BEARER_TOKEN";

/// The servers that a run talks to.
struct Servers {
    target: Target,
    prometheus: Option<Endpoint>,
}

fn servers(args: &RunArgs) -> anyhow::Result<Servers> {
    let endpoint = |flag: &str, url: &Url, variable: &str| {
        Endpoint::new(url.clone(), variable).map_err(|problem| anyhow!("{flag}: {problem}"))
    };
    let prometheus = args.prometheus.as_ref();
    let prometheus = prometheus.map(|url| endpoint("--prometheus", url, PROMETHEUS_TOKEN)).transpose()?;
    let endpoint = endpoint("--target", &args.target, TOKEN)?;
    let https = std::iter::once(&endpoint).chain(&prometheus).any(|server| server.url().scheme() == "https");
    let tls = Tls::new(args.ca_cert.as_deref(), https).map_err(anyhow::Error::msg)?;
    Ok(Servers { target: Target { endpoint, tls }, prometheus })
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

/// Finds misspelt alerts before the run: an alert that no rule can raise would stay quiet for ever.
async fn check_alerts(scenario: &Scenario, reader: &Reader) -> anyhow::Result<()> {
    // A Prometheus that does not answer is reported with every alert that it should have told of.
    let Some(Ok(known)) = reader.alert_rules().await else { return Ok(()) };
    for expectation in &scenario.expectations {
        if let (Demand::AlertFires { alert, .. }, field) | (Demand::AlertQuiet { alert }, field) =
            (&expectation.demand, if expectation.phase.is_some() { "alerts" } else { "quiet" })
            && !known.contains(alert)
        {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let list = if known.is_empty() {
                "it has none".to_owned()
            } else {
                format!("it has {}", known.join(", "))
            };
            bail!("expect.{field}: --prometheus has no alerting rule {alert:?}; {list}");
        }
    }
    Ok(())
}

/// What is read at a time counted from the run's start.
enum Reading {
    Metrics(Duration, Result<Snapshot, String>),
    Alerts(Duration, Result<Alerts, String>),
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
    async fn follow(&mut self, running: &mut Running, reader: &Reader, stops: &mut StopSignals) -> Duration {
        let total = self.boundaries.last().copied().unwrap_or_default();
        let mut progress = Progress::new(total);
        let mut readings = read_on(reader.clone(), self.boundaries.clone(), running.started);
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
                        if !self.interrupted && self.awaits_alerts(elapsed, elapsed) {
                            progress.say("all requests are through; waiting for alerts that may still come");
                        }
                    }
                },
                Some(reading) = readings.recv() => self.take(reading),
                _ = ticks.tick() => {
                    let elapsed = started.elapsed();
                    if ended.is_none() {
                        running.effort.observe(elapsed, self.phase_number(elapsed));
                    }
                    progress.show(self.phase_at(elapsed), elapsed);
                }
                () = stops.next() => {
                    if self.interrupted {
                        std::process::exit(Exit::Interrupted.code().into());
                    }
                    self.interrupted = true;
                    progress.say("interrupted; once more to give up the summary too");
                    running.stop();
                }
            }
            if let Some(ended) = ended
                && (self.interrupted || !self.awaits_alerts(started.elapsed(), ended))
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
        self.plan.scenario.phases.get(self.phase_number(elapsed)).map_or("waiting", |phase| &phase.name)
    }

    /// The phase that is on; the number of phases once all are over.
    fn phase_number(&self, elapsed: Duration) -> usize {
        self.boundaries.iter().skip(1).filter(|&&end| end <= elapsed).count()
    }

    /// Whether an expected alert may still come in time, or one that should stay quiet is about to fire.
    fn awaits_alerts(&self, now: Duration, ended: Duration) -> bool {
        self.asks_prometheus
            && self.alerts.answered > 0
            && self.plan.scenario.expectations.iter().any(|expectation| match &expectation.demand {
                Demand::AlertFires { alert, within } => {
                    let start = self.boundaries[expectation.phase.unwrap_or_default()];
                    now < start + *within
                        && !self.alerts.fired_at(alert, start)
                        && self.alerts.began_after(alert, start).is_none()
                }
                Demand::AlertQuiet { alert } => {
                    now < ended + LONGEST_PENDING
                        && self.alerts.first(alert).is_none()
                        && self.alerts.pending_now(alert).is_some_and(|since| since <= ended)
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
