use super::*;
use crate::{
    scenario::Scenario,
    watch::{Snapshot, Watch, text_format::parse},
};
use std::collections::BTreeSet;

const SECOND: Duration = Duration::from_secs(1);

fn seconds(seconds: u32) -> Duration {
    SECOND * seconds
}

/// A reading of a service with one signal `a` of two even bins and classes `x` and `y`.
fn reading(ok: u64, bad: u64, low: u64, high: u64) -> Result<Snapshot, String> {
    let page = format!(
        r#"inference_requests_total{{endpoint="/predict",status="200"}} {ok}
inference_requests_total{{endpoint="/predict",status="422"}} {bad}
prediction_output_total{{class="x"}} {low}
prediction_output_total{{class="y"}} {high}
signal_reference_rows{{version="v"}} 1000
signal_critical_chi2{{version="v",signal="a"}} 20
signal_bin_expected_ratio{{version="v",signal="a",bin="low"}} 0.5
signal_bin_expected_ratio{{version="v",signal="a",bin="high"}} 0.5
signal_bin_total{{version="v",signal="a",bin="low"}} {low}
signal_bin_total{{version="v",signal="a",bin="high"}} {high}
"#
    );
    Ok(Snapshot::new(&parse(&page).unwrap()))
}

const BOUNDARIES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(10), Duration::from_secs(20)];

/// Ten calm seconds, then ten with four times the load, a third of it bad, and the signal all low.
fn watch() -> Watch {
    let mut watch = Watch::new(&BOUNDARIES);
    watch.observe(seconds(0), reading(0, 0, 0, 0));
    watch.observe(seconds(10), reading(100, 0, 50, 50));
    watch.observe(seconds(14), reading(150, 50, 100, 50));
    watch.observe(seconds(20), reading(367, 133, 350, 50));
    watch
}

fn outcome(
    expect: &str,
    watch: &Watch,
    alerts: Option<&AlertLog>,
    interrupted: Option<Duration>,
) -> ExpectationOutcome {
    let yaml = format!(
        "name: x
payloads: {{ p: {{ source: {{ model: {{}} }} }} }}
phases:
  - {{ name: calm, executor: constant-vus, vus: 1, duration: 10s }}
  - {{ name: storm, executor: constant-vus, vus: 1, duration: 10s }}
expect: {{ {expect} }}"
    );
    let scenario = Scenario::parse(&yaml, "x").unwrap();
    let names = ["calm".to_owned(), "storm".to_owned()];
    let seen = Seen { phases: watch.phases(), names: &names, boundaries: &BOUNDARIES, alerts, interrupted };
    judge(&scenario.expectations[0], &seen)
}

fn verdict(expect: &str) -> Verdict {
    outcome(expect, &watch(), None, None).verdict
}

#[test]
fn signals_are_timed_and_their_silence_is_judged() {
    let drifts =
        outcome("signals: [ { signal: a, phase: storm, drifts_within: 10s } ]", &watch(), None, None);
    assert_eq!((drifts.verdict, drifts.after), (Verdict::Passed, Some(10.0)));
    assert_eq!(verdict("signals: [ { signal: a, phase: storm, drifts_within: 9s } ]"), Verdict::Failed);
    assert_eq!(verdict("signals: [ { signal: '*', phase: storm, drifts_within: 10s } ]"), Verdict::Passed);
    assert_eq!(verdict("signals: [ { signal: a, phase: calm, drifts_within: 9s } ]"), Verdict::Failed);
    assert_eq!(verdict("signals: [ { signal: '*', phase: calm, stays: steady } ]"), Verdict::Passed);
    assert_eq!(verdict("signals: [ { signal: '*', phase: storm, stays: steady } ]"), Verdict::Failed);
    assert_eq!(verdict("signals: [ { signal: b, phase: calm, stays: steady } ]"), Verdict::Failed);
}

#[test]
fn cannot_tell_is_neither() {
    let mut watch = Watch::new(&BOUNDARIES);
    watch.observe(seconds(0), reading(0, 0, 0, 0));
    watch.observe(seconds(10), reading(20, 0, 10, 10));
    for demand in ["stays: steady", "drifts_within: 9s"] {
        let expect = format!("signals: [ {{ signal: a, phase: calm, {demand} }} ]");
        let outcome = outcome(&expect, &watch, None, None);
        assert_eq!(outcome.verdict, Verdict::Failed, "{demand}");
        assert!(outcome.detail.contains("20 rows, it takes 60"), "{}", outcome.detail);
    }
}

#[test]
fn vitals_are_held_against_limits_and_the_baseline() {
    let cases = [
        ("vital: throughput, phase: storm, rises_by: 4", Verdict::Passed),
        ("vital: throughput, phase: storm, rises_by: 4.1", Verdict::Failed),
        ("vital: client_error_ratio, phase: storm, exceeds: 0.33", Verdict::Passed),
        ("vital: client_error_ratio, phase: storm, exceeds: 0.34", Verdict::Failed),
        ("vital: client_error_ratio, phase: calm, stays_below: 0.01", Verdict::Passed),
        ("vital: server_error_ratio, phase: storm, stays_below: 0.01", Verdict::Passed),
        ("vital: class_share, phase: storm, shifts_by: 0.4", Verdict::Passed),
        ("vital: class_share, class: y, phase: storm, shifts_by: 0.6", Verdict::Failed),
        ("vital: throughput, phase: calm, against: storm, rises_by: 4", Verdict::Failed),
        // Nothing was published to tell it by.
        ("vital: latency_p95, phase: storm, stays_below: 1s", Verdict::Failed),
    ];
    for (expect, expected) in cases {
        assert_eq!(verdict(&format!("vitals: [ {{ {expect} }} ]")), expected, "{expect}");
    }
}

#[test]
fn a_service_that_cannot_be_read_fails_with_the_reason() {
    let mut watch = Watch::new(&BOUNDARIES);
    watch.observe(seconds(1), Err("connection refused".into()));
    let expect = "vitals: [ { vital: server_error_ratio, phase: calm, stays_below: 0.5 } ]";
    let outcome = outcome(expect, &watch, None, None);
    assert_eq!(
        (outcome.verdict, outcome.detail.as_str()),
        (Verdict::Failed, "cannot tell: connection refused")
    );
}

/// Alert `A` fires from `from` to `to`.
fn log(from: u32, to: u32) -> AlertLog {
    let mut log = AlertLog::default();
    for second in 0..30 {
        let firing: BTreeSet<String> =
            (from..=to).contains(&second).then(|| "A".to_owned()).into_iter().collect();
        log.observe(seconds(second), Ok(firing));
    }
    log
}

const FIRES: &str = "alerts: [ { alert: A, phase: storm, fires_within: 15s } ]";
const QUIET: &str = "quiet: [A]";

#[test]
fn alerts_count_from_the_start_of_their_phase() {
    let fires = |log: &AlertLog| outcome(FIRES, &watch(), Some(log), None);
    assert_eq!((fires(&log(22, 29)).verdict, fires(&log(22, 29)).after), (Verdict::Passed, Some(12.0)));
    assert_eq!(fires(&log(26, 29)).verdict, Verdict::Failed);
    assert_eq!(fires(&log(99, 99)).verdict, Verdict::Failed);
    let before = fires(&log(5, 12));
    assert_eq!(before.verdict, Verdict::Failed);
    assert!(before.detail.contains("before the phase began"), "{}", before.detail);
}

#[test]
fn quiet_is_quiet_all_the_time() {
    let quiet = |log: &AlertLog| outcome(QUIET, &watch(), Some(log), None).verdict;
    assert_eq!(quiet(&log(99, 99)), Verdict::Passed);
    assert_eq!(quiet(&log(0, 2)), Verdict::Failed);
    assert_eq!(quiet(&log(25, 25)), Verdict::Failed);
}

#[test]
fn without_prometheus_nothing_is_checked_and_without_its_answer_nothing_passes() {
    for expect in [FIRES, QUIET] {
        assert_eq!(outcome(expect, &watch(), None, None).verdict, Verdict::NotChecked);
        let mut silent = AlertLog::default();
        silent.observe(seconds(1), Err("connection refused".into()));
        let outcome = outcome(expect, &watch(), Some(&silent), None);
        assert_eq!(
            (outcome.verdict, outcome.detail.as_str()),
            (Verdict::Failed, "cannot tell: connection refused")
        );
    }
}

#[test]
fn an_interruption_misses_nothing() {
    let interrupted = outcome(FIRES, &watch(), Some(&log(99, 99)), Some(seconds(12)));
    assert_eq!(interrupted.verdict, Verdict::NotChecked);
    assert!(interrupted.detail.starts_with("interrupted"), "{}", interrupted.detail);
}
