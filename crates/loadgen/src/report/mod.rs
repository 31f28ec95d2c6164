//! What a run came to. [`Report`] is the JSON report; [`summary`] prints the same for people.

pub mod drills;
pub mod file;
pub mod progress;
pub mod summary;
pub mod text;

use crate::{
    engine::{DropReason, Failure, Figures, PhaseRecord, Record, Totals},
    judge::{
        Verdict,
        expectations::{self, ExpectationOutcome, Seen},
        thresholds::{self, ThresholdOutcome},
        validity,
    },
    plan::Plan,
    scenario::Executor,
    watch::{PhaseWatch, SignalState, State, Vitals},
};
use drills::FailureMode;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// The last word on a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunVerdict {
    /// Every threshold holds and no expectation was missed.
    Passed,
    /// A threshold or an expectation was missed.
    Failed,
    /// The generator could not keep up: the figures are not the target's.
    Invalid,
    /// Stopped before its end.
    Interrupted,
}

/// What a run came to. Times are in seconds.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// The scenario's description.
    pub description: String,
    /// Where all draws started from.
    pub seed: u64,
    /// What was played against.
    pub target: String,
    /// The Prometheus server that was asked, if any.
    pub prometheus: Option<String>,
    /// Name and version of the model that rows were drawn for.
    pub model: String,
    /// When it started, in UTC.
    pub started_at: String,
    /// How long it lasted.
    pub duration: f64,
    /// The last word.
    pub verdict: RunVerdict,
    /// Why, unless passed.
    pub reason: Option<String>,
    /// Where the requests ended up.
    pub totals: Totals,
    /// From the intended instant to the end of the answer.
    pub response_time: Figures,
    /// From the actual send to the end of the answer.
    pub service_time: Figures,
    /// From the intended instant to the actual send.
    pub send_lag: Figures,
    /// Phase by phase.
    pub phases: Vec<PhaseReport>,
    /// What the client was to see.
    pub thresholds: Vec<ThresholdOutcome>,
    /// What monitoring was to notice.
    pub expectations: Vec<ExpectationOutcome>,
    /// The same by what was done to the service.
    pub failure_modes: Vec<FailureMode>,
    /// What else a reader must know.
    pub warnings: Vec<String>,
}

/// What a phase came to.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseReport {
    /// Its name.
    pub name: String,
    /// `open` or `closed`.
    pub kind: &'static str,
    /// When it started, counted from the run's start.
    pub start: f64,
    /// How long it lasted.
    pub duration: f64,
    /// One word for its thresholds and expectations.
    pub verdict: Verdict,
    /// Where its requests ended up.
    pub totals: Totals,
    /// Completed requests per second.
    pub rate: Option<f64>,
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
    /// What the service said of itself.
    pub monitoring: Monitoring,
}

/// What the service's `/metrics` showed in a phase.
#[derive(Debug, Clone, Serialize)]
pub struct Monitoring {
    /// Vital signs.
    #[serde(flatten)]
    pub vitals: Vitals,
    /// Each signal by all that was counted in the phase.
    pub signals: BTreeMap<String, SignalState>,
    /// Seconds from the phase's start until a signal was first found drifting.
    pub drifting_after: BTreeMap<String, f64>,
    /// Readings that succeeded.
    pub readings: u64,
    /// Readings that failed.
    pub failed_readings: u64,
    /// Why the last of them failed.
    pub last_error: Option<String>,
}

/// All that a report is made of.
pub struct Findings<'a> {
    /// What was played.
    pub plan: &'a Plan,
    /// Against what.
    pub target: String,
    /// With which Prometheus server.
    pub prometheus: Option<String>,
    /// When.
    pub started_at: SystemTime,
    /// How long it lasted.
    pub elapsed: Duration,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// What came of the requests.
    pub record: &'a Record,
    /// What was seen besides.
    pub seen: Seen<'a>,
}

impl Report {
    /// Judges everything and writes it down.
    pub fn new(findings: &Findings) -> Self {
        let Findings { plan, record, seen, .. } = findings;
        let scenario = &plan.scenario;
        let whole = record.whole();
        let thresholds: Vec<ThresholdOutcome> = scenario
            .thresholds
            .iter()
            .map(|threshold| match threshold.phase {
                None => thresholds::judge(threshold, None, &whole),
                Some(phase) => {
                    let record = record.get(phase).cloned().unwrap_or_default();
                    thresholds::judge(threshold, Some(scenario.phases[phase].name.clone()), &record)
                }
            })
            .collect();
        let expectations: Vec<ExpectationOutcome> = scenario
            .expectations
            .iter()
            .enumerate()
            .map(|(at, expectation)| expectations::judge(at, expectation, seen))
            .collect();
        let phases: Vec<PhaseReport> =
            (0..scenario.phases.len()).map(|at| phase(at, findings, &thresholds, &expectations)).collect();
        let blames_itself = scenario.thresholds.iter().zip(&thresholds).any(|(threshold, outcome)| {
            let record = match threshold.phase {
                None => whole.clone(),
                Some(phase) => record.get(phase).cloned().unwrap_or_default(),
            };
            outcome.verdict == Verdict::Failed && validity::blames_itself(threshold, &record)
        });
        let (verdict, reason) =
            verdict(findings.interrupted, &whole, blames_itself, &thresholds, &expectations);
        Self {
            scenario: scenario.name.clone(),
            description: scenario.description.clone(),
            seed: plan.seed,
            target: findings.target.clone(),
            prometheus: findings.prometheus.clone(),
            model: format!("{} {}", plan.card.name, plan.card.version),
            started_at: humantime::format_rfc3339_seconds(findings.started_at).to_string(),
            duration: findings.elapsed.as_secs_f64(),
            verdict,
            reason,
            totals: whole.totals,
            response_time: whole.response.figures(),
            service_time: whole.service.figures(),
            send_lag: whole.lag.figures(),
            warnings: warnings(&phases, &thresholds, seen),
            failure_modes: drills::failure_modes(scenario, &phases, &expectations, findings.started_at),
            phases,
            thresholds,
            expectations,
        }
    }

    /// The report as JSON, with a newline at its end.
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = match serde_json::to_vec_pretty(self) {
            Ok(text) => text,
            Err(error) => unreachable!("plain data: {error}"),
        };
        text.push(b'\n');
        text
    }
}

fn phase(
    at: usize,
    findings: &Findings,
    thresholds: &[ThresholdOutcome],
    expectations: &[ExpectationOutcome],
) -> PhaseReport {
    let phase = &findings.plan.scenario.phases[at];
    let boundaries = findings.seen.boundaries;
    let record = findings.record.get(at).cloned().unwrap_or_default();
    let lasted = boundaries[at + 1].min(findings.elapsed).saturating_sub(boundaries[at]).as_secs_f64();
    let of_phase = |name: &Option<String>| name.as_ref() == Some(&phase.name);
    let verdicts =
        thresholds.iter().filter(|outcome| of_phase(&outcome.phase)).map(|outcome| outcome.verdict).chain(
            expectations.iter().filter(|outcome| of_phase(&outcome.phase)).map(|outcome| outcome.verdict),
        );
    PhaseReport {
        name: phase.name.clone(),
        kind: if matches!(phase.executor, Executor::Open { .. }) { "open" } else { "closed" },
        start: boundaries[at].as_secs_f64(),
        duration: lasted,
        verdict: Verdict::of_all(verdicts),
        totals: record.totals,
        rate: (lasted > 0.0).then(|| record.totals.completed as f64 / lasted),
        response_time: record.response.figures(),
        service_time: record.service.figures(),
        send_lag: record.lag.figures(),
        statuses: record.statuses,
        failures: record.failures,
        drops: record.drops,
        monitoring: Monitoring::new(&findings.seen.phases[at]),
    }
}

impl Monitoring {
    fn new(watch: &PhaseWatch) -> Self {
        let seconds = |(signal, after): (&String, &Duration)| (signal.clone(), after.as_secs_f64());
        Self {
            vitals: watch.tally.vitals(),
            signals: watch.signals.clone(),
            drifting_after: watch.drifting_after.iter().map(seconds).collect(),
            readings: watch.readings,
            failed_readings: watch.failed_readings,
            last_error: watch.last_error.clone(),
        }
    }

    /// Signals found drifting, the first first.
    pub fn drifting(&self) -> Vec<&str> {
        let mut drifting: Vec<_> = self.drifting_after.iter().collect();
        drifting.sort_by(|a, b| a.1.total_cmp(b.1));
        drifting.into_iter().map(|(signal, _)| signal.as_str()).collect()
    }

    /// Whether a signal can't be told.
    pub fn cannot_tell(&self) -> bool {
        self.signals.is_empty() || self.signals.values().any(|state| state.state == State::CannotTell)
    }
}

/// An interrupted run is neither good nor bad; an invalid one neither.
fn verdict(
    interrupted: bool,
    whole: &PhaseRecord,
    blames_itself: bool,
    thresholds: &[ThresholdOutcome],
    expectations: &[ExpectationOutcome],
) -> (RunVerdict, Option<String>) {
    if interrupted {
        return (RunVerdict::Interrupted, Some("stopped before its end".into()));
    }
    if let Some(reason) = validity::invalid(whole) {
        return (RunVerdict::Invalid, Some(reason));
    }
    if blames_itself {
        let reason = "a response time above its limit is the generator's own lateness: the target answered in time; \
                      lower the rate or give it more cores";
        return (RunVerdict::Invalid, Some(reason.into()));
    }
    let missed = thresholds.iter().filter(|outcome| outcome.verdict == Verdict::Failed).count();
    let unseen = expectations.iter().filter(|outcome| outcome.verdict == Verdict::Failed).count();
    let verdicts = || {
        let thresholds = thresholds.iter().map(|outcome| outcome.verdict);
        thresholds.chain(expectations.iter().map(|outcome| outcome.verdict))
    };
    if verdicts().count() > 0 && verdicts().all(|verdict| verdict == Verdict::NotChecked) {
        return (RunVerdict::Failed, Some("nothing of what the scenario expects could be checked".into()));
    }
    if missed + unseen == 0 {
        return (RunVerdict::Passed, None);
    }
    let reason = format!(
        "{missed} of {} thresholds and {unseen} of {} expectations missed",
        thresholds.len(),
        expectations.len()
    );
    (RunVerdict::Failed, Some(reason))
}

fn warnings(phases: &[PhaseReport], thresholds: &[ThresholdOutcome], seen: &Seen) -> Vec<String> {
    let mut warnings = Vec::new();
    if thresholds.is_empty() {
        warnings.push("the scenario has no thresholds: what the client saw was not judged".to_owned());
    }
    for phase in phases {
        let Monitoring { readings, failed_readings, last_error, .. } = &phase.monitoring;
        if let Some(error) = last_error {
            let all = readings + failed_readings;
            warnings.push(format!(
                "{}: {failed_readings} of {all} readings of /metrics failed: {error}",
                phase.name
            ));
        }
    }
    warnings.extend(seen.prometheus.into_iter().flat_map(drills::warnings));
    warnings
}
