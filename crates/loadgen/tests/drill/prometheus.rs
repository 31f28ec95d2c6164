//! Starts a real Prometheus with the shipped configuration and rules, or with others, on a free port and with its own data folder.

use crate::server;
use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Child,
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts a Prometheus that scrapes the replicas of the service at `targets`.
    pub fn start(targets: &[SocketAddr]) -> Self {
        Self::scraping(targets, None)
    }

    /// Starts it; it scrapes the replicas of the service at `targets`, and the load generator.
    pub fn scraping(targets: &[SocketAddr], generator: Option<SocketAddr>) -> Self {
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../monitoring");
        let folder = tempfile::tempdir().unwrap();
        let config = std::fs::read_to_string(pack.join("prometheus.yml")).unwrap();
        let targets: Vec<String> = targets.iter().map(|target| format!("'{target}'")).collect();
        let config = config.replace("- inference:8000", &format!("- {}", targets.join("\n          - ")));
        let config = match generator {
            Some(address) => config.replace("- loadgen:9464", &format!("- '{address}'")),
            None => config,
        };
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        std::fs::create_dir(folder.path().join("rules")).unwrap();
        for entry in std::fs::read_dir(pack.join("rules")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.path().join("rules").join(path.file_name().unwrap())).unwrap();
        }
        Self::launch(folder)
    }

    /// Starts a Prometheus with this configuration, and with these rules in `rules.yml`.
    pub fn with(config: &str, rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        std::fs::write(folder.path().join("rules.yml"), rules).unwrap();
        Self::launch(folder)
    }

    fn launch(folder: TempDir) -> Self {
        let (child, address) = server::start("prometheus", "ready to receive web requests", |address| {
            vec![
                format!("--config.file={}", folder.path().join("prometheus.yml").display()),
                format!("--storage.tsdb.path={}", folder.path().join("data").display()),
                format!("--web.listen-address={address}"),
            ]
        });
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "Prometheus does not listen at {address}");
            // Prometheus may need the core that this thread uses.
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, address, _folder: folder }
    }

    /// Kills the server, as in a crash.
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
