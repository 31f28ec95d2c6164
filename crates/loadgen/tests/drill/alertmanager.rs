//! Starts a real Alertmanager without a receiver, on a free port and with its own data folder.

use crate::server;
use std::{
    net::SocketAddr,
    process::{Child, Command},
};
use tempfile::TempDir;

const CONFIG: &str = "route: { receiver: none }\nreceivers: [ { name: none } ]\n";

pub struct Alertmanager {
    child: Child,
    pub address: SocketAddr,
    _folder: TempDir,
}

impl Alertmanager {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("alertmanager.yml"), CONFIG).unwrap();
        let (child, address) = server::start("prometheus-alertmanager", "Listening on", |address| {
            vec![
                format!("--config.file={}", folder.path().join("alertmanager.yml").display()),
                format!("--storage.path={}", folder.path().join("data").display()),
                format!("--web.listen-address={address}"),
                "--cluster.listen-address=".to_owned(),
            ]
        });
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
