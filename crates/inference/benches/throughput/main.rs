//! Compares the service with other servers that accept the same bodies, in one run. Run it with `just bench`; it needs `wrk`.
//!
//! - one row and the built-in linear model, compared with a bare actix endpoint and with actix alone
//! - one row and a gradient boosting model in ONNX, compared with a bare actix endpoint that runs the same session
//! - batches of 1,000 rows and the built-in model
//! - one row through `inference watch` and through nginx, compared with the bare endpoint behind them, and the latency that the watcher
//!   adds at 5,000 requests per second
//! - the time from start to ready, with and without ONNX Runtime
//! - memory after many requests, without a scrape
//!
//! `--proxies` measures the proxies alone. `INFERENCE_BASELINE=FILE` names the binary `inference` of another commit, which is measured as
//! `baseline`. Without a library of ONNX Runtime in `ORT_DYLIB_PATH`, the parts with ONNX are left out.
//!
//! Servers are measured in turn, and each round has one ratio per pair of servers. The median over the rounds is printed, with the CPU
//! time of each server per request, which depends less on other load of the machine.
//!
//! Layout: `bare` implements the other endpoints; `servers` starts servers and sends requests to them; `proxies` measures the watcher.

mod bare;
mod proxies;
mod servers;

use servers::{Load, Server, median};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const ROUNDS: usize = 7;
const STARTS: usize = 10;
const BATCH: usize = 1000;
const FLOWER: &str = "[6.3,3.3,6.0,2.5]";
const WINE: &str = "[12.6,1.34,1.9,88.0,1.36,2.45,562.0]";

/// The default of `--requests`: the number of requests before memory is read.
const REQUESTS: u64 = 1_000_000;

/// The flags for the built-in model with one worker, like all servers here.
const SERVICE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--workers", "1"];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map_or("", String::as_str) {
        "serve-bare" => bare::serve_linear(),
        "serve-static" => bare::serve_static(),
        "serve-bare-onnx" => bare::serve_onnx(Path::new(&arguments[2])),
        // cargo passes `--bench`, and test runners ask for lists.
        _ if arguments.iter().any(|argument| argument == "--proxies") => proxies::compare(),
        _ if arguments.iter().any(|argument| argument == "--bench") => {
            let given = arguments.iter().skip_while(|argument| *argument != "--requests").nth(1);
            let requests = given.map_or(REQUESTS, |text| text.parse().expect("--requests: a whole number"));
            run(requests);
        }
        _ => println!("0 tests: run `just bench`"),
    }
}

fn run(requests: u64) {
    let baseline = std::env::var("INFERENCE_BASELINE").ok();
    let service = || Server::start("service", program(), &SERVICE);
    let baseline = || baseline.as_ref().map(|program| Server::start("baseline", program, &SERVICE));
    println!(
        "{ROUNDS} rounds of {} s, {} connections, one worker each",
        servers::SECONDS,
        servers::CONNECTIONS
    );

    println!("One row, linear model of 4 features:");
    let bare = [
        Server::start("bare", &this(), &["serve-bare"]),
        Server::start("static", &this(), &["serve-static"]),
    ];
    compare([service()].into_iter().chain(bare).chain(baseline()).collect(), &Load::new(&one(FLOWER)), 1);

    let onnx = OnnxFiles::make();
    if let Some(files) = &onnx {
        println!("One row, gradient boosting of 7 features in ONNX:");
        let bare = Server::start("bare", &this(), &["serve-bare-onnx", files.model()]);
        compare(vec![files.server(), bare], &Load::new(&one(WINE)), 1);
    }

    println!("Batches of {BATCH} rows, linear model of 4 features:");
    let batch = format!("{{\"instances\":[{}]}}", vec![FLOWER; BATCH].join(","));
    compare([service()].into_iter().chain(baseline()).collect(), &Load::new(&batch), BATCH);

    proxies::compare();

    println!("From start to ready, median of {STARTS}:");
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        without.push(service().ready_after);
        with.extend(onnx.as_ref().map(|files| files.server().ready_after));
    }
    print_start("linear model", without);
    print_start("ONNX", with);

    println!("Memory after {requests} requests, without a scrape:");
    let server = service();
    let (before, load) = (server.memory(), Load::new(&one(FLOWER)));
    let mut answered = 0.0;
    while answered < requests as f64 {
        answered += server.measure(&load).requests;
    }
    println!("  {before:.1} MB at the start, {:.1} MB after {answered:.0} requests", server.memory());
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_inference")
}

fn this() -> String {
    let this = std::env::current_exe().expect("this program has a path");
    this.to_str().expect("of plain text").to_owned()
}

fn one(row: &str) -> String {
    format!("{{\"features\":{row}}}")
}

/// Prints the rates of some servers, and the ratios of the first one to the others.
fn compare(servers: Vec<Server>, load: &Load, rows: usize) {
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let mut measured: Vec<_> = servers.iter().map(|_| None).collect();
        // Every server is first in some round, because a server may affect the measurement of the next one.
        for turn in 0..servers.len() {
            let at = (round + turn) % servers.len();
            measured[at] = Some(servers[at].measure(load));
        }
        // The first round is for warming up and is discarded.
        if round > 0 {
            rounds.push(measured.into_iter().flatten().collect::<Vec<_>>());
        }
    }
    let unit = if rows == 1 { "request" } else { "row" };
    let per_row = 1.0 / rows as f64;
    for (at, server) in servers.iter().enumerate() {
        let rate = median(rounds.iter().map(|round| round[at].rate / per_row));
        let cpu = median(rounds.iter().map(|round| round[at].cpu * per_row));
        println!("  {:<8} {rate:>9.0} {unit}s/s  {cpu:>6.2} µs of CPU per {unit}", server.name);
    }
    for (at, Server { name, .. }) in servers.iter().enumerate().skip(1) {
        let rate = median(rounds.iter().map(|round| round[0].rate / round[at].rate));
        let cpu = median(rounds.iter().map(|round| round[0].cpu / round[at].cpu));
        println!("  service to {name}: throughput ratio {rate:.3}, CPU ratio {cpu:.3}");
    }
}

fn print_start(name: &str, times: Vec<Duration>) {
    if !times.is_empty() {
        let median = median(times.iter().map(Duration::as_secs_f64));
        println!("  {name:<12} {:>6.1} ms", median * 1e3);
    }
}

/// An ONNX model and its profile.
struct OnnxFiles {
    model: PathBuf,
    profile: PathBuf,
    _folder: tempfile::TempDir,
}

impl OnnxFiles {
    /// Makes the profile; `None` if there is no ONNX Runtime.
    fn make() -> Option<Self> {
        std::env::var_os(onnx::runtime::LIBRARY_VARIABLE)?;
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../onnx/tests/cases/gradient_boosting");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (model, profile) = (case.join("model.onnx"), folder.path().join("card.json"));
        let output = Command::new(program())
            .args(["profile", "--target", "cultivar", "--data"])
            .arg(case.join("table.csv"))
            .arg("--onnx")
            .arg(&model)
            .arg("--out")
            .arg(&profile)
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(Self { model, profile, _folder: folder })
    }

    fn model(&self) -> &str {
        self.model.to_str().expect("plain text")
    }

    fn server(&self) -> Server {
        let profile = self.profile.to_str().expect("plain text");
        Server::start(
            "service",
            program(),
            &[&SERVICE[..], &["--model", self.model(), "--profile", profile]].concat(),
        )
    }
}
