//! Starts servers, sends requests with wrk, and reads the memory and CPU time of the servers.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::NamedTempFile;

/// The length of one turn, in seconds.
pub const SECONDS: &str = "2";

/// The number of connections of the load generator.
pub const CONNECTIONS: &str = "16";

/// A server in a separate process, which is killed when this is dropped.
pub struct Server {
    pub name: &'static str,
    /// The time from the start of the process to an answer 200 of `/readyz`, or to any answer of a server without that route.
    pub ready_after: Duration,
    child: Child,
    pub address: SocketAddr,
}

/// The measurements of one turn.
pub struct Turn {
    /// The number of requests that were answered.
    pub requests: f64,
    /// Requests per second.
    pub rate: f64,
    /// Microseconds of the server's CPU time per request.
    pub cpu: f64,
}

/// The requests to send: the same body to `/predict` each time.
pub struct Load(NamedTempFile);

impl Load {
    pub fn new(body: &str) -> Self {
        let script = NamedTempFile::new().expect("a temporary file");
        let lua = format!(
            "wrk.method = 'POST'\nwrk.body = '{body}'\nwrk.headers['Content-Type'] = 'application/json'\n\
             done = function(s) if s.errors.status + s.errors.connect + s.errors.read + s.errors.timeout > 0 then \
             print('FAILED') end end"
        );
        std::fs::write(script.path(), lua).expect("a temporary file");
        Self(script)
    }
}

impl Server {
    /// Starts a server that writes `address=ADDRESS` to its log, and waits until it answers.
    pub fn start(name: &'static str, program: &str, flags: &[&str]) -> Self {
        let start = Instant::now();
        let mut child =
            Command::new(program).args(flags).stderr(Stdio::piped()).spawn().expect("the server starts");
        let mut log = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = loop {
            let line = log.next().expect("the server logs its address").expect("in plain text");
            if let Some((_, rest)) = line.split_once("address=") {
                break rest.split_whitespace().next().and_then(|text| text.parse().ok()).expect("an address");
            }
        };
        std::thread::spawn(move || log.for_each(drop));
        while status(address) == 503 {}
        Self { name, ready_after: start.elapsed(), child, address }
    }

    /// Takes a process that serves this address, and waits until it answers.
    pub fn of(name: &'static str, child: Child, address: SocketAddr) -> Self {
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "{name} does not listen at {address}");
            std::thread::yield_now();
        }
        Self { name, ready_after: start.elapsed(), child, address }
    }

    /// Sends requests to the server for one turn.
    pub fn measure(&self, load: &Load) -> Turn {
        let before = self.cpu_seconds();
        let output = Command::new("wrk")
            .args(["-t", "1", "-c", CONNECTIONS, "-d", SECONDS, "-s"])
            .arg(load.0.path())
            .arg(format!("http://{}/predict", self.address))
            .output()
            .expect("wrk is missing: `just bench` installs it");
        let spent = self.cpu_seconds() - before;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !text.contains("FAILED"), "{}: {text}", self.name);
        let field = |name: &str, at: usize| -> f64 {
            let line = text.lines().find(|line| line.contains(name)).expect("wrk's report");
            line.split_whitespace().nth(at).and_then(|text| text.parse().ok()).expect("a number")
        };
        let requests = field("requests in", 0);
        Turn { requests, rate: field("Requests/sec:", 1), cpu: spent / requests * 1e6 }
    }

    /// Returns the resident memory in MB.
    pub fn memory(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a running server");
        let kib: f64 = line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number");
        kib * 1024.0 / 1e6
    }

    /// Returns the CPU time of the process and of its children, such as nginx's workers.
    fn cpu_seconds(&self) -> f64 {
        let id = self.child.id();
        let children = self.proc(&format!("task/{id}/children"));
        let children = children.split_whitespace().map(|id| id.parse().expect("a process id"));
        std::iter::once(id).chain(children).map(cpu_seconds).sum()
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("a running server")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx stops its workers at SIGTERM.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a running process");
    // Fields 14 and 15 are the CPU time in ticks of 1/100 s. The name in field 2 is removed first, because it may contain spaces.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

/// Returns the status with which `/readyz` is answered.
fn status(address: SocketAddr) -> u16 {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    answer.split_whitespace().nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
