//! `loadgen run`: puts engine, watch, progress and report together.
//!
//! This thread only watches; the requests are sent by the engine's own threads.

use crate::{
    before::{check_alerts, check_queries, check_signals},
    cli::RunArgs,
    connect::{Endpoint, Tls},
    engine::{self, Record, Running, Target},
    exit::Exit,
    judge::expectations::Seen,
    plan::Plan,
    report::{Findings, Report, file::OutputFile, progress::Progress, summary, text::to_stdout},
    scenario::{Scenario, library},
    watch::{PrometheusWatch, Routes, Snapshot, Told, Watch, asking, next_reading, reader::Reader},
};
use anyhow::{anyhow, bail};
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
    check_queries(&scenario, &reader).await?;
    let seed = scenario.seed;
    let plan = Plan::new(scenario, Arc::new(card), seed, args.shard).map_err(anyhow::Error::msg)?;

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
        interrupted: state.interrupted.is_some(),
        record: &state.record,
        effort: &effort,
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
                    if ended.is_none() {
                        running.effort.observe(elapsed, self.phase_number(elapsed));
                    }
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
        self.plan.scenario.phases.get(self.phase_number(elapsed)).map_or("waiting", |phase| &phase.name)
    }

    /// The phase that is on; the number of phases once all are over.
    fn phase_number(&self, elapsed: Duration) -> usize {
        self.boundaries.iter().skip(1).filter(|&&end| end <= elapsed).count()
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
