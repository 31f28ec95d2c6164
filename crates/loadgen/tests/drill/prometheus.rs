//! A real Prometheus with the shipped configuration and rules, or with others, on a free port and a data folder of its own.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it; it scrapes the replicas of the service at `targets`.
    pub fn start(targets: &[SocketAddr]) -> Self {
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../monitoring");
        let folder = tempfile::tempdir().unwrap();
        let config = std::fs::read_to_string(pack.join("prometheus.yml")).unwrap();
        let targets: Vec<String> = targets.iter().map(|target| format!("'{target}'")).collect();
        let config = config.replace("- inference:8000", &format!("- {}", targets.join("\n          - ")));
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        std::fs::create_dir(folder.path().join("rules")).unwrap();
        for entry in std::fs::read_dir(pack.join("rules")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.path().join("rules").join(path.file_name().unwrap())).unwrap();
        }
        Self::launch(folder)
    }

    /// Starts it with a configuration of its own and, beside it, these rules in `rules.yml`.
    pub fn with(config: &str, rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        std::fs::write(folder.path().join("rules.yml"), rules).unwrap();
        Self::launch(folder)
    }

    fn launch(folder: TempDir) -> Self {
        // A free port may be given to somebody else before Prometheus takes it.
        let (child, address) =
            attempt(&folder).or_else(|| attempt(&folder)).expect("Prometheus ended before it was ready");
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "Prometheus does not listen at {address}");
            // It may need this core.
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, address, _folder: folder }
    }

    /// Ends it, as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it on a free port, unless it ends before it is ready.
fn attempt(folder: &TempDir) -> Option<(Child, SocketAddr)> {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut child = Command::new("prometheus")
        .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .stderr(Stdio::piped())
        .spawn()
        .expect("prometheus is missing: `just test` installs it");
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready = |line: String| {
        // Of a start that fails, the test's output says why.
        eprintln!("{line}");
        line.contains("ready to receive web requests")
    };
    if !log.by_ref().map_while(Result::ok).any(ready) {
        child.wait().unwrap();
        return None;
    }
    std::thread::spawn(move || log.for_each(drop));
    Some((child, address))
}
