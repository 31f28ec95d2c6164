//! Defines the results of a run. [`Report`] is the JSON report; [`summary`] prints the same for people.

pub mod drills;
pub mod progress;
pub mod summary;
mod warnings;

use crate::{
    engine::{
        DropReason, DurationHistogram, Effort, Failure, FeedbackTotals, Figures, PhaseRecord, Record, Totals,
    },
    judge::{
        Measured, Missed, RunVerdict, Verdict,
        expectations::{self, ExpectationOutcome, Observations},
        missed_in_words, run_verdict,
        thresholds::ThresholdOutcome,
        validity,
    },
    plan::Plan,
    scenario::{Executor, Threshold},
    watch::{PhaseWatch, SignalState, State, Vitals},
};
use drills::FailureMode;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};
use warnings::warnings;

/// The results of a run. Times are in seconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// The scenario's description.
    pub description: String,
    /// The SHA-256 of the scenario's text, in hexadecimal, because two scenarios of the same name may have different texts.
    pub scenario_sha256: String,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The part of the plan, such as `2/3`; `None` for the whole plan.
    pub shard: Option<String>,
    /// The files that were merged into this report; empty for the report of a single run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged_from: Vec<String>,
    /// The address of the target.
    pub target: String,
    /// The page that metrics were read from, if `--metrics` named it; otherwise it is `/metrics` below the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
    /// The Prometheus server that was queried, if any.
    pub prometheus: Option<String>,
    /// The labels of alerts about the target; `None` if no expectation needs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts_of: Option<String>,
    /// The name and version of the model that rows were generated for; `none` if all bodies were fixed.
    pub model: String,
    /// When the run started, in UTC.
    pub started_at: String,
    /// How long the run lasted.
    pub duration: f64,
    /// The verdict on the run.
    pub verdict: RunVerdict,
    /// The reason for the verdict; `None` if the run passed.
    pub reason: Option<String>,
    /// The numbers of missed thresholds and expectations, even if the run is invalid or interrupted.
    #[serde(default)]
    pub missed: Missed,
    /// How the requests ended.
    pub totals: Totals,
    /// How the feedback on predictions ended.
    #[serde(default, skip_serializing_if = "FeedbackTotals::is_none")]
    pub feedback: FeedbackTotals,
    /// From the intended instant to the end of the answer.
    pub response_time: Figures,
    /// From the actual send to the end of the answer.
    pub service_time: Figures,
    /// From the intended instant to the actual send.
    pub send_lag: Figures,
    /// The results of each phase.
    pub phases: Vec<PhaseReport>,
    /// The outcome of each threshold.
    pub thresholds: Vec<ThresholdOutcome>,
    /// The outcome of each expectation.
    pub expectations: Vec<ExpectationOutcome>,
    /// The outcomes of the expectations, grouped by failure mode.
    pub failure_modes: Vec<FailureMode>,
    /// Warnings about what limits the meaning of the report.
    pub warnings: Vec<String>,
}

/// The results of a phase.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PhaseReport {
    /// Its name.
    pub name: String,
    /// How its requests were released.
    pub kind: Loop,
    /// When the phase started, counted from the run's start.
    pub start: f64,
    /// How long it lasted.
    pub duration: f64,
    /// The strictest verdict of its thresholds and expectations.
    pub verdict: Verdict,
    /// How its requests ended.
    pub totals: Totals,
    /// How the feedback on its predictions ended.
    #[serde(default, skip_serializing_if = "FeedbackTotals::is_none")]
    pub feedback: FeedbackTotals,
    /// Completed requests per second.
    pub rate: Option<f64>,
    /// The share of the time in which the generator's busiest thread ran or waited for a core; `None` where the system does
    /// not count it.
    pub generator_busy: Option<f64>,
    /// From the intended instant to the end of the answer.
    pub response_time: Figures,
    /// From the actual send to the end of the answer.
    pub service_time: Figures,
    /// From the intended instant to the actual send.
    pub send_lag: Figures,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Failures by reason.
    pub failures: BTreeMap<Failure, u64>,
    /// Drops by reason.
    pub drops: BTreeMap<DropReason, u64>,
    /// What the service's own metrics showed.
    pub monitoring: Monitoring,
    /// The distributions behind the figures, which `loadgen merge` adds to those of other machines.
    pub histograms: Histograms,
}

/// How requests are released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loop {
    /// At planned instants.
    Open,
    /// Each when the request before it has been answered.
    Closed,
}

/// The distributions behind a phase's figures.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Histograms {
    /// From the intended instant to the end of the answer.
    pub response_time: DurationHistogram,
    /// From the actual send to the end of the answer.
    pub service_time: DurationHistogram,
    /// From the intended instant to the actual send.
    pub send_lag: DurationHistogram,
}

/// The service's own metrics in a phase.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Monitoring {
    /// The vital signs of the service.
    #[serde(flatten)]
    pub vitals: Vitals,
    /// The state of each signal, from all rows of the phase.
    pub signals: BTreeMap<String, SignalState>,
    /// Seconds from the phase's start until a signal was first found drifting.
    pub drifting_after: BTreeMap<String, f64>,
    /// Readings that succeeded.
    pub readings: u64,
    /// Readings that failed.
    pub failed_readings: u64,
    /// The error of the last failed reading.
    pub last_error: Option<String>,
}

/// The data that a report is made from.
pub struct Findings<'a> {
    /// The plan of the run.
    pub plan: &'a Plan,
    /// SHA-256 of the scenario's text.
    pub scenario_sha256: String,
    /// The address of the target.
    pub target: String,
    /// The page that metrics were read from, if `--metrics` named it.
    pub metrics: Option<String>,
    /// The Prometheus server that was queried, if any.
    pub prometheus: Option<String>,
    /// When the run started.
    pub started_at: SystemTime,
    /// How long it lasted.
    pub elapsed: Duration,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// The results of the requests.
    pub record: &'a Record,
    /// How busy the generator's threads were.
    pub effort: &'a Effort,
    /// What monitoring detected.
    pub seen: Observations<'a>,
}

/// The data, apart from a report's phases and expectations, that its verdicts are based on.
pub struct Evidence<'a> {
    /// The results of each phase's requests.
    pub records: &'a [&'a PhaseRecord],
    /// The scenario's thresholds.
    pub thresholds: &'a [Threshold],
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
    /// Why the figures describe the generator and not the target, if they do.
    pub invalid: Option<String>,
    /// Whether an expectation was missed because of the generator.
    pub own_fault: bool,
}

impl Report {
    /// Creates the report of a run.
    pub fn new(findings: &Findings) -> Self {
        let Findings { plan, record, seen, .. } = findings;
        let scenario = &plan.scenario;
        let nothing = PhaseRecord::default();
        let records: Vec<&PhaseRecord> =
            (0..scenario.phases.len()).map(|at| record.get(at).unwrap_or(&nothing)).collect();
        let phases: Vec<PhaseReport> = (0..records.len()).map(|at| phase(at, findings)).collect();
        let saturated: Vec<bool> = phases.iter().map(PhaseReport::saturated).collect();
        let expectations: Vec<ExpectationOutcome> = scenario
            .expectations
            .iter()
            .enumerate()
            .map(|(at, expectation)| expectations::judge(at, expectation, seen))
            .collect();
        let own_fault = scenario.expectations.iter().zip(&expectations).any(|(expectation, outcome)| {
            outcome.verdict.is_missed() && validity::expects_too_much(expectation, &saturated)
        });
        let invalid = phases
            .iter()
            .zip(&records)
            .find_map(|(phase, record)| validity::invalid(&phase.name, record, phase.generator_busy));
        let draft = Self {
            scenario: scenario.name.clone(),
            description: scenario.description.clone(),
            scenario_sha256: findings.scenario_sha256.clone(),
            seed: plan.seed,
            merged_from: Vec::new(),
            shard: (!plan.shard.is_whole()).then(|| plan.shard.to_string()),
            target: findings.target.clone(),
            metrics: findings.metrics.clone(),
            prometheus: findings.prometheus.clone(),
            alerts_of: seen.prometheus.and_then(|watch| watch.target.as_ref()).map(ToString::to_string),
            model: plan
                .model
                .as_ref()
                .map_or("none".into(), |model| format!("{} {}", model.card.name, model.card.version)),
            started_at: humantime::format_rfc3339_seconds(findings.started_at).to_string(),
            duration: findings.elapsed.as_secs_f64(),
            failure_modes: drills::failure_modes(scenario, &phases, &expectations, findings.started_at),
            phases,
            expectations,
            ..Self::default()
        };
        let mut report = draft.assemble(Evidence {
            records: &records,
            thresholds: &scenario.thresholds,
            interrupted: findings.interrupted,
            invalid,
            own_fault,
        });
        report.warnings = warnings(&report.phases, &report.thresholds, seen);
        report
    }

    /// Sets every figure and verdict that follows from the evidence and from the report's expectations. Both `run` and `merge`
    /// call it.
    pub fn assemble(mut self, evidence: Evidence) -> Self {
        let Evidence { records, thresholds, interrupted, invalid, own_fault } = evidence;
        let mut whole = PhaseRecord::default();
        records.iter().for_each(|record| whole.merge(record));
        self.totals = whole.totals;
        self.feedback = whole.feedback;
        self.response_time = whole.response.figures();
        self.service_time = whole.service.figures();
        self.send_lag = whole.lag.figures();
        for (phase, record) in self.phases.iter_mut().zip(records) {
            phase.set_figures(record);
        }
        let names: Vec<String> = self.phases.iter().map(|phase| phase.name.clone()).collect();
        let saturated: Vec<bool> = self.phases.iter().map(PhaseReport::saturated).collect();
        let measured = Measured { names: &names, records, whole: &whole, saturated: &saturated };
        let (mut outcomes, threshold_own_fault) = measured.judge(thresholds);
        if interrupted {
            // What was not measured is not missed: most of it would have come later.
            let unmeasured = outcomes.iter_mut().filter(|outcome| outcome.value.is_none());
            unmeasured.for_each(|outcome| outcome.verdict = Verdict::NotChecked);
        }
        self.thresholds = outcomes;
        judge_phases(&mut self.phases, &self.thresholds, &self.expectations);
        for mode in &mut self.failure_modes {
            mode.set_outcomes(&self.expectations);
        }
        let own_fault = own_fault || threshold_own_fault;
        let invalid = invalid.or_else(|| own_fault.then(|| validity::OWN_FAULT.to_owned()));
        self.missed = Missed::count(&self.thresholds, &self.expectations);
        (self.verdict, self.reason) =
            run_verdict(interrupted, invalid, &whole.totals, &self.thresholds, &self.expectations);
        self
    }

    /// Returns the reason for the verdict, and what else was missed; `None` if the run passed.
    pub fn full_reason(&self) -> Option<String> {
        let reason = self.reason.as_ref()?;
        match self.verdict {
            RunVerdict::Invalid | RunVerdict::Interrupted if !self.missed.is_none() => Some(format!(
                "{reason}; besides, {}",
                missed_in_words(self.missed, &self.thresholds, &self.expectations)
            )),
            _ => Some(reason.clone()),
        }
    }

    /// Returns the report as JSON, with a newline at its end.
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = match serde_json::to_vec_pretty(self) {
            Ok(text) => text,
            Err(error) => unreachable!("plain data: {error}"),
        };
        text.push(b'\n');
        text
    }
}

/// Creates the report on phase `at` without figures and verdict, which [`Report::assemble`] sets.
fn phase(at: usize, findings: &Findings) -> PhaseReport {
    let phase = &findings.plan.scenario.phases[at];
    let span = findings.seen.schedule.span(at);
    let lasted = span.end.min(findings.elapsed).saturating_sub(span.start).as_secs_f64();
    PhaseReport {
        name: phase.name.clone(),
        kind: match phase.executor {
            Executor::Open { .. } => Loop::Open,
            Executor::Closed { .. } => Loop::Closed,
        },
        start: span.start.as_secs_f64(),
        duration: lasted,
        verdict: Verdict::NotChecked,
        generator_busy: findings.effort.busiest(at),
        monitoring: Monitoring::new(&findings.seen.phases[at]),
        totals: Totals::default(),
        feedback: FeedbackTotals::default(),
        rate: None,
        response_time: Figures::default(),
        service_time: Figures::default(),
        send_lag: Figures::default(),
        statuses: BTreeMap::new(),
        failures: BTreeMap::new(),
        drops: BTreeMap::new(),
        histograms: Histograms::default(),
    }
}

/// Sets the verdict of each phase from those of its thresholds and expectations.
fn judge_phases(
    phases: &mut [PhaseReport],
    thresholds: &[ThresholdOutcome],
    expectations: &[ExpectationOutcome],
) {
    for phase in phases {
        let of_phase = |name: &Option<String>| name.as_deref() == Some(phase.name.as_str());
        let thresholds = thresholds.iter().filter(|outcome| of_phase(&outcome.phase));
        let expectations = expectations.iter().filter(|outcome| of_phase(&outcome.phase));
        let verdicts = thresholds.map(|outcome| outcome.verdict);
        phase.verdict = Verdict::of_all(verdicts.chain(expectations.map(|outcome| outcome.verdict)));
    }
}

impl PhaseReport {
    /// Returns whether the generator was at its own limit in a closed loop, so that the rate is not the target's.
    pub fn saturated(&self) -> bool {
        self.kind == Loop::Closed && self.generator_busy.is_some_and(|busy| busy >= validity::SATURATED)
    }

    /// Sets the figures from the results of the phase's requests.
    fn set_figures(&mut self, record: &PhaseRecord) {
        self.totals = record.totals;
        self.feedback = record.feedback;
        self.rate = (self.duration > 0.0).then(|| record.totals.completed as f64 / self.duration);
        self.response_time = record.response.figures();
        self.service_time = record.service.figures();
        self.send_lag = record.lag.figures();
        self.statuses.clone_from(&record.statuses);
        self.failures.clone_from(&record.failures);
        self.drops.clone_from(&record.drops);
        self.histograms = Histograms::of(record);
    }

    /// Returns the record that the figures were computed from.
    pub fn record(&self) -> PhaseRecord {
        PhaseRecord {
            totals: self.totals,
            feedback: self.feedback,
            response: self.histograms.response_time.clone(),
            service: self.histograms.service_time.clone(),
            lag: self.histograms.send_lag.clone(),
            statuses: self.statuses.clone(),
            failures: self.failures.clone(),
            drops: self.drops.clone(),
            // Only the load generator's own metrics use this count, and only during a run.
            payloads: BTreeMap::new(),
        }
    }
}

impl Histograms {
    fn of(record: &PhaseRecord) -> Self {
        Self {
            response_time: record.response.clone(),
            service_time: record.service.clone(),
            send_lag: record.lag.clone(),
        }
    }
}

impl Monitoring {
    fn new(watch: &PhaseWatch) -> Self {
        let seconds = |(signal, after): (&String, &Duration)| (signal.clone(), after.as_secs_f64());
        Self {
            vitals: watch.increases.vitals(),
            signals: watch.signals.clone(),
            drifting_after: watch.drifting_after.iter().map(seconds).collect(),
            readings: watch.readings,
            failed_readings: watch.failed_readings,
            last_error: watch.last_error.clone(),
        }
    }

    /// Returns the drifting signals in the order of their detection.
    pub fn drifting(&self) -> Vec<&str> {
        let mut drifting: Vec<_> = self.drifting_after.iter().collect();
        drifting.sort_by(|a, b| a.1.total_cmp(b.1));
        drifting.into_iter().map(|(signal, _)| signal.as_str()).collect()
    }

    /// Returns whether a signal has no verdict.
    pub fn cannot_tell(&self) -> bool {
        self.signals.is_empty() || self.signals.values().any(|state| state.state == State::CannotTell)
    }
}
