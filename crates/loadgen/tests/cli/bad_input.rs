//! Error messages of `loadgen` for invalid input.

use crate::support::{Loadgen, ServerFault, Stub, StubOptions, rogue};
use tokio::net::TcpSocket;

/// A scenario with so few requests that a run is never invalid because of late ones.
const SHORT: &str = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 25, duration: 1s } ]
expect:
  alerts: [ { alert: ModelInputDrift, phase: a, fires_within: 60s } ]
  quiet: [ModelServiceDown]
"#;

/// An address without a listener. Its port stays bound, so that no other test uses it.
struct UnreachableAddress(TcpSocket);

impl UnreachableAddress {
    fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self(socket)
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }
}

#[test]
fn an_invalid_scenario_exits_with_104_and_names_file_line_and_field() {
    let loadgen = Loadgen::new();
    let run = loadgen.run(&SHORT.replace("rate: 25", "rate: -5"), "http://127.0.0.1:1", &[]);
    run.expect_code(104);
    assert!(
        run.stderr.contains("scenario.yaml:4: phases[0].rate: must be above 0, got -5"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_error_about_an_unreachable_target_names_it_and_a_remedy() {
    let unreachable = UnreachableAddress::new();
    let run = Loadgen::new().run(SHORT, &unreachable.url(), &[]);
    run.expect_code(104);
    assert!(
        run.stderr.contains(&unreachable.url()) && run.stderr.contains("inference serve"),
        "{}",
        run.stderr
    );
}

#[test]
fn invalid_flags_exit_with_104_and_help_with_0() {
    let loadgen = Loadgen::new();
    loadgen.call(&["run"]).expect_code(104);
    loadgen.call(&["run", "--scenario", "drift", "--speed", "9"]).expect_code(104);
    let run = loadgen.call(&["run", "--scenario", "drift", "--target", "ftp://x"]);
    assert!(run.expect_code(104).stderr.contains("begins with http:// or https://"), "{}", run.stderr);
    let run = loadgen.call(&["run", "--scenario", "drift", "--target", "http://127.0.0.1:1/?key=s3cret"]);
    assert!(run.expect_code(104).stderr.contains("must not have a query"), "{}", run.stderr);
    let run = loadgen.call(&["run", "--scenario", "nope"]);
    assert!(run.expect_code(104).stderr.contains("the built-in scenarios are normal"), "{}", run.stderr);
    let run = loadgen.call(&["run", "--scenario", "drift", "--json", "no/such/place.json"]);
    assert!(run.expect_code(104).stderr.contains("--json no/such/place.json"), "{}", run.stderr);
    assert!(loadgen.call(&["run", "--help"]).expect_code(0).stdout.contains("http://user:password@host"));
    assert!(loadgen.call(&["--help"]).expect_code(0).stdout.contains("Exit codes"));
}

#[test]
fn errors_in_a_table_of_the_command_line_name_the_flags_that_fix_them() {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    let scenario = SHORT.split("expect:").next().unwrap();
    loadgen.write(
        "rows.csv",
        "sepal_length;sepal_width;petal_length;petal_width\n5.1;3.5;1.4;0.2\n5.1;3.5;1.4;n/a\n",
    );
    let table = ["--table", "rows.csv"];
    let run = |more: &[&str]| loadgen.run(scenario, &stub.url, more);
    for (flags, words) in [
        (&[][..], "try --separator ';'"),
        (&["--separator", ";"], "got \"n/a\" (--missing makes it a missing value)"),
    ] {
        let run = run(&[&table, flags].concat());
        run.expect_code(104);
        assert!(run.stderr.contains(words) && !run.stderr.contains("payloads."), "{}", run.stderr);
    }
    assert_eq!(stub.seen(), 0);
    let good = run(&[&table[..], &["--separator", ";", "--missing", "?", "--missing", "n/a"]].concat());
    assert!(good.stderr.contains("1 row lacks petal_width"), "{}", good.stderr);
    assert_eq!(stub.seen(), 25);
    for flags in [["--separator", ";"], ["--missing", "NA"]] {
        let run = run(&flags);
        assert!(run.expect_code(104).stderr.contains("--table <FILE.csv>"), "{}", run.stderr);
    }
}

#[test]
fn a_signal_that_the_model_lacks_is_reported_before_the_run() {
    let stub = Stub::start(StubOptions::default());
    let scenario = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 100, duration: 1s } ]
expect: { signals: [ { signal: petal_lenght, phase: a, stays: steady } ] }
"#;
    let run = Loadgen::new().run(scenario, &stub.url, &[]);
    run.expect_code(104);
    assert!(run.stderr.contains("no signal \"petal_lenght\"; it has sepal_length"), "{}", run.stderr);
    assert_eq!(stub.seen(), 0);
}

#[test]
fn an_address_without_a_prometheus_server_is_reported_before_the_run() {
    let stub = Stub::start(StubOptions::default());
    let unreachable = UnreachableAddress::new();
    let elsewhere = format!("{}/elsewhere", stub.url);
    let page = rogue(ServerFault::AnswersWith("<!doctype html><title>Grafana</title>"));
    let html = rogue(ServerFault::Garbage);
    for (address, what, remedy) in [
        (unreachable.url(), "Connection refused", "start Prometheus there"),
        (elsewhere, "/elsewhere/api/v1/rules: answered 404", "name the address of a Prometheus server"),
        (page, "its answer is not that of a Prometheus server", "name the address of a Prometheus server"),
        (html, "HTTP", "name the address of a Prometheus server"),
        (rogue(ServerFault::Redirects), "answered 307", "name that address in --prometheus"),
    ] {
        // The server is also checked if no expectation needs it.
        for scenario in [SHORT, SHORT.split("expect:").next().unwrap()] {
            let run = Loadgen::new().run(scenario, &stub.url, &["--prometheus", &address]);
            run.expect_code(104);
            for words in ["error: --prometheus: ", what, remedy] {
                assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
            }
        }
    }
    assert_eq!(stub.seen(), 0);
}

#[test]
fn a_target_that_stops_during_the_run_is_reported() {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    let scenario = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 100, duration: 6s } ]
expect:
  signals: [ { signal: "*", phase: a, stays: steady } ]
  vitals: [ { vital: server_error_ratio, phase: a, stays_below: 0.01 } ]
"#;
    let child = loadgen.start(scenario, &stub.url, &[]);
    crate::support::wait_until("requests arrive", || stub.seen() >= 120);
    drop(stub);
    let run = loadgen.finish(child);
    run.expect_judged(99);
    assert!(run.adds_up(), "{}", run.report);
    // It is not known whether the signals would have stayed steady after the target stopped.
    for words in ["stays steady", "server_error_ratio stays below"] {
        assert_eq!(run.verdict("expectations", words), "cannot_tell", "{}", run.stdout);
    }
    assert!(run.stdout.contains("CANNOT TELL"), "{}", run.stdout);
    assert!(run.total("failed") > 50 && run.total("completed") >= 10, "{}", run.report);
    assert!(run.stdout.contains("× no connection"), "{}", run.stdout);
    assert!(run.stdout.contains("readings of /metrics failed"), "{}", run.stdout);
}

#[test]
fn an_existing_report_is_kept_if_the_run_does_not_start() {
    let loadgen = Loadgen::new();
    loadgen.write("report.json", r#"{ "verdict": "passed" }"#);
    let unreachable = UnreachableAddress::new();
    let run = loadgen.run(SHORT, &unreachable.url(), &[]);
    run.expect_code(104);
    assert_eq!(run.report["verdict"], "passed");
}

#[test]
fn an_error_about_a_redirect_names_the_new_address() {
    let run = Loadgen::new().run(SHORT, &rogue(ServerFault::RedirectsAll), &[]);
    run.expect_code(104);
    assert!(run.stderr.contains("307") && run.stderr.contains("--target"), "{}", run.stderr);
}
