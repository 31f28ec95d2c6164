//! Follows a run: connects the engine, the watch, the progress line, the live page and the load generator's own metrics.
//!
//! The thread of the session sends no requests of the plan; the engine's own threads send them.

use crate::{
    engine::{Effort, Record, Running},
    judge::expectations::Observations,
    metrics::Metrics,
    page::{Page, Stage},
    plan::Plan,
    report::{Findings, progress::Progress},
    scenario::TargetLabels,
    schedule::Schedule,
    serve::Publisher,
    timeline::Timeline,
    watch::{self, PrometheusWatch, Snapshot, Watch, asking, next_reading, reader::Reader},
};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::MissedTickBehavior,
};

/// How often the progress is updated.
const TICK: Duration = Duration::from_millis(250);

/// The signals that stop a run: SIGINT (Ctrl-C), SIGTERM, which stops containers, and SIGHUP, which is sent when a terminal is
/// closed. They are caught from the start, so that an early one is not lost.
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl StopSignals {
    /// Starts to catch the signals.
    ///
    /// # Errors
    /// If the system does not allow it.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// The facts about a run that the report states, apart from its plan. Addresses have no credentials.
pub struct RunInfo {
    /// SHA-256 of the scenario's text.
    pub scenario_sha256: String,
    /// The address of the target.
    pub target: String,
    /// The page that metrics are read from, if `--metrics` names it.
    pub metrics: Option<String>,
    /// The Prometheus server that is queried, if any.
    pub prometheus: Option<String>,
}

/// A reading of the service, made at a time counted from the run's start.
type Reading = (Duration, Result<Snapshot, String>);

/// The state of a run, as far as it has been observed.
pub struct Session<'a> {
    plan: &'a Plan,
    info: RunInfo,
    started_at: SystemTime,
    names: Vec<String>,
    schedule: Schedule,
    metrics: Arc<Metrics>,
    publisher: Option<Publisher>,
    timeline: Timeline,
    record: Record,
    effort: Effort,
    watch: Watch,
    prometheus: PrometheusWatch,
    /// When the run was interrupted, if it was.
    interrupted: Option<Duration>,
}

impl<'a> Session<'a> {
    /// Creates the state of a run that is about to start.
    pub fn new(plan: &'a Plan, info: RunInfo, metrics: Arc<Metrics>, publisher: Option<Publisher>) -> Self {
        let schedule = plan.schedule();
        Self {
            plan,
            info,
            started_at: SystemTime::now(),
            names: plan.scenario.phases.iter().map(|phase| phase.name.clone()).collect(),
            metrics,
            publisher,
            timeline: Timeline::default(),
            record: Record::default(),
            effort: Effort::default(),
            watch: Watch::new(&schedule),
            prometheus: PrometheusWatch::new(&plan.scenario.expectations, &schedule),
            schedule,
            interrupted: None,
        }
    }

    /// Takes the readings before the first request: the service's metrics, the alerts that Prometheus has `rules` for, and the
    /// labels of alerts about the target.
    pub async fn look_before(
        &mut self,
        reader: &Reader,
        rules: Option<Result<BTreeSet<String>, String>>,
        target: Option<TargetLabels>,
    ) {
        self.prometheus.rules = rules;
        if let Some(target) = target {
            self.prometheus.narrow(target);
        }
        self.read(Duration::ZERO, reader.metrics().await);
        if let Some(alerts) = reader.alerts().await {
            self.prometheus.observe(watch::PrometheusEvent::Alerts(Duration::ZERO, alerts));
        }
        if self.prometheus.expects_alerts()
            && let Some(held) = reader.held().await
        {
            self.prometheus.observe(watch::PrometheusEvent::Held(Duration::ZERO, held));
        }
    }

    /// Follows a run until all requests have ended and the expected alerts are decided. Returns how long the run lasted.
    pub async fn follow(
        &mut self,
        running: &mut Running,
        reader: &Reader,
        stops: &mut StopSignals,
    ) -> Duration {
        let started = running.started;
        self.started_at = SystemTime::now();
        self.effort = std::mem::take(&mut running.effort);
        let mut progress = Progress::new(self.schedule.end());
        let mut readings = read_on(reader.clone(), self.schedule.clone(), started);
        let (sender, mut events) = mpsc::unbounded_channel();
        asking::ask_on(reader, &self.plan.scenario.expectations, &self.schedule, started, &sender);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                        self.read(elapsed, reader.metrics().await);
                        if self.interrupted.is_none() {
                            say_awaited(&self.prometheus.awaited(elapsed), elapsed, &progress);
                        }
                    }
                },
                Some((at, reading)) = readings.recv() => self.read(at, reading),
                Some(event) = events.recv() => self.prometheus.observe(event),
                _ = ticks.tick() => {
                    let elapsed = started.elapsed();
                    let phase = self.schedule.phase_at(elapsed);
                    if ended.is_none() {
                        self.effort.observe(elapsed, phase);
                    }
                    progress.show(phase.map_or("waiting", |phase| self.names[phase].as_str()), elapsed);
                    self.publish_state(elapsed, ended);
                }
                () = stops.next() => {
                    if self.interrupted.is_none() {
                        self.interrupted = Some(started.elapsed());
                        progress.say("interrupted; writing the report");
                        running.stop();
                    }
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

    /// Queries the alerting rules again if Prometheus did not answer before the run. The verdicts can use either answer.
    pub async fn look_after(&mut self, reader: &Reader) {
        if matches!(self.prometheus.rules, Some(Err(_))) && self.interrupted.is_none() {
            self.prometheus.rules = reader.alert_rules().await;
        }
    }

    /// Judges the run and publishes the final page.
    pub fn close(&mut self, elapsed: Duration) -> Page {
        self.watch.close(elapsed);
        let page = self.page(elapsed, Some(elapsed), Stage::Over);
        if let Some(publisher) = &mut self.publisher {
            publisher.publish(page.clone());
        }
        page
    }

    fn read(&mut self, at: Duration, reading: Result<Snapshot, String>) {
        let snapshot = reading.as_ref().ok().cloned();
        self.watch.observe(at, reading);
        self.timeline.read(at, snapshot, self.watch.signals());
    }

    /// Publishes the current state of the run to the live page and the metrics.
    fn publish_state(&mut self, now: Duration, ended: Option<Duration>) {
        self.metrics.playing(self.schedule.phase_at(now).filter(|_| ended.is_none()));
        if self.publisher.as_mut().is_some_and(Publisher::is_wanted) {
            let stage = if ended.is_some() { Stage::Waiting } else { Stage::Running };
            let page = self.page(now, ended, stage);
            if let Some(publisher) = &mut self.publisher {
                publisher.publish(page);
            }
        }
    }

    /// Returns the state of the run at `now`; its requests may have ended before.
    fn page(&self, now: Duration, ended: Option<Duration>, stage: Stage) -> Page {
        let findings = Findings {
            plan: self.plan,
            scenario_sha256: self.info.scenario_sha256.clone(),
            target: self.info.target.clone(),
            metrics: self.info.metrics.clone(),
            prometheus: self.info.prometheus.clone(),
            started_at: self.started_at,
            elapsed: ended.unwrap_or(now),
            interrupted: self.interrupted.is_some(),
            record: &self.record,
            effort: &self.effort,
            seen: Observations {
                phases: self.watch.phases(),
                names: &self.names,
                schedule: &self.schedule,
                prometheus: self.info.prometheus.is_some().then_some(&self.prometheus),
                interrupted: self.interrupted,
            },
        };
        Page::new(&findings, &self.timeline, stage, now)
    }
}

/// Reports which event the run still waits for, and how long at most.
fn say_awaited(awaited: &[(String, Duration)], now: Duration, progress: &Progress) {
    let Some(until) = awaited.iter().map(|(_, until)| *until).max() else { return };
    let mut what: Vec<&str> = awaited.iter().map(|(what, _)| what.as_str()).collect();
    what.dedup();
    progress.say(&format!(
        "all requests have ended; waiting at most {1:.0} s for {0}",
        what.join(", "),
        until.saturating_sub(now).as_secs_f64().ceil()
    ));
}

/// Reads the service at every second of a phase and at its end.
fn read_on(reader: Reader, schedule: Schedule, started: Instant) -> mpsc::UnboundedReceiver<Reading> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut due = next_reading(&schedule, Duration::ZERO);
        while let Some(at) = due {
            tokio::time::sleep_until((started + at).into()).await;
            let asked = started.elapsed();
            let reading = reader.metrics().await;
            if sender.send((asked, reading)).is_err() {
                return;
            }
            // After a slow reading, the ones that were missed are not made up for.
            due = next_reading(&schedule, asked.max(at));
        }
    });
    receiver
}
