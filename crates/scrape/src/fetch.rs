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
            let unreachable = (error.is_connect() || error.is_timeout()) && tls::failure(&error).is_none();
            if unreachable {
                ReadError::Unreachable(self.request_error(url, &error))
            } else {
                ReadError::Other(self.request_error(url, &error))
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
            return format!("GET {url}: no complete answer within {} s", self.timeout.as_secs());
        }
        format!("GET {url}: {}", cause(error))
    }
}

impl From<ReadError> for String {
    fn from(unread: ReadError) -> Self {
        match unread {
            ReadError::Unreachable(words)
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
