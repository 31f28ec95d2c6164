use crate::harness::{DEADLINE, IRIS};
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

/// The service may read its model from a pipe, as with `<(command)`. While it waits for the model, it logs that.
#[test]
fn waiting_for_a_model_from_a_pipe_is_logged() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("model.json");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut service = Command::new(env!("CARGO_BIN_EXE_inference"))
        .args(["serve", "--listen", "127.0.0.1:0", "--model"])
        .arg(&pipe)
        .env_remove("RUST_LOG")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = BufReader::new(service.stderr.take().unwrap());
    let (lines, log) = mpsc::channel();
    let reader = thread::spawn(move || stderr.lines().for_each(|line| drop(lines.send(line.unwrap()))));
    let announced = log.recv_timeout(DEADLINE);
    let mut serves = false;
    if announced.is_ok() {
        std::fs::write(&pipe, IRIS.to_json().unwrap()).unwrap();
        serves = std::iter::from_fn(|| log.recv_timeout(DEADLINE).ok()).any(|line| line.contains("serving"));
    }
    service.kill().unwrap();
    service.wait().unwrap();
    reader.join().unwrap();
    assert!(announced.unwrap().contains("the service starts once it has been read"));
    assert!(serves);
}
