//! A real Alertmanager that tells nobody, on a free port and a data folder of its own.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

const CONFIG: &str = "route: { receiver: nobody }\nreceivers: [ { name: nobody } ]\n";

pub struct Alertmanager {
    child: Child,
    pub address: SocketAddr,
    _folder: TempDir,
}

impl Alertmanager {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("alertmanager.yml"), CONFIG).unwrap();
        // A free port may be given to somebody else before Alertmanager takes it.
        let (child, address) =
            attempt(&folder).or_else(|| attempt(&folder)).expect("Alertmanager ended before it listened");
        Self { child, address, _folder: folder }
    }

    /// Silences an alert by its name.
    pub fn silence(&self, alert: &str) {
        let output = Command::new("amtool")
            .arg(format!("--alertmanager.url=http://{}", self.address))
            .args(["silence", "add", "--author=drill", "--comment=drill", &format!("alertname={alert}")])
            .output()
            .expect("amtool is missing: `just test` installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it on a free port, unless it ends before it listens.
fn attempt(folder: &TempDir) -> Option<(Child, SocketAddr)> {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut child = Command::new("prometheus-alertmanager")
        .arg(format!("--config.file={}", folder.path().join("alertmanager.yml").display()))
        .arg(format!("--storage.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .stderr(Stdio::piped())
        .spawn()
        .expect("prometheus-alertmanager is missing: `just test` installs it");
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let listens = |line: String| {
        // Of a start that fails, the test's output says why.
        eprintln!("{line}");
        line.contains("Listening on")
    };
    if !log.by_ref().map_while(Result::ok).any(listens) {
        child.wait().unwrap();
        return None;
    }
    std::thread::spawn(move || log.for_each(drop));
    Some((child, address))
}
