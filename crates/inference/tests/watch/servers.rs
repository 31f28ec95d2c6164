//! Servers and clients that use parts of HTTP which most do not.

use crate::{
    message::{self, Message},
    support::{Watched, connect},
    upstream::{Answer, Upstream},
};
use flate2::{Compression, write::GzEncoder};
use std::{
    io::{BufReader, Read, Write},
    sync::{Mutex, mpsc},
    time::{Duration, Instant},
};

const ROW: &str = r#"{"features":[5.1,3.5,1.4,0.2]}"#;
const ANSWER: &str = r#"{"prediction":"setosa","probabilities":[0.9,0.06,0.04]}"#;

/// Returns an answer with these further fields and a body in chunks of seven bytes.
fn chunked(fields: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(7) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
        bytes.extend([chunk, b"\r\n"].concat());
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

#[test]
fn a_body_in_chunks_arrives_after_an_answer_of_http_10() {
    let upstream = Upstream::answering(|_| Answer {
        bytes: format!(
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: {}\r\n\r\n{ANSWER}",
            ANSWER.len()
        )
        .into(),
        then_close: false,
    });
    let watched = Watched::iris(upstream.address, &[]);
    assert_eq!(watched.post("/predict", ROW).status(), 200);
    let request =
        b"POST /other HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert_eq!(watched.ask(request).status(), 200);
    let second = &upstream.take()[1];
    assert_eq!((second.start.as_slice(), second.body.as_slice()), (&b"POST /other HTTP/1.1"[..], &b"hi"[..]));
}

#[test]
fn a_wrong_length_beside_chunks_does_not_pass() {
    let upstream =
        Upstream::answering(|_| Answer { bytes: chunked("Content-Length: 5\r\n", b"hi"), then_close: false });
    let watched = Watched::iris(upstream.address, &[]);
    let answer = watched.post("/other", ROW);
    assert_eq!((answer.field("content-length"), answer.body.as_slice()), (None, &b"hi"[..]));
}

#[test]
fn fields_in_former_forms_of_http_are_repaired() {
    let upstream = Upstream::answering(|_| {
        Answer::closing("HTTP/1.1 200 OK\r\nX-Folded: a\r\n  b\r\nX-Space : c\r\nContent-Length: 0\r\n\r\n")
    });
    let watched = Watched::iris(upstream.address, &[]);
    let answer = watched.post("/other", ROW);
    assert_eq!(answer.field("x-folded").as_deref(), Some("a b"));
    assert_eq!(answer.field("x-space").as_deref(), Some("c"));
}

#[test]
fn json_of_unknown_length_has_prediction_ids() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(ANSWER.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let json = "Content-Type: application/json\r\n";
    let until_closed = format!("HTTP/1.1 200 OK\r\n{json}\r\n{ANSWER}").into_bytes();
    let answers = [
        (chunked(json, ANSWER.as_bytes()), ANSWER.as_bytes().to_vec()),
        (until_closed, ANSWER.as_bytes().to_vec()),
        (chunked(&format!("{json}Content-Encoding: gzip\r\n"), &gzip), gzip),
    ];
    for (at, (bytes, body)) in answers.into_iter().enumerate() {
        let upstream = Upstream::answering(move |_| Answer::closing(bytes.clone()));
        let watched = Watched::iris(upstream.address, &[]);
        // On a busy machine, the end of an answer may arrive too late for its ids.
        let deadline = Instant::now() + Duration::from_secs(30);
        let answer = loop {
            let answer = watched.post("/predict", ROW);
            if answer.field("x-prediction-id").is_some() || Instant::now() > deadline {
                break answer;
            }
        };
        assert!(answer.field("x-prediction-id").is_some(), "{at}: {answer:?}");
        assert!(answer.field("content-length").is_none() && answer.body == body, "{at}: {answer:?}");
        watched.until("the answer is observed", |watched| watched.outcome("observed") >= 1.0);
    }
}

#[test]
fn json_that_arrives_slowly_or_is_large_is_passed_on_as_it_arrives() {
    // One piece that is larger than what is read for the ids, and one that is smaller and followed by a pause.
    for length in [20_000, 20] {
        let (next, go_on) = mpsc::channel::<()>();
        let go_on = Mutex::new(go_on);
        let address = Upstream::serving(move |mut stream| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            Message::read_request(&mut reader).unwrap();
            let piece = "x".repeat(length);
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
            write!(stream, "{head}{length:x}\r\n{piece}\r\n").unwrap();
            // The rest is sent when the client has the first piece.
            let _ = go_on.lock().unwrap().recv();
            stream.write_all(b"1\r\ny\r\n0\r\n\r\n").unwrap();
        });
        let watched = Watched::iris(address, &[]);
        let mut stream = connect(watched.address);
        stream.write_all(&message::post("/predict", ROW)).unwrap();
        let mut reader = BufReader::new(stream);
        assert!(Message::read_head(&mut reader).unwrap().field("x-prediction-id").is_none());
        let mut came = Vec::new();
        while came.iter().filter(|&&byte| byte == b'x').count() < length {
            let mut byte = [0];
            reader.read_exact(&mut byte).unwrap();
            came.push(byte[0]);
        }
        next.send(()).unwrap();
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("1\r\ny\r\n0\r\n\r\n"), "{rest:?}");
        watched.until_outcome("unknown_shape", 1.0);
    }
}

#[test]
fn a_stream_of_small_pieces_of_json_is_not_held_back() {
    let (next, go_on) = mpsc::channel::<()>();
    let go_on = Mutex::new(go_on);
    let address = Upstream::serving(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        Message::read_request(&mut reader).unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        // Pieces that follow each other in less than 0.1 s, until the client has received the head.
        while go_on.lock().unwrap().recv_timeout(Duration::from_millis(10)).is_err() {
            stream.write_all(b"1\r\nx\r\n").unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let watched = Watched::iris(address, &[]);
    let mut stream = connect(watched.address);
    stream.write_all(&message::post("/predict", ROW)).unwrap();
    let mut reader = BufReader::new(stream);
    assert_eq!(Message::read_head(&mut reader).unwrap().status(), 200);
    next.send(()).unwrap();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
}

#[test]
fn a_target_with_an_authority_may_have_no_path() {
    let upstream = Upstream::predicting("{}");
    let watched = Watched::iris(upstream.address, &[]);
    for (method, target, expected) in [
        ("GET", "http://model:9?a=b", "/?a=b"),
        ("GET", "http://model:9", "/"),
        ("GET", "http://model:9/a?b", "/a?b"),
        // RFC 9112, section 3.2.4, says `*`, but hyper's URIs do not distinguish an empty path from a slash.
        ("OPTIONS", "http://model:9", "/"),
    ] {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n");
        assert_eq!(watched.ask(request.as_bytes()).status(), 200, "{target}");
        let seen = upstream.take().remove(0);
        assert_eq!(String::from_utf8_lossy(&seen.start), format!("{method} {expected} HTTP/1.1"));
        assert_eq!(seen.field("host").as_deref(), Some("model:9"));
    }
}

#[test]
fn a_reason_phrase_beyond_ascii_is_left_out() {
    for phrase in [&b"F\xfcr Sie"[..], "Für Sie".as_bytes()] {
        let answer = [b"HTTP/1.1 203 ", phrase, b"\r\nContent-Length: 2\r\n\r\nok"].concat();
        let upstream = Upstream::answering(move |_| Answer::closing(answer.clone()));
        let came = Watched::iris(upstream.address, &[]).ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((came.start, came.body), (b"HTTP/1.1 203 ".to_vec(), b"ok".to_vec()));
    }
}

#[test]
fn an_answer_with_too_many_fields_is_refused_by_the_limit_that_it_exceeds() {
    let fields: String = (0..150).map(|at| format!("X-{at}: a\r\n")).collect();
    let upstream = Upstream::answering(move |_| {
        Answer::closing(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"))
    });
    let answer = Watched::iris(upstream.address, &[]).post("/predict", ROW);
    assert_eq!(answer.code(), "upstream_broken");
    let message = answer.json()["error"]["message"].to_string();
    assert!(message.contains("more than 32 KiB or 100 fields"), "{message}");
}

#[test]
fn bodies_are_read_however_servers_write_deflate_and_json() {
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(ANSWER.as_bytes()).unwrap();
    let marked = [b"\xef\xbb\xbf", ANSWER.as_bytes()].concat();
    for (encoding, body) in [("deflate", deflate.finish().unwrap()), ("identity", marked)] {
        let upstream = Upstream::answering(move |_| {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            Answer::closing([head.as_bytes(), &body].concat())
        });
        let watched = Watched::iris(upstream.address, &[]);
        assert!(watched.post("/predict", ROW).field("x-prediction-id").is_some(), "{encoding}");
        watched.until_outcome("observed", 1.0);
    }
}

#[test]
fn a_body_that_is_encoded_twice_is_counted_as_encoded() {
    let upstream = Upstream::answering(|_| {
        Answer::closing(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi",
        )
    });
    let watched = Watched::iris(upstream.address, &[]);
    watched.post("/predict", ROW);
    watched.until_outcome("encoded", 1.0);
}
