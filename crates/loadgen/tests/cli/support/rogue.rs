//! A server that shows a proper model card and then misbehaves at every prediction, on the level of bytes.

use super::stub::MODEL;
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// What it does instead of answering a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// Sends what is no HTTP.
    Garbage,
    /// Promises more than it sends, and closes.
    ClosesEarly,
    /// Closes without a word.
    ClosesAtOnce,
    /// Takes the request and says nothing.
    Silence,
    /// Sends callers elsewhere.
    Redirects,
    /// Answers large requests before they are through, reads no more of them and keeps the connection open.
    AnswersEarly,
    /// Hangs up when a connection that was idle for longer than three seconds carries a request again.
    HangsUpOnIdle,
    /// Sends callers elsewhere, and those who ask for the model too.
    RedirectsAll,
    /// Answers 200 with this body.
    Says(&'static str),
    /// Answers 200 with this body, without its length, and closes.
    SaysAndCloses(&'static str),
    /// Answers each request twice.
    AnswersTwice,
}

/// Starts one; it lives as long as the tests do.
pub fn rogue(mischief: Mischief) -> String {
    let card: Arc<str> = serde_json::to_string(&MODEL.card).unwrap().into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let card = Arc::clone(&card);
            thread::spawn(move || serve(stream, &card, mischief));
        }
    });
    url
}

fn serve(mut stream: TcpStream, card: &str, mischief: Mischief) -> Option<()> {
    loop {
        let waited = Instant::now();
        let (head, whole) = read_request(&mut stream, mischief != Mischief::AnswersEarly)?;
        let idle = waited.elapsed() > Duration::from_secs(3);
        let ok = |kind: &str, body: &str| {
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        };
        let prediction = ok("application/json", r#"{"prediction":0}"#);
        let elsewhere =
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/v2\r\nContent-Length: 0\r\n\r\n";
        let answer = match (head.split(' ').nth(1)?, mischief) {
            ("/model", Mischief::RedirectsAll) => elsewhere.to_owned(),
            ("/model", _) => ok("application/json", card),
            ("/metrics", _) => ok("text/plain", "up 1\n"),
            (_, Mischief::Garbage) => "220 mail.example.org ESMTP\r\n\r\n".to_owned(),
            (_, Mischief::ClosesEarly) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"predic").ok()?;
                return None;
            }
            (_, Mischief::ClosesAtOnce) => return None,
            (_, Mischief::HangsUpOnIdle) if idle => return None,
            (_, Mischief::AnswersEarly | Mischief::HangsUpOnIdle) => prediction.clone(),
            (_, Mischief::Says(body)) => ok("text/html", body),
            (_, Mischief::SaysAndCloses(body)) => {
                write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}").ok()?;
                return None;
            }
            (_, Mischief::AnswersTwice) => prediction.repeat(2),
            (_, Mischief::Silence) => {
                // Until the other end has had enough.
                let _ = stream.read(&mut [0]);
                return None;
            }
            (_, Mischief::Redirects | Mischief::RedirectsAll) => elsewhere.to_owned(),
        };
        stream.write_all(answer.as_bytes()).ok()?;
        if !whole {
            thread::park();
        }
    }
}

/// Reads a request, by default to its end; returns its head and whether that was the end.
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
