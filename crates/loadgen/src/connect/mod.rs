//! Connects to servers: addresses, credentials, TLS. What is sent to them and what the answers mean belongs to
//! [`crate::engine`] and [`crate::watch`].

mod endpoint;
pub mod tls;

pub use endpoint::{Endpoint, bearer, redacted};
pub use tls::Tls;

use reqwest::Client;
use rustls::ClientConfig;
use std::error::Error;

/// The `User-Agent` header, by which a server's log identifies these requests.
pub const USER_AGENT: &str = concat!("loadgen/", env!("CARGO_PKG_VERSION"));

/// The server to send requests to. Payloads name their paths below its address.
#[derive(Debug, Clone)]
pub struct Target {
    /// The address.
    pub endpoint: Endpoint,
    /// The TLS configuration of connections to it.
    pub tls: Tls,
}

/// Returns a client for readings, without proxy, redirects and retries.
///
/// # Errors
/// When the system refuses it.
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

/// Returns why a request failed: the innermost cause, because reqwest's own message only repeats the address.
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
        return format!("{words}; the answer is not HTTP: is it an https:// address?");
    }
    words
}
