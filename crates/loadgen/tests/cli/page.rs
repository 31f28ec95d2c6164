//! The flags that show a run: what they say when they can't, and what they leave behind.

use crate::support::{Loadgen, Stub, StubOptions, wait_until};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
};

const SHORT: &str = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 50, duration: 1s } ]
thresholds: { dropped: ["count==0"] }
"#;

const REPORT: &str = "report.html";

#[test]
fn a_port_that_is_taken_is_found_before_the_run() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let stub = Stub::start(StubOptions::default());
    for flag in ["--dashboard", "--metrics-listen"] {
        let run = Loadgen::new().run(SHORT, &stub.url, &[flag, &address]);
        let words = format!("{flag} {address}: cannot listen there; name another address");
        assert!(run.expect_code(104).stderr.contains(&words), "{}", run.stderr);
    }
    assert_eq!(stub.seen(), 0);
}

#[test]
fn a_bad_address_or_one_file_for_both_reports_is_104() {
    let loadgen = Loadgen::new();
    let run = loadgen.run(SHORT, "http://127.0.0.1:1", &["--dashboard", "somewhere"]);
    assert!(run.expect_code(104).stderr.contains("--dashboard"), "{}", run.stderr);
    let run = loadgen.run(SHORT, "http://127.0.0.1:1", &["--report", "report.json"]);
    assert!(
        run.expect_code(104).stderr.contains("--json and --report both name report.json"),
        "{}",
        run.stderr
    );
    let run = loadgen.run(SHORT, "http://127.0.0.1:1", &["--report", "no/such/place.html"]);
    assert!(run.expect_code(104).stderr.contains("--report no/such/place.html"), "{}", run.stderr);
    let help = loadgen.call(&["run", "--help"]);
    assert!(
        help.stdout.contains("without an address 127.0.0.1:5665, without the flag nowhere"),
        "{}",
        help.stdout
    );
}

#[test]
fn a_full_disk_costs_neither_the_summary_nor_the_other_report() {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    let run = loadgen.run(SHORT, &stub.url, &["--report", "/dev/full"]);
    run.expect_code(104);
    assert!(run.stderr.contains("--report /dev/full: the report could not be written"), "{}", run.stderr);
    assert!(run.stdout.contains("verdict: ") && run.report["verdict"].is_string(), "{}", run.stdout);

    let scenario = loadgen.write("scenario.yaml", SHORT);
    let scenario = scenario.to_str().unwrap();
    let arguments = ["run", "--scenario", scenario, "--target", &stub.url, "--json", "/dev/full", "--report"];
    let run = loadgen.call(&[&arguments[..], &[REPORT]].concat());
    run.expect_code(104);
    assert!(run.stderr.contains("--json /dev/full: the report could not be written"), "{}", run.stderr);
    assert!(run.stdout.contains("verdict: ") && loadgen.read(REPORT).ends_with("</html>\n"));

    let run = loadgen.call(&[&arguments[..], &["/dev/full"]].concat());
    run.expect_code(104);
    assert_eq!(run.stderr.matches("/dev/full: the report could not be written").count(), 2, "{}", run.stderr);
}

#[test]
fn an_interrupted_run_leaves_its_page_and_waits_for_no_browser() {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    let long = SHORT.replace("1s", "60s");
    let mut child = loadgen.start(&long, &stub.url, &["--report", REPORT, "--dashboard", "127.0.0.1:0"]);
    let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("live page: http://") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut log, &mut line).unwrap() > 0, "it never said where");
    }
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap();
    // One that asks and then never reads.
    let mut browser = TcpStream::connect(address).unwrap();
    browser.write_all(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wait_until("requests are sent", || stub.seen() > 20);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let mut words = String::new();
    log.read_to_string(&mut words).unwrap();
    loadgen.finish(child).expect_code(105);
    let html = loadgen.read(REPORT);
    assert!(html.contains("<b>INTERRUPTED</b>") && html.ends_with("</html>\n"), "{words}");
}
