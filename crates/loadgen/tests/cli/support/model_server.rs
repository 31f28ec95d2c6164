//! A model server that has no model card. It answers every request in the same way and stores it.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

pub struct ModelServer {
    pub url: String,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

/// A received request.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub method: String,
    pub path: String,
    /// The request line and the headers in lower case.
    pub head: String,
    pub body: String,
}

impl ModelServer {
    /// Starts a server that answers with this status, these header lines and this body, except to readings of `/metrics`.
    pub fn start(status: u16, headers: &str, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let exchanges = Arc::default();
        let stored = Arc::clone(&exchanges);
        let answer = |status: u16, headers: &str, body: &str| {
            format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
        };
        let metrics = answer(200, "", "up 1\n");
        let answer = answer(status, headers, body);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (stored, answer, metrics) = (Arc::clone(&stored), answer.clone(), metrics.clone());
                thread::spawn(move || serve(stream, &stored, &answer, &metrics));
            }
        });
        Self { url, exchanges }
    }

    /// Returns all requests in the order of their arrival.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, stored: &Mutex<Vec<Exchange>>, answer: &str, metrics: &str) -> Option<()> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let request = bytes.windows(4).position(|four| four == b"\r\n\r\n").and_then(|end| {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let lower = head.to_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |digits| digits.trim().parse().unwrap());
            let body = bytes.get(end + 4..end + 4 + length)?;
            let mut words = head.split(' ').map(str::to_owned);
            let exchange = Exchange {
                method: words.next()?,
                path: words.next()?,
                head: lower,
                body: String::from_utf8_lossy(body).into_owned(),
            };
            Some((exchange, end + 4 + length))
        });
        match request {
            Some((exchange, length)) => {
                bytes.drain(..length);
                let is_metrics = exchange.path == "/metrics";
                stored.lock().unwrap().push(exchange);
                stream.write_all(if is_metrics { metrics } else { answer }.as_bytes()).ok()?;
            }
            None => match stream.read(&mut chunk).ok()? {
                0 => return None,
                count => bytes.extend_from_slice(&chunk[..count]),
            },
        }
    }
}
