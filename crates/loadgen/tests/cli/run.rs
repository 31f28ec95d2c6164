//! Tests of `loadgen run` against a stub of the service.

use crate::support::{Loadgen, Stub, StubOptions, wait_until};
use std::{
    process::{Child, Command},
    time::{Duration, Instant},
};

const HEALTH_AND_DRIFT: &str = r#"
name: small
payloads:
  flowers: { weight: 1, source: { model: {} } }
  mutants: { weight: 0, source: { drift: { preset: giant } } }
  garbage: { weight: 0, source: { malformed: {} }, expect: { status: [400, 413, 415, 422] } }
  broken:
    weight: 0
    source: { model: {} }
    headers: { x-envoy-fault-abort-request: 503 }
    expect: { status: [503] }
phases:
  - { name: calm, executor: constant-arrival-rate, rate: 50, duration: 2s }
  - { name: drifted, executor: constant-arrival-rate, rate: 50, duration: 2s, arrival: poisson, mix: { mutants: 1 } }
  - { name: storm, executor: constant-arrival-rate, rate: 50, duration: 2s, mix: { flowers: 2, garbage: 1, broken: 1 } }
  - { name: users, executor: constant-vus, vus: 3, duration: 1s }
thresholds:
  response_time: ["p(50)<200ms"]
  unexpected_rate: ["count==0"]
  dropped: ["count==0"]
expect:
  signals:
    - { signal: "*", phase: calm, stays: steady }
    - { signal: petal_length, phase: drifted, drifts_within: 3s }
  vitals:
    - { vital: class_share, phase: drifted, shifts_by: 0.2 }
    - { vital: client_error_ratio, phase: storm, exceeds: 0.15 }
    - { vital: server_error_ratio, phase: storm, exceeds: 0.15 }
    - { vital: server_error_ratio, phase: calm, stays_below: 0.01 }
  quiet: [ModelServiceDown]
"#;

#[test]
fn every_failure_mode_is_detected() {
    let stub = Stub::start(StubOptions::default());
    let run = Loadgen::new().run(HEALTH_AND_DRIFT, &stub.url, &[]);
    run.expect_judged(0);
    assert!(run.adds_up(), "{}", run.report);
    assert_eq!(run.report["phases"][0]["totals"]["offered"], 100);
    assert_eq!(run.report["phases"][2]["totals"]["offered"], 100);
    assert_eq!(run.total("offered"), stub.seen());
    assert_eq!(run.report["seed"], 42);
    assert_eq!(run.verdict("expectations", "petal_length"), "passed");
    // No Prometheus was queried, so expectations about alerts are not checked.
    assert_eq!(run.verdict("expectations", "ModelServiceDown"), "not_checked");
    assert!(run.stdout.contains("; 1 of 7 expectations not checked"), "{}", run.stdout);
    assert!(run.report["send_lag"]["p99"].as_f64().unwrap() >= 0.0);
}

#[test]
fn the_same_seed_sends_the_same_requests() {
    let scenario = r#"
name: x
payloads: { flowers: { weight: 3, source: { model: {} } }, mutants: { source: { drift: { preset: giant } } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 200, duration: 1s, arrival: poisson } ]
"#;
    let bodies = |seed: &str| {
        let stub = Stub::start(StubOptions::default());
        // On a busy machine the run may be invalid, but its requests are the same.
        let run = Loadgen::new().run(scenario, &stub.url, &["--seed", seed]);
        assert_eq!(run.total("completed"), stub.seen());
        let mut bodies = stub.bodies();
        // The order is not compared, because requests of different workers may overtake each other.
        bodies.sort();
        bodies
    };
    assert_eq!(bodies("7"), bodies("7"));
    assert_ne!(bodies("7"), bodies("8"));
}

#[test]
fn a_missed_threshold_exits_with_99() {
    let stub = Stub::start(StubOptions::default());
    let scenario = r#"
name: x
payloads: { broken: { source: { model: {} }, headers: { x-envoy-fault-abort-request: 503 } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 25, duration: 1s } ]
thresholds: { unexpected_rate: ["rate<0.5"], response_time: ["p(99)<10s"] }
"#;
    let run = Loadgen::new().run(scenario, &stub.url, &[]);
    run.expect_code(99);
    assert_eq!(run.verdict("thresholds", "unexpected_rate"), "failed");
    assert_eq!(run.verdict("thresholds", "response_time"), "passed");
    assert_eq!((run.total("completed"), run.total("unexpected")), (25, 25));
}

#[test]
fn a_missed_expectation_exits_with_99() {
    let stub = Stub::start(StubOptions::default());
    let scenario = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 100, duration: 1s } ]
expect: { signals: [ { signal: petal_length, phase: a, drifts_within: 1s } ] }
"#;
    let run = Loadgen::new().run(scenario, &stub.url, &[]);
    run.expect_judged(99);
    assert!(run.stdout.contains("MISSED"), "{}", run.stdout);
}

/// Runs 100 requests per second for three seconds; the server stops for one of them.
fn stalled(executor: &str) -> crate::support::Run {
    let stub = Stub::start(StubOptions { stalls_at: Some(100), ..StubOptions::default() });
    let scenario = format!(
        "name: x\npayloads: {{ flowers: {{ source: {{ model: {{}} }} }} }}\nphases: [ {{ name: a, duration: 3s, {executor} }} ]\n"
    );
    Loadgen::new().run(&scenario, &stub.url, &[])
}

#[test]
fn all_requests_that_were_due_during_a_stall_have_its_delay() {
    let run = stalled("executor: constant-arrival-rate, rate: 100");
    assert!(run.adds_up());
    assert_eq!(run.total("offered"), 300);
    let time = |kind: &str, figure: &str| run.report[kind][figure].as_f64().unwrap();
    assert!(time("response_time", "p99") > 0.8, "{}", run.report);
    // A third of the requests were due during the stall, and waited for half of it on average.
    assert!(time("response_time", "p90") > 0.5, "{}", run.report);
    assert!(time("service_time", "p50") < 0.2, "{}", run.report);
}

#[test]
fn a_closed_loop_hardly_measures_a_stall() {
    let run = stalled("executor: constant-vus, vus: 1");
    let response = &run.report["response_time"];
    assert!(response["max"].as_f64().unwrap() > 0.9, "{response}");
    assert!(response["p99"].as_f64().unwrap() < 0.5, "{response}");
    assert!(run.report["send_lag"]["p50"].is_null(), "a closed loop has no planned instants");
}

#[test]
fn requests_beyond_max_in_flight_are_dropped_and_counted() {
    let stub = Stub::start(StubOptions { delay: Duration::from_secs(5), ..StubOptions::default() });
    let scenario = r#"
name: x
timeout: 300ms
max_in_flight: 4
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 50, duration: 2s } ]
thresholds: { dropped: ["count==0"] }
"#;
    let run = Loadgen::new().run(scenario, &stub.url, &[]);
    run.expect_code(99);
    assert!(run.adds_up(), "{}", run.report);
    assert_eq!(run.total("completed"), 0);
    // Four requests at once are given up after 300 ms, which makes about 24 in two seconds.
    assert!((10..=40).contains(&run.total("timed_out")), "{}", run.report);
    assert_eq!(run.report["phases"][0]["drops"]["in_flight_limit"], run.total("dropped"));
    assert!(run.stdout.contains("max_in_flight requests were already in flight"), "{}", run.stdout);
}

fn signal(process: &Child, name: &str) {
    let kill = Command::new("sh").args(["-c", &format!("kill -{name} {}", process.id())]).status().unwrap();
    assert!(kill.success());
}

/// Starts a run of an hour, sends it a signal after `requests` requests, and checks that it ends soon with a complete report.
fn stopped(executor: &str, delay: Duration, requests: u64, name: &str) -> crate::support::Run {
    let stub = Stub::start(StubOptions { delay, ..StubOptions::default() });
    let scenario = format!(
        "
name: x
timeout: 60s
payloads: {{ flowers: {{ source: {{ model: {{}} }} }} }}
phases: [ {{ name: a, {executor}, duration: 1h }} ]
"
    );
    let loadgen = Loadgen::new();
    let child = loadgen.start(&scenario, &stub.url, &[]);
    wait_until("requests arrive", || stub.seen() >= requests);
    signal(&child, name);
    let run = loadgen.finish(child);
    run.expect_code(105);
    assert!(run.adds_up(), "{}", run.report);
    assert_eq!(run.report["verdict"], "interrupted");
    assert!(run.stdout.contains("verdict: INTERRUPTED"), "{}", run.stdout);
    run
}

#[test]
fn a_run_stopped_by_ctrl_c_or_sigterm_prints_its_summary() {
    for name in ["INT", "TERM"] {
        let run = stopped("executor: constant-arrival-rate, rate: 50", Duration::from_secs(60), 20, name);
        assert!(run.total("interrupted") >= 20, "{}", run.report);
    }
}

#[test]
fn phases_that_a_stopped_run_never_reached_are_not_checked() {
    let stub = Stub::start(StubOptions::default());
    let scenario = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases:
  - { name: a, executor: constant-arrival-rate, rate: 50, duration: 1h }
  - name: b
    executor: constant-arrival-rate
    rate: 50
    duration: 1s
    thresholds: { response_time: ["p(99)<1h"], unexpected_rate: ["rate<1"] }
expect: { signals: [ { signal: "*", phase: b, drifts_within: 1s } ] }
"#;
    let loadgen = Loadgen::new();
    let child = loadgen.start(scenario, &stub.url, &[]);
    wait_until("requests arrive", || stub.seen() >= 20);
    signal(&child, "INT");
    let run = loadgen.finish(child);
    run.expect_code(105);
    for list in ["thresholds", "expectations"] {
        for outcome in run.report[list].as_array().unwrap() {
            assert_eq!(outcome["verdict"], "not_checked", "{outcome}");
        }
    }
    assert_eq!(run.report["phases"][1]["verdict"], "not_checked");
    assert_eq!(run.report["missed"], serde_json::json!({ "thresholds": 0, "expectations": 0 }));
    assert!(run.stdout.contains("not checked") && !run.stdout.contains("FAILED"), "{}", run.stdout);
}

#[test]
fn all_requests_are_counted_if_a_generator_at_its_limit_is_stopped() {
    for _ in 0..3 {
        // Many more requests are due when the stub has received this number.
        let executor = "executor: constant-arrival-rate, rate: 100000";
        let run = stopped(executor, Duration::ZERO, 2000, "INT");
        assert!(run.total("dropped") > 0, "{}", run.report);
    }
}

#[test]
fn a_closed_loop_with_an_unreachable_target_can_be_stopped() {
    let stub = Stub::start(StubOptions::default());
    let scenario = "
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-vus, vus: 200, duration: 60s } ]
";
    let loadgen = Loadgen::new();
    let child = loadgen.start(scenario, &stub.url, &[]);
    wait_until("requests arrive", || stub.seen() >= 200);
    drop(stub);
    signal(&child, "INT");
    let run = loadgen.finish(child);
    run.expect_code(105);
    assert!(run.adds_up(), "{}", run.report);
}

#[test]
fn the_report_is_written_even_if_standard_output_is_closed() {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    loadgen.write("x.yaml", &ALERTING.replace("expect: { EXPECT }", ""));
    let line = r#""$0" "$@" 2>/dev/null | true; exit "${PIPESTATUS[0]}""#;
    let arguments = ["run", "--scenario", "x.yaml", "--target", &stub.url, "--json", "report.json"];
    let run = loadgen.call_in_shell(line, &arguments);
    run.expect_code(0);
    assert_eq!(run.total("completed"), 50);
}

#[test]
fn a_service_without_metrics_fails_expectations_with_a_reason() {
    let stub = Stub::start(StubOptions { no_metrics: true, ..StubOptions::default() });
    let scenario = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 25, duration: 1s } ]
expect: { signals: [ { signal: "*", phase: a, stays: steady } ] }
"#;
    let run = Loadgen::new().run(scenario, &stub.url, &[]);
    run.expect_code(99);
    assert_eq!(run.total("completed"), 25);
    assert!(run.stdout.contains("readings of /metrics failed"), "{}", run.stdout);
}

#[test]
fn a_run_is_invalid_if_the_generator_was_stopped_for_a_while() {
    let stub = Stub::start(StubOptions::default());
    let scenario = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 100, duration: 4s } ]
thresholds: { unexpected_rate: ["count==0"] }
"#;
    let loadgen = Loadgen::new();
    let child = loadgen.start(scenario, &stub.url, &[]);
    wait_until("requests arrive", || stub.seen() >= 20);
    signal(&child, "STOP");
    let stopped = Instant::now();
    wait_until("the generator misses its instants", || stopped.elapsed() > Duration::from_millis(600));
    signal(&child, "CONT");
    let run = loadgen.finish(child);
    run.expect_code(106);
    // All requests were sent, although late, because the plan does not change.
    assert_eq!((run.total("offered"), run.total("completed")), (400, 400));
    assert!(run.stdout.contains("verdict: INVALID (a: the generator could not keep up"), "{}", run.stdout);
}

/// Two seconds of traffic that cause an alert, in phases with so few requests that the run is never invalid because of late ones.
const ALERTING: &str = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases:
  - { name: calm, executor: constant-arrival-rate, rate: 25, duration: 1s }
  - { name: trouble, executor: constant-arrival-rate, rate: 25, duration: 1s }
expect: { EXPECT }
"#;

#[test]
fn an_alert_may_fire_after_the_last_request() {
    let stub = Stub::start(StubOptions { alerts_at: Some(50), ..StubOptions::default() });
    let scenario =
        ALERTING.replace("EXPECT", "alerts: [ { alert: Trouble, phase: trouble, fires_within: 20s } ]");
    let run = Loadgen::new().run(&scenario, &stub.url, &["--prometheus", &stub.url]);
    run.expect_code(0);
    assert_eq!(run.verdict("expectations", "Trouble fires"), "passed");
    assert_eq!(run.report["prometheus"].as_str(), Some(format!("{}/", stub.url).as_str()));
}

#[test]
fn an_alert_in_the_wrong_phase_exits_with_99() {
    for expect in [
        "quiet: [Trouble]",
        "alerts: [ { alert: Other, phase: calm, fires_within: 1s } ]",
        // The alert fired before the phase began, so the phase is not its cause.
        "alerts: [ { alert: Trouble, phase: trouble, fires_within: 5s } ]",
    ] {
        let stub = Stub::start(StubOptions { alerts_at: Some(5), ..StubOptions::default() });
        let run =
            Loadgen::new().run(&ALERTING.replace("EXPECT", expect), &stub.url, &["--prometheus", &stub.url]);
        run.expect_code(99);
    }
}

#[test]
fn rules_that_could_not_be_read_before_the_run_are_read_after_it() {
    let stub = Stub::start(StubOptions { rules_unavailable: 1, ..StubOptions::default() });
    let scenario = ALERTING.replace("EXPECT", "quiet: [Trouble, Truoble]");
    let run = Loadgen::new().run(&scenario, &stub.url, &["--prometheus", &stub.url]);
    run.expect_judged(99);
    assert_eq!(run.verdict("expectations", "Trouble"), "passed");
    assert_eq!(run.verdict("expectations", "Truoble"), "failed");
    assert!(run.stdout.contains("Prometheus has no alerting rule \"Truoble\""), "{}", run.stdout);
    assert!(
        run.stderr.contains("Prometheus expectations cannot be checked until it responds"),
        "{}",
        run.stderr
    );
}

#[test]
fn without_the_rules_a_quiet_alert_is_undecided() {
    let stub = Stub::start(StubOptions { rules_unavailable: usize::MAX, ..StubOptions::default() });
    let scenario = ALERTING.replace("EXPECT", "quiet: [Truoble]");
    let run = Loadgen::new().run(&scenario, &stub.url, &["--prometheus", &stub.url]);
    run.expect_code(99);
    assert!(run.stdout.contains("CANNOT TELL"), "{}", run.stdout);
    assert!(run.stdout.contains("the rules of Prometheus could not be read: "), "{}", run.stdout);
}

#[test]
fn a_profile_replaces_the_model_card_of_a_target_that_has_none() {
    let stub = Stub::start(StubOptions { moved_to: Some("/elsewhere"), ..StubOptions::default() });
    let scenario = "
name: x
payloads: { usual: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 50, duration: 1s } ]
thresholds: { unexpected_rate: ['count==0'] }
";
    let loadgen = Loadgen::new();
    loadgen.run(scenario, &stub.url, &[]).expect_code(104);
    let file = model::train(&model::iris::table(), &model::TrainOptions::new("profiled")).unwrap();
    loadgen.write("file.json", &file.to_json().unwrap());
    loadgen.write("card.json", &serde_json::to_string(&file.card).unwrap());
    for name in ["file.json", "card.json"] {
        let run = loadgen.run(scenario, &stub.url, &["--profile", name]);
        run.expect_judged(0);
        assert_eq!(run.report["model"], format!("profiled {}", file.card.version));
    }
    assert_eq!(stub.seen(), 100);
    loadgen.write("broken.json", "{ \"name\": \"x\" }");
    let run = loadgen.run(scenario, &stub.url, &["--profile", "broken.json"]);
    run.expect_code(104);
    assert!(
        run.stderr.contains("--profile: broken.json: seems to be a JSON file of another kind"),
        "{}",
        run.stderr
    );
}
