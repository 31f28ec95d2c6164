//! Checks whether the load generator's figures are correct. Run it with `just bench-loadgen`; it needs `oha` (path in `OHA`).
//!
//! - Closed loop with 16 connections: requests per second, as a ratio to those of oha with the same server. Both run
//!   alternately. `loadgen` generates a row for every request; oha sends the same bytes each time.
//! - Open loop with 5,000 requests/s for 30 s: how many were offered, how late they were sent, and whether memory grew.
//! - A server that is stopped (SIGSTOP) for one second of ten, at 1,000 requests/s: whether the percentiles show this.
//!
//! The server is a separate process with one actix worker, which answers every request with the same bytes.

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const ROUNDS: usize = 5;
const CONNECTIONS: usize = 16;
const SECONDS: u64 = 5;
const BODY: &str = r#"{"features":[6.3,3.3,6.0,2.5]}"#;

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    match mode.as_str() {
        "serve" => serve(),
        // cargo passes `--bench`, and test runners ask for lists.
        _ if std::env::args().any(|arg| arg == "--bench") => {
            let folder = TempDir::new().expect("a temporary directory");
            closed_loop(folder.path());
            open_loop(folder.path());
            standstill(folder.path());
        }
        _ => println!("0 tests: run `just bench-loadgen`"),
    }
}

fn closed_loop(folder: &Path) {
    println!("Closed loop: {ROUNDS} rounds of {SECONDS} s each, {CONNECTIONS} connections, in turns");
    let server = Server::start();
    let executor = format!("executor: constant-vus, vus: {CONNECTIONS}, duration: {SECONDS}s");
    let mut ratios = Vec::new();
    // The first round warms up.
    for round in 0..=ROUNDS {
        let loadgen = || {
            let report = Loadgen::start(folder, &executor, &server).finish();
            assert_eq!(report["totals"]["completed"], report["totals"]["offered"], "{report}");
            number(&report, "/phases/0/rate")
        };
        let (ours, oha) = if round % 2 == 0 {
            let ours = loadgen();
            (ours, self::oha(&server))
        } else {
            let oha = self::oha(&server);
            (loadgen(), oha)
        };
        if round > 0 {
            println!("  loadgen {ours:>7.0}/s   oha {oha:>7.0}/s   ratio {:.3}", ours / oha);
            ratios.push(ours / oha);
        }
    }
    println!("  median ratio {:.3}", median(ratios));
}

/// Returns the requests per second.
fn oha(server: &Server) -> f64 {
    let program = std::env::var("OHA").unwrap_or_else(|_| "oha".into());
    let output = Command::new(program)
        .args(["--no-tui", "--output-format", "json", "-m", "POST", "-T", "application/json", "-d", BODY])
        .args(["-c", &CONNECTIONS.to_string(), "-z", &format!("{SECONDS}s")])
        .arg(format!("http://{}/predict", server.address))
        .output()
        .expect("oha is missing: `just bench-loadgen` installs it");
    let report: Value = serde_json::from_slice(&output.stdout).expect("oha's report");
    assert_eq!(number(&report, "/summary/successRate"), 1.0, "{report}");
    number(&report, "/summary/requestsPerSec")
}

fn open_loop(folder: &Path) {
    const LENGTH: u64 = 30;
    println!("Open loop: 5,000 requests/s for {LENGTH} s");
    let server = Server::start();
    let run = Loadgen::start(
        folder,
        &format!("executor: constant-arrival-rate, rate: 5000, duration: {LENGTH}s"),
        &server,
    );
    let early = run.memory_after(Duration::from_secs(LENGTH / 3));
    let late = run.memory_after(Duration::from_secs(LENGTH - 2));
    let report = run.finish();
    println!("  offered {} = {}", report["totals"]["offered"], sum(&report));
    for metric in ["send_lag", "service_time", "response_time"] {
        let milli = |figure| number(&report, &format!("/{metric}/{figure}")) * 1e3;
        println!(
            "  {metric:<13} p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms",
            milli("p50"),
            milli("p99"),
            milli("max")
        );
    }
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "  resident memory {:.1} MiB after a third, {:.1} MiB near the end: ratio {:.3}",
        mib(early),
        mib(late),
        late as f64 / early as f64
    );
}

fn standstill(folder: &Path) {
    println!("Standstill: the server is stopped for 1 s of 10 at 1,000 requests/s");
    let server = Server::start();
    let executor = "executor: constant-arrival-rate, rate: 1000, duration: 10s";
    let run = Loadgen::start(folder, executor, &server);
    run.wait(Duration::from_secs(4));
    server.signal("STOP");
    run.wait(Duration::from_secs(5));
    server.signal("CONT");
    let report = run.finish();
    println!("  offered {} = {}", report["totals"]["offered"], sum(&report));
    println!(
        "  response time p99 {:.3} s, service time p50 {:.6} s, p99 {:.3} s, send lag p99 {:.6} s",
        number(&report, "/response_time/p99"),
        number(&report, "/service_time/p50"),
        number(&report, "/service_time/p99"),
        number(&report, "/send_lag/p99")
    );
}

/// A run of the real binary.
struct Loadgen<'a> {
    child: Child,
    folder: &'a Path,
    started: Instant,
}

impl<'a> Loadgen<'a> {
    fn start(folder: &'a Path, executor: &str, server: &Server) -> Self {
        // The limit is high enough for all requests during the stop, so that none is dropped and their delays are measured.
        let scenario = format!(
            "name: bench\nmax_in_flight: 2000\npayloads: {{ rows: {{ source: {{ model: {{}} }} }} }}\n\
             phases: [ {{ name: all, {executor} }} ]\n"
        );
        std::fs::write(folder.join("scenario.yaml"), scenario).expect("a temporary file");
        let child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["run", "--scenario", "scenario.yaml", "--json", "report.json"])
            .args(["--target", &format!("http://{}", server.address)])
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the load generator starts");
        Self { child, folder, started: Instant::now() }
    }

    /// Waits until the time `after` from the start.
    fn wait(&self, after: Duration) {
        std::thread::sleep(after.saturating_sub(self.started.elapsed()));
    }

    /// Returns the resident memory in bytes at the time `after` from the start.
    fn memory_after(&self, after: Duration) -> u64 {
        self.wait(after);
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux counts it");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib << 10
    }

    /// Returns the report, even if the run was invalid because the machine was busy.
    fn finish(mut self) -> Value {
        let code = self.child.wait().expect("a process of ours").code();
        if code != Some(0) {
            println!("  (verdict: exit code {code:?})");
        }
        let report = std::fs::read(self.folder.join("report.json")).expect("a report");
        serde_json::from_slice(&report).expect("in JSON")
    }
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let this = std::env::current_exe().expect("this program has a path");
        let mut child =
            Command::new(this).arg("serve").stderr(Stdio::piped()).spawn().expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stderr.take().expect("piped")).read_line(&mut line).expect("it says where");
        Self { child, address: line.trim().parse().expect("an address") }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send SIG{name}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve() {
    let file = inference::load_model(None).expect("the built-in model");
    let card = web::Bytes::from(serde_json::to_vec(&file.card).expect("plain data"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let predict = |_: web::Bytes| async {
        HttpResponse::Ok().content_type("application/json").body(r#"{"prediction":2}"#)
    };
    actix_web::rt::System::new()
        .block_on(async move {
            let server = HttpServer::new(move || {
                let card = card.clone();
                let model = move || {
                    let card = card.clone();
                    async move { HttpResponse::Ok().body(card) }
                };
                App::new()
                    .route("/model", web::get().to(model))
                    .route("/metrics", web::get().to(|| async { "" }))
                    .route("/predict", web::post().to(predict))
            })
            .workers(1)
            .listen(listener)?
            .run();
            writeln!(std::io::stderr(), "{address}")?;
            server.await
        })
        .expect("the server runs");
}

fn number(report: &Value, path: &str) -> f64 {
    report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path} in {report}"))
}

/// Returns the sum of the totals as text, and whether it is correct.
fn sum(report: &Value) -> String {
    let ends = ["completed", "failed", "timed_out", "dropped", "interrupted"];
    let counts = ends.map(|end| number(report, &format!("/totals/{end}")));
    assert_eq!(counts.iter().sum::<f64>(), number(report, "/totals/offered"), "{report}");
    let terms: Vec<String> =
        ends.iter().zip(counts).map(|(end, count)| format!("{count} {}", end.replace('_', " "))).collect();
    terms.join(" + ")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
