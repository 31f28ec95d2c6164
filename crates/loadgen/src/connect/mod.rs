//! How servers are reached: addresses, credentials, TLS. What is sent to them and what the answers mean belongs to
//! [`crate::engine`] and [`crate::watch`].

mod endpoint;
pub mod tls;

pub use endpoint::{Endpoint, bearer, redacted};
pub use tls::Tls;

use reqwest::Client;
use rustls::ClientConfig;
use std::error::Error;

/// By which a server's log tells our requests from others.
pub const USER_AGENT: &str = concat!("loadgen/", env!("CARGO_PKG_VERSION"));

/// The server to send requests to. Payloads name their paths below its address.
#[derive(Debug, Clone)]
pub struct Target {
    /// The address.
    pub endpoint: Endpoint,
    /// The TLS configuration of connections to it.
    pub tls: Tls,
}

/// A client for readings that adds nothing of its own: no proxy, no redirects, no second try.
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

/// Why a request failed, in words: the innermost reason, for reqwest's own words only repeat the address.
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
