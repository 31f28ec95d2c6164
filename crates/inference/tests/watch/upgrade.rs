//! Connections that are upgraded to another protocol.

use crate::{
    message::Message,
    support::{Watched, connect},
    upstream::Upstream,
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// A server that upgrades each connection, sends a greeting and repeats each line in capital letters.
fn shouting() -> SocketAddr {
    Upstream::serving(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let request = Message::read_request(&mut reader).unwrap();
        assert_eq!(request.field("upgrade").unwrap(), "echo");
        assert_eq!(request.field("connection").unwrap(), "upgrade");
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello\n",
            )
            .unwrap();
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
            stream.write_all(line.to_uppercase().as_bytes()).unwrap();
            line.clear();
        }
    })
}

/// An upgraded connection.
struct Upgraded {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Upgraded {
    /// Upgrades a connection through a watcher and reads the server's greeting.
    fn through(watched: &Watched) -> Self {
        let mut stream = connect(watched.address);
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        stream
            .write_all(
                b"GET /socket HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n",
            )
            .unwrap();
        let head = Message::read_head(&mut reader).unwrap();
        assert_eq!((head.status(), head.field("upgrade").unwrap().as_str()), (101, "echo"));
        let mut upgraded = Self { stream, reader };
        assert_eq!(upgraded.line(b""), "hello\n");
        upgraded
    }

    /// Sends bytes and reads a line, which is empty if the connection was closed.
    fn line(&mut self, sent: &[u8]) -> String {
        self.stream.write_all(sent).unwrap();
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line
    }
}

fn open(watched: &Watched) -> f64 {
    watched.metric("inference_connections_open", &[])
}

#[test]
fn after_an_upgrade_both_sides_are_connected() {
    let watched = Watched::iris(shouting(), &[]);
    let mut upgraded = Upgraded::through(&watched);
    assert_eq!(upgraded.line(b"abc\n"), "ABC\n");
    assert_eq!(upgraded.line(b"def\n"), "DEF\n");
}

#[test]
fn an_upgraded_connection_is_closed_when_nothing_passes() {
    const IDLE: Duration = Duration::from_millis(100);
    let watched = Watched::iris(shouting(), &["--tunnel-idle", "100ms"]);
    let began = Instant::now();
    let mut upgraded = Upgraded::through(&watched);
    assert_eq!(upgraded.line(b""), "");
    assert!(began.elapsed() >= IDLE);
    watched.until("the closed connection is not counted", |watched| open(watched) == 0.0);
}

#[test]
fn upgraded_connections_count_among_the_greatest_number() {
    let watched = Watched::iris(shouting(), &["--max-connections", "1"]);
    let mut upgraded = Upgraded::through(&watched);
    // The connection is counted twice while it is handed over.
    watched.until("the upgraded connection is open", |watched| open(watched) == 1.0);
    let mut refused = connect(watched.address);
    assert_eq!(refused.read(&mut [0]).unwrap_or(0), 0, "a second connection is closed");
    let dropped = "reason=\"connection_limit\"";
    watched.until("it is counted", |watched| {
        watched.metric("inference_connections_dropped_total", &[dropped]) == 1.0
    });
    assert_eq!(upgraded.line(b"abc\n"), "ABC\n");
    drop(upgraded);
    watched.until("the upgraded connection is closed", |watched| open(watched) == 0.0);
    Upgraded::through(&watched);
}

#[test]
fn an_upgrade_to_http_2_is_not_offered_to_the_upstream() {
    let upstream = Upstream::predicting("{}");
    let watched = Watched::iris(upstream.address, &[]);
    let answer = watched.ask(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    assert_eq!(answer.status(), 200);
    assert_eq!(upstream.take()[0].field("upgrade"), None);
}
