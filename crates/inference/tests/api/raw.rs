//! A client that sends given bytes over one connection.

use crate::harness::DEADLINE;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

/// A connection to the service.
pub struct Raw(BufReader<TcpStream>);

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    pub body: Vec<u8>,
}

impl Raw {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends bytes unchanged.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request with a JSON body.
    pub fn post(&mut self, path: &str, body: &str) {
        self.send(post(path, "", body));
    }

    /// Sends a request and reads the answer.
    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.send(bytes);
        self.answer()
    }

    /// Reads one complete answer.
    pub fn answer(&mut self) -> Answer {
        let head = self.head().unwrap();
        let body = self.body(&head);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body }
    }

    /// Reads the body that follows a head.
    pub fn body(&mut self, head: &str) -> Vec<u8> {
        let length = header(head, "content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        body
    }

    /// Reads a status line and headers. Returns an error if the connection ends before they are complete.
    pub fn head(&mut self) -> std::io::Result<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(std::io::Error::other(format!("the connection ended after {head:?}")));
            }
        }
        Ok(head)
    }

    /// Reads all bytes until the service closes the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A connection that is reset counts as closed.
        let _ = self.0.read_to_end(&mut rest);
        rest
    }

    /// Returns whether bytes have arrived that have not been read.
    pub fn has_arrived(&mut self) -> bool {
        self.0.get_ref().set_nonblocking(true).unwrap();
        let arrived = self.0.get_ref().peek(&mut [0]).is_ok();
        self.0.get_ref().set_nonblocking(false).unwrap();
        arrived || !self.0.buffer().is_empty()
    }

    /// Closes the sending side of the connection.
    pub fn finish(&mut self) {
        self.0.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the code of a refusal.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// Returns a POST request with a JSON body, and with these header lines in addition to the necessary ones.
pub fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
