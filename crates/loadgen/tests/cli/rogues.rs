//! Targets that misbehave: every request is accounted for under a reason of its own, and the run ends with a verdict.

use crate::support::{Loadgen, Mischief, Run, rogue};

/// A run with so few requests that it is never late, and with a timeout long enough for any answer.
fn run_against(mischief: Mischief) -> Run {
    let timeout = if mischief == Mischief::Silence { "300ms" } else { "10s" };
    let scenario = format!(
        r#"
name: x
timeout: {timeout}
payloads: {{ flowers: {{ source: {{ model: {{}} }} }} }}
phases: [ {{ name: a, executor: constant-arrival-rate, rate: 25, duration: 1s }} ]
thresholds: {{ unexpected_rate: ["rate<0.01"] }}
"#
    );
    let run = Loadgen::new().run(&scenario, &rogue(mischief), &[]);
    run.expect_code(99);
    assert!(run.adds_up(), "{}", run.report);
    assert_eq!(run.total("offered"), 25);
    run
}

#[track_caller]
fn expect_failures(mischief: Mischief, reason: &str, words: &str) {
    let run = run_against(mischief);
    assert_eq!(run.report["phases"][0]["failures"][reason], 25, "{}", run.report);
    assert!(run.stdout.contains(words), "{}", run.stdout);
    // What failed has no time: a quick failure is no quick answer.
    assert!(run.report["response_time"]["p50"].is_null(), "{}", run.report);
}

#[test]
fn bytes_that_are_not_http_are_a_failure() {
    expect_failures(Mischief::Garbage, "not_http", "failed: 25 × answer is not HTTP");
}

#[test]
fn a_truncated_answer_is_a_failure() {
    expect_failures(
        Mischief::ClosesEarly,
        "closed_early",
        "failed: 25 × connection closed before the answer's end",
    );
    expect_failures(
        Mischief::ClosesAtOnce,
        "closed_early",
        "failed: 25 × connection closed before the answer's end",
    );
}

#[test]
fn a_200_without_the_prediction_is_a_failure_of_its_own_kind() {
    const WORDS: &str = "failed: 25 × answer has status 200 and is not the prediction asked for";
    for body in [
        "",
        "<!doctype html><title>Welcome to nginx!</title>",
        r#"{"hello":1}"#,
        r#"{"prediction":0}{"prediction":1}"#,
        r#"{"predictions":[{"prediction":0}]}"#,
        r#"{"prediction":0,"class":"set"#,
    ] {
        expect_failures(Mischief::Says(body), "bad_answer", WORDS);
    }
    expect_failures(Mischief::SaysAndCloses(r#"{"prediction":0,"cla"#), "bad_answer", WORDS);
    expect_failures(Mischief::AnswersTwice, "bad_answer", WORDS);
}

#[test]
fn a_batch_is_answered_with_one_prediction_per_row() {
    let body = |rows: &str| format!("source: {{ fixed: {{ body: '{{\"instances\":[{rows}]}}' }} }}");
    let scenario = |rows: &str| {
        format!(
            "name: x\npayloads: {{ pair: {{ {} }} }}\nphases: [ {{ name: a, executor: constant-arrival-rate, rate: 25, duration: 1s }} ]\n\
             thresholds: {{ failed: [\"count==0\"] }}\n",
            body(rows)
        )
    };
    let target = rogue(Mischief::Says(r#"{"predictions":[{"prediction":0},{"prediction":1}]}"#));
    let run = Loadgen::new().run(&scenario("[1,2],[3,4]"), &target, &[]);
    run.expect_code(0);
    assert_eq!(run.total("completed"), 25);
    let run = Loadgen::new().run(&scenario("[1,2],[3,4],[5,6]"), &target, &[]);
    run.expect_code(99);
    assert_eq!(run.report["phases"][0]["failures"]["bad_answer"], 25, "{}", run.report);
}

#[test]
fn silence_times_out_and_counts_with_its_time() {
    let run = run_against(Mischief::Silence);
    assert_eq!(run.total("timed_out"), 25);
    assert!(run.report["response_time"]["p50"].as_f64().unwrap() >= 0.3, "{}", run.report);
}

#[test]
fn a_redirect_is_an_answer_but_not_the_expected_one() {
    let run = run_against(Mischief::Redirects);
    assert_eq!((run.total("completed"), run.total("unexpected")), (25, 25));
    assert_eq!(run.report["phases"][0]["statuses"]["307"], 25);
}

#[test]
fn a_connection_that_still_writes_does_not_delay_others() {
    // More than the system takes in for a server that does not read.
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
    let run = Loadgen::new().run(&scenario, &rogue(Mischief::AnswersEarly), &[]);
    assert!(run.adds_up(), "{}", run.report);
    assert_eq!((run.total("completed"), run.total("timed_out")), (40, 0), "{}", run.report);
}

#[test]
fn a_connection_that_was_idle_for_long_is_not_used_again() {
    let scenario = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 0.25, duration: 12s } ]
"#;
    let run = Loadgen::new().run(scenario, &rogue(Mischief::HangsUpOnIdle), &[]);
    assert_eq!((run.total("completed"), run.total("failed")), (3, 0), "{}", run.report);
}

#[test]
fn a_full_disk_costs_neither_the_summary_nor_the_clear_line() {
    let loadgen = Loadgen::new();
    loadgen.write("scenario.yaml", "name: x\npayloads: { f: { source: { model: {} } } }\nphases: [ { name: a, executor: constant-arrival-rate, rate: 50, duration: 1s } ]\n");
    let target = rogue(Mischief::Redirects);
    let run =
        loadgen.call(&["run", "--scenario", "scenario.yaml", "--target", &target, "--json", "/dev/full"]);
    run.expect_code(104);
    assert!(run.stdout.contains("50 offered = 50 completed"), "{}", run.stdout);
    assert!(run.stderr.contains("--json /dev/full: could not be written: No space left"), "{}", run.stderr);
}
