//! Starts watchers and reads their metrics.

use crate::message::{self, Message};
use clap::Parser;
use inference::{
    load_model,
    watch::{WatchSettings, Watcher},
};
use model::ModelFile;
use std::{
    io::{BufReader, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::{LazyLock, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// The longest time that a test waits for a condition, which is enough for a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub static IRIS: LazyLock<ModelFile> = LazyLock::new(|| load_model(None).unwrap());

/// The file of the Iris model, which serves as its profile.
pub static PROFILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), IRIS.to_json().unwrap()).unwrap();
    file.keep().unwrap().1
});

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: WatchSettings,
}

/// A watcher in another thread, which is stopped gracefully when this is dropped.
pub struct Watched {
    pub address: SocketAddr,
    pub own: SocketAddr,
    stop: Option<oneshot::Sender<&'static str>>,
    thread: Option<JoinHandle<()>>,
}

impl Watched {
    /// Starts a watcher of the Iris model at `upstream`.
    pub fn iris(upstream: SocketAddr, flags: &[&str]) -> Self {
        let profile = PROFILE.display().to_string();
        Self::start(upstream, &[&["--profile", &profile], flags].concat())
    }

    /// Starts a watcher with these flags in addition to addresses.
    pub fn start(upstream: SocketAddr, flags: &[&str]) -> Self {
        let upstream = format!("http://{upstream}");
        let usual = [
            "watch",
            "--upstream",
            &upstream,
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
            "--workers",
            "1",
            "--drain",
            "0s",
        ];
        let settings =
            Flags::try_parse_from(usual.iter().chain(flags)).unwrap_or_else(|error| panic!("{error}"));
        let (sender, receiver) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let watcher = Watcher::build(&settings.settings).unwrap();
                sender.send((watcher.address().unwrap(), watcher.own_address())).unwrap();
                watcher.run_until_stopped(async { stopped.await.unwrap_or("dropped") }).await.unwrap();
            });
        });
        let (address, own) = receiver.recv_timeout(DEADLINE).unwrap();
        Self { address, own, stop: Some(stop), thread: Some(thread) }
    }

    /// Sends a request through the proxy.
    pub fn ask(&self, request: &[u8]) -> Message {
        ask(self.address, request)
    }

    /// Sends a JSON body through the proxy.
    pub fn post(&self, path: &str, body: &str) -> Message {
        self.ask(&message::post(path, body))
    }

    /// Sends a JSON body to the watcher's own listener.
    pub fn post_own(&self, path: &str, body: &str) -> Message {
        ask(self.own, &message::post(path, body))
    }

    /// Returns the page of metrics.
    pub fn page(&self) -> String {
        let answer = ask(self.own, b"GET /metrics HTTP/1.1\r\nHost: own\r\nConnection: close\r\n\r\n");
        String::from_utf8(answer.body).unwrap()
    }

    /// Returns the sum of the series of a metric with these labels.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let page = self.page();
        let is_own = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        };
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        page.lines().filter(is_own).map(value).sum()
    }

    /// Returns the number of requests with an outcome.
    pub fn outcome(&self, outcome: &str) -> f64 {
        self.metric("watch_requests_total", &[&format!("outcome=\"{outcome}\"")])
    }

    /// Waits until the number of requests with an outcome is `expected`.
    pub fn until_outcome(&self, outcome: &str, expected: f64) {
        self.until(&format!("{outcome}: {expected}"), |watched| watched.outcome(outcome) == expected);
    }

    /// Waits until a condition holds.
    pub fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "never: {what}\n{}", self.outcomes());
            // The watcher may need this core to reach the condition.
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Returns the outcomes that are not 0.
    pub fn outcomes(&self) -> String {
        let page = self.page();
        let counted = page.lines().filter(|line| line.starts_with("watch_requests") && !line.ends_with(" 0"));
        counted.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send("test over");
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sends a request on a new connection and reads the answer.
pub fn ask(address: SocketAddr, request: &[u8]) -> Message {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    Message::read_answer(&mut BufReader::new(stream), request.starts_with(b"HEAD")).unwrap()
}

/// Opens a connection with time limits.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}
