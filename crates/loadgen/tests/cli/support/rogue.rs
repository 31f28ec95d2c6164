//! A server that returns a valid model card, but misbehaves at every prediction request.

use super::stub::MODEL;
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// What the server does instead of answering with a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerFault {
    /// Sends bytes that are not HTTP.
    Garbage,
    /// Sends fewer bytes than Content-Length states, and closes the connection.
    ClosesEarly,
    /// Closes the connection without an answer.
    ClosesAtOnce,
    /// Reads the request and never answers.
    Silence,
    /// Redirects prediction requests.
    Redirects,
    /// Answers large requests before they have been sent completely, stops reading, and keeps the connection open.
    AnswersEarly,
    /// Closes a connection that was idle for more than three seconds when another request arrives on it.
    HangsUpOnIdle,
    /// Redirects all requests, also those for the model card.
    RedirectsAll,
    /// Answers 200 with this body.
    AnswersWith(&'static str),
    /// Answers 200 with this body, without Content-Length, and closes the connection.
    AnswersWithoutLength(&'static str),
    /// Answers each request twice.
    AnswersTwice,
}

/// Starts a server, which runs until the end of the tests.
pub fn rogue(fault: ServerFault) -> String {
    let card: Arc<str> = serde_json::to_string(&MODEL.card).unwrap().into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let card = Arc::clone(&card);
            thread::spawn(move || serve(stream, &card, fault));
        }
    });
    url
}

fn serve(mut stream: TcpStream, card: &str, fault: ServerFault) -> Option<()> {
    loop {
        let waited = Instant::now();
        let (head, whole) = read_request(&mut stream, fault != ServerFault::AnswersEarly)?;
        let idle = waited.elapsed() > Duration::from_secs(3);
        let ok = |kind: &str, body: &str| {
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        };
        let prediction = ok("application/json", r#"{"prediction":0}"#);
        let elsewhere =
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/v2\r\nContent-Length: 0\r\n\r\n";
        let answer = match (head.split(' ').nth(1)?, fault) {
            ("/model", ServerFault::RedirectsAll) => elsewhere.to_owned(),
            ("/model", _) => ok("application/json", card),
            ("/metrics", _) => ok("text/plain", "up 1\n"),
            (_, ServerFault::Garbage) => "220 mail.example.org ESMTP\r\n\r\n".to_owned(),
            (_, ServerFault::ClosesEarly) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"predic").ok()?;
                return None;
            }
            (_, ServerFault::ClosesAtOnce) => return None,
            (_, ServerFault::HangsUpOnIdle) if idle => return None,
            (_, ServerFault::AnswersEarly | ServerFault::HangsUpOnIdle) => prediction.clone(),
            (_, ServerFault::AnswersWith(body)) => ok("text/html", body),
            (_, ServerFault::AnswersWithoutLength(body)) => {
                write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}").ok()?;
                return None;
            }
            (_, ServerFault::AnswersTwice) => prediction.repeat(2),
            (_, ServerFault::Silence) => {
                // Answers are written until the client closes the connection.
                let _ = stream.read(&mut [0]);
                return None;
            }
            (_, ServerFault::Redirects | ServerFault::RedirectsAll) => elsewhere.to_owned(),
        };
        stream.write_all(answer.as_bytes()).ok()?;
        if !whole {
            thread::park();
        }
    }
}

/// Reads a request, by default to its end. Returns its head, and whether it was read to its end.
fn read_request(stream: &mut TcpStream, to_end: bool) -> Option<(String, bool)> {
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |digits| digits.trim().parse().unwrap_or(0));
            let whole = bytes.len() >= end + 4 + length;
            if whole || !to_end {
                return Some((head, whole));
            }
        }
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}
