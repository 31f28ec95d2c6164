//! Tests of verdicts on alerts and queries, with a real Prometheus, whose rules fire and clear quickly, and a real Alertmanager.

use crate::{alertmanager::Alertmanager, assert_came_to, play, prometheus::Prometheus, service::Service};
use serde_json::Value;
use std::{
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::NamedTempFile;

/// `Broken` fires while the service fails. `Stuck` fires once the service has failed, and never clears.
const RULES: &str = r#"
groups:
  - name: quick
    interval: 1s
    rules:
      - alert: Broken
        expr: sum by (status) (rate(inference_requests_total{endpoint="/predict",status=~"5.."}[5s])) > 1
      - alert: Stuck
        expr: sum(inference_requests_total{endpoint="/predict",status="503"}) > 0
"#;

const PHASES: &str = r#"
name: quick
payloads:
  flowers: { weight: 1, source: { model: {} } }
  broken:
    weight: 0
    source: { model: {} }
    headers: { x-envoy-fault-abort-request: 503 }
    expect: { status: [503] }
phases:
  - { name: calm, executor: constant-arrival-rate, rate: 20, duration: 4s }
  - { name: storm, executor: constant-arrival-rate, rate: 20, duration: 6s, mix: { broken: 1 } }
  - { name: after, executor: constant-arrival-rate, rate: 20, duration: 2s }
expect:
"#;

struct World {
    service: Service,
    prometheus: Prometheus,
}

impl World {
    /// Starts a Prometheus with this configuration of `alerting`, and waits until it has scraped the service.
    fn new(alerting: &str) -> Self {
        let service = Service::start();
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s, scrape_timeout: 1s }}\nrule_files: [rules.yml]\n\
             alerting:\n  {alerting}\nscrape_configs:\n  - job_name: quick\n    static_configs: [ {{ targets: \
             ['{}'] }} ]\n",
            service.address
        );
        let world = Self { service, prometheus: Prometheus::with(&config, RULES) };
        // A rate needs two samples.
        world.wait_for("count_over_time(up[1m]) >= 2");
        world
    }

    fn with(alertmanager: &Alertmanager) -> Self {
        Self::new(&knows(&alertmanager.address.to_string()))
    }

    /// Waits until a query has a result.
    fn wait_for(&self, query: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let output = Command::new("curl")
                .args(["--silent", "--get", "--data-urlencode", &format!("query={query}")])
                .arg(format!("{}/api/v1/query", self.prometheus.url()))
                .output()
                .expect("curl is missing: `just test` installs it");
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
            if answer["data"]["result"].as_array().is_some_and(|result| !result.is_empty()) {
                return;
            }
            assert!(Instant::now() < deadline, "never: {query}: {answer}");
            // Each query starts a curl. Without a pause, these would use the CPU time of the awaited programs.
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn play(&self, expect: &str) -> (i32, String, Value) {
        let scenario = scenario(expect);
        play(scenario.path().to_str().unwrap(), &self.service, Some(&self.prometheus))
    }
}

fn knows(alertmanager: &str) -> String {
    format!("alertmanagers: [ {{ static_configs: [ {{ targets: ['{alertmanager}'] }} ] }} ]")
}

fn scenario(expect: &str) -> NamedTempFile {
    file(&format!("{PHASES}{expect}"))
}

fn file(scenario: &str) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(scenario.as_bytes()).unwrap();
    file
}

/// Returns the verdict and the detail of each expectation.
fn outcomes(report: &Value) -> Vec<(String, String)> {
    let text = |outcome: &Value, key: &str| outcome[key].as_str().unwrap().to_owned();
    let expectations = report["expectations"].as_array().unwrap();
    expectations.iter().map(|outcome| (text(outcome, "verdict"), text(outcome, "detail"))).collect()
}

fn expect_outcomes(report: &Value, words: &str, expected: &[(&str, &str)]) {
    let outcomes = outcomes(report);
    assert_eq!(outcomes.len(), expected.len(), "{words}");
    for ((verdict, detail), (expected_verdict, part)) in outcomes.iter().zip(expected) {
        assert!(
            verdict == expected_verdict && detail.contains(part),
            "{verdict}: {detail}, not {part}\n{words}"
        );
    }
}

#[test]
fn alerts_are_judged_by_firing_delivery_and_resolution() {
    let alertmanager = Alertmanager::start();
    let world = World::with(&alertmanager);
    let (code, words, report) = world.play(
        r#"
  alerts:
    - { alert: Broken, labels: { status: "503" }, phase: storm, fires_within: 20s, resolves_within: 30s }
    - { alert: Broken, labels: { status: "500" }, phase: storm, fires_within: 6s }
    - { alert: Broken, labels: { status: "500" }, phase: storm, fires_within: 6s, resolves_within: 1s }
    - { alert: Stuck, phase: storm, fires_within: 20s, resolves_within: 16s }
  quiet: [ { alert: Broken, phase: calm }, { alert: Broken, labels: { status: "500" } }, { alert: Stuck, phase: storm } ]
"#,
    );
    assert_came_to(99, code, &words);
    expect_outcomes(
        &report,
        &words,
        &[
            ("passed", "s after the phase's end"),
            ("failed", "did not fire"),
            ("failed", "did not fire, so it could not resolve"),
            ("failed", ", still firing "),
            ("passed", "quiet"),
            ("passed", "quiet"),
            ("failed", "into the phase"),
        ],
    );
    let fired = &report["expectations"][0];
    assert!(fired["detail"].as_str().unwrap().contains(", in Alertmanager after "), "{words}");
    assert!(fired["after"].as_f64().unwrap() <= fired["notified_after"].as_f64().unwrap(), "{words}");
    assert!(fired["resolved_after"].as_f64().is_some_and(|after| after > 0.0), "{words}");
    assert!(report["expectations"][3]["resolved_after"].is_null(), "{words}");
    assert!(!words.contains("Alertmanager:"), "{words}");

    let modes = report["failure_modes"].as_array().unwrap();
    let names: Vec<_> = modes.iter().map(|mode| mode["phase"].as_str().unwrap()).collect();
    assert_eq!(names, ["calm", "storm"], "{words}");
    let storm = &modes[1];
    let injected = "20/s for 6s: 100 % broken (like the reference, x-envoy-fault-abort-request: 503)";
    assert_eq!((storm["injected"].as_str(), storm["start"].as_f64()), (Some(injected), Some(4.0)));
    let count = |list: &str| storm[list].as_array().unwrap().len();
    assert_eq!(["noticed", "resolved", "quiet", "missed", "not_checked"].map(count), [1, 1, 0, 4, 0]);
    for word in ["DETECTED", "MISSED", "UNEXPECTED", "as expected", injected] {
        assert!(words.contains(word), "{word}: {words}");
    }
}

#[test]
fn queries_are_judged_by_becomes_and_stays() {
    let world = World::new("alertmanagers: []");
    let (code, words, report) = world.play(
        r#"
  promql:
    - { expr: 'sum(rate(inference_requests_total{status="503"}[5s]))', phase: storm, becomes: "> 1", within: 20s }
    - { expr: 'sum(rate(inference_requests_total{status="503"}[5s]))', phase: storm, becomes: "> 1e6", within: 5s }
    - { expr: 'no_such_metric', phase: storm, becomes: "> 0", within: 5s }
    - { expr: 'up', phase: storm, becomes: "== 1", within: 5s }
    - { expr: 'up', phase: storm, stays: "== 1" }
    - { expr: 'scalar(up)', phase: calm, stays: "> 0" }
    - { expr: 'sum(inference_requests_total{status="503"})', phase: storm, stays: "< 1" }
    - { expr: '0 / 0 * up', phase: storm, stays: "< 1" }
"#,
    );
    assert_came_to(99, code, &words);
    expect_outcomes(
        &report,
        &words,
        &[
            ("passed", " s"),
            ("failed", "nearest value "),
            ("cannot_tell", "the query never had a value"),
            ("failed", "was 1 (== 1) when the phase began"),
            ("passed", "nearest value 1"),
            ("passed", "nearest value 1"),
            ("failed", " after "),
            ("cannot_tell", "the query never had a value"),
        ],
    );
    assert!(report["expectations"][0]["after"].as_f64().unwrap() > 0.0, "{words}");
    assert!(words.contains("CANNOT TELL"), "{words}");
    // No alert is expected, so there is no warning about the missing Alertmanager.
    assert!(!words.contains("has no Alertmanager"), "{words}");
}

#[test]
fn the_reason_why_an_alert_was_not_delivered_is_reported() {
    const FIRES: &str = "  alerts: [ { alert: Broken, phase: storm, fires_within: 20s } ]\n";

    let alertmanager = Alertmanager::start();
    alertmanager.silence("Broken");
    let (code, words, report) = World::with(&alertmanager).play(FIRES);
    assert_came_to(99, code, &words);
    expect_outcomes(&report, &words, &[("failed", "but silenced there (by ")]);

    let drops = "alert_relabel_configs: [ { source_labels: [alertname], regex: Broken, action: drop } ]";
    let alerting = format!("{drops}\n  {}", knows(&alertmanager.address.to_string()));
    let (code, words, report) = World::new(&alerting).play(FIRES);
    assert_came_to(99, code, &words);
    expect_outcomes(&report, &words, &[("failed", "s, but did not reach Alertmanager")]);

    for (alerting, warning) in [
        (
            "alertmanagers: []".to_owned(),
            "warning: Prometheus has no Alertmanager configured: alerts are not delivered",
        ),
        (
            knows("alertmanager.invalid:9093"),
            "warning: no Alertmanager of Prometheus can be reached from this machine",
        ),
    ] {
        let (code, words, report) = World::new(&alerting).play(FIRES);
        assert_came_to(0, code, &words);
        assert!(report["expectations"][0]["notified_after"].is_null(), "{words}");
        assert!(words.contains(warning), "{words}");
    }
}

#[test]
fn a_query_without_comparable_values_is_reported_before_the_run() {
    let world = World::new("alertmanagers: []");
    for (expr, why) in [
        ("sum(", "expect.promql[1].expr: \"sum(\": invalid parameter"),
        ("up[1m]", "expect.promql[1].expr: \"up[1m]\": returns the samples of a range"),
        ("\\\"a\\\"", "returns a text, which cannot be compared with a number"),
    ] {
        let expect = format!(
            "  promql: [ {{ expr: up, phase: calm, stays: '> 0' }}, {{ expr: \"{expr}\", phase: calm, stays: '> 0' }} ]"
        );
        let scenario = scenario(&expect);
        let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["run", "--target", &format!("http://{}", world.service.address)])
            .args(["--prometheus", &world.prometheus.url(), "--scenario"])
            .arg(scenario.path())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(104), "{words}");
        assert!(words.contains(why), "{words}");
    }
}

#[test]
fn expectations_are_undecided_after_prometheus_stopped() {
    let mut world = World::new("alertmanagers: []");
    // The phase is so long that most of it is after the kill.
    let phases = PHASES.replace(
        "name: after, executor: constant-arrival-rate, rate: 20, duration: 2s",
        "name: after, executor: constant-arrival-rate, rate: 20, duration: 10s",
    );
    assert_ne!(phases, PHASES);
    let expect = r#"
  alerts: [ { alert: Broken, phase: storm, fires_within: 20s, resolves_within: 50s } ]
  quiet: [ { alert: Broken, labels: { status: "500" } } ]
  promql:
    - { expr: up, phase: after, stays: "== 1" }
    - { expr: 'sum(inference_requests_total{status="503"})', phase: storm, becomes: "> 1e6", within: 50s }
"#;
    let scenario = file(&(phases + expect));
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["run", "--target", &format!("http://{}", world.service.address)])
        .args(["--prometheus", &world.prometheus.url(), "--scenario"])
        .arg(scenario.path())
        .arg("--json")
        .arg(&json)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The alert has fired for a while in Prometheus, so the run, which queries it every second, has observed it, too.
    world.wait_for("count_over_time(ALERTS{alertname=\"Broken\",alertstate=\"firing\"}[1m]) >= 3");
    world.prometheus.kill();
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_came_to(99, output.status.code().unwrap(), &words);
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    expect_outcomes(
        &report,
        &words,
        &[
            ("cannot_tell", "Prometheus did not answer for "),
            ("cannot_tell", "Prometheus did not answer for "),
            ("cannot_tell", ""),
            ("cannot_tell", "no answer for "),
        ],
    );
    assert!(words.contains("queries to Prometheus failed"), "{words}");
}

/// Rules whose alerts have a label `job` (`Broken`, `InstanceDown`), none (`Anywhere`), or the label of another model
/// (`ModelOfAnother`).
const RULES_BY_JOB: &str = r#"
groups:
  - name: quick
    interval: 1s
    rules:
      - alert: Broken
        expr: sum by (job) (inference_requests_total{endpoint="/predict",status="503"}) > 0
      - alert: Anywhere
        expr: sum(inference_requests_total{endpoint="/predict",status="503"}) > 0
      - alert: ModelOfAnother
        expr: label_replace(sum by (job) (up{job="own"}), "model", "telco", "", "") > 0
      - alert: InstanceDown
        expr: up{job="own"} == 0
"#;

#[test]
fn alerts_about_other_jobs_instances_and_models_do_not_count() {
    let (service, other) = (Service::start(), Service::start());
    // There is no listener at the second address of the target's own job.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s, scrape_timeout: 1s }}\nrule_files: [rules.yml]\n\
         scrape_configs:\n  - job_name: own\n    static_configs: [ {{ targets: ['{}', '{gone}'] }} ]\n  \
         - job_name: other\n    static_configs: [ {{ targets: ['{}'] }} ]\n",
        service.address, other.address
    );
    let world = World { service, prometheus: Prometheus::with(&config, RULES_BY_JOB) };
    let broken = Command::new("curl")
        .args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"])
        .args(["--header", "content-type: application/json", "--header", "x-envoy-fault-abort-request: 503"])
        .args(["--data", r#"{"features":[1,2,3,4]}"#, &format!("http://{}/predict", other.address)])
        .output()
        .unwrap();
    assert_eq!(broken.stdout, b"503");
    for alert in ["Broken", "Anywhere", "ModelOfAnother", "InstanceDown"] {
        world.wait_for(&format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}"));
    }
    let scenario = |expect: &str| {
        format!(
            "name: x\npayloads: {{ rows: {{ source: {{ model: {{}} }} }} }}\nphases: [ {{ name: a, executor: \
             constant-arrival-rate, rate: 20, duration: 2s }} ]\nexpect:\n{expect}"
        )
    };
    let file = file(&scenario(
        r#"
  quiet:
    - Broken
    - ModelOfAnother
    - InstanceDown
    - Anywhere
    - { alert: Broken, job: "*" }
    - { alert: Broken, job: other }
    - { alert: Broken, job: third }
    - { alert: Broken, labels: { job: other } }
    - { alert: InstanceDown, job: own }
    - { alert: ModelOfAnother, labels: { model: telco } }
"#,
    ));
    let (code, words, report) = play(file.path().to_str().unwrap(), &world.service, Some(&world.prometheus));
    assert_came_to(99, code, &words);
    let fired = "was firing when the ";
    expect_outcomes(
        &report,
        &words,
        &[
            ("passed", "quiet"),
            ("passed", "quiet"),
            ("passed", "quiet"),
            ("failed", fired),
            ("failed", "job=\"other\""),
            ("failed", fired),
            ("passed", "quiet"),
            ("failed", fired),
            ("failed", fired),
            ("failed", fired),
        ],
    );
    let labels = format!("job own, instance {}, model iris", world.service.address);
    assert_eq!(report["alerts_of"], labels, "{words}");
    assert!(words.contains(&labels), "{words}");

    // `expect.job` applies to all expectations, and an expected alert must be of that job.
    let file = self::file(&scenario(
        "  job: other\n  quiet: [ { alert: Broken, job: own } ]\n  alerts: [ { alert: Broken, phase: a, fires_within: 1s } ]\n",
    ));
    let (code, words, report) = play(file.path().to_str().unwrap(), &world.service, Some(&world.prometheus));
    assert_came_to(99, code, &words);
    expect_outcomes(&report, &words, &[("failed", "was firing before the phase began"), ("passed", "quiet")]);
    let file = self::file(&scenario("  alerts: [ { alert: Broken, phase: a, fires_within: 1s } ]\n"));
    let (code, words, report) = play(file.path().to_str().unwrap(), &world.service, Some(&world.prometheus));
    assert_came_to(99, code, &words);
    expect_outcomes(&report, &words, &[("failed", "did not fire")]);
}

#[test]
fn a_target_that_prometheus_does_not_scrape_is_looked_up_by_its_model() {
    const QUIET: &str = "  quiet: [ { alert: Broken, phase: calm } ]\n";
    let world = World::new("alertmanagers: []");
    // The same model at another address, such as that of a load balancer.
    let unscraped = Service::start();
    let file = scenario(QUIET);
    let (code, words, report) = play(file.path().to_str().unwrap(), &unscraped, Some(&world.prometheus));
    assert_came_to(0, code, &words);
    assert_eq!(report["alerts_of"], "job quick, model iris", "{words}");
    assert!(!words.contains("alerts of every job count"), "{words}");

    let config = "global: { scrape_interval: 1s, evaluation_interval: 1s }\nrule_files: [rules.yml]\n";
    let prometheus = Prometheus::with(config, RULES);
    let (code, words, report) = play(file.path().to_str().unwrap(), &unscraped, Some(&prometheus));
    assert_came_to(0, code, &words);
    assert_eq!(report["alerts_of"], "model iris", "{words}");
    assert!(words.contains("alerts of every job count; name the job in `expect.job`"), "{words}");
}
