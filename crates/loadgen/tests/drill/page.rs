//! Tests the live page and the HTML report in a real browser, with two widths and two themes. Screenshots are written to the
//! target directory, to be looked at.

use crate::{assert_came_to, browser::Browser, service::Service};
use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

const SCENARIO: &str = "
name: looked-at
description: '<script>alert(1)</script> & every line'
payloads:
  flowers: { source: { model: {} } }
  mutants: { weight: 0, source: { drift: { preset: giant } } }
  broken: { weight: 0, source: { model: {} }, headers: { x-envoy-fault-abort-request: 503 } }
phases:
  - { name: calm, executor: constant-arrival-rate, rate: 80, duration: 6s }
  - { name: storm, executor: constant-arrival-rate, rate: 80, duration: 8s, mix: { mutants: 3, broken: 1 } }
thresholds: { dropped: ['count==0'], unexpected_rate: ['rate<0.5'] }
expect:
  signals: [ { signal: '*', phase: storm, drifts_within: 8s } ]
  vitals: [ { vital: server_error_ratio, phase: storm, exceeds: 0.1 } ]
";

/// Whether every plot has a line of at least two points and the name of a phase.
const DRAWN: &str = "[...document.querySelectorAll('.panel')].every(panel => \
    [...panel.querySelectorAll('figure')].every(figure => \
    [...figure.querySelectorAll('polyline')].some(line => line.getAttribute('stroke-width') === '4' \
    && line.points.length > 1) && figure.querySelector('svg').textContent.includes('calm')))";

/// The width of the page beyond that of the window, in pixels.
const OVERHANG: &str = "document.documentElement.scrollWidth - window.innerWidth";

struct Run {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
}

impl Run {
    fn start(scenario: &Path, service: &Service, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["run", "--target", &format!("http://{}", service.address), "--scenario"])
            .arg(scenario)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// Returns the address that the run prints after these words.
    fn address(&mut self, words: &str) -> String {
        let mut line = String::new();
        while self.log.read_line(&mut line).unwrap() > 0 {
            if let Some((_, rest)) = line.split_once(words) {
                return rest.split_whitespace().next().unwrap().to_owned();
            }
            line.clear();
        }
        panic!("the run never printed {words:?}");
    }

    fn finish(mut self) -> (Option<i32>, String) {
        let mut words = String::new();
        self.log.read_to_string(&mut words).unwrap();
        self.child.stdout.take().unwrap().read_to_string(&mut words).unwrap();
        (self.child.wait().unwrap().code(), words)
    }
}

fn pictures() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Checks the open page with all widths and themes.
fn look_over(browser: &mut Browser, name: &str) {
    for (width, theme, back) in
        [(1280, "light", 255), (1280, "dark", 20), (360, "light", 255), (360, "dark", 20)]
    {
        browser.look(width, theme);
        browser.until(&format!("window.innerWidth === {width}"));
        let colour = browser.evaluate("getComputedStyle(document.body).backgroundColor");
        assert!(colour.as_str().unwrap().starts_with(&format!("rgb({back},")), "{theme}: {colour}");
        assert_eq!(browser.evaluate(OVERHANG), 0, "{name} at {width} scrolls sideways");
        browser.screenshot(&pictures().join(format!("{name}-{width}-{theme}.png")));
    }
    assert_eq!(browser.complaints, Vec::<String>::new(), "{name}");
}

#[test]
fn the_page_has_no_errors_in_a_browser() {
    let service = Service::start();
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.yaml");
    let report = folder.path().join("report.html");
    std::fs::write(&scenario, SCENARIO).unwrap();
    let mut browser = Browser::start();
    let flags = ["--dashboard", "127.0.0.1:0", "--report", report.to_str().unwrap()];
    let mut run = Run::start(&scenario, &service, &flags);
    let address = run.address("live page: ");

    browser.look(1280, "light");
    browser.open(&address);
    browser.screenshot(&pictures().join("start-1280-light.png"));
    browser.until("document.querySelector('progress').value > 10");
    look_over(&mut browser, "live");
    // The last state arrives although the server stops with the run, and the page sends no request after that.
    // On a busy machine the run may be invalid, but its page must show the end, too.
    browser.until("/^(PASSED|INVALID)/.test(document.querySelector('.verdict').textContent)");
    browser.until("document.querySelector('#connection').textContent.includes('has ended')");
    assert_eq!(browser.evaluate(DRAWN), true);
    assert_eq!(browser.complaints, Vec::<String>::new());
    let (code, words) = run.finish();
    assert_came_to(0, code.unwrap(), &words);
    assert!(words.contains(&format!("report: {}", report.display())), "{words}");

    let html = std::fs::read_to_string(&report).unwrap();
    assert!(!html.contains("<script") && !html.contains("src=") && html.len() < 500_000, "{}", html.len());
    browser.cut_network();
    browser.open(reqwest::Url::from_file_path(&report).unwrap().as_str());
    assert_eq!(browser.evaluate(DRAWN), true);
    assert_eq!(browser.evaluate("document.querySelectorAll('.panel').length"), 9);
    look_over(&mut browser, "report");
}
