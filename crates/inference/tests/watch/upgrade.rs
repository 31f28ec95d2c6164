//! Connections that are upgraded to another protocol.

use crate::{
    message::Message,
    support::{Watched, connect},
    upstream::Upstream,
};
use std::io::{BufRead, BufReader, Write};

#[test]
fn after_an_upgrade_both_sides_are_connected() {
    let address = Upstream::serving(|mut stream| {
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
    });
    let watched = Watched::iris(address, &[]);
    let mut stream = connect(watched.address);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    stream
        .write_all(
            b"GET /socket HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n",
        )
        .unwrap();
    let head = Message::read_head(&mut reader).unwrap();
    assert_eq!((head.status(), head.field("upgrade").unwrap().as_str()), (101, "echo"));
    let mut line = |sent: &[u8]| {
        stream.write_all(sent).unwrap();
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line
    };
    assert_eq!(line(b""), "hello\n");
    assert_eq!(line(b"abc\n"), "ABC\n");
    assert_eq!(line(b"def\n"), "DEF\n");
}

#[test]
fn an_upgrade_to_http_2_is_not_offered_to_the_upstream() {
    let upstream = Upstream::predicting("{}");
    let watched = Watched::iris(upstream.address, &[]);
    let answer = watched.ask(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    assert_eq!(answer.status(), 200);
    assert_eq!(upstream.take()[0].field("upgrade"), None);
}
