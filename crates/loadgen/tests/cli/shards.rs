//! `--shard` and `loadgen merge`: several machines play one plan, and its thresholds are judged on the whole.

use crate::support::{Loadgen, Run, Stub, StubOptions};
use std::time::Duration;

const POISSON: &str = r#"
name: x
payloads: { flowers: { weight: 3, source: { model: {} } }, mutants: { source: { drift: { preset: giant } } } }
phases:
  - { name: a, executor: constant-arrival-rate, rate: 150, duration: 1s, arrival: poisson }
  - { name: users, executor: constant-vus, vus: 3, duration: 300ms }
"#;

/// Plays a part and keeps its report as `name`.
fn part(loadgen: &Loadgen, scenario: &str, target: &str, shard: &str, name: &str) -> Run {
    loadgen.write("scenario.yaml", scenario);
    let run = loadgen.call(&[
        "run",
        "--scenario",
        "scenario.yaml",
        "--target",
        target,
        "--shard",
        shard,
        "--json",
        name,
    ]);
    run.expect_counted();
    run
}

#[test]
fn the_parts_send_what_the_whole_would() {
    let open = &POISSON[..POISSON.find("  - { name: users").unwrap()];
    let bodies = |shards: &[&str]| {
        let stub = Stub::start(StubOptions::default());
        let loadgen = Loadgen::new();
        for shard in shards {
            part(&loadgen, open, &stub.url, shard, "part.json");
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
fn parts_merge_into_the_whole() {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    part(&loadgen, POISSON, &stub.url, "1/2", "a.json");
    part(&loadgen, POISSON, &stub.url, "2/2", "b.json");
    let merged = loadgen.call(&["merge", "b.json", "a.json", "--json", "report.json"]);
    merged.expect_counted();
    assert!(merged.adds_up(), "{}", merged.report);
    assert_eq!(merged.total("offered"), stub.seen());
    assert_eq!(merged.total("completed"), stub.seen());
    assert!(merged.stdout.contains("2 reports in one"), "{}", merged.stdout);
    // Merging in another order is the same, but for the order of names.
    let again = loadgen.call(&["merge", "a.json", "b.json", "--json", "report.json"]);
    for field in ["totals", "response_time", "service_time", "send_lag"] {
        assert_eq!(merged.report[field], again.report[field]);
    }
}

#[test]
fn percentiles_and_thresholds_are_those_of_the_whole() {
    let scenario = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 100, duration: 1s } ]
thresholds: { response_time: ["p(75)<300ms"] }
"#;
    let loadgen = Loadgen::new();
    loadgen.write("scenario.yaml", scenario);
    let fast = Stub::start(StubOptions::default());
    let slow = Stub::start(StubOptions { delay: Duration::from_millis(400), ..StubOptions::default() });
    part(&loadgen, scenario, &fast.url, "1/2", "fast.json");
    let run = loadgen.call(&[
        "run",
        "--scenario",
        "scenario.yaml",
        "--target",
        &slow.url,
        "--shard",
        "2/2",
        "--json",
        "slow.json",
    ]);
    run.expect_code(99);
    let merged = loadgen.call(&["merge", "fast.json", "slow.json", "--json", "report.json"]);
    // The mean of both 75th percentiles, about 200 ms, would pass.
    merged.expect_code(99);
    assert_eq!(merged.verdict("thresholds", "p(75)"), "failed");
    let p90 = merged.report["response_time"]["p90"].as_f64().unwrap();
    assert!((0.4..2.0).contains(&p90), "{p90}");
    assert!(merged.report["response_time"]["p50"].as_f64().unwrap() < 0.41);
}

#[test]
fn what_is_not_one_plan_is_refused_and_what_is_missing_is_named() {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    part(&loadgen, POISSON, &stub.url, "1/3", "1.json");
    part(&loadgen, POISSON, &stub.url, "2/3", "2.json");
    part(&loadgen, POISSON, &stub.url, "1/2", "half.json");
    part(&loadgen, &POISSON.replace("rate: 150", "rate: 100"), &stub.url, "3/3", "other.json");
    loadgen.write("note.json", "{}");
    let refused = |reports: &[&str], words: &str| {
        let run = loadgen.call(&[&["merge"], reports].concat());
        run.expect_code(104);
        assert!(run.stderr.contains(words), "{}", run.stderr);
    };
    refused(&["1.json", "1.json"], "is the same run as 1.json");
    refused(&["1.json", "half.json"], "half.json: is part 1/2, 1.json is part 1/3");
    refused(&["1.json", "other.json"], "other.json: scenario_sha256 is");
    refused(
        &["1.json", "note.json"],
        "note.json: is no report that `loadgen run --json` wrote: missing field",
    );
    refused(&["1.json", "nowhere.json"], "nowhere.json: cannot be read");
    refused(&[], "REPORT.json");
    let run = loadgen.call(&["merge", "1.json", "2.json"]);
    run.expect_code(106);
    assert!(run.stdout.contains("INVALID (parts of the plan are missing: 3/3)"), "{}", run.stdout);
    let run = loadgen.call(&["run", "--scenario", "drift", "--shard", "4/3"]);
    assert!(run.expect_code(104).stderr.contains("there is no part 4 of 3"), "{}", run.stderr);
}
