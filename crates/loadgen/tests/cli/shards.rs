//! Tests of `--shard` and `loadgen merge`: several machines run one plan, and thresholds are judged on the sum.

use crate::support::{Loadgen, Run, Stub, StubOptions};
use serde_json::Value;
use std::{process::Stdio, time::Duration};

/// The phase `users` is long enough for each user to send a request, even if they share a core with other programs.
const POISSON: &str = r#"
name: x
payloads: { flowers: { weight: 3, source: { model: {} } }, mutants: { source: { drift: { preset: giant } } } }
phases:
  - { name: a, executor: constant-arrival-rate, rate: 150, duration: 1s, arrival: poisson }
  - { name: users, executor: constant-vus, vus: 3, duration: 2s }
"#;

/// Runs the parts at the same time, each with its own target, and saves their reports as `1.json`, `2.json` and so on.
fn play(loadgen: &Loadgen, scenario: &str, parts: &[(&str, &str)]) -> Vec<Run> {
    loadgen.write("scenario.yaml", scenario);
    let start = |(at, (shard, target)): (usize, &(&str, &str))| {
        let json = format!("{}.json", at + 1);
        loadgen
            .command(&[
                "run",
                "--scenario",
                "scenario.yaml",
                "--target",
                target,
                "--shard",
                shard,
                "--json",
                &json,
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = parts.iter().enumerate().map(start).collect();
    children.into_iter().map(|child| loadgen.finish(child)).collect()
}

#[test]
fn all_parts_together_send_the_requests_of_the_whole_plan() {
    let open = &POISSON[..POISSON.find("  - { name: users").unwrap()];
    let bodies = |shards: &[&str]| {
        let stub = Stub::start(StubOptions::default());
        let parts: Vec<_> = shards.iter().map(|shard| (*shard, stub.url.as_str())).collect();
        for run in play(&Loadgen::new(), open, &parts) {
            run.expect_judged(0);
        }
        let mut bodies = stub.bodies();
        bodies.sort();
        bodies
    };
    let whole = bodies(&["1/1"]);
    assert!(whole.len() > 100);
    assert_eq!(bodies(&["1/3", "2/3", "3/3"]), whole);
}

#[test]
fn a_pod_of_an_indexed_job_runs_its_part() {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    let run = |environment: &[(&str, &str)]| {
        loadgen.run_with(POISSON, &stub.url, &["--job-shards", "3"], environment)
    };
    let last = run(&[("JOB_COMPLETION_INDEX", "2")]);
    assert_eq!(last.expect_judged(0).report["shard"], "3/3");
    let beyond = run(&[("JOB_COMPLETION_INDEX", "3")]);
    let stderr = &beyond.expect_code(104).stderr;
    let expected = "--job-shards 3: JOB_COMPLETION_INDEX: expected an index from 0 to 2";
    assert!(stderr.contains(expected), "{stderr}");
    let elsewhere = run(&[]);
    let stderr = &elsewhere.expect_code(104).stderr;
    assert!(stderr.contains("is not set"), "{stderr}");
}

/// Returns a count in a report.
fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path} in {report}"))
}

#[test]
fn the_merged_report_has_the_sums_of_all_parts() {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    play(&loadgen, POISSON, &[("1/2", &stub.url), ("2/2", &stub.url)]);
    // On a busy machine, the parts may start seconds apart, which is too much for such short parts.
    let mut later = loadgen.report("2.json");
    later["started_at"] = loadgen.report("1.json")["started_at"].clone();
    loadgen.write("2.json", &later.to_string());
    let merged = loadgen.call(&["merge", "2.json", "1.json", "--json", "report.json"]);
    merged.expect_judged(0);
    assert!(merged.adds_up(), "{}", merged.report);
    assert_eq!((merged.total("offered"), merged.total("completed")), (stub.seen(), stub.seen()));
    assert!(merged.stdout.contains("merged from 2 reports"), "{}", merged.stdout);
    let parts = ["1.json", "2.json"].map(|name| loadgen.report(name));
    for phase in 0..2 {
        for path in ["totals/offered", "totals/completed", "statuses/200"] {
            let path = format!("/phases/{phase}/{path}");
            let sum: u64 = parts.iter().map(|part| count(part, &path)).sum();
            assert_eq!(count(&merged.report, &path), sum, "{path}");
        }
        // The maximum of the whole is the greatest maximum of a part.
        let worst = |report: &Value| report["phases"][phase]["response_time"]["max"].as_f64().unwrap();
        assert_eq!(worst(&merged.report), parts.iter().map(worst).fold(0.0, f64::max));
    }
    // A merged report cannot be merged again, because its requests could count twice.
    let again = loadgen.call(&["merge", "report.json", "1.json"]);
    assert!(
        again.expect_code(104).stderr.contains("report.json: is itself a merged report"),
        "{}",
        again.stderr
    );
}

#[test]
fn percentiles_and_thresholds_are_computed_from_the_sum() {
    let scenario = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 100, duration: 1s } ]
thresholds: { response_time: ["p(75)<300ms"] }
expect: { quiet: [ModelServiceDown] }
"#;
    let fast = Stub::start(StubOptions::default());
    let slow = Stub::start(StubOptions { delay: Duration::from_millis(400), ..StubOptions::default() });
    let loadgen = Loadgen::new();
    play(&loadgen, scenario, &[("1/2", &fast.url), ("2/2", &slow.url)]);
    let merged = loadgen.call(&["merge", "1.json", "2.json", "--json", "report.json"]);
    // The mean of both 75th percentiles is about 200 ms, and would wrongly pass.
    assert_eq!(merged.verdict("thresholds", "p(75)"), "failed");
    assert_eq!(merged.verdict("expectations", "ModelServiceDown"), "not_checked");
    let p90 = merged.report["response_time"]["p90"].as_f64().unwrap();
    assert!(p90 >= 0.4, "{p90}");
    assert!(merged.report["target"].as_str().unwrap().contains(", "), "both targets are named");
}

#[test]
fn reports_of_different_plans_are_rejected_and_missing_parts_are_named() {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    let url = stub.url.as_str();
    play(&loadgen, &POISSON.replace("rate: 150", "rate: 100"), &[("3/3", url)]);
    std::fs::rename(loadgen.path("1.json"), loadgen.path("other.json")).unwrap();
    play(&loadgen, POISSON, &[("1/3", url), ("2/3", url), ("1/2", url)]);
    loadgen.write("note.json", "{}");
    let edit = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut report = loadgen.report("2.json");
        change(&mut report);
        loadgen.write(name, &report.to_string());
    };
    edit("more.json", &|report| {
        for totals in ["/totals", "/phases/0/totals"] {
            for field in ["offered", "completed"] {
                let path = format!("{totals}/{field}");
                *report.pointer_mut(&path).unwrap() = (count(report, &path) + 10).into();
            }
        }
    });
    edit("huge.json", &|report| report["totals"]["offered"] = u64::MAX.into());
    edit("torn.json", &|report| report["phases"][0]["histograms"]["send_lag"] = "?".into());
    let refused = |reports: &[&str], words: &str| {
        let run = loadgen.call(&[&["merge"], reports].concat());
        run.expect_code(104);
        assert!(run.stderr.contains(words), "{}", run.stderr);
    };
    refused(&["1.json", "1.json"], "is a copy of 1.json");
    refused(&["1.json", "3.json"], "3.json: is part 1/2, but 1.json is part 1/3");
    refused(&["1.json", "other.json"], "other.json: scenario_sha256 is");
    refused(
        &["1.json", "note.json"],
        "note.json: expected a report written by `loadgen run --json`: missing field",
    );
    refused(&["1.json", "nowhere.json"], "nowhere.json: cannot be read");
    refused(
        &["1.json", "more.json"],
        "more.json: phase a: the counts of its histograms and statuses do not match",
    );
    refused(&["1.json", "huge.json"], "huge.json: its totals do not add up");
    refused(
        &["1.json", "torn.json"],
        "torn.json: expected a report written by `loadgen run --json`: phases[0].histograms.send_lag: is not base64",
    );
    refused(&[], "REPORT.json");
    let invalid = |reports: &[&str], words: &str| {
        let run = loadgen.call(&[&["merge"], reports].concat());
        run.expect_code(106);
        assert!(run.stdout.contains(words), "{}", run.stdout);
    };
    invalid(&["1.json", "2.json"], "INVALID (parts of the plan are missing: 3/3)");
    // Complete parts that ran at different times are invalid, because the service never had their loads at the same time.
    play(&loadgen, POISSON, &[("1/2", url), ("2/2", url)]);
    edit("later.json", &|report| report["started_at"] = "2099-01-01T00:00:00Z".into());
    invalid(&["1.json", "later.json"], "the target never had their loads at the same time");
    let run = loadgen.call(&["run", "--scenario", "drift", "--shard", "4/3"]);
    assert!(run.expect_code(104).stderr.contains("there is no part 4 of 3"), "{}", run.stderr);
}
