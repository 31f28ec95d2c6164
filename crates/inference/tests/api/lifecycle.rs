use crate::{
    binary::Binary,
    harness::{DEADLINE, metric},
    raw::{Raw, post},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

const FLOWER: &str = r#"{"features":[5.1,3.5,1.4,0.2]}"#;

#[test]
fn both_signals_let_requests_in_flight_finish() {
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
    wait_for("a request is in flight", || {
        metric(&page_of(address), "inference_requests_in_flight", &[]) == Some(1.0)
    });
}

/// During the drain time, `/readyz` answers 503. Other requests are answered, and clients are asked to close their connections.
#[test]
fn requests_are_answered_during_the_drain_time() {
    let mut service = Binary::start(&["--drain", "60s", "--metrics-listen", "127.0.0.1:0"]);
    let health = "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut before = Raw::connect(service.address);
    assert_eq!(before.ask(health).status, 200);
    service.signal("TERM");
    let start = Instant::now();
    while Raw::connect(service.metrics_address.unwrap()).ask(health).status == 200 {
        assert!(start.elapsed() < DEADLINE, "it stays ready");
    }
    // Requests on open and on new connections are answered, and the connections are then closed gracefully.
    for mut client in [before, Raw::connect(service.address)] {
        let answer = client.ask(post("/predict", "", FLOWER));
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert_eq!(client.rest(), b"");
    }
    let refusal = Raw::connect(service.address).ask(health);
    assert_eq!((refusal.status, refusal.code().as_str()), (503, "not_ready"));
    // A second signal ends the wait.
    service.signal("TERM");
    assert!(service.wait().success());
    let log = service.rest_of_log();
    assert!(log.contains("\"stopping immediately\"") && log.contains("\"stopped\""), "{log}");
}

#[test]
fn no_request_is_lost_if_the_client_closes_connections_when_asked_to() {
    let mut service = Binary::start(&["--drain", "2s"]);
    let address = service.address;
    let clients: Vec<_> = (0..20)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Raw::connect(address);
                let mut served = 0;
                loop {
                    let answer = client.ask(post("/predict", "", FLOWER));
                    assert_eq!(answer.status, 200);
                    served += 1;
                    if answer.header("connection") == Some("close") {
                        return served;
                    }
                    // The client pauses between requests, so that its connections are idle most of the time.
                    std::thread::sleep(Duration::from_millis(50));
                }
            })
        })
        .collect();
    wait_for("every client is served", || {
        let page = page_of(address);
        metric(&page, "inference_requests_total", &[("endpoint", "/predict"), ("status", "200")])
            >= Some(40.0)
    });
    service.signal("TERM");
    let served: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(served >= 40, "{served}");
    assert!(service.wait().success());
}

#[test]
fn a_second_signal_does_not_wait_for_requests_in_flight() {
    let mut service =
        Binary::start(&["--drain", "0s", "--allow-fault-injection", "--request-timeout", "600s"]);
    let mut busy = Raw::connect(service.address);
    busy.send(post("/predict", "x-envoy-fault-delay-request: 600000\r\n", FLOWER));
    wait_until_in_flight(service.address);
    service.signal("INT");
    wait_for("the listener closes", || TcpStream::connect(service.address).is_err());
    service.signal("TERM");
    assert!(service.wait().success());
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "never: {what}");
        // The service may need this core to reach the condition.
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn page_of(address: SocketAddr) -> String {
    let answer = Raw::connect(address).ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    String::from_utf8(answer.body).unwrap()
}

#[test]
fn the_error_of_a_service_that_cannot_start_names_the_cause() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("model.json");
    std::fs::write(&broken, "{\"format\": 9}").unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["--listen", &address], "cannot listen on this address"),
        (
            &["--listen", "127.0.0.1:0", "--model", "/nonexistent.json"],
            "--model /nonexistent.json: No such file",
        ),
        (&["--listen", "127.0.0.1:0", "--model", broken.to_str().unwrap()], "expected format 3, got 9"),
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
    assert!(String::from_utf8_lossy(&refused.stderr).contains("expected status 200, got 404"));

    let bad = Command::new(env!("CARGO_BIN_EXE_inference"))
        .arg("serve")
        .env("INFERENCE_MAX_IN_FLIGHT", "none")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&bad.stderr);
    assert!(words.contains("'none' for 'INFERENCE_MAX_IN_FLIGHT'") && !words.contains("--max"), "{words}");

    // Without a URL, the listen address is used, as in a container.
    let listening = Command::new(env!("CARGO_BIN_EXE_inference"))
        .arg("healthcheck")
        .env("INFERENCE_LISTEN", format!("0.0.0.0:{}", service.address.port()))
        .output()
        .unwrap();
    assert!(listening.status.success(), "{listening:?}");
}

#[test]
fn an_error_caused_by_an_environment_variable_names_it() {
    let cases: [(&[&str], &str, &str, &str); 3] = [
        (&[], "INFERENCE_RECEIPT_KEY_FILE", "/nonexistent", "INFERENCE_RECEIPT_KEY_FILE /nonexistent"),
        (
            &["--listen", "127.0.0.1:0"],
            "INFERENCE_METRICS_LISTEN",
            "192.0.2.1:1",
            "INFERENCE_METRICS_LISTEN 192.0.2.1:1",
        ),
        // The flag takes precedence over the variable.
        (
            &["--receipt-key-file", "/none"],
            "INFERENCE_RECEIPT_KEY_FILE",
            "/other",
            "--receipt-key-file /none",
        ),
    ];
    for (flags, variable, value, expected) in cases {
        let output = Command::new(env!("CARGO_BIN_EXE_inference"))
            .arg("serve")
            .args(flags)
            .env("INFERENCE_LISTEN", "127.0.0.1:0")
            .env(variable, value)
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(words.contains(&format!("error: {expected}")), "{words}");
    }
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let help = Command::new(env!("CARGO_BIN_EXE_inference")).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let variables: Vec<&str> =
        help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next()).collect();
    assert!(variables.len() > 12, "{variables:?}");
    let mut serve = Command::new(env!("CARGO_BIN_EXE_inference"));
    serve.envs(variables.iter().map(|variable| (variable, "")));
    let service = Binary::run(serve, &[]);
    assert_eq!(Raw::connect(service.address).ask(post("/predict", "", FLOWER)).status, 200);
}

#[test]
fn the_error_for_a_model_of_another_library_names_its_format() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model");
    let cases: [(&[u8], &str, &str); 5] = [
        (b"\x80\x04\x95\x10\x00", "a Python pickle", "inference profile"),
        (b"\x08\x0a\x12\x08skl2onnx\x1a", "an ONNX model", "inference profile"),
        (b"tree\nversion=v4\n", "a LightGBM model", "inference profile"),
        (b"{\"learner\":{\"gradient_booster\":{}}}", "an XGBoost model", "inference profile"),
        (b"a,b\n1,2\n", "a table", "inference train --data"),
    ];
    for (bytes, kind, remedy) in cases {
        std::fs::write(&path, bytes).unwrap();
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["inspect"]] {
            let output = Command::new(env!("CARGO_BIN_EXE_inference"))
                .args(command)
                .arg("--model")
                .arg(&path)
                .output()
                .unwrap();
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(words.contains(&format!("seems to be {kind}")) && words.contains(remedy), "{words}");
        }
    }
}
