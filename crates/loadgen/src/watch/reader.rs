//! Fetches: the model card, `/metrics`, and the alerts of Prometheus.

use super::{
    Alerts, Snapshot,
    alerts::{alerts, rules},
    text_format,
};
use model::ModelCard;
use reqwest::{Client, StatusCode, Url};
use std::{collections::BTreeSet, error::Error, time::Duration};

/// A health endpoint that takes longer is no help; it also bounds how long a reading can hold up the next.
const PATIENCE: Duration = Duration::from_secs(2);

/// The model card of hundreds of features and the metrics of a hundred classes are far below it.
const LARGEST: usize = 64 << 20;

/// Reads from the target and from Prometheus. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Reader {
    client: Client,
    target: Url,
    prometheus: Option<Url>,
}

impl Reader {
    /// A reader of the service at `target` and, where there is one, the Prometheus server at `prometheus`.
    ///
    /// # Errors
    /// When the system refuses a client.
    pub fn new(target: Url, prometheus: Option<Url>) -> Result<Self, reqwest::Error> {
        Ok(Self { client: crate::engine::sender::client()?, target, prometheus })
    }

    /// What the target says of its model.
    ///
    /// # Errors
    /// In words, with the remedy.
    pub async fn card(&self) -> Result<ModelCard, String> {
        let url = below(&self.target, "model");
        let body = self.get(&url).await.map_err(|error| {
            format!("{error}\nis the service running there? start it with `inference serve`, or name another --target")
        })?;
        serde_json::from_slice(&body).map_err(|error| {
            format!("{url} answers no model card ({error}); is --target the inference service?")
        })
    }

    /// One reading of `/metrics`.
    ///
    /// # Errors
    /// In words.
    pub async fn metrics(&self) -> Result<Snapshot, String> {
        let url = below(&self.target, "metrics");
        let body = self.get(&url).await?;
        let page = std::str::from_utf8(&body).map_err(|error| format!("{url}: {error}"))?;
        text_format::parse(page)
            .map(|samples| Snapshot::new(&samples))
            .map_err(|error| format!("{url}: {error}"))
    }

    /// The alerts, firing and pending; `None` without a Prometheus server.
    ///
    /// # Errors
    /// In words.
    pub async fn alerts(&self) -> Option<Result<Alerts, String>> {
        self.ask("api/v1/alerts", alerts).await
    }

    /// The names of the alerting rules; `None` without a Prometheus server.
    ///
    /// # Errors
    /// In words.
    pub async fn alert_rules(&self) -> Option<Result<BTreeSet<String>, String>> {
        self.ask("api/v1/rules", rules).await
    }

    async fn ask<T>(
        &self,
        path: &str,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Option<Result<T, String>> {
        let url = below(self.prometheus.as_ref()?, path);
        Some(match self.get(&url).await {
            Ok(body) => read(&body).map_err(|error| format!("{url}: {error}")),
            Err(error) => Err(error),
        })
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, String> {
        let request = self.client.get(url.clone()).timeout(PATIENCE).send();
        let mut response = request.await.map_err(|error| format!("GET {url}: {}", cause(&error)))?;
        if response.status() != StatusCode::OK {
            return Err(format!("GET {url}: answered {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| format!("GET {url}: {}", cause(&error)))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST {
                return Err(format!("GET {url}: answered more than {} MiB", LARGEST >> 20));
            }
        }
        Ok(body)
    }
}

/// `base` with a path below its own, so that a target behind a prefix works.
pub fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}

/// The innermost reason: reqwest's own words only repeat the address.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", PATIENCE.as_secs());
    }
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_below_the_prefix() {
        let below = |base: &str| below(&base.parse().unwrap(), "predict").to_string();
        assert_eq!(below("http://a:1"), "http://a:1/predict");
        assert_eq!(below("http://a:1/models/iris/"), "http://a:1/models/iris/predict");
    }
}
