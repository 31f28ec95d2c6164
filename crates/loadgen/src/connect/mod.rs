//! Holds what connections to servers need: the target, and addresses, credentials and TLS from crate `scrape`. What does not belong
//! here: requests and the meaning of answers ([`crate::engine`], [`crate::watch`]).

pub use scrape::{Endpoint, Fetcher, ReadError, Tls, bearer, page_url, redacted, tls};

use reqwest::Client;

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
    scrape::client(tls, USER_AGENT)
}
