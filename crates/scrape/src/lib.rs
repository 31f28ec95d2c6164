//! Reads pages from servers, such as `/metrics`, for the load generator and `driftsim check`.
//!
//! Layout:
//! - [`endpoint`]: addresses, separated from their credentials
//! - [`tls`]: certificate authorities, and errors of TLS
//! - [`fetch`]: requests a page, within limits of time and size
//! - [`text_format`]: the text format of Prometheus
//!
//! What does not belong here: the meaning of metrics, and requests that a run measures.

pub mod endpoint;
pub mod fetch;
pub mod text_format;
pub mod tls;

pub use endpoint::{Endpoint, bearer, page_url, redacted};
pub use fetch::{Fetcher, ReadError, cause, client};
pub use tls::Tls;
