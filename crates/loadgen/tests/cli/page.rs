//! Tests of the flags that show a run: `--dashboard`, `--metrics-listen`, `--report` and `--json`.

use crate::support::{Loadgen, Stub, StubOptions, wait_until};
use std::{
    fs::Permissions,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::{PermissionsExt, symlink},
    process::{ChildStderr, Command, Stdio},
    time::Duration,
};

const SHORT: &str = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 50, duration: 1s } ]
thresholds: { dropped: ["count==0"] }
"#;

const REPORT: &str = "report.html";

#[test]
fn a_port_that_is_in_use_is_reported_before_the_run() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let stub = Stub::start(StubOptions::default());
    for flag in ["--dashboard", "--metrics-listen"] {
        let run = Loadgen::new().run(SHORT, &stub.url, &[flag, &address]);
        let words = format!("{flag} {address}: cannot listen at this address; name another one");
        assert!(run.expect_code(104).stderr.contains(&words), "{}", run.stderr);
    }
    assert_eq!(stub.seen(), 0);
}

#[test]
fn an_invalid_address_or_the_same_file_for_both_reports_exits_with_104() {
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
    assert!(help.stdout.contains("[127.0.0.1:5665 if no address is given]"), "{}", help.stdout);
}

#[test]
fn with_a_full_disk_the_summary_and_the_other_report_are_still_written() {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    let run = loadgen.run(SHORT, &stub.url, &["--report", "/dev/full"]);
    run.expect_code(104);
    assert!(run.stderr.contains("--report /dev/full: could not be written"), "{}", run.stderr);
    assert!(run.stdout.contains("verdict: ") && run.report["verdict"].is_string(), "{}", run.stdout);

    let scenario = loadgen.write("scenario.yaml", SHORT);
    let scenario = scenario.to_str().unwrap();
    let arguments = ["run", "--scenario", scenario, "--target", &stub.url, "--json", "/dev/full", "--report"];
    let run = loadgen.call(&[&arguments[..], &[REPORT]].concat());
    run.expect_code(104);
    assert!(run.stderr.contains("--json /dev/full: could not be written"), "{}", run.stderr);
    assert!(run.stdout.contains("verdict: ") && loadgen.read(REPORT).ends_with("</html>\n"));

    let run = loadgen.call(&[&arguments[..], &["/dev/full"]].concat());
    run.expect_code(104);
    assert_eq!(run.stderr.matches("/dev/full: could not be written").count(), 2, "{}", run.stderr);
}

#[test]
fn reports_are_written_through_links_and_pipes_and_keep_file_modes() {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    loadgen.write("scenario.yaml", SHORT);
    for (target, link) in
        [("1.json", "latest.json"), ("1.html", "latest.html"), ("whole.json", "merged.json")]
    {
        let former = loadgen.write(target, "a former report");
        std::fs::set_permissions(former, Permissions::from_mode(0o640)).unwrap();
        symlink(target, loadgen.path(link)).unwrap();
    }
    let run = ["run", "--scenario", "scenario.yaml", "--target", &stub.url];
    let to_links = ["--json", "latest.json", "--report", "latest.html"];
    loadgen.call(&[&run[..], &to_links].concat()).expect_judged(0);
    loadgen.call(&["merge", "latest.json", "--json", "merged.json"]).expect_judged(0);
    for link in ["latest.json", "latest.html", "merged.json"] {
        assert!(loadgen.path(link).is_symlink(), "{link}");
        let mode = loadgen.path(link).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640, "{link}");
    }
    assert!(
        loadgen.report("1.json")["verdict"].is_string()
            && loadgen.report("whole.json")["verdict"].is_string()
    );
    assert!(loadgen.read("1.html").ends_with("</html>\n"));

    // If the report goes to standard output, the summary goes to standard error.
    let line = r#""$0" "$@" --json /dev/stdout --report >(cat >piped.html) | cat >piped.json; wait"#;
    let piped = loadgen.call_in_shell(line, &run);
    assert!(loadgen.report("piped.json")["verdict"].is_string(), "{}", piped.stderr);
    assert!(piped.stderr.contains("verdict: "), "{}", piped.stderr);
    let line = r#""$0" merge piped.json --json /dev/stdout | cat >remerged.json"#;
    let merged = loadgen.call_in_shell(line, &[]);
    assert!(loadgen.report("remerged.json")["verdict"].is_string(), "{}", merged.stderr);
    wait_until("the page has been read from the pipe", || {
        std::fs::read_to_string(loadgen.path("piped.html")).is_ok_and(|page| page.ends_with("</html>\n"))
    });
}

#[test]
fn a_clock_before_1970_is_reported() {
    let loadgen = Loadgen::new();
    loadgen.write("scenario.yaml", SHORT);
    let run = loadgen.at_time("@1960-01-01 00:00:00", &["run", "--scenario", "scenario.yaml"]);
    assert!(
        run.expect_code(104).stderr.contains("the system clock shows a time before 1970"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_interrupted_run_writes_its_page_and_does_not_wait_for_a_browser() {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    let long = SHORT.replace("1s", "60s");
    let mut child = loadgen.start(&long, &stub.url, &["--report", REPORT, "--dashboard", "127.0.0.1:0"]);
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let address = announced(&mut log, "live page");
    // This browser sends a request but never reads the answer.
    let mut browser = TcpStream::connect(address).unwrap();
    browser.write_all(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    wait_until("requests are sent", || stub.seen() > 20);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let mut words = String::new();
    log.read_to_string(&mut words).unwrap();
    loadgen.finish(child).expect_code(105);
    let html = loadgen.read(REPORT);
    assert!(html.contains("<b>INTERRUPTED</b>") && html.ends_with("</html>\n"), "{words}");
}

/// Returns the address at which a run serves `what`, as it prints it.
fn announced(log: &mut BufReader<ChildStderr>, what: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "the run ended without printing the address");
        if let Some((_, rest)) = line.split_once(&format!("{what}: http://")) {
            return rest.split('/').next().unwrap().to_owned();
        }
    }
}

/// Sends a request without a body, and returns the head of the answer in lower case, and its body.
fn ask(address: &str, target: &str, host: &str, more: &str) -> (String, String) {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(connection, "{target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n").unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

/// Returns the number before each of these words in a state of the page.
fn totals(state: &str) -> Option<Vec<u64>> {
    let (_, sum) = state.split_once("<p class=\"totals\">")?;
    let sum = sum.split(';').next()?;
    let numbers = sum.split("<b>").skip(1).filter_map(|part| part.split("</b>").next()?.parse().ok());
    Some(numbers.collect())
}

#[test]
fn the_totals_add_up_in_every_state_of_the_live_page() {
    let stub = Stub::start(StubOptions { delay: Duration::from_millis(700), ..StubOptions::default() });
    let loadgen = Loadgen::new();
    let scenario = SHORT.replace("rate: 50, duration: 1s", "rate: 100, duration: 6s");
    let mut child = loadgen.start(&scenario, &stub.url, &["--dashboard", "127.0.0.1:0"]);
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let address = announced(&mut log, "live page");
    // The answer has all states up to the last one.
    let (_, states) = ask(&address, "GET /stream", "localhost", "");
    std::io::copy(&mut log, &mut std::io::sink()).unwrap();
    loadgen.finish(child);
    let states: Vec<&str> = states.split('\0').filter(|state| state.contains("class=\"totals\"")).collect();
    assert!(states.len() > 3, "{} states", states.len());
    let mut most_in_flight = 0;
    for state in states {
        let numbers = totals(state).unwrap();
        assert_eq!(numbers[0], numbers[1..].iter().sum::<u64>(), "{numbers:?}");
        // During the run, the requests in flight are part of the sum, too.
        if let Some(in_flight) = numbers.get(6) {
            assert!(state.contains("in flight"), "{numbers:?}");
            most_in_flight = most_in_flight.max(*in_flight);
        }
    }
    assert!(most_in_flight > 0);
}

/// Calls `use_it` with the addresses of the page and the metrics of a run, which lasts until it is killed.
fn served<T>(use_it: impl FnOnce(&str, &str) -> T) -> T {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    let flags = ["--dashboard", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
    let mut child = loadgen.start(&SHORT.replace("1s", "1h"), &stub.url, &flags);
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let page = announced(&mut log, "live page");
    let metrics = announced(&mut log, "own metrics");
    let result = use_it(&page, &metrics);
    child.kill().unwrap();
    child.wait().unwrap();
    result
}

#[test]
fn all_answers_have_security_headers() {
    served(|page, metrics| {
        for (address, target, status) in [
            (page, "GET /", "200"),
            (page, "HEAD /stream", "200"),
            (page, "GET /live.js", "200"),
            (page, "GET /nowhere", "404"),
            (page, "POST /", "405"),
            (page, "OPTIONS *", "404"),
            (metrics, "GET /metrics", "200"),
            (metrics, "PUT /metrics", "405"),
            (metrics, "GET /", "404"),
        ] {
            let (head, _) = ask(address, target, "localhost", "");
            assert!(head.starts_with(&format!("http/1.1 {status}")), "{target}: {head}");
            for header in [
                "\r\nx-content-type-options: nosniff",
                "\r\nx-frame-options: deny",
                "\r\ncontent-security-policy: default-src 'none'; ",
                "frame-ancestors 'none'",
            ] {
                assert!(head.contains(header), "{target}: {header}: {head}");
            }
        }
    });
}

#[test]
fn only_the_metrics_are_served_under_a_foreign_host_name() {
    served(|page, metrics| {
        for host in ["evil.example", "evil.example:5665", "loadgen:5665", ""] {
            for target in ["GET /", "GET /stream", "GET /live.js"] {
                let (head, body) = ask(page, target, host, "");
                assert!(head.starts_with("http/1.1 421"), "{host}: {head}");
                assert!(body.contains("open the live page by IP address or as localhost"), "{body}");
            }
        }
        for host in ["localhost:5665", "127.0.0.1", page, "[::1]:5665"] {
            assert!(ask(page, "GET /", host, "").1.contains("<h1>x</h1>"), "{host}");
        }
        // Prometheus scrapes by the name that Compose gives the container.
        assert!(ask(metrics, "GET /metrics", "loadgen:9464", "").1.contains("loadgen_requests_total{"));
    });
}

#[test]
fn a_request_that_offers_an_upgrade_is_answered_normally() {
    const OFFER: &str =
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n";
    served(|page, metrics| {
        for (address, target) in [(page, "GET /"), (metrics, "GET /metrics")] {
            let (head, _) = ask(address, target, "localhost", OFFER);
            assert!(head.starts_with("http/1.1 200") && !head.contains("upgrade"), "{head}");
        }
    });
}

/// Returns the fewest descriptors with which a run starts.
fn least_descriptors() -> u64 {
    cli_io::descriptors::least_of_a_server()
}

#[test]
fn an_error_about_too_few_descriptors_states_the_limit_and_a_remedy() {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    loadgen.write("x.yaml", SHORT);
    for limit in [12, least_descriptors() - 1] {
        let line = format!("ulimit -n {limit}; \"$0\" \"$@\"");
        let run = loadgen.call_in_shell(
            &line,
            &["run", "--scenario", "x.yaml", "--target", &stub.url, "--dashboard", "127.0.0.1:0"],
        );
        run.expect_code(104);
        let words = format!("error: too few file descriptors: at most {limit} may be open");
        assert!(run.stderr.contains(&words) && run.stderr.contains("ulimit -n 1024"), "{}", run.stderr);
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    }
    assert_eq!(stub.seen(), 0);
}

#[test]
fn own_metrics_are_served_while_the_target_uses_all_other_descriptors() {
    let stub = Stub::start(StubOptions { delay: Duration::from_secs(60), ..StubOptions::default() });
    let loadgen = Loadgen::new();
    loadgen.write("x.yaml", &SHORT.replace("rate: 50, duration: 1s", "rate: 200, duration: 1h"));
    let limit = least_descriptors() + 8;
    let line = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
    let mut child = Command::new("bash")
        .args(["-c", &line, env!("CARGO_BIN_EXE_loadgen")])
        .args(["run", "--scenario", "x.yaml", "--target", &stub.url, "--metrics-listen", "127.0.0.1:0"])
        .current_dir(loadgen.path(""))
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let address = announced(&mut log, "own metrics");
    // Some requests have failed for lack of a descriptor, so the target's connections use all that they may.
    wait_until("connections run out", || {
        let (_, page) = ask(&address, "GET /metrics", "localhost", "");
        page.lines().any(|line| line.contains("outcome=\"failed\"") && !line.ends_with(" 0"))
    });
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let mut words = String::new();
    log.read_to_string(&mut words).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(105), "{words}");
    assert!(!words.contains("panicked"), "{words}");
}
