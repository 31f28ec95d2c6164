//! Holds what connections to servers need: addresses, credentials, TLS. What does not belong here: requests and the meaning
//! of answers ([`crate::engine`], [`crate::watch`]).

mod endpoint;
pub mod tls;

pub use endpoint::{Endpoint, bearer, redacted};
pub use tls::Tls;

use reqwest::Client;
use rustls::ClientConfig;
use std::error::Error;

/// The `User-Agent` header, by which a server's log identifies these requests.
pub const USER_AGENT: &str = concat!("loadgen/", env!("CARGO_PKG_VERSION"));

/// The server that requests are sent to, and where its metrics and its feedback are handled.
#[derive(Debug, Clone)]
pub struct Target {
    /// The address, to which the paths of payloads are appended.
    pub endpoint: Endpoint,
    /// The page with the metrics, on the same server or on another one that observes it.
    pub metrics: Endpoint,
    /// The route for feedback, on the same server or on another one that observes it.
    pub feedback: Endpoint,
    /// The TLS configuration of connections to all of them.
    pub tls: Tls,
}

impl Target {
    /// Creates a target that serves its own metrics and takes its own feedback.
    pub fn new(endpoint: Endpoint, tls: Tls) -> Self {
        Self { metrics: endpoint.at("metrics"), feedback: endpoint.at("feedback"), endpoint, tls }
    }

    /// Returns whether feedback goes to the same server as the requests.
    pub fn takes_feedback(&self) -> bool {
        self.feedback.url().origin() == self.endpoint.url().origin()
    }
}

/// Returns a client for reading metrics and queries, without proxy, redirects and retries.
///
/// # Errors
/// If the client cannot be created.
pub fn client(tls: &Tls) -> Result<Client, reqwest::Error> {
    Client::builder()
        .tls_backend_preconfigured(ClientConfig::clone(&tls.config()))
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .user_agent(USER_AGENT)
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
