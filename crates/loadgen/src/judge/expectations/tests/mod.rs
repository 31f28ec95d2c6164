mod prometheus;

use super::*;
use crate::{
    scenario::Scenario,
    watch::{
        Alerts, PrometheusEvent, Routes, Snapshot, Watch,
        alertmanager::{Asked, Held},
        alerts::Labels,
        queries::NoValue,
        text_format::parse,
    },
};

const SECOND: Duration = Duration::from_secs(1);

fn seconds(seconds: u32) -> Duration {
    SECOND * seconds
}

/// Returns a reading of a service with one signal `a` of two even bins and classes `x` and `y`.
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
    Ok(Snapshot::new(&parse(&page).unwrap(), &Routes::predict(), None))
}

/// Returns the schedule of two phases of ten seconds.
fn schedule() -> Schedule {
    Schedule::new([seconds(10), seconds(10)])
}

/// Returns the readings of ten calm seconds and of ten with four times the load, a third of it invalid, in which all values of
/// the signal are low. The readings between `blind.0` and `blind.1` are missing.
fn watch_but(blind: (u64, u64)) -> Watch {
    let mut watch = Watch::new(&schedule());
    for second in 0..=20 {
        if (blind.0..blind.1).contains(&second) {
            watch.observe(seconds(second as u32), Err("refused".into()));
            continue;
        }
        let storm = second.saturating_sub(10);
        let calm = second - storm;
        let (ok, bad) = (10 * calm + 267 * storm / 10, 133 * storm / 10);
        let reading = reading(ok, bad, 5 * calm + 30 * storm, 5 * calm);
        watch.observe(seconds(second as u32), reading);
    }
    watch.close(seconds(20));
    watch
}

fn watch() -> Watch {
    watch_but((0, 0))
}

/// The answers of Prometheus during a run.
type Story = Vec<PrometheusEvent>;

fn outcome(
    expect: &str,
    watch: &Watch,
    story: Option<Story>,
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
    let prometheus = story.map(|story| {
        let mut prometheus = PrometheusWatch::new(&scenario.expectations, &schedule());
        story.into_iter().for_each(|event| prometheus.observe(event));
        prometheus.close(seconds(30));
        prometheus
    });
    let seen = Observations {
        phases: watch.phases(),
        names: &names,
        schedule: &schedule(),
        prometheus: prometheus.as_ref(),
        interrupted,
    };
    judge(0, &scenario.expectations[0], &seen)
}

fn verdict(expect: &str) -> Verdict {
    outcome(expect, &watch(), None, None).verdict
}

#[test]
fn drift_is_timed_and_steady_signals_are_judged() {
    let drifts = outcome("signals: [ { signal: a, phase: storm, drifts_within: 2s } ]", &watch(), None, None);
    // There are 30 rows per second, and a verdict needs 60.
    assert_eq!((drifts.verdict, drifts.after), (Verdict::Passed, Some(2.0)));
    assert_eq!(verdict("signals: [ { signal: a, phase: storm, drifts_within: 1s } ]"), Verdict::Failed);
    assert_eq!(verdict("signals: [ { signal: '*', phase: storm, drifts_within: 2s } ]"), Verdict::Passed);
    assert_eq!(verdict("signals: [ { signal: a, phase: calm, drifts_within: 9s } ]"), Verdict::Failed);
    assert_eq!(verdict("signals: [ { signal: '*', phase: calm, stays: steady } ]"), Verdict::Passed);
    assert_eq!(verdict("signals: [ { signal: '*', phase: storm, stays: steady } ]"), Verdict::Failed);
    assert_eq!(verdict("signals: [ { signal: b, phase: calm, stays: steady } ]"), Verdict::CannotTell);
}

#[test]
fn a_reading_right_after_the_deadline_is_in_time() {
    let drifts = |millis| {
        let mut watch = Watch::new(&schedule());
        watch.observe(seconds(10), reading(0, 0, 0, 0));
        watch.observe(seconds(12) + Duration::from_millis(millis), reading(60, 0, 60, 0));
        let expect = "signals: [ { signal: a, phase: storm, drifts_within: 2s } ]";
        outcome(expect, &watch, None, None).verdict
    };
    assert_eq!((drifts(20), drifts(600)), (Verdict::Passed, Verdict::Failed));
}

#[test]
fn too_few_rows_are_neither_steady_nor_drifting() {
    let mut watch = Watch::new(&schedule());
    watch.observe(seconds(0), reading(0, 0, 0, 0));
    watch.observe(seconds(10), reading(20, 0, 10, 10));
    for assertion in ["stays: steady", "drifts_within: 9s"] {
        let expect = format!("signals: [ {{ signal: a, phase: calm, {assertion} }} ]");
        let outcome = outcome(&expect, &watch, None, None);
        assert_eq!(outcome.verdict, Verdict::CannotTell, "{assertion}");
        assert!(outcome.detail.contains("20 rows, at least 60 are needed"), "{}", outcome.detail);
    }
}

#[test]
fn vital_signs_are_compared_with_limits_and_with_the_baseline() {
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
        // The service published no latencies.
        ("vital: latency_p95, phase: storm, stays_below: 1s", Verdict::CannotTell),
    ];
    for (expect, expected) in cases {
        assert_eq!(verdict(&format!("vitals: [ {{ {expect} }} ]")), expected, "{expect}");
    }
}

#[test]
fn a_service_that_cannot_be_read_fails_with_the_reason() {
    let mut watch = Watch::new(&schedule());
    watch.observe(seconds(1), Err("connection refused".into()));
    let expect = "vitals: [ { vital: server_error_ratio, phase: calm, stays_below: 0.5 } ]";
    let outcome = outcome(expect, &watch, None, None);
    assert_eq!((outcome.verdict, outcome.detail.as_str()), (Verdict::CannotTell, "connection refused"));
}

/// Returns the labels of an instance of alert `A`.
fn labels(signal: &str) -> Labels {
    [("alertname", "A"), ("signal", signal)].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Returns the answers if alert `A` fires from `from` to `to`, and is pending for the `pending` seconds before.
fn log_of(pending: u32, from: u32, to: u32) -> Story {
    let event = |second| {
        let instance = |holds: bool| holds.then(|| labels("x")).into_iter().collect();
        let alerts = Alerts {
            firing: instance((from..=to).contains(&second)),
            pending: instance((from - pending..from).contains(&second)),
        };
        PrometheusEvent::Alerts(seconds(second), Ok(alerts))
    };
    (0..30).map(event).collect()
}

fn log(from: u32, to: u32) -> Story {
    log_of(0, from, to)
}

/// Returns the same answers with those of an Alertmanager that has the alert from `since` on.
fn delivered(mut story: Story, since: u32, suppressed: Option<&str>) -> Story {
    story.extend((0..60).map(|second| {
        let held =
            Held { labels: labels("x"), updated: "T".into(), suppressed: suppressed.map(ToOwned::to_owned) };
        let held = (second >= since).then_some(held).into_iter().collect();
        PrometheusEvent::Held(seconds(second), Asked { known: Some(1), held: Some(held), error: None })
    }));
    story
}

const FIRES: &str = "alerts: [ { alert: A, phase: storm, fires_within: 15s } ]";
const BECOMES: &str = "promql: [ { expr: q, phase: storm, becomes: '> 5', within: 8s } ]";
const STAYS: &str = "promql: [ { expr: q, phase: storm, stays: '< 5' } ]";
const QUIET: &str = "quiet: [A]";

#[test]
fn alerts_count_from_the_start_of_their_phase() {
    let fires = |story| outcome(FIRES, &watch(), Some(story), None);
    assert_eq!((fires(log(22, 29)).verdict, fires(log(22, 29)).after), (Verdict::Passed, Some(12.0)));
    assert_eq!(fires(log(26, 29)).verdict, Verdict::Failed);
    assert_eq!(fires(log(99, 99)).verdict, Verdict::Failed);
    let before = fires(log(5, 12));
    assert_eq!(before.verdict, Verdict::Failed);
    assert!(before.detail.contains("before the phase began"), "{}", before.detail);
}

#[test]
fn an_alert_that_was_already_pending_does_not_count() {
    let before = outcome(FIRES, &watch(), Some(log_of(10, 15, 29)), None);
    assert_eq!(before.verdict, Verdict::Failed);
    assert!(before.detail.contains("about to fire before the phase began"), "{}", before.detail);
    assert_eq!(outcome(FIRES, &watch(), Some(log_of(4, 15, 29)), None).verdict, Verdict::Passed);
}

#[test]
fn an_alert_that_is_still_pending_is_not_quiet() {
    let outcome = outcome(QUIET, &watch(), Some(log_of(20, 35, 40)), None);
    assert_eq!(
        (outcome.verdict, outcome.detail.as_str()),
        (Verdict::CannotTell, "still pending at the end of the run")
    );
}

#[test]
fn a_phase_that_was_not_read_throughout_cannot_be_decided() {
    let calm = [
        "signals: [ { signal: '*', phase: calm, stays: steady } ]",
        "vitals: [ { vital: client_error_ratio, phase: calm, stays_below: 0.01 } ]",
    ];
    for expect in calm {
        assert_eq!(outcome(expect, &watch_but((5, 7)), None, None).verdict, Verdict::Passed, "{expect}");
        // The readings are missing in the middle, and then at the end.
        for blind in [(3, 8), (6, 21)] {
            let outcome = outcome(expect, &watch_but(blind), None, None);
            assert_eq!(outcome.verdict, Verdict::CannotTell, "{expect}: {}", outcome.detail);
        }
        assert_eq!(outcome(expect, &watch(), None, Some(seconds(6))).verdict, Verdict::NotChecked);
    }
    // An event that was detected stays detected.
    let noticed = "vitals: [ { vital: client_error_ratio, phase: storm, exceeds: 0.3 } ]";
    assert_eq!(outcome(noticed, &watch_but((15, 21)), None, None).verdict, Verdict::Passed);
}

#[test]
fn a_share_of_few_requests_cannot_be_decided() {
    let mut watch = Watch::new(&schedule());
    watch.observe(seconds(0), reading(0, 0, 0, 0));
    watch.observe(seconds(10), reading(100, 0, 50, 50));
    watch.observe(seconds(20), reading(100, 19, 51, 50));
    for (expect, why) in [
        ("vital: class_share, phase: storm, shifts_by: 0.2", "1 prediction, at least 60 are needed"),
        ("vital: client_error_ratio, phase: storm, exceeds: 0.9", "19 requests, at least 20 are needed"),
    ] {
        let outcome = outcome(&format!("vitals: [ {{ {expect} }} ]"), &watch, None, None);
        assert_eq!(outcome.verdict, Verdict::CannotTell);
        assert!(outcome.detail.contains(why), "{}", outcome.detail);
    }
}

#[test]
fn a_quiet_alert_must_not_fire_at_any_time_of_the_run() {
    let quiet = |story| outcome(QUIET, &watch(), Some(story), None).verdict;
    assert_eq!(quiet(log(99, 99)), Verdict::Passed);
    assert_eq!(quiet(log(0, 2)), Verdict::Failed);
    assert_eq!(quiet(log(25, 25)), Verdict::Failed);
}

#[test]
fn expectations_on_prometheus_do_not_pass_without_its_answers() {
    for expect in [BECOMES, STAYS] {
        assert_eq!(outcome(expect, &watch(), None, None).verdict, Verdict::NotChecked);
    }
    for expect in [FIRES, QUIET] {
        assert_eq!(outcome(expect, &watch(), None, None).verdict, Verdict::NotChecked);
        let silent = vec![PrometheusEvent::Alerts(seconds(1), Err("connection refused".into()))];
        let outcome = outcome(expect, &watch(), Some(silent), None);
        assert_eq!((outcome.verdict, outcome.detail.as_str()), (Verdict::CannotTell, "connection refused"));
    }
}

#[test]
fn expectations_of_an_interrupted_run_are_not_missed() {
    let interrupted = outcome(FIRES, &watch(), Some(log(99, 99)), Some(seconds(12)));
    assert_eq!(interrupted.verdict, Verdict::NotChecked);
    assert!(interrupted.detail.starts_with("interrupted; until then"), "{}", interrupted.detail);
    let drifts = "signals: [ { signal: a, phase: storm, drifts_within: 2s } ]";
    for expect in [FIRES, BECOMES, drifts] {
        let never_started = outcome(expect, &watch_but((5, 21)), Some(Vec::new()), Some(seconds(5)));
        assert_eq!(never_started.verdict, Verdict::NotChecked, "{expect}");
        assert_eq!(never_started.detail, "interrupted before this phase", "{expect}");
    }
}

#[test]
fn expectations_on_outputs_that_the_service_does_not_count_are_undecided() {
    let mut watch = Watch::new(&schedule());
    for second in 0..=20 {
        let ok = 20 * second;
        // A model that predicts a number has no series of classes and no signal of confidence.
        let page = format!(
            r#"inference_requests_total{{endpoint="/predict",status="200"}} {ok}
signal_reference_rows{{version="v"}} 1000
signal_critical_chi2{{version="v",signal="prediction"}} 20
signal_bin_expected_ratio{{version="v",signal="prediction",bin="low"}} 0.5
signal_bin_expected_ratio{{version="v",signal="prediction",bin="high"}} 0.5
signal_bin_total{{version="v",signal="prediction",bin="low"}} {half}
signal_bin_total{{version="v",signal="prediction",bin="high"}} {half}
"#,
            half = ok / 2
        );
        let snapshot = Snapshot::new(&parse(&page).unwrap(), &Routes::predict(), None);
        watch.observe(seconds(second), Ok(snapshot));
    }
    watch.close(seconds(20));
    let verdict = |expect: &str| outcome(expect, &watch, None, None).verdict;
    assert_eq!(verdict("signals: [ { signal: prediction, phase: storm, stays: steady } ]"), Verdict::Passed);
    for expect in [
        "vitals: [ { vital: class_share, phase: storm, exceeds: 0.1 } ]",
        "vitals: [ { vital: class_share, phase: storm, stays_below: 0.9 } ]",
        "vitals: [ { vital: class_share, phase: storm, shifts_by: 0.1 } ]",
        "vitals: [ { vital: class_share, class: x, phase: storm, rises_by: 2 } ]",
        "signals: [ { signal: confidence, phase: storm, stays: steady } ]",
        "signals: [ { signal: confidence, phase: storm, drifts_within: 1s } ]",
    ] {
        assert_eq!(verdict(expect), Verdict::CannotTell, "{expect}");
    }
}
