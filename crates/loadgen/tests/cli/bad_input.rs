//! Error messages of `loadgen` for invalid input.

use crate::support::{Loadgen, Mischief, Stub, StubOptions, rogue};
use tokio::net::TcpSocket;

/// Too small to be late.
const SHORT: &str = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 25, duration: 1s } ]
expect:
  alerts: [ { alert: ModelInputDrift, phase: a, fires_within: 60s } ]
  quiet: [ModelServiceDown]
"#;

/// An address without a listener. Its port stays bound, so that no other test gets it.
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
fn a_bad_scenario_is_104_with_file_line_and_field() {
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
fn a_target_that_is_down_is_named_with_the_remedy() {
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
fn bad_flags_are_104_and_help_is_not() {
    let loadgen = Loadgen::new();
    loadgen.call(&["run"]).expect_code(104);
    loadgen.call(&["run", "--scenario", "drift", "--speed", "9"]).expect_code(104);
    let run = loadgen.call(&["run", "--scenario", "drift", "--target", "ftp://x"]);
    assert!(run.expect_code(104).stderr.contains("only http:// and https://"), "{}", run.stderr);
    let run = loadgen.call(&["run", "--scenario", "drift", "--target", "http://127.0.0.1:1/?key=s3cret"]);
    assert!(run.expect_code(104).stderr.contains("ends with its path"), "{}", run.stderr);
    let run = loadgen.call(&["run", "--scenario", "nope"]);
    assert!(run.expect_code(104).stderr.contains("built in are normal"), "{}", run.stderr);
    let run = loadgen.call(&["run", "--scenario", "drift", "--json", "no/such/place.json"]);
    assert!(run.expect_code(104).stderr.contains("--json no/such/place.json"), "{}", run.stderr);
    assert!(loadgen.call(&["run", "--help"]).expect_code(0).stdout.contains("http://user:password@host"));
    assert!(loadgen.call(&["--help"]).expect_code(0).stdout.contains("Exit codes"));
}

#[test]
fn a_table_of_the_command_line_is_read_by_its_flags_and_refused_with_their_names() {
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
fn a_signal_that_the_model_does_not_have_is_found_before_the_run() {
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
fn an_address_without_a_prometheus_server_is_found_before_the_run() {
    let stub = Stub::start(StubOptions::default());
    let unreachable = UnreachableAddress::new();
    let elsewhere = format!("{}/elsewhere", stub.url);
    let page = rogue(Mischief::Says("<!doctype html><title>Grafana</title>"));
    let html = rogue(Mischief::Garbage);
    for (address, what, remedy) in [
        (unreachable.url(), "Connection refused", "is Prometheus running there?"),
        (elsewhere, "/elsewhere/api/v1/rules: answered 404", "is it the address of a Prometheus server"),
        (page, "its answer is not that of a Prometheus server", "is it the address of a Prometheus server"),
        (html, "HTTP", "is it the address of a Prometheus server"),
        (rogue(Mischief::Redirects), "answered 307", "name the final address in --prometheus"),
    ] {
        // Also where no expectation needs it: the flag was given for a reason.
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
fn a_target_that_dies_midway_is_reported() {
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
    // What was steady until it died is not known to have stayed so.
    for words in ["stays steady", "server_error_ratio stays below"] {
        assert_eq!(run.verdict("expectations", words), "cannot_tell", "{}", run.stdout);
    }
    assert!(run.stdout.contains("CANNOT TELL"), "{}", run.stdout);
    assert!(run.total("failed") > 50 && run.total("completed") >= 10, "{}", run.report);
    assert!(run.stdout.contains("× no connection"), "{}", run.stdout);
    assert!(run.stdout.contains("readings of /metrics failed"), "{}", run.stdout);
}

#[test]
fn an_earlier_report_stays_until_there_is_a_later_one() {
    let loadgen = Loadgen::new();
    loadgen.write("report.json", r#"{ "verdict": "passed" }"#);
    let unreachable = UnreachableAddress::new();
    let run = loadgen.run(SHORT, &unreachable.url(), &[]);
    run.expect_code(104);
    assert_eq!(run.report["verdict"], "passed");
}

#[test]
fn a_redirect_is_an_error_that_names_the_new_address() {
    let run = Loadgen::new().run(SHORT, &rogue(Mischief::RedirectsAll), &[]);
    run.expect_code(104);
    assert!(run.stderr.contains("307") && run.stderr.contains("--target"), "{}", run.stderr);
}
