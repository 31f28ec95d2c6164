//! Tests of the built-in scenarios against the real service, with a real Prometheus that runs the shipped rules.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerting;
mod alertmanager;
mod browser;
mod dashboards;
mod feedback;
#[path = "../common/flats.rs"]
mod flats;
mod fleet;
mod numbers;
mod page;
mod prometheus;
mod server;
mod service;
mod tables;
mod watcher;
mod world;

use prometheus::Prometheus;
use serde_json::Value;
use service::Service;
use std::{
    io::{Seek, Write},
    path::Path,
    process::Command,
};

/// Runs a built-in scenario, from a folder that has no scenarios.
fn play(scenario: &str, service: &Service, prometheus: Option<&Prometheus>) -> (i32, String, Value) {
    run(scenario, service, prometheus, &[])
}

/// Runs a scenario with further flags.
fn run(
    scenario: &str,
    service: &Service,
    prometheus: Option<&Prometheus>,
    flags: &[&str],
) -> (i32, String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.current_dir(&folder).args(["run", "--scenario", scenario, "--json"]).arg(&json);
    command.args(["--target", &format!("http://{}", service.address)]);
    if let Some(prometheus) = prometheus {
        command.args(["--prometheus", &prometheus.url()]);
    }
    let output = command.args(flags).output().unwrap();
    let words =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let report = std::fs::read_to_string(&json).unwrap_or_else(|error| panic!("{error}\n{words}"));
    (output.status.code().unwrap(), words, serde_json::from_str(&report).unwrap())
}

/// Asserts the exit code of a run. On a machine so busy that requests were sent late, the run is invalid; its summary then
/// states whether thresholds or expectations were missed, which is checked instead.
#[track_caller]
fn assert_came_to(expected: i32, code: i32, words: &str) {
    let late = code == 106 && words.contains("the generator could not keep up");
    assert!(code == expected || late, "exit code {code}, not {expected}: {words}");
    assert!(!late || words.contains("; besides, ") == (expected == 99), "expected {expected}: {words}");
}

#[test]
fn drift_is_detected_by_the_signals_and_by_the_alerts() {
    let service = Service::start();
    let prometheus = Prometheus::start(&[service.address]);
    let (code, words, report) = play("drift", &service, Some(&prometheus));
    assert_came_to(0, code, &words);
    let expectations = report["expectations"].as_array().unwrap();
    assert!(expectations.iter().all(|expectation| expectation["verdict"] == "passed"), "{words}");
    let alerts = words.lines().filter(|line| line.contains("fired after")).count();
    assert_eq!(alerts, 2, "{words}");
}

#[test]
fn normal_traffic_raises_no_alert_and_unchecked_expectations_are_not_passed() {
    let service = Service::start();
    let (code, words, report) = play("normal", &service, None);
    assert_came_to(0, code, &words);
    let expectations = report["expectations"].as_array().unwrap();
    let unchecked = expectations.iter().filter(|expectation| expectation["verdict"] == "not_checked").count();
    assert_eq!(unchecked, 14, "one for each alert that must stay quiet: {words}");
    let totals = &report["totals"];
    assert_eq!(totals["offered"], totals["completed"], "{words}");
}

#[test]
fn the_drill_fails_if_monitoring_detects_nothing() {
    // The rules exist, but the service is not scraped, so its alerts cannot fire. The run must report that.
    let service = Service::start();
    let elsewhere = Service::start();
    let prometheus = Prometheus::start(&[elsewhere.address]);
    let scenario = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let text = "
name: unnoticed
description: Errors that no alert detects
seed: 1
payloads:
  broken: { source: { model: {} }, headers: { x-envoy-fault-abort-request: 503 }, expect: { status: [503] } }
phases:
  - { name: storm, executor: constant-arrival-rate, rate: 20, duration: 5s }
expect:
  vitals: [ { vital: server_error_ratio, phase: storm, exceeds: 0.9 } ]
  alerts: [ { alert: ModelErrorBudgetBurn, phase: storm, fires_within: 20s } ]
";
    std::fs::write(scenario.path(), text).unwrap();
    let (code, words, _) = play(scenario.path().to_str().unwrap(), &service, Some(&prometheus));
    assert_came_to(99, code, &words);
    assert!(words.contains("MISSED"), "{words}");
}

#[test]
fn a_misspelt_alert_is_reported_before_the_run() {
    let service = Service::start();
    let prometheus = Prometheus::start(&[service.address]);
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["run", "--target", &format!("http://{}", service.address), "--prometheus", &prometheus.url()])
        .args(["--scenario", "/dev/stdin"])
        .stdin(scenario("quiet: [ModelInputDrfit]"))
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(104), "{words}");
    assert!(words.contains("no alerting rule \"ModelInputDrfit\"; it has ModelAccuracyDrop"), "{words}");
}

/// Writes a scenario with a second of traffic and these expectations to a temporary file.
fn scenario(expect: &str) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    let text = format!(
        "name: x\npayloads: {{ flowers: {{ source: {{ model: {{}} }} }} }}\nphases: [ {{ name: a, executor: \
         constant-arrival-rate, rate: 50, duration: 1s }} ]\nexpect: {{ {expect} }}\n"
    );
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file
}

#[test]
fn the_built_in_scenarios_equal_the_shipped_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let names: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect();
    assert_eq!(names.len(), 6);
    let listed = Command::new(env!("CARGO_BIN_EXE_loadgen")).current_dir("/").arg("list").output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for name in names {
        assert!(listed.contains(name.file_stem().unwrap().to_str().unwrap()), "{listed}");
    }
}
