//! Fetches pages of a server that counts rows: its metrics, and the card of its model.

use super::reference::Reference;
use anyhow::{Context, Result, anyhow, ensure};
use cli_io::file_kind::FileKind;
use scrape::{Endpoint, Fetcher, ReadError, Tls, page_url};
use std::{fmt, path::Path, time::Duration};
use tokio::runtime;

/// The environment variable with a bearer token for the server.
pub(super) const TOKEN: &str = "DRIFTSIM_BEARER_TOKEN";

/// The time limit of one request with its answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The header by which a server's log identifies these requests.
const USER_AGENT: &str = concat!("driftsim/", env!("CARGO_PKG_VERSION"));

/// A page of a server, named by a flag.
pub(super) struct Page {
    flag: &'static str,
    /// What the address should be, for messages.
    wanted: &'static str,
    endpoint: Endpoint,
}

/// Returns whether the value of a flag is an address instead of a file.
pub(super) fn is_address(value: &Path) -> bool {
    let starts = |text: &str, scheme: &str| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    value.to_str().is_some_and(|text| starts(text, "http://") || starts(text, "https://"))
}

/// Checks that the value of a flag is not an address that lacks its scheme, such as `localhost:8000/metrics`.
///
/// # Errors
/// If it is.
pub(super) fn check_scheme(flag: &str, value: &Path) -> Result<()> {
    let text = value.to_string_lossy();
    let port = text.split('/').next().and_then(|host| host.rsplit_once(':')).map(|(_, port)| port);
    let is_port = port.is_some_and(|port| port.parse::<u16>().is_ok());
    ensure!(
        !is_port || value.exists(),
        "{flag} {text}: there is no such file; if it is the address of a server, give http://{text}"
    );
    Ok(())
}

impl Page {
    /// Reads the address of the page of metrics from `--current`.
    pub(super) fn of_metrics(address: &Path) -> Result<Self> {
        let wanted =
            "the metrics of `inference serve` or `inference watch`, such as http://127.0.0.1:8000/metrics";
        Self::new("--current", wanted, "metrics", address)
    }

    /// Reads the address of a model card from `--reference`.
    pub(super) fn of_card(address: &Path) -> Result<Self> {
        let wanted =
            "the model card of `inference serve` or `inference watch`, such as http://127.0.0.1:8000/model";
        Self::new("--reference", wanted, "model", address)
    }

    /// An address without a path stands for the page `path` of that server.
    fn new(flag: &'static str, wanted: &'static str, path: &str, address: &Path) -> Result<Self> {
        let address = address.to_string_lossy();
        // A query may contain a key, so messages do not show it.
        let shown = || scrape::redacted(address.split(['?', '#']).next().unwrap_or_default());
        let url = page_url(&address).map_err(|error| anyhow!("{flag} {}: {error}", shown()))?;
        let endpoint = Endpoint::new(url, TOKEN).map_err(|error| anyhow!("{flag}: {error}"))?;
        let endpoint = if endpoint.url().path() == "/" { endpoint.at(path) } else { endpoint };
        Ok(Self { flag, wanted, endpoint })
    }

    /// Reads a model card from the content of this page.
    ///
    /// # Errors
    /// If it is not a model card.
    pub(super) fn card(&self, bytes: &[u8]) -> Result<Reference> {
        ensure!(
            matches!(FileKind::guess(bytes), Some(FileKind::Model | FileKind::Json)),
            "{} {self}: the page has no JSON; give the address of {}",
            self.flag,
            self.wanted
        );
        Reference::of_json(bytes, &self.to_string())
    }

    /// Fetches the page.
    ///
    /// # Errors
    /// If there is no complete answer of status 200; the error names a remedy.
    pub(super) fn fetch(&self, ca_cert: Option<&Path>) -> Result<Vec<u8>> {
        let (flag, url) = (self.flag, self.endpoint.url());
        let tls =
            Tls::new(ca_cert, url.scheme() == "https").map_err(|error| anyhow!("{flag} {url}: {error}"))?;
        let fetcher = Fetcher::new(&tls, USER_AGENT, TIMEOUT).context("the HTTP client cannot be created")?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let page = runtime.block_on(fetcher.get(self.endpoint.authorization(), url));
        // Dropping the runtime would wait for a system call that resolves a name, beyond the time limit.
        runtime.shutdown_background();
        page.map_err(|error| {
            let remedy = match &error {
                ReadError::Unreachable(_) => {
                    format!("; start the server there, or give another address in {flag}")
                }
                ReadError::Tls(_) => String::new(),
                ReadError::Moved { .. } => format!("; give that address in {flag}"),
                ReadError::Unauthorized(_) => {
                    format!("; set environment variable {TOKEN} to a token that the server accepts")
                }
                ReadError::Unavailable(_) => "; try again when the server is ready".to_owned(),
                ReadError::Other(_) => format!("; give the address of {}", self.wanted),
            };
            anyhow!("{flag}: {}{remedy}", String::from(error))
        })
    }
}

/// Writes the address without credentials.
impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.url().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_recognised_by_their_scheme() {
        for address in ["http://a", "HTTPS://a/metrics", "http://"] {
            assert!(is_address(Path::new(address)), "{address}");
        }
        for file in ["http", "http.csv", "ftp://a", "a/http://b", "-", "", "ä"] {
            assert!(!is_address(Path::new(file)), "{file}");
        }
    }

    #[test]
    fn addresses_without_a_scheme_are_not_reported_as_missing_files() {
        let problem =
            |value: &str| check_scheme("--current", Path::new(value)).map_err(|error| error.to_string());
        for address in ["localhost:8000/metrics", "127.0.0.1:8000", "[::1]:80/m"] {
            assert!(problem(address).unwrap_err().ends_with(&format!("give http://{address}")), "{address}");
        }
        for file in ["a.csv", "C:/a.csv", "b/a:8000", "a:70000", "-", ""] {
            assert_eq!(problem(file), Ok(()), "{file}");
        }
    }
}
