//! Runs the program as a separate process, for tests of signals, limits and memory.

use crate::harness::DEADLINE;
use bytesize::ByteSize;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    time::Instant,
};

/// A running service process, which is killed when this is dropped.
pub struct Binary {
    child: Child,
    log: BufReader<ChildStderr>,
    pub address: SocketAddr,
    pub metrics_address: Option<SocketAddr>,
    /// The announced limit on the memory that requests can take, in bytes.
    pub worst_case: u64,
}

impl Binary {
    pub fn start(flags: &[&str]) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_inference")), flags)
    }

    /// Starts the service with a limit on open files that it cannot raise.
    pub fn with_open_files(limit: usize, flags: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            &format!("ulimit -n {limit} && exec \"$0\" \"$@\""),
            env!("CARGO_BIN_EXE_inference"),
        ]);
        Self::run(shell, flags)
    }

    pub fn run(mut command: Command, flags: &[&str]) -> Self {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .args(flags)
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let (mut address, mut metrics_address) = (None, None);
        let worst_case = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "the service ended before it was ready");
            let line: Value = serde_json::from_str(&line).unwrap();
            let fields = &line["fields"];
            let listens_at = || Some(fields["address"].as_str().unwrap().parse().unwrap());
            match fields["message"].as_str().unwrap() {
                "serving" => address = listens_at(),
                "metrics have a separate listener" => metrics_address = listens_at(),
                message if message.starts_with("worst-case memory of client requests") => {
                    break fields["at_most"].as_str().unwrap().parse::<ByteSize>().unwrap().as_u64();
                }
                _ => {}
            }
        };
        Self { child, log, address: address.unwrap(), metrics_address, worst_case }
    }

    /// Returns the greatest memory of the process so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "the service does not stop");
            // The service may need this core to stop.
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    pub fn rest_of_log(&mut self) -> String {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
