//! Tests connections: offers to upgrade, pipelining, slow clients, and closing.

use crate::{
    binary::Binary,
    harness::{Service, metric, until},
    raw::{Raw, post},
};
use inference::Settings;
use std::{net::SocketAddr, process::Command, time::Duration};

const FLOWER: &str = r#"{"features":[5.1,3.5,1.4,0.2]}"#;

#[tokio::test]
async fn an_offer_to_upgrade_is_ignored() {
    let offers = [
        // Java's HTTP client sends this by default.
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
        "Connection: upgrade\r\n",
        "Connection: keep-alive, upgrade\r\n",
        "Connection: keep-alive\r\nConnection:UPGRADE\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Upgrade: websocket\r\n",
        "upgrade: foo/2, websocket\r\n",
    ];
    let service = Service::start();
    for offer in offers {
        let mut client = Raw::connect(service.address);
        for request in [
            post("/predict", offer, FLOWER),
            format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{offer}\r\n"),
            post("/predict", offer, FLOWER),
        ] {
            let answer = client.ask(request);
            assert_eq!(answer.status, 200, "{offer}: {answer:?}");
            assert_eq!(
                (answer.header("connection"), answer.header("upgrade")),
                (None, None),
                "{offer}: {answer:?}"
            );
        }
    }
    let served =
        service.metric("inference_requests_total", &[("endpoint", "/predict"), ("status", "200")]).await;
    assert_eq!(served, 2.0 * offers.len() as f64);
}

#[tokio::test]
async fn requests_are_answered_in_order_for_all_sizes_of_pieces() {
    let service = Service::start();
    let chunked = format!(
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n5;a=b\r\n{}\r\n{:X}\r\n{}\r\n0\r\nTrailer: x\r\n\r\n",
        &FLOWER[..5],
        FLOWER.len() - 5,
        &FLOWER[5..]
    );
    let requests = [
        ("POST", post("/predict", "", FLOWER), 200),
        ("GET", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), 200),
        ("POST", chunked, 200),
        ("GET", "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), 404),
        ("POST", post("/predict", "", "{}"), 422),
        ("PUT", "PUT /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".into(), 405),
        ("POST", post("/predict", "Upgrade: websocket\r\nConnection: upgrade\r\n", FLOWER), 200),
    ];
    let all: String = requests.iter().map(|(_, request, _)| request.as_str()).collect();
    let expected: Vec<u16> = requests.iter().map(|(_, _, status)| *status).collect();
    for size in [all.len(), 1, 7, 100] {
        let mut client = Raw::connect(service.address);
        all.as_bytes().chunks(size).for_each(|piece| client.send(piece));
        let statuses: Vec<u16> = expected.iter().map(|_| client.answer().status).collect();
        assert_eq!(statuses, expected, "in pieces of {size}");
    }
    // A client sends more requests than any buffer can hold, and closes its side before it reads.
    let mut client = Raw::connect(service.address);
    (0..2_000).for_each(|_| client.post("/predict", FLOWER));
    client.finish();
    (0..2_000).for_each(|_| assert_eq!(client.answer().status, 200));
    assert_eq!(client.rest(), b"");
}

#[tokio::test]
async fn unusual_but_valid_http_is_accepted() {
    let service = Service::start();
    let mut client = Raw::connect(service.address);
    client.send("HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = client.head().unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-length: "), "{head}");

    let request = post("/predict", "Expect: 100-continue\r\n", FLOWER);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    client.send(format!("{head}\r\n\r\n"));
    assert_eq!(client.head().unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.ask(body).status, 200);

    assert_eq!(client.ask("\r\n\r\nGET /healthz HTTP/1.1\nHost: localhost\n\n").status, 200);
    let last = client.ask("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert_eq!(client.rest(), b"");
    let mut old = Raw::connect(service.address);
    assert_eq!(old.ask("GET /healthz HTTP/1.0\r\n\r\n").status, 200);
    assert_eq!(old.rest(), b"");
}

#[tokio::test]
async fn every_refusal_is_json_and_counted() {
    let service = Service::start();
    let huge = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n", "x".repeat(40_000));
    let endless = format!("GET /{}", "x".repeat(40_000));
    let many: String = (0..200).map(|header| format!("X-{header}: x\r\n")).collect();
    let cases = [
        ("GARBAGE\r\n\r\n", "other", 400, "malformed_request"),
        ("GET / HTTP/9.9\r\n\r\n", "other", 400, "malformed_request"),
        ("\u{0}\u{1}\u{2}\r\n\r\n", "other", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nHost\r\n\r\n", "other", 400, "malformed_request"),
        (&format!("GET / HTTP/1.1\r\n{many}\r\n"), "other", 431, "head_too_large"),
        (
            "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            "other",
            400,
            "malformed_request",
        ),
        (
            "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "other",
            400,
            "malformed_request",
        ),
        (&huge, "other", 431, "head_too_large"),
        (&endless, "other", 431, "head_too_large"),
        ("GET / HTTP/1.1\r\nHost: ", "other", 408, "head_timeout"),
        ("POST * HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "POST", 404, "not_found"),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS", 404, "not_found"),
        ("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", "CONNECT", 404, "not_found"),
        ("CONNECT /predict HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT", 405, "method_not_allowed"),
        ("GET http://example.com/nothing HTTP/1.1\r\nHost: x\r\n\r\n", "GET", 404, "not_found"),
        ("TRACE /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "TRACE", 405, "method_not_allowed"),
        ("MADE-UP / HTTP/1.1\r\nHost: x\r\n\r\n", "other", 404, "not_found"),
    ];
    let mut counts = std::collections::BTreeMap::<(&str, u16, &str), f64>::new();
    for (request, method, status, code) in cases {
        let shown: String = request.chars().take(60).collect();
        // A refusal does not discard the answer to the previous request.
        let mut client = Raw::connect(service.address);
        assert_eq!(client.ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
        let answer = client.ask(request);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{shown:?}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{shown:?}");
        if matches!(status, 400 | 408 | 431) {
            assert_eq!(answer.header("connection"), Some("close"), "{shown:?}");
            assert_eq!(client.rest(), b"", "{shown:?}");
        }
        *counts.entry((method, status, code)).or_default() += 1.0;
    }
    let page = service.get("/metrics").await.text().await.unwrap();
    let total = |name, label: (&str, &str)| -> f64 {
        page.lines()
            .filter(|line| line.starts_with(name) && line.contains(&format!("{}=\"{}\"", label.0, label.1)))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    };
    for ((method, status, code), count) in &counts {
        let of_code: f64 = counts.iter().filter(|(key, _)| key.2 == *code).map(|(_, count)| count).sum();
        assert_eq!(total("inference_rejections_total", ("reason", code)), of_code, "{code}");
        let status = status.to_string();
        let labels = [("method", *method), ("status", status.as_str())];
        let endpoint = if *code == "method_not_allowed" { None } else { Some(("endpoint", "unmatched")) };
        if let Some(endpoint) = endpoint {
            let labels = [labels[0], labels[1], endpoint];
            assert_eq!(
                metric(&page, "inference_requests_total", &labels),
                Some(*count),
                "{labels:?}\n{page}"
            );
        }
    }
}

#[tokio::test]
async fn a_parsed_request_is_answered_before_the_next_one_is_refused() {
    let service = Service::start();
    let mut client = Raw::connect(service.address);
    client.send(format!("{}GARBAGE\r\n\r\n", post("/predict", "", FLOWER)));
    assert_eq!(client.answer().status, 200);
    assert_eq!(client.answer().code(), "malformed_request");
    assert_eq!(client.rest(), b"");
}

/// Returns a request whose answer of 2 MB does not fit into the buffers of the connection.
fn large_request(headers: &str) -> String {
    post("/predict", headers, &format!("{{\"instances\":[{}[1,1,1,1]]}}", "[1,1,1,1],".repeat(8_000)))
}

#[tokio::test]
async fn requests_after_a_large_answer_wait_until_it_is_sent() {
    let service = Service::start();
    let mut client = Raw::connect(service.address);
    let behind = "GET /model HTTP/1.1\r\nHost: x\r\n\r\nHEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    client.send(large_request("") + behind);
    let head = client.head().unwrap();
    assert_eq!(models_served(&service).await, 0.0, "{head}");
    client.body(&head);
    assert_eq!(client.answer().json()["name"], "iris");
    assert!(client.head().unwrap().contains("content-length: "));
    assert_eq!(models_served(&service).await, 1.0);
}

#[tokio::test]
async fn no_request_is_served_after_an_answer_that_closes_the_connection() {
    let service = Service::start();
    let behind = "GET /model HTTP/1.1\r\nHost: x\r\n\r\n";
    for first in [
        large_request("Connection: close\r\n"),
        post("/predict", "Connection: close\r\n", FLOWER),
        "GET /healthz HTTP/1.0\r\n\r\n".into(),
        "CONNECT x:1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        // Parsers that end a line at a line feed find another beginning of the next request here than parsers that do not.
        "POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n".into(),
    ] {
        let shown: String = first.chars().take(90).collect();
        let mut client = Raw::connect(service.address);
        client.send(first + behind);
        let answer = client.answer();
        // With HTTP/1.0, the connection is closed without a header that announces it.
        let closes = answer.head.starts_with("HTTP/1.0") || answer.header("connection") == Some("close");
        assert!(closes, "{shown:?}: {answer:?}");
        assert_eq!(client.rest(), b"", "{shown:?}");
    }
    assert_eq!(models_served(&service).await, 0.0);
}

async fn models_served(service: &Service) -> f64 {
    service.metric("inference_requests_total", &[("endpoint", "/model"), ("status", "200")]).await
}

#[tokio::test]
async fn a_client_that_continues_to_send_receives_the_refusal() {
    let service = Service::start();
    for (headers, body) in [
        ("Content-Type: application/json", "3\r\nabcd"),
        ("Content-Type: application/json", "3\r\nabc\n"),
        ("Content-Type: text/plain", "3\r\nabcd"),
    ] {
        let mut client = Raw::connect(service.address);
        let head =
            format!("POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{headers}\r\n\r\n");
        client.send(head + body + &"x".repeat(8 << 20));
        let answer = client.answer();
        assert!(matches!(answer.status, 400 | 415), "{answer:?}");
        assert_eq!(client.rest(), b"");
    }
}

#[tokio::test]
async fn a_connection_stays_open_after_a_slow_body_and_an_empty_line() {
    let service = Service::start();
    let request = post("/predict", "", FLOWER);
    let (first, last) = request.split_at(request.len() - 1);
    let mut client = Raw::connect(service.address);
    client.send(first);
    // Another client, whose head does not arrive, is used to wait until the time limit for a head has passed.
    let mut late = Raw::connect(service.address);
    late.send("GET /healthz");
    until("the body is waited for", || async {
        service.metric("inference_connections_open", &[]).await >= 2.0
    })
    .await;
    assert_eq!(client.ask(last).status, 200);
    client.send("\r\n");
    assert_eq!(late.answer().status, 408);
    assert_eq!(client.ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
}

#[tokio::test]
async fn connections_above_the_limit_are_closed_and_counted() {
    let settings = Settings {
        max_connections: 3,
        metrics_listen: Some(([127, 0, 0, 1], 0).into()),
        ..Settings::default()
    };
    let service = Service::with(settings);
    let metrics = service.metrics_address.unwrap();
    let mut open: Vec<Raw> = (0..3).map(|_| Raw::connect(service.address)).collect();
    let health = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    open.iter_mut().for_each(|client| assert_eq!(client.ask(health).status, 200));
    for _ in 0..5 {
        assert_eq!(Raw::connect(service.address).rest(), b"");
    }
    let page = page_of(metrics);
    assert_eq!(dropped(&page, "connection_limit"), 5.0);
    assert_eq!(metric(&page, "inference_connections_open", &[]), Some(3.0));
    // The first connections stay usable, and a connection is accepted again after one of them has closed.
    open.iter_mut().for_each(|client| assert_eq!(client.ask(health).status, 200));
    open.pop();
    until("the place is free", || async {
        metric(&page_of(metrics), "inference_connections_open", &[]) == Some(2.0)
    })
    .await;
    assert_eq!(Raw::connect(service.address).ask(health).status, 200);
}

#[test]
fn metrics_are_served_when_the_main_listener_has_no_descriptors_left() {
    let flags = ["--workers", "1", "--metrics-listen", "127.0.0.1:0"];
    let service = Binary::with_open_files(200, &flags);
    let idle: Vec<Raw> = (0..300).map(|_| Raw::connect(service.address)).collect();
    let metrics = service.metrics_address.unwrap();
    let start = std::time::Instant::now();
    let page = loop {
        let page = page_of(metrics);
        if dropped(&page, "connection_limit") + metric(&page, "inference_connections_open", &[]).unwrap()
            == 300.0
        {
            break page;
        }
        assert!(start.elapsed() < crate::harness::DEADLINE, "{page}");
    };
    let open = metric(&page, "inference_connections_open", &[]).unwrap();
    assert!((20.0..200.0).contains(&open), "{open}");
    // Sixty concurrent connections of scrapers are accepted as well.
    let mut scrapers: Vec<Raw> = (0..60).map(|_| Raw::connect(metrics)).collect();
    for scraper in &mut scrapers {
        assert_eq!(scraper.ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
    }
    drop(idle);
}

#[test]
fn too_few_descriptors_are_an_error_with_a_remedy() {
    for limit in [12, 30, 100] {
        let output = Command::new("sh")
            .args(["-c", &format!("ulimit -n {limit} && exec \"$0\" serve --listen 127.0.0.1:0 --workers 1")])
            .arg(env!("CARGO_BIN_EXE_inference"))
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{limit}: {words}");
        assert!(words.contains("error: ") && words.contains("ulimit -n"), "{limit}: {words}");
    }
}

#[tokio::test]
async fn a_client_that_sends_nothing_is_disconnected() {
    let service = Service::start();
    assert_eq!(Raw::connect(service.address).rest(), b"");
    // A body that no route reads has a deadline, too.
    let settings = Settings { request_timeout: Duration::from_millis(300), ..Settings::default() };
    let service = Service::with(settings);
    let mut client = Raw::connect(service.address);
    let answer = client.ask("PUT /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx");
    assert_eq!(answer.status, 405);
    assert_eq!(client.rest(), b"");
    until("it is counted", || async {
        service.metric("inference_connections_dropped_total", &[("reason", "slow_request")]).await == 1.0
    })
    .await;
}

fn page_of(address: SocketAddr) -> String {
    let answer = Raw::connect(address).ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body).unwrap()
}

fn dropped(page: &str, reason: &str) -> f64 {
    metric(page, "inference_connections_dropped_total", &[("reason", reason)]).unwrap()
}
