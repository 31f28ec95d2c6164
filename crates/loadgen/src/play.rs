//! `loadgen run`: puts engine, watch, progress and report together.
//!
//! This thread only watches; the requests are sent by the engine's own threads.

use crate::{
    cli::RunArgs,
    engine::{self, Record, Running},
    exit::Exit,
    judge::expectations::Seen,
    metrics::Metrics,
    page::{Page, Stage, document},
    plan::Plan,
    report::{Findings, file::OutputFile, progress::Progress, summary},
    scenario::{Demand, Scenario, SignalDemand, library},
    serve::{Listeners, Publisher, Servers},
    timeline::Timeline,
    watch::{
        AlertLog, Alerts, EVERY, Snapshot, Watch, next_reading,
        reader::{Reader, below},
    },
};
use anyhow::{Context, anyhow, bail};
use model::ModelCard;
use std::{
    io::{ErrorKind, Write},
    path::Path,
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
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    let json = args.json.as_deref().map(|path| OutputFile::new("--json", path)).transpose()?;
    let html = args.report.as_deref().map(|path| OutputFile::new("--report", path)).transpose()?;
    if let (Some(json), Some(html)) = (&args.json, &args.report)
        && json == html
        && !is_device(json)
    {
        bail!("--json and --report both name {}; give each a file of its own", json.display());
    }
    let listeners = Listeners::bind(args.dashboard, args.metrics_listen)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let page = runtime.block_on(run(args, Arc::new(scenario), listeners))?;
    let report = &page.report;
    // The files first: they are not to suffer from a reader of the summary that has seen enough. But a full disk is to
    // cost neither the summary nor the other file.
    let written = [
        json.map_or(Ok(()), |file| file.write(&report.to_json())),
        html.map_or(Ok(()), |file| file.write(document(&page, false).as_bytes())),
    ];
    match std::io::stdout().write_all(summary::render(report).as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            return Err(error).context("writing the summary");
        }
        _ => {}
    }
    if !report.totals.add_up() {
        bail!("a request was lost or counted twice, which is a fault of this program: {:?}", report.totals);
    }
    let failed: Vec<_> = written.iter().filter_map(|written| written.as_ref().err()).collect();
    if !failed.is_empty() {
        bail!("{}", failed.iter().map(|error| format!("{error:#}")).collect::<Vec<_>>().join("\nerror: "));
    }
    if let Some(path) = &args.report {
        eprintln!("report: {}", path.display());
    }
    Ok(report.verdict.into())
}

fn is_device(path: &Path) -> bool {
    path.exists() && !path.is_file()
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

async fn run(args: &RunArgs, scenario: Arc<Scenario>, listeners: Listeners) -> anyhow::Result<Page> {
    let mut stops = StopSignals::new()?;
    let reader = Reader::new(args.target.clone(), args.prometheus.clone())?;
    let card = reader.card().await.map_err(|error| anyhow!("--target {}: {error}", args.target))?;
    check_signals(&scenario, &card)?;
    check_alerts(&scenario, &reader).await?;
    let seed = scenario.seed;
    let plan = Plan::new(scenario, Arc::new(card), seed).map_err(anyhow::Error::msg)?;

    listeners.announce()?;
    let metrics = Arc::new(Metrics::new(&plan));
    let (servers, publisher) = Servers::start(listeners, Arc::clone(&metrics))?;

    let mut state = Session::new(&plan, args, metrics, publisher);
    state.take(Reading::Metrics(Duration::ZERO, reader.metrics().await));
    if let Some(firing) = reader.alerts().await {
        state.alerts.observe(Duration::ZERO, firing);
    }
    let mut running = engine::start(&plan, &below(&args.target, "predict"), engine::default_workers())?;
    let elapsed = state.follow(&mut running, &reader, &mut stops).await;
    running.join()?;
    state.watch.close(elapsed);
    let page = state.page(elapsed, Some(elapsed), Stage::Over);
    if let Some(publisher) = &mut state.publisher {
        publisher.publish(page.clone());
    }
    drop(servers);
    Ok(page)
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
    args: &'a RunArgs,
    started_at: String,
    names: Vec<String>,
    metrics: Arc<Metrics>,
    publisher: Option<Publisher>,
    timeline: Timeline,
    boundaries: Vec<Duration>,
    record: Record,
    watch: Watch,
    alerts: AlertLog,
    interrupted: bool,
}

impl<'a> Session<'a> {
    fn new(plan: &'a Plan, args: &'a RunArgs, metrics: Arc<Metrics>, publisher: Option<Publisher>) -> Self {
        let boundaries = plan.boundaries();
        Self {
            plan,
            args,
            started_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            names: plan.scenario.phases.iter().map(|phase| phase.name.clone()).collect(),
            metrics,
            publisher,
            timeline: Timeline::default(),
            record: Record::default(),
            watch: Watch::new(&boundaries),
            alerts: AlertLog::default(),
            boundaries,
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
                        self.timeline.record(started.elapsed(), &record);
                        self.metrics.recorded(&record);
                        self.record.merge(&record);
                    }
                    None => {
                        let elapsed = started.elapsed();
                        ended = Some(elapsed);
                        self.take(Reading::Metrics(elapsed, reader.metrics().await));
                        if !self.interrupted && self.awaits_alerts(elapsed, elapsed) {
                            progress.say("all requests are through; waiting for alerts that may still come");
                        }
                    }
                },
                Some(reading) = readings.recv() => self.take(reading),
                _ = ticks.tick() => {
                    let elapsed = started.elapsed();
                    progress.show(self.phase_at(elapsed), elapsed);
                    self.tell(elapsed, ended);
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
            Reading::Metrics(at, reading) => {
                let snapshot = reading.as_ref().ok().cloned();
                self.watch.observe(at, reading);
                self.timeline.read(at, snapshot, self.watch.signals());
            }
            Reading::Alerts(at, firing) => self.alerts.observe(at, firing),
        }
    }

    /// Tells those who look on how the run is.
    fn tell(&mut self, now: Duration, ended: Option<Duration>) {
        let playing = self.boundaries.windows(2).position(|ends| (ends[0]..ends[1]).contains(&now));
        self.metrics.playing(playing.filter(|_| ended.is_none()));
        if self.publisher.as_mut().is_some_and(Publisher::is_wanted) {
            let stage = if ended.is_some() { Stage::Waiting } else { Stage::Running };
            let page = self.page(now, ended, stage);
            if let Some(publisher) = &mut self.publisher {
                publisher.publish(page);
            }
        }
    }

    /// The run as it stands at `now`; its requests may have ended before.
    fn page(&self, now: Duration, ended: Option<Duration>, stage: Stage) -> Page {
        let elapsed = ended.unwrap_or(now);
        let findings = Findings {
            plan: self.plan,
            target: self.args.target.to_string(),
            prometheus: self.args.prometheus.as_ref().map(ToString::to_string),
            started_at: self.started_at.clone(),
            elapsed,
            interrupted: self.interrupted,
            record: &self.record,
            seen: Seen {
                phases: self.watch.phases(),
                names: &self.names,
                boundaries: &self.boundaries,
                alerts: self.args.prometheus.is_some().then_some(&self.alerts),
                interrupted: self.interrupted.then_some(elapsed),
            },
        };
        Page::new(&findings, &self.timeline, stage, now)
    }

    fn phase_at(&self, elapsed: Duration) -> &'a str {
        let phases = &self.plan.scenario.phases;
        match self.boundaries.iter().filter(|&&start| start <= elapsed).count() {
            0 => "",
            count if count > phases.len() => "waiting",
            count => &phases[count - 1].name,
        }
    }

    /// Whether an expected alert may still come in time, or one that should stay quiet is about to fire.
    fn awaits_alerts(&self, now: Duration, ended: Duration) -> bool {
        self.args.prometheus.is_some()
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
