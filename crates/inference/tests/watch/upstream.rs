//! Model servers for the tests, which send given bytes.

use crate::{message::Message, support::DEADLINE};
use std::{
    io::{BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// A server that answers each request with the bytes that a function returns.
pub struct Upstream {
    pub address: SocketAddr,
    /// The requests, in the order of arrival.
    pub requests: Arc<Mutex<Vec<Message>>>,
}

impl Upstream {
    /// Starts a server. A connection is kept open unless the answer is marked to be followed by its end.
    pub fn answering(answer: impl Fn(&Message) -> Answer + Send + Sync + 'static) -> Self {
        let requests: Arc<Mutex<Vec<Message>>> = Arc::default();
        let seen = Arc::clone(&requests);
        let answer = Arc::new(answer);
        let address = Self::serving(move |mut stream| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while let Ok(request) = Message::read_request(&mut reader) {
                let answer = answer(&request);
                seen.lock().unwrap().push(request);
                // The proxy may have closed the connection.
                if stream.write_all(&answer.bytes).is_err() || answer.then_close {
                    return;
                }
            }
        });
        Self { address, requests }
    }

    /// Starts a server that answers each request for a prediction with this JSON body.
    pub fn predicting(body: &'static str) -> Self {
        Self::answering(move |_| Answer::json(200, body))
    }

    /// Starts a server whose connections are handled by a function, each on a thread.
    pub fn serving(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let handle = Arc::new(handle);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, handle) = (stream.unwrap(), Arc::clone(&handle));
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                stream.set_nodelay(true).unwrap();
                std::thread::spawn(move || handle(stream));
            }
        });
        address
    }

    /// Returns the requests that arrived, and forgets them.
    pub fn take(&self) -> Vec<Message> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

/// The bytes of an answer.
pub struct Answer {
    pub bytes: Vec<u8>,
    pub then_close: bool,
}

impl Answer {
    pub fn json(status: u16, body: &str) -> Self {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        Self { bytes: [head.as_bytes(), body.as_bytes()].concat(), then_close: false }
    }

    /// Sends these bytes and closes the connection.
    pub fn closing(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), then_close: true }
    }
}
