//! Tests of targets that misbehave: every failed request is counted under its reason, and the run ends with a verdict.

use crate::support::{Loadgen, Run, ServerFault, rogue};

/// Returns a scenario with so few requests that a run is never invalid because of late ones.
fn run_against(fault: ServerFault) -> Run {
    let timeout = if fault == ServerFault::Silence { "300ms" } else { "10s" };
    let scenario = format!(
        r#"
name: x
timeout: {timeout}
payloads: {{ flowers: {{ source: {{ model: {{}} }} }} }}
phases: [ {{ name: a, executor: constant-arrival-rate, rate: 25, duration: 1s }} ]
thresholds: {{ unexpected_rate: ["rate<0.01"] }}
"#
    );
    let run = Loadgen::new().run(&scenario, &rogue(fault), &[]);
    run.expect_code(99);
    assert!(run.adds_up(), "{}", run.report);
    assert_eq!(run.total("offered"), 25);
    run
}

#[track_caller]
fn expect_failures(fault: ServerFault, reason: &str, words: &str) {
    let run = run_against(fault);
    assert_eq!(run.report["phases"][0]["failures"][reason], 25, "{}", run.report);
    assert!(run.stdout.contains(words), "{}", run.stdout);
    // Failed requests have no response time.
    assert!(run.report["response_time"]["p50"].is_null(), "{}", run.report);
}

#[test]
fn bytes_that_are_not_http_are_a_failure() {
    expect_failures(ServerFault::Garbage, "not_http", "failed: 25 × answer is not HTTP");
}

#[test]
fn a_truncated_answer_is_a_failure() {
    expect_failures(
        ServerFault::ClosesEarly,
        "closed_early",
        "failed: 25 × connection closed before the end of the answer",
    );
    expect_failures(
        ServerFault::ClosesAtOnce,
        "closed_early",
        "failed: 25 × connection closed before the end of the answer",
    );
}

#[test]
fn a_200_answer_that_is_not_a_prediction_is_a_failure() {
    const WORDS: &str = "failed: 25 × answer has status 200 but is not the requested prediction";
    for body in [
        "",
        "<!doctype html><title>Welcome to nginx!</title>",
        r#"{"hello":1}"#,
        r#"{"prediction":0}{"prediction":1}"#,
        r#"{"predictions":[{"prediction":0},{"prediction":0}]}"#,
        r#"{"prediction":0,"class":"set"#,
    ] {
        expect_failures(ServerFault::AnswersWith(body), "bad_answer", WORDS);
    }
    expect_failures(ServerFault::AnswersWithoutLength(r#"{"prediction":0,"cla"#), "bad_answer", WORDS);
    expect_failures(ServerFault::AnswersTwice, "bad_answer", WORDS);
}

#[test]
fn the_answer_to_a_batch_must_have_one_prediction_per_row() {
    let body = |rows: &str| format!("source: {{ fixed: {{ body: '{{\"instances\":[{rows}]}}' }} }}");
    let scenario = |rows: &str| {
        format!(
            "name: x\npayloads: {{ pair: {{ {} }} }}\nphases: [ {{ name: a, executor: constant-arrival-rate, rate: 25, duration: 1s }} ]\n\
             thresholds: {{ failed: [\"count==0\"] }}\n",
            body(rows)
        )
    };
    let target = rogue(ServerFault::AnswersWith(r#"{"predictions":[{"prediction":0},{"prediction":1}]}"#));
    let run = Loadgen::new().run(&scenario("[1,2],[3,4]"), &target, &[]);
    run.expect_code(0);
    assert_eq!(run.total("completed"), 25);
    let run = Loadgen::new().run(&scenario("[1,2],[3,4],[5,6]"), &target, &[]);
    run.expect_code(99);
    assert_eq!(run.report["phases"][0]["failures"]["bad_answer"], 25, "{}", run.report);
}

#[test]
fn a_request_without_an_answer_times_out_and_counts_with_its_time() {
    let run = run_against(ServerFault::Silence);
    assert_eq!(run.total("timed_out"), 25);
    assert!(run.report["response_time"]["p50"].as_f64().unwrap() >= 0.3, "{}", run.report);
}

#[test]
fn a_redirect_counts_as_an_unexpected_answer() {
    let run = run_against(ServerFault::Redirects);
    assert_eq!((run.total("completed"), run.total("unexpected")), (25, 25));
    assert_eq!(run.report["phases"][0]["statuses"]["307"], 25);
}

#[test]
fn a_connection_that_is_still_writing_does_not_delay_other_requests() {
    // The body is larger than the system's buffers, so it is not sent completely while the server does not read.
    let body = "x".repeat(24 << 20);
    let scenario = format!(
        r#"
name: x
timeout: 20s
payloads:
  flowers: {{ weight: 9, source: {{ model: {{}} }} }}
  huge: {{ source: {{ fixed: {{ body: {body} }} }} }}
phases: [ {{ name: a, executor: constant-arrival-rate, rate: 20, duration: 2s }} ]
"#
    );
    let run = Loadgen::new().run(&scenario, &rogue(ServerFault::AnswersEarly), &[]);
    assert!(run.adds_up(), "{}", run.report);
    assert_eq!((run.total("completed"), run.total("timed_out")), (40, 0), "{}", run.report);
}

#[test]
fn a_connection_that_was_idle_for_too_long_is_not_used_again() {
    let scenario = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 0.25, duration: 12s } ]
"#;
    let run = Loadgen::new().run(scenario, &rogue(ServerFault::HangsUpOnIdle), &[]);
    assert_eq!((run.total("completed"), run.total("failed")), (3, 0), "{}", run.report);
}

#[test]
fn with_a_full_disk_the_summary_and_a_clear_error_are_printed() {
    let loadgen = Loadgen::new();
    loadgen.write("scenario.yaml", "name: x\npayloads: { f: { source: { model: {} } } }\nphases: [ { name: a, executor: constant-arrival-rate, rate: 50, duration: 1s } ]\n");
    let target = rogue(ServerFault::Redirects);
    let run =
        loadgen.call(&["run", "--scenario", "scenario.yaml", "--target", &target, "--json", "/dev/full"]);
    run.expect_code(104);
    assert!(run.stdout.contains("50 offered = 50 completed"), "{}", run.stdout);
    assert!(run.stderr.contains("--json /dev/full: could not be written: No space left"), "{}", run.stderr);
}
