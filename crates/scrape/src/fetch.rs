//! Requests a page, within limits of time and size, and says why it could not be read.

use crate::{Tls, tls};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{AUTHORIZATION, HeaderValue, LOCATION},
};
use rustls::ClientConfig;
use std::{error::Error, time::Duration};

/// The largest response that is read, in bytes. Model cards with hundreds of features and metrics of a hundred classes are much
/// smaller.
const LARGEST: usize = 64 << 20;

/// Requests pages. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: Client,
    /// The time limit of one request with its response.
    timeout: Duration,
}

/// Why a response could not be read, with a variant for each remedy.
#[derive(Debug)]
pub enum ReadError {
    /// No answer.
    Unreachable(String),
    /// No secure connection. The message has a remedy.
    Tls(String),
    /// A redirect.
    Moved {
        /// The address that redirected, and its status.
        from: String,
        /// The address that the server names.
        to: String,
    },
    /// The server requires authentication.
    Unauthorized(String),
    /// A temporary error of the server.
    Unavailable(String),
    /// Anything else.
    Other(String),
}

/// Returns a client for reading metrics and queries, without proxy, redirects and retries. Logs of servers identify its requests by
/// `user_agent`.
///
/// # Errors
/// If the client cannot be created.
pub fn client(tls: &Tls, user_agent: &str) -> Result<Client, reqwest::Error> {
    Client::builder()
        .tls_backend_preconfigured(ClientConfig::clone(&tls.config()))
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .user_agent(user_agent)
        .build()
}

/// Returns the innermost cause of a failed request, because reqwest's own message only repeats the address.
pub fn cause(error: &reqwest::Error) -> String {
    if let Some(words) = tls::refusal(error) {
        return words;
    }
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let words = innermost.to_string();
    if words.contains("invalid HTTP version") {
        return format!("{words}; the answer is not HTTP; if the server uses TLS, give an https:// address");
    }
    words
}

impl Fetcher {
    /// Creates a fetcher whose requests may take as long as `timeout`, each with its response.
    ///
    /// # Errors
    /// If the HTTP client cannot be created.
    pub fn new(tls: &Tls, user_agent: &str, timeout: Duration) -> Result<Self, reqwest::Error> {
        Ok(Self { client: client(tls, user_agent)?, timeout })
    }

    /// Returns the content of a page.
    ///
    /// # Errors
    /// If there is no complete response in time, if it is too large, or if its status is not 200.
    pub async fn get(&self, authorization: Option<&HeaderValue>, url: &Url) -> Result<Vec<u8>, ReadError> {
        let response = self.send(authorization, url).await?;
        if response.status() != StatusCode::OK {
            return Err(refused(url, &response));
        }
        self.body(response, url).await
    }

    /// Requests a page, and returns the response of any status.
    ///
    /// # Errors
    /// If there is no response in time.
    pub async fn send(&self, authorization: Option<&HeaderValue>, url: &Url) -> Result<Response, ReadError> {
        let mut request = self.client.get(url.clone()).timeout(self.timeout);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.send().await.map_err(|error| {
            let words = self.request_error(url, &error);
            if tls::failure(&error).is_some() {
                ReadError::Tls(words)
            } else if error.is_connect() || error.is_timeout() {
                ReadError::Unreachable(words)
            } else {
                ReadError::Other(words)
            }
        })
    }

    /// Reads the body of a response from `url`.
    ///
    /// # Errors
    /// If it is not complete in time, or too large.
    pub async fn body(&self, mut response: Response, url: &Url) -> Result<Vec<u8>, ReadError> {
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| ReadError::Other(self.request_error(url, &error)))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST {
                return Err(ReadError::Other(format!("GET {url}: answered more than {} MiB", LARGEST >> 20)));
            }
        }
        Ok(body)
    }

    fn request_error(&self, url: &Url, error: &reqwest::Error) -> String {
        if error.is_timeout() {
            return format!("GET {url}: no complete answer within {:?}", self.timeout);
        }
        format!("GET {url}: {}", cause(error))
    }
}

impl From<ReadError> for String {
    fn from(unread: ReadError) -> Self {
        match unread {
            ReadError::Unreachable(words)
            | ReadError::Tls(words)
            | ReadError::Unauthorized(words)
            | ReadError::Unavailable(words)
            | ReadError::Other(words) => words,
            ReadError::Moved { from, to } => {
                format!("{from} redirected to {to}, but redirects are not followed")
            }
        }
    }
}

fn refused(url: &Url, response: &Response) -> ReadError {
    let status = response.status();
    let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
    match location.and_then(|to| url.join(to).ok()) {
        Some(to) if status.is_redirection() => {
            ReadError::Moved { from: format!("GET {url}: answered {status} and"), to: to.into() }
        }
        _ if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN => {
            ReadError::Unauthorized(format!("GET {url}: answered {status}"))
        }
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            ReadError::Unavailable(format!("GET {url}: answered {status}"))
        }
        _ => ReadError::Other(format!("GET {url}: answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::{SocketAddr, TcpListener},
        thread::JoinHandle,
    };

    /// Answers one request with `answer`, as far as the client reads it, and closes the connection when the client does.
    fn serve(answer: Vec<u8>) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = String::new();
            let mut request = BufReader::new(stream.try_clone().unwrap());
            while !head.ends_with("\r\n\r\n") {
                request.read_line(&mut head).unwrap();
            }
            // Writing and reading fail once the client has closed the connection.
            let _ = stream.write_all(&answer);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        (address, thread)
    }

    fn get(address: SocketAddr, timeout: Duration) -> Result<Vec<u8>, ReadError> {
        let fetcher = Fetcher::new(&Tls::new(None, false).unwrap(), "test", timeout).unwrap();
        let url = format!("http://{address}/metrics").parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(fetcher.get(None, &url))
    }

    #[test]
    fn answers_that_take_too_long_are_given_up() {
        for begun in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"] {
            let (address, server) = serve(begun.into());
            let error = String::from(get(address, Duration::from_millis(100)).unwrap_err());
            assert!(error.ends_with("/metrics: no complete answer within 100ms"), "{begun:?}: {error}");
            server.join().unwrap();
        }
    }

    #[test]
    fn answers_are_read_up_to_the_limit_of_size() {
        let deadline = Duration::from_secs(60);
        for (bytes, is_read) in [(LARGEST, true), (LARGEST + 1, false)] {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
            let (address, server) = serve([head.as_bytes(), &vec![b'1'; bytes]].concat());
            match get(address, deadline) {
                Ok(body) => assert!(is_read && body.len() == bytes),
                Err(error) => assert!(!is_read && String::from(error).ends_with("answered more than 64 MiB")),
            }
            server.join().unwrap();
        }
    }

    #[test]
    fn each_reason_has_its_variant() {
        let refused = |head: &str| {
            let (address, server) = serve(format!("HTTP/1.1 {head}Content-Length: 0\r\n\r\n").into());
            let error = get(address, Duration::from_secs(60)).unwrap_err();
            server.join().unwrap();
            error
        };
        assert!(matches!(refused("401 Unauthorized\r\n"), ReadError::Unauthorized(_)));
        assert!(matches!(refused("403 Forbidden\r\n"), ReadError::Unauthorized(_)));
        assert!(matches!(refused("429 Too Many Requests\r\n"), ReadError::Unavailable(_)));
        assert!(matches!(refused("500 Internal Server Error\r\n"), ReadError::Unavailable(_)));
        assert!(matches!(refused("404 Not Found\r\n"), ReadError::Other(_)));
        assert!(
            matches!(refused("302 Found\r\nLocation: /x\r\n"), ReadError::Moved { to, .. } if to.ends_with("/x"))
        );
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(get(closed, Duration::from_secs(60)), Err(ReadError::Unreachable(_))));
    }
}
