use crate::{binary::Binary, harness::DEADLINE};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::Instant,
};

const FLOWER: &str = r#"{"features":[5.1,3.5,1.4,0.2]}"#;

#[test]
fn both_signals_finish_what_has_begun() {
    for signal in ["TERM", "INT"] {
        let mut service =
            Binary::start(&["--drain", "0s", "--allow-fault-injection", "--request-timeout", "60s"]);
        let mut idle = TcpStream::connect(service.address).unwrap();
        write!(idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        idle.read_exact(&mut [0; 15]).unwrap();

        let mut busy = TcpStream::connect(service.address).unwrap();
        let length = FLOWER.len();
        write!(
            busy,
            "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             x-envoy-fault-delay-request: 4000\r\n\r\n{FLOWER}"
        )
        .unwrap();
        wait_until_in_flight(service.address);
        service.signal(signal);
        let mut answer = String::new();
        busy.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{signal}: {answer}");
        assert!(service.wait().success(), "{signal}");
        let log = service.rest_of_log();
        assert!(log.contains(&format!("\"cause\":\"SIG{signal}\"")) && log.contains("\"stopped\""), "{log}");
    }
}

fn wait_until_in_flight(address: SocketAddr) {
    let start = Instant::now();
    loop {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        if page.contains("inference_requests_in_flight 1") {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "the request never arrived");
        // The service may need this core to take it.
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn what_keeps_it_from_serving_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("model.json");
    std::fs::write(&broken, "{\"format\": 9}").unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["--listen", &address], "cannot listen there"),
        (
            &["--listen", "127.0.0.1:0", "--model", "/nonexistent.json"],
            "model file /nonexistent.json: No such file",
        ),
        (
            &["--listen", "127.0.0.1:0", "--model", broken.to_str().unwrap()],
            "format 9, but this program reads format 2",
        ),
        (
            &["--listen", "127.0.0.1:0", "--receipt-key-file", "/nonexistent"],
            "--receipt-key-file /nonexistent",
        ),
    ];
    for (flags, expected) in cases {
        let output = Command::new(env!("CARGO_BIN_EXE_inference")).arg("serve").args(flags).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && words.contains("error: ") && words.contains(expected), "{words}");
    }
}

#[test]
fn flags_have_environment_variables_and_a_health_check() {
    let service = Binary::start(&[]);
    let check = |url: String| {
        Command::new(env!("CARGO_BIN_EXE_inference")).args(["healthcheck", "--url", &url]).output().unwrap()
    };
    assert!(check(format!("http://{}/readyz", service.address)).status.success());
    let refused = check(format!("http://{}/nothing", service.address));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("answered 404"));

    let bad = Command::new(env!("CARGO_BIN_EXE_inference"))
        .arg("serve")
        .env("INFERENCE_MAX_IN_FLIGHT", "none")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&bad.stderr).contains("--max-in-flight"));
}
