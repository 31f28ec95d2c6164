//! Measures what `inference watch` costs beside nginx as a plain proxy: throughput with wrk, and latency with `loadgen` at a fixed rate.

use crate::{
    FLOWER, ROUNDS, one, program,
    servers::{Load, Server, median},
    this,
};
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// The rate of the latency measurement, in requests per second.
const RATE: u32 = 5000;

/// The rounds of the latency measurement, of ten seconds each.
const LATENCY_ROUNDS: usize = 5;

/// Prints the throughput and the latency of both proxies beside those of the server behind them.
pub fn compare() {
    println!("One row through a proxy, two workers each, with the bare endpoint behind it:");
    let bare = Server::start("bare", &this(), &["serve-bare"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let watch = watcher(&bare, folder.path());
    let mut servers = vec![watch];
    servers.extend(nginx(&bare, &folder));
    servers.push(bare);
    let load = Load::new(&one(FLOWER));
    let (mut rounds, mut cpu) = (Vec::<Vec<f64>>::new(), vec![Vec::new(); servers.len()]);
    for round in 0..=ROUNDS {
        let mut rates = vec![0.0; servers.len()];
        for turn in 0..servers.len() {
            let at = (round + turn) % servers.len();
            let measured = servers[at].measure(&load);
            rates[at] = measured.rate;
            cpu[at].push(measured.cpu);
        }
        // The first round is for warming up and is discarded.
        if round > 0 {
            rounds.push(rates);
        }
    }
    for (at, server) in servers.iter().enumerate() {
        let rate = median(rounds.iter().map(|round| round[at]));
        let ratio = median(rounds.iter().map(|round| round[at] / round[servers.len() - 1]));
        let cpu = median(cpu[at].iter().copied());
        println!(
            "  {:<8} {rate:>9.0} requests/s, {ratio:.3} of direct, {cpu:>6.2} µs of CPU per request",
            server.name
        );
    }
    if let [watch, _, _] = servers.as_slice() {
        let ratio = median(rounds.iter().map(|round| round[0] / round[1]));
        println!("  {} to nginx: throughput ratio {ratio:.3}", watch.name);
    }
    match std::env::var("LOADGEN") {
        Ok(loadgen) => latency(&loadgen, &servers, folder.path()),
        Err(_) => println!("  latency is not measured: LOADGEN names no program"),
    }
}

fn watcher(bare: &Server, folder: &Path) -> Server {
    let profile = folder.join("iris.json");
    let file = inference::load_model(None).expect("the built-in model");
    fs::write(&profile, file.to_json().expect("plain data")).expect("a temporary file");
    let upstream = format!("http://{}", bare.address);
    let profile = profile.to_str().expect("plain text");
    let flags = ["watch", "--upstream", &upstream, "--profile", profile, "--listen", "127.0.0.1:0"];
    Server::start(
        "watch",
        program(),
        &[&flags[..], &["--metrics-listen", "127.0.0.1:0", "--workers", "2"]].concat(),
    )
}

/// Starts nginx as a plain proxy with connections that stay open; `None` if it is not installed.
fn nginx(bare: &Server, folder: &TempDir) -> Option<Server> {
    let address: SocketAddr =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let folder = folder.path().display();
    let upstream = bare.address;
    let configuration = format!(
        "worker_processes 2; pid {folder}/pid; error_log {folder}/log; daemon off;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 1000000000;\n\
         client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;\n\
         uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n\
         upstream model {{ server {upstream}; keepalive 64; keepalive_requests 1000000000; }}\n\
         server {{ listen {address}; location / {{ proxy_pass http://model; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; }} }} }}"
    );
    let file = format!("{folder}/nginx.conf");
    fs::write(&file, configuration).expect("a temporary file");
    let child = Command::new("nginx").args(["-c", &file]).stderr(Stdio::null()).spawn().ok()?;
    Some(Server::of("nginx", child, address))
}

/// Prints the 99th percentile of the response time at a fixed rate, with and without the watcher.
fn latency(loadgen: &str, servers: &[Server], folder: &Path) {
    println!("Response time at {RATE} requests/s, open loop, median of {LATENCY_ROUNDS} rounds:");
    let scenario = folder.join("steady.yaml");
    let body = one(FLOWER);
    let text = format!(
        "name: steady\npayloads:\n  row: {{ source: {{ fixed: {{ body: '{body}' }} }} }}\nphases:\n  \
         - {{ name: steady, executor: constant-arrival-rate, rate: {RATE}, duration: 10s }}\n"
    );
    fs::write(&scenario, text).expect("a temporary file");
    let (mut p50, mut p99) = (vec![Vec::new(); servers.len()], vec![Vec::new(); servers.len()]);
    for round in 0..LATENCY_ROUNDS {
        for turn in 0..servers.len() {
            let at = (round + turn) % servers.len();
            let report = folder.join("report.json");
            let target = format!("http://{}", servers[at].address);
            let output = Command::new(loadgen)
                .args(["run", "--target", &target, "--scenario"])
                .arg(&scenario)
                .arg("--json")
                .arg(&report)
                .output()
                .expect("loadgen starts");
            let text = fs::read_to_string(&report)
                .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
            let report: serde_json::Value = serde_json::from_str(&text).expect("a report");
            let of = |name: &str| report["response_time"][name].as_f64().expect("seconds");
            p50[at].push(of("p50"));
            p99[at].push(of("p99"));
        }
    }
    let direct = servers.len() - 1;
    for (at, server) in servers.iter().enumerate() {
        let ms = |times: &[f64]| median(times.iter().copied()) * 1e3;
        let added = median(p99[at].iter().zip(&p99[direct]).map(|(own, direct)| own - direct)) * 1e3;
        println!(
            "  {:<8} p50 {:.3} ms, p99 {:.3} ms, {added:+.3} ms at p99 to direct",
            server.name,
            ms(&p50[at]),
            ms(&p99[at])
        );
    }
}
