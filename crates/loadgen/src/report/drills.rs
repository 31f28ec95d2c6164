//! Groups the report by failure modes: what was done to the service, and what monitoring detected.

use super::PhaseReport;
use crate::{
    judge::{Verdict, expectations::ExpectationOutcome},
    malformed::Malformed,
    scenario::{Executor, Payload, Phase, Scenario, Source, TableSource},
    watch::PrometheusWatch,
};
use driftsim::{DriftSpec, counted::counted, presets};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// The prefix of the headers that ask for a fault.
const FAULT: &str = "x-envoy-fault-";

/// A phase that injects a fault or drift, or that has expectations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FailureMode {
    /// The phase.
    pub phase: String,
    /// A description of the requests.
    pub injected: String,
    /// When the phase began, in UTC.
    pub at: String,
    /// When the phase began, in seconds from the run's start.
    pub start: f64,
    /// Expected events that were detected.
    pub noticed: Vec<DrillOutcome>,
    /// Alerts that resolved in time; their seconds count from the end of the phase.
    pub resolved: Vec<DrillOutcome>,
    /// Alerts, signals and values that stayed quiet as expected.
    pub quiet: Vec<DrillOutcome>,
    /// Expectations that were missed, including those that could not be decided.
    pub missed: Vec<DrillOutcome>,
    /// Expectations that were not checked.
    pub not_checked: Vec<DrillOutcome>,
}

/// The outcome of one expectation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillOutcome {
    /// The expectation as text.
    pub expected: String,
    /// The observation as text.
    pub detail: String,
    /// Seconds until the event.
    pub after: Option<f64>,
}

impl FailureMode {
    /// Sets the outcomes, in place of earlier ones.
    pub fn set_outcomes(&mut self, expectations: &[ExpectationOutcome]) {
        for list in
            [&mut self.noticed, &mut self.resolved, &mut self.quiet, &mut self.missed, &mut self.not_checked]
        {
            list.clear();
        }
        for outcome in expectations {
            if outcome.phase.as_ref() == Some(&self.phase) {
                self.add(outcome);
            }
        }
    }

    fn add(&mut self, outcome: &ExpectationOutcome) {
        let outcome_of = |after| DrillOutcome {
            expected: outcome.expected.clone(),
            detail: outcome.detail.clone(),
            after,
        };
        let list = match (outcome.verdict, outcome.calm) {
            (Verdict::Passed, false) => &mut self.noticed,
            (Verdict::Passed, true) => &mut self.quiet,
            (Verdict::Failed | Verdict::CannotTell, _) => &mut self.missed,
            (Verdict::NotChecked, _) => &mut self.not_checked,
        };
        list.push(outcome_of(outcome.after));
        if outcome.verdict == Verdict::Passed && outcome.resolved_after.is_some() {
            self.resolved.push(outcome_of(outcome.resolved_after));
        }
    }
}

/// Returns the failure modes of a run, in the order of their phases, without their outcomes.
pub fn failure_modes(
    scenario: &Scenario,
    phases: &[PhaseReport],
    expectations: &[ExpectationOutcome],
    started_at: SystemTime,
) -> Vec<FailureMode> {
    let mut modes = Vec::new();
    for (phase, report) in scenario.phases.iter().zip(phases) {
        let expects = expectations.iter().any(|outcome| outcome.phase.as_ref() == Some(&phase.name));
        if !expects && !injects(phase, &scenario.payloads) {
            continue;
        }
        let at = started_at + Duration::from_secs_f64(report.start);
        modes.push(FailureMode {
            phase: phase.name.clone(),
            injected: injected(phase, &scenario.payloads),
            at: humantime::format_rfc3339_seconds(at).to_string(),
            start: report.start,
            ..FailureMode::default()
        });
    }
    modes
}

/// Returns whether a phase sends other than ordinary requests.
fn injects(phase: &Phase, payloads: &[Payload]) -> bool {
    let ordinary = |payload: &Payload| {
        let as_usual = match &payload.source {
            Source::Model => true,
            Source::Table(table) => table.drift.operations.is_empty(),
            Source::Drift(_) | Source::Malformed(_) | Source::Fixed(_) => false,
        };
        as_usual && !payload.headers.keys().any(|name| name.as_str().starts_with(FAULT))
    };
    payloads.iter().zip(&phase.mix).any(|(payload, &weight)| weight > 0 && !ordinary(payload))
}

/// Describes the requests of a phase, the largest share first: `50/s for 30s: 80 % drifted (drift preset giant), 20 %
/// usual (like the reference)`.
fn injected(phase: &Phase, payloads: &[Payload]) -> String {
    let all: u64 = phase.mix.iter().map(|&weight| u64::from(weight)).sum();
    let mut mix: Vec<_> = payloads.iter().zip(&phase.mix).filter(|(_, weight)| **weight > 0).collect();
    mix.sort_by_key(|(_, weight)| std::cmp::Reverse(**weight));
    let mix: Vec<String> = mix
        .into_iter()
        .map(|(payload, &weight)| {
            // Shares are rounded to a tenth of a percent, because shares of a third are common.
            let percent = (f64::from(weight) * 1000.0 / all as f64).round() / 10.0;
            format!("{percent} % {} ({})", payload.name, source(payload))
        })
        .collect();
    format!("{}: {}", load(&phase.executor), mix.join(", "))
}

fn load(executor: &Executor) -> String {
    let span = |span| humantime::format_duration(span).to_string();
    match executor {
        Executor::Closed { vus, duration } => {
            format!("{} for {}", counted(*vus as u64, "user", "users"), span(*duration))
        }
        Executor::Open { ramps, .. } => {
            let ramps: Vec<String> = ramps
                .iter()
                .map(|ramp| match ramp.from == ramp.to {
                    true => format!("{}/s for {}", ramp.to, span(ramp.duration)),
                    false => format!("{} → {}/s in {}", ramp.from, ramp.to, span(ramp.duration)),
                })
                .collect();
            ramps.join(", ")
        }
    }
}

fn source(payload: &Payload) -> String {
    let mut words = match &payload.source {
        Source::Model => "like the reference".to_owned(),
        Source::Drift(spec) => drift(spec),
        Source::Table(table) if table.drift.operations.is_empty() => rows_of(table),
        Source::Table(table) => format!("{}, {}", rows_of(table), drift(&table.drift)),
        Source::Fixed(_) => format!("{} {}", payload.method, payload.path),
        Source::Malformed(kinds) if kinds.is_empty() => "malformed in all ways".to_owned(),
        Source::Malformed(kinds) => {
            format!("malformed in {} of {} ways", kinds.len(), Malformed::ALL.len())
        }
    };
    if let Some(feedback) = payload.feedback {
        let after = humantime::format_duration(feedback.after);
        words += &format!(", feedback on {} % after {after}", 100.0 * feedback.share);
    }
    for (name, value) in &payload.headers {
        // The values of other headers are not shown, because they may be secret.
        let shown = value.to_str().ok().filter(|_| name.as_str().starts_with(FAULT));
        words += &shown.map_or(format!(", header {name}"), |value| format!(", {name}: {value}"));
    }
    words
}

fn rows_of(table: &TableSource) -> String {
    format!("rows of {}", table.file.display())
}

fn drift(spec: &DriftSpec) -> String {
    let preset = presets().into_iter().find(|preset| preset.spec.operations == spec.operations);
    let what = match preset {
        Some(preset) => format!("drift preset {}", preset.name),
        None if spec.description.is_empty() => "drift without a description".to_owned(),
        None => format!("drift: {}", spec.description),
    };
    if spec.share < 1.0 { format!("{what}, {} % of the rows", spec.share * 100.0) } else { what }
}

/// Returns warnings about the answers of Prometheus and its Alertmanagers.
pub fn warnings(prometheus: &PrometheusWatch) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(error) = &prometheus.last_error {
        let all = prometheus.answered + prometheus.failed;
        warnings.push(format!("{} of {all} queries to Prometheus failed: {error}", prometheus.failed));
    }
    if prometheus.target.as_ref().is_some_and(|target| target.jobs.is_empty()) {
        warnings.push(
            "Prometheus does not scrape the target's address, and no job has its model, so alerts of every job count; name the job \
            in `expect.job`"
                .to_owned(),
        );
    }
    let reach = &prometheus.alertmanagers;
    if !prometheus.expects_alerts() || reach.listed == 0 {
        return warnings;
    }
    if !reach.known {
        warnings.push("Prometheus has no Alertmanager configured: alerts are not delivered".to_owned());
    } else if let Some(error) = &reach.last_error {
        warnings.push(match reach.answered {
            0 => format!(
                "no Alertmanager of Prometheus can be reached from this machine, so it was not checked whether alerts arrive \
                there: {error}"
            ),
            _ => format!("{} of {} rounds of queries to Alertmanagers failed: {error}", reach.failed, reach.rounds),
        });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: &str = r#"
name: x
payloads:
  flowers: { weight: 100, source: { model: {} } }
  mutants: { weight: 0, source: { drift: { preset: giant, share: 0.5 } } }
  slow: { weight: 0, source: { model: {} }, headers: { x-envoy-fault-delay-request: 400, authorization: hush } }
  garbage: { weight: 0, source: { malformed: { kinds: [nan, huge_body] } } }
  worn: { weight: 0, source: { drift: { description: A worn scale, operations: [ { scale: { features: "*", factor: 2 } } ] } } }
phases:
  - { name: calm, executor: constant-arrival-rate, rate: 50, duration: 30s }
  - name: drifted
    executor: ramping-arrival-rate
    start_rate: 50
    stages: [ { target: 200, duration: 20s }, { target: 200, duration: 40s } ]
    mix: { flowers: 1, mutants: 2 }
  - { name: users, executor: constant-vus, vus: 4, duration: 10s, mix: { slow: 1, garbage: 1, worn: 2 } }
"#;

    #[test]
    fn injected_faults_are_described() {
        let scenario = Scenario::parse(SCENARIO, "x").unwrap();
        let [calm, drifted, users] = &scenario.phases[..] else { panic!("three phases") };
        assert_eq!(injected(calm, &scenario.payloads), "50/s for 30s: 100 % flowers (like the reference)");
        assert_eq!(
            injected(drifted, &scenario.payloads),
            "50 → 200/s in 20s, 200/s for 40s: 66.7 % mutants (drift preset giant, 50 % of the rows), 33.3 % flowers \
             (like the reference)"
        );
        assert_eq!(
            injected(users, &scenario.payloads),
            "4 users for 10s: 50 % worn (drift: A worn scale), 25 % slow (like the reference, \
             x-envoy-fault-delay-request: 400, header authorization), 25 % garbage (malformed in 2 of 13 ways)"
        );
        let injects: Vec<_> =
            scenario.phases.iter().map(|phase| injects(phase, &scenario.payloads)).collect();
        assert_eq!(injects, [false, true, true]);
    }

    #[test]
    fn each_outcome_is_listed_by_its_verdict() {
        let outcome = |verdict, calm, resolved_after| ExpectationOutcome {
            kind: "alert".into(),
            phase: Some("drifted".into()),
            expected: format!("{verdict:?} {calm}"),
            verdict,
            detail: "seen".into(),
            after: Some(5.0),
            resolved_after,
            notified_after: None,
            calm,
        };
        let mut mode = FailureMode { phase: "drifted".into(), ..FailureMode::default() };
        mode.add(&outcome(Verdict::Passed, false, Some(9.0)));
        mode.add(&outcome(Verdict::Passed, true, None));
        mode.add(&outcome(Verdict::Failed, false, Some(99.0)));
        mode.add(&outcome(Verdict::NotChecked, true, None));
        let names = |remarks: &[DrillOutcome]| {
            remarks
                .iter()
                .map(|outcome_of| (outcome_of.expected.clone(), outcome_of.after))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&mode.noticed), [("Passed false".to_owned(), Some(5.0))]);
        assert_eq!(names(&mode.resolved), [("Passed false".to_owned(), Some(9.0))]);
        assert_eq!(names(&mode.quiet), [("Passed true".to_owned(), Some(5.0))]);
        assert_eq!(names(&mode.missed), [("Failed false".to_owned(), Some(5.0))]);
        assert_eq!(names(&mode.not_checked), [("NotChecked true".to_owned(), Some(5.0))]);
    }
}
