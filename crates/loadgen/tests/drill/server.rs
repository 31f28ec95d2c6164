//! Starts the servers that a drill needs.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

/// Starts `program` on a free port with `arguments`, and waits until its log contains `ready`.
///
/// # Panics
/// If the program ends before that; its log is in the test's output.
pub fn start(
    program: &str,
    ready: &str,
    arguments: impl Fn(SocketAddr) -> Vec<String>,
) -> (Child, SocketAddr) {
    let attempt = || {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = Command::new(program)
            .args(arguments(address))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; `just test` installs it"));
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let is_ready = |line: String| {
            eprintln!("{line}");
            line.contains(ready)
        };
        if !log.by_ref().map_while(Result::ok).any(is_ready) {
            child.wait().unwrap();
            return None;
        }
        std::thread::spawn(move || log.for_each(drop));
        Some((child, address))
    };
    // The program is started again if another process has bound the free port before it.
    attempt().or_else(attempt).unwrap_or_else(|| panic!("{program} ended before it was ready"))
}
