//! An upstream that is down, slow, or answers something else than HTTP, and clients that do the unexpected.

use crate::{
    message::{self, Message},
    support::{Watched, ask, connect},
    upstream::{Answer, Upstream},
};
use std::{
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
};

const ROW: &str = r#"{"features":[5.1,3.5,1.4,0.2]}"#;

fn rejections(watched: &Watched, reason: &str) -> f64 {
    watched.metric("inference_rejections_total", &[&format!("reason=\"{reason}\"")])
}

/// An address at which nothing listens.
fn unused_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn an_upstream_that_is_down_is_a_502_of_the_watchers_own() {
    let watched = Watched::iris(unused_address(), &[]);
    let answer = watched.post("/predict", ROW);
    assert_eq!((answer.status(), answer.code().as_str()), (502, "upstream_unreachable"));
    let oip = watched.post("/v2/models/iris/infer", "{}");
    assert!(oip.json()["error"].as_str().unwrap().contains("(upstream_unreachable)"));
    assert_eq!(rejections(&watched, "upstream_unreachable"), 2.0);
    watched.until_outcome("upstream_error", 2.0);
    let served = watched.metric("inference_requests_total", &["endpoint=\"/predict\"", "status=\"502\""]);
    assert_eq!(served, 1.0);
    // The watcher itself is healthy.
    assert_eq!(
        ask(watched.own, b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").status(),
        200
    );
}

#[test]
fn an_upstream_that_does_not_answer_is_a_504() {
    let address = Upstream::serving(|mut stream| {
        // Reads the request and never answers.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let watched = Watched::iris(address, &["--upstream-timeout", "300ms"]);
    let answer = watched.post("/predict", ROW);
    assert_eq!((answer.status(), answer.code().as_str()), (504, "upstream_timeout"));
    watched.until_outcome("upstream_error", 1.0);
}

#[test]
fn an_answer_that_is_not_http_or_breaks_off_before_its_head_ends_is_a_502() {
    for bytes in
        [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Le", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 999999 X\r\n\r\n"]
    {
        let upstream = Upstream::answering(move |_| Answer::closing(bytes));
        let watched = Watched::iris(upstream.address, &[]);
        let answer = watched.post("/predict", ROW);
        assert_eq!((answer.status(), answer.code().as_str()), (502, "upstream_broken"), "{bytes:?}");
        watched.until_outcome("upstream_error", 1.0);
    }
}

#[test]
fn a_large_answer_that_breaks_off_breaks_off_for_the_client() {
    let upstream = Upstream::answering(|_| {
        Answer::closing(
            [&b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"[..], &[b'x'; 70_000]].concat(),
        )
    });
    let watched = Watched::iris(upstream.address, &[]);
    let mut stream = connect(watched.address);
    stream.write_all(&message::post("/predict", ROW)).unwrap();
    let mut reader = BufReader::new(stream);
    let head = Message::read_head(&mut reader).unwrap();
    assert_eq!(head.status(), 200);
    let mut body = Vec::new();
    let _ = reader.read_to_end(&mut body);
    assert_eq!(body.len(), 70_000);
    watched.until_outcome("aborted", 1.0);
}

#[test]
fn a_pause_within_a_body_ends_the_request_after_the_time_limit() {
    let upstream = Upstream::answering(|_| Answer::json(200, "{}"));
    let watched = Watched::iris(upstream.address, &["--upstream-timeout", "300ms"]);
    let mut stream = connect(watched.address);
    stream.write_all(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{").unwrap();
    let answer = Message::read_answer(&mut BufReader::new(stream), false).unwrap();
    assert_eq!((answer.status(), answer.code().as_str()), (408, "body_timeout"));
    watched.until_outcome("aborted", 1.0);
}

#[test]
fn a_slow_upload_is_not_taken_for_a_slow_server() {
    let upstream = Upstream::answering(|_| Answer::json(200, "{}"));
    let watched = Watched::iris(upstream.address, &["--upstream-timeout", "1s"]);
    let mut stream = connect(watched.address);
    stream.write_all(b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let begin = std::time::Instant::now();
    // Longer than the time limit altogether, without a pause that long.
    while begin.elapsed().as_millis() < 2000 {
        stream.write_all(b"1\r\nx\r\n").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    assert_eq!(Message::read_answer(&mut reader, false).unwrap().status(), 200);

    // A pause that is too long is the client's.
    let mut stream = connect(watched.address);
    stream
        .write_all(b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        .unwrap();
    let answer = Message::read_answer(&mut BufReader::new(stream), false).unwrap();
    assert_eq!((answer.status(), answer.code().as_str()), (408, "body_timeout"));
    assert_eq!(watched.outcome("upstream_error"), 0.0);
}

#[test]
fn a_request_is_repeated_at_most_once() {
    let upstream = Upstream::answering(|request| match request.field("x-fail") {
        Some(_) => Answer::closing(""),
        None => Answer::json(200, "{}"),
    });
    let watched = Watched::iris(upstream.address, &[]);
    // Several connections to the upstream are idle.
    let streams: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = connect(watched.address);
            let request = String::from_utf8(message::post("/predict", ROW)).unwrap();
            stream.write_all(request.replace("Connection: close\r\n", "").as_bytes()).unwrap();
            stream
        })
        .collect();
    for stream in &streams {
        Message::read_answer(&mut BufReader::new(stream), false).unwrap();
    }
    upstream.take();
    let request = String::from_utf8(message::post("/predict", ROW)).unwrap();
    let answer = watched.ask(request.replace("Host: model", "Host: model\r\nX-Fail: 1").as_bytes());
    assert_eq!((answer.status(), answer.code().as_str()), (502, "upstream_broken"));
    assert_eq!(upstream.take().len(), 2);
}

#[test]
fn transfer_codings_other_than_chunked_are_refused() {
    let upstream = Upstream::answering(|_| {
        Answer::closing("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
    });
    let watched = Watched::iris(upstream.address, &[]);
    assert_eq!(watched.post("/predict", ROW).code(), "upstream_broken");
    let request = b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(watched.ask(request).code(), "unsupported_encoding");
}

#[test]
fn an_answer_has_the_version_of_its_own_connection() {
    let upstream = Upstream::answering(|_| Answer::closing("HTTP/1.0 200 OK\r\n\r\n{}"));
    let watched = Watched::iris(upstream.address, &[]);
    let answer = watched.post("/predict", ROW);
    assert_eq!((answer.start.as_slice(), answer.body.as_slice()), (&b"HTTP/1.1 200 OK"[..], &b"{}"[..]));
}

#[test]
fn a_client_that_leaves_before_the_answer_is_counted() {
    let (answer_now, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::answering(move |_| {
        let _ = wait.lock().unwrap().recv();
        Answer::json(200, "{}")
    });
    let watched = Watched::iris(upstream.address, &[]);
    let mut stream = connect(watched.address);
    stream.write_all(&message::post("/predict", ROW)).unwrap();
    watched
        .until("the request arrives", |watched| watched.metric("inference_requests_in_flight", &[]) == 1.0);
    drop(stream);
    answer_now.send(()).unwrap();
    // The answer was read, so the prediction may also be observed; it is counted once in either case.
    watched.until("the request is counted", |watched| watched.metric("watch_requests_total", &[]) == 1.0);
}

#[test]
fn a_client_may_close_its_sending_side_before_the_answer() {
    let upstream = Upstream::predicting(r#"{"prediction":"setosa"}"#);
    let watched = Watched::iris(upstream.address, &[]);
    let mut stream = connect(watched.address);
    stream.write_all(&message::post("/predict", ROW)).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let answer = Message::read_answer(&mut BufReader::new(stream), false).unwrap();
    assert_eq!(answer.status(), 200);
}

#[test]
fn a_connection_that_the_upstream_closed_while_idle_is_not_used_again() {
    let upstream =
        Upstream::answering(|_| Answer::closing(Answer::json(200, r#"{"prediction":"setosa"}"#).bytes));
    let watched = Watched::iris(upstream.address, &[]);
    let mut stream = connect(watched.address);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for _ in 0..50 {
        let request = String::from_utf8(message::post("/predict", ROW)).unwrap();
        stream.write_all(request.replace("Connection: close\r\n", "").as_bytes()).unwrap();
        assert_eq!(Message::read_answer(&mut reader, false).unwrap().status(), 200);
    }
}

#[test]
fn requests_that_are_not_http_are_refused_and_counted() {
    let upstream = Upstream::predicting("{}");
    let watched = Watched::iris(upstream.address, &[]);
    assert_eq!(ask(watched.address, b"GET / HTTP/1.1\r\nno colon\r\n\r\n").status(), 400);
    watched.until("it is counted", |watched| rejections(watched, "malformed_request") == 1.0);
    let tunnel = ask(watched.address, b"CONNECT model:80 HTTP/1.1\r\nHost: model:80\r\n\r\n");
    assert_eq!((tunnel.status(), tunnel.code().as_str()), (405, "method_not_allowed"));
    assert!(upstream.take().is_empty());
}

#[test]
fn a_request_target_with_an_authority_becomes_a_path() {
    let upstream = Upstream::predicting("{}");
    let watched = Watched::iris(upstream.address, &[]);
    watched.ask(b"GET http://elsewhere:81/a?b HTTP/1.1\r\nHost: other\r\n\r\n");
    // An older client may send no host.
    watched.ask(b"GET /c HTTP/1.0\r\n\r\n");
    let seen = upstream.take();
    assert_eq!(seen[0].start, b"GET /a?b HTTP/1.1");
    assert_eq!(seen[0].field("host").unwrap(), "elsewhere:81");
    assert_eq!(seen[1].start, b"GET /c HTTP/1.1");
    assert_eq!(seen[1].field("host").unwrap(), upstream.address.to_string());
}

#[test]
fn an_expected_100_continue_reaches_the_client() {
    let upstream = Upstream::predicting("{}");
    let watched = Watched::iris(upstream.address, &[]);
    let mut stream = connect(watched.address);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    stream
        .write_all(b"POST /predict HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        .unwrap();
    assert_eq!(Message::read_head(&mut reader).unwrap().status(), 100);
    stream.write_all(b"{}").unwrap();
    assert_eq!(Message::read_answer(&mut reader, false).unwrap().status(), 200);
    assert_eq!(upstream.take()[0].body, b"{}");
}

#[test]
fn faults_are_injected_only_if_it_is_allowed() {
    let upstream = Upstream::predicting(r#"{"prediction":"setosa"}"#);
    let request = String::from_utf8(message::post("/predict", ROW)).unwrap();
    let request = request.replace("Host: model\r\n", "Host: model\r\nx-envoy-fault-abort-request: 503\r\n");
    let strict = Watched::iris(upstream.address, &[]);
    assert_eq!(strict.ask(request.as_bytes()).status(), 200);
    assert_eq!(strict.metric("inference_faults_total", &["fault=\"abort\"", "outcome=\"ignored\""]), 1.0);

    let drilled = Watched::iris(upstream.address, &["--allow-fault-injection"]);
    let answer = drilled.ask(request.as_bytes());
    assert_eq!((answer.status(), answer.code().as_str()), (503, "fault_injected"));
    drilled.until_outcome("fault_injected", 1.0);
    let slow = request.replace("abort-request: 503", "delay-request: 50");
    let begin = std::time::Instant::now();
    assert_eq!(drilled.ask(slow.as_bytes()).status(), 200);
    assert!(begin.elapsed().as_millis() >= 50);
    let wrong = drilled.ask(request.replace("503", "often").as_bytes());
    assert_eq!((wrong.status(), wrong.code().as_str()), (400, "bad_fault_header"));
    assert_eq!(upstream.take().len(), 2);
}
