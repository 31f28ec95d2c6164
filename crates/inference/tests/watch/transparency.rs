//! Requests and answers pass unchanged, whatever they contain.

use crate::{
    message::Message,
    support::{Watched, connect},
    upstream::{Answer, Upstream},
};
use proptest::{collection::vec, prelude::*, sample::select};
use std::{
    io::{BufReader, Write},
    sync::{Arc, LazyLock, Mutex},
};

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Framing {
    Length,
    Chunks(usize),
    /// The connection is closed after it; for answers alone.
    Close,
}

#[derive(Debug, Clone)]
struct Sent {
    start: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    framing: Framing,
}

impl Sent {
    fn bytes(&self, has_body: bool) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.start).into_bytes();
        for (name, value) in &self.fields {
            // Bytes beyond ASCII are allowed in values; `value` has one character per byte.
            bytes.extend(format!("{name}: ").bytes());
            bytes.extend(value.chars().map(|character| character as u8));
            bytes.extend(b"\r\n");
        }
        match self.framing {
            _ if !has_body => bytes.extend(b"\r\n"),
            Framing::Length => {
                bytes.extend(format!("Content-Length: {}\r\n\r\n", self.body.len()).bytes());
                bytes.extend(&self.body);
            }
            Framing::Chunks(size) => {
                bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in self.body.chunks(size) {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
            }
            Framing::Close => {
                bytes.extend(b"\r\n");
                bytes.extend(&self.body);
            }
        }
        bytes
    }

    /// Returns the fields as they must arrive: those of the connection are removed.
    fn expected(&self) -> Vec<(String, Vec<u8>)> {
        let bytes = |value: &str| -> Vec<u8> { value.chars().map(|character| character as u8).collect() };
        let own = |(name, value): &(String, String)| (name.clone(), bytes(value).trim_ascii().to_vec());
        sorted(self.fields.iter().filter(|field| !is_of_connection(&field.0)).map(own).collect())
    }
}

fn is_of_connection(name: &str) -> bool {
    [
        "connection",
        "keep-alive",
        "te",
        "upgrade",
        "proxy-connection",
        "transfer-encoding",
        "content-length",
        "x-of-connection",
    ]
    .contains(&name.to_ascii_lowercase().as_str())
}

/// The order of fields of different names means nothing; that of the same name does.
fn sorted(mut fields: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    fields.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    fields
}

fn arrived(message: &Message) -> Vec<(String, Vec<u8>)> {
    sorted(message.fields.iter().filter(|field| !is_of_connection(&field.0)).cloned().collect())
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => vec(any::<u8>(), 0..300),
        2 => select(vec![
            &br#"{"features":[5.1,3.5,1.4,0.2]}"#[..],
            br#"{"instances":[[5.1,3.5,1.4,0.2]]}"#,
            br#"{"predictions":["setosa"]}"#,
        ]).prop_map(<[u8]>::to_vec),
        1 => (vec(any::<u8>(), 1..50), 1..6_000_usize).prop_map(|(some, times)| some.repeat(times)),
    ]
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = "[A-Za-z][A-Za-z0-9_-]{0,12}".prop_filter("set by the test", |name| {
        !is_of_connection(name)
            && !["host", "expect", "trailer", "content-encoding"]
                .contains(&name.to_ascii_lowercase().as_str())
    });
    let value = "[!-~\u{80}-\u{ff}]([ -~\u{80}-\u{ff}]{0,20}[!-~])?";
    vec((name, value), 0..8)
}

/// Fields of the connection, which must not pass.
fn of_connection() -> impl Strategy<Value = Vec<(String, String)>> {
    let own = |fields: &[(&str, &str)]| -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    select(vec![
        own(&[]),
        own(&[("Connection", "keep-alive"), ("Keep-Alive", "timeout=5")]),
        own(&[("Connection", "X-Of-Connection, keep-alive"), ("X-Of-Connection", "secret")]),
        own(&[("TE", "trailers"), ("Connection", "TE")]),
        own(&[("Proxy-Connection", "keep-alive")]),
    ])
}

fn framing(closes: bool) -> impl Strategy<Value = Framing> {
    prop_oneof![
        Just(Framing::Length),
        (1..5_000_usize).prop_map(Framing::Chunks),
        Just(if closes { Framing::Close } else { Framing::Length }),
    ]
}

fn request() -> impl Strategy<Value = Sent> {
    let method =
        select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT", "M-SEARCH"]);
    let path = prop_oneof![
        select(vec![
            "/predict",
            "/invocations",
            "/v2/models/iris/infer",
            "/v1/models/iris:predict",
            "/",
            "//a//b",
            "/metrics",
            "/healthz",
            "/feedback",
            "/a?",
            "/%7Ba%7D?b=%20&c",
        ])
        .prop_map(str::to_owned),
        "/[a-zA-Z0-9._~!$&'()*+,;=:@%/-]{0,30}(\\?[a-zA-Z0-9._~!$&'()*+,;=:@/?-]{0,20})?",
    ];
    (method, path, fields(), of_connection(), body(), framing(false)).prop_map(
        |(method, path, mut fields, of_connection, body, framing)| {
            fields.extend(of_connection);
            fields.push(("HoSt".to_owned(), "Model.Example:8080".to_owned()));
            let has_body = !matches!(method, "GET" | "HEAD");
            let body = if has_body { body } else { Vec::new() };
            Sent { start: format!("{method} {path} HTTP/1.1"), fields, body, framing }
        },
    )
}

fn answer() -> impl Strategy<Value = Sent> {
    let reason = "[!-~]([ -~]{0,20}[!-~])?";
    (
        prop_oneof![3 => Just(200_u16), 2 => 200..600_u16],
        reason,
        fields(),
        of_connection(),
        body(),
        framing(true),
    )
        .prop_map(|(status, reason, mut fields, of_connection, body, framing)| {
            fields.extend(of_connection);
            let has_body = !matches!(status, 204 | 304);
            let (body, framing) = if has_body { (body, framing) } else { (Vec::new(), Framing::Close) };
            Sent { start: format!("HTTP/1.1 {status} {reason}"), fields, body, framing }
        })
}

static NEXT: LazyLock<Arc<Mutex<Option<Sent>>>> = LazyLock::new(Arc::default);

static SERVER: LazyLock<(Upstream, Watched)> = LazyLock::new(|| {
    let next = Arc::clone(&NEXT);
    let upstream = Upstream::answering(move |request| {
        let answer: Sent = next.lock().unwrap().clone().unwrap();
        let has_body = !request.start.starts_with(b"HEAD ");
        let then_close = answer.framing == Framing::Close && has_body;
        Answer { bytes: answer.bytes(has_body), then_close }
    });
    let watched = Watched::iris(upstream.address, &[]);
    (upstream, watched)
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_request_and_answer_passes_unchanged(exchanges in vec((request(), answer()), 1..4)) {
        let (upstream, watched) = &*SERVER;
        // The connection of the client stays open from one exchange to the next.
        let mut stream = connect(watched.address);
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        for (request, answer) in exchanges {
            *NEXT.lock().unwrap() = Some(answer.clone());
            upstream.take();
            let has_body = request.framing != Framing::Length || !request.body.is_empty();
            let without = request.start.starts_with("GET") || request.start.starts_with("HEAD");
            stream.write_all(&request.bytes(has_body && !without)).unwrap();
            let is_head = request.start.starts_with("HEAD");
            let came = Message::read_answer(&mut reader, is_head).unwrap();

            let seen = upstream.take();
            prop_assert_eq!(seen.len(), 1);
            prop_assert_eq!(String::from_utf8_lossy(&seen[0].start), request.start.as_str());
            prop_assert_eq!(arrived(&seen[0]), request.expected());
            prop_assert!(seen[0].body == request.body, "the body of the request differs");

            prop_assert_eq!(String::from_utf8_lossy(&came.start), answer.start.as_str());
            let mut fields = arrived(&came);
            // The only field that the watcher adds.
            fields.retain(|(name, _)| name != "x-prediction-id");
            prop_assert_eq!(fields, answer.expected());
            if !is_head {
                prop_assert!(came.body == answer.body, "the body of the answer differs");
            }
            prop_assert!(!seen[0].fields.iter().chain(&came.fields).any(|(name, _)| name.eq_ignore_ascii_case("x-of-connection")));
        }
    }
}
