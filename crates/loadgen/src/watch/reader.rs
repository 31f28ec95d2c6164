//! Fetches: the model card, `/metrics`, and what Prometheus and its Alertmanagers say.

use super::{
    Alerts, Snapshot,
    alertmanager::{self, Asked},
    alerts::{alerts, rules},
    answer::refusal,
    queries::{NoValue, values},
    text_format,
};
use model::ModelCard;
use reqwest::{Client, StatusCode, Url};
use std::{collections::BTreeSet, error::Error, time::Duration};
use tokio::task::JoinSet;

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

    /// What a query gives at this moment; `None` without a Prometheus server.
    ///
    /// # Errors
    /// [`NoValue`].
    pub async fn query(&self, expr: &str) -> Option<Result<Vec<f64>, NoValue>> {
        let mut url = below(self.prometheus.as_ref()?, "api/v1/query");
        url.query_pairs_mut().append_pair("query", expr);
        let (status, body) = match self.fetch(&url).await {
            Ok(answer) => answer,
            Err(error) => return Some(Err(NoValue::NoAnswer(error))),
        };
        Some(match (status, refusal(&body)) {
            (StatusCode::OK, _) => values(&body),
            (StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY, Some(words)) => {
                Err(NoValue::Refused(words))
            }
            _ => Err(NoValue::NoAnswer(format!("GET {url}: answered {status}"))),
        })
    }

    /// What the Alertmanagers hold that Prometheus sends to; `None` without a Prometheus server.
    pub async fn held(&self) -> Option<Asked> {
        let addresses = match self.ask("api/v1/alertmanagers", alertmanager::addresses).await? {
            Ok(addresses) => addresses,
            Err(error) => return Some(Asked { error: Some(error), ..Asked::default() }),
        };
        let mut asked = Asked { known: Some(addresses.len()), ..Asked::default() };
        let mut answers = JoinSet::new();
        for address in addresses {
            let reader = self.clone();
            answers.spawn(async move {
                let url: Url = address.parse().map_err(|error| format!("Alertmanager {address}: {error}"))?;
                let body = reader.get(&url).await?;
                alertmanager::held(&body).map_err(|error| format!("{url}: {error}"))
            });
        }
        while let Some(answer) = answers.join_next().await {
            match answer.map_err(|error| error.to_string()).and_then(|answer| answer) {
                Ok(held) => asked.held.get_or_insert_default().extend(held),
                Err(error) => asked.error = Some(error),
            }
        }
        Some(asked)
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
        match self.fetch(url).await? {
            (StatusCode::OK, body) => Ok(body),
            (status, _) => Err(format!("GET {url}: answered {status}")),
        }
    }

    async fn fetch(&self, url: &Url) -> Result<(StatusCode, Vec<u8>), String> {
        let request = self.client.get(url.clone()).timeout(PATIENCE).send();
        let mut response = request.await.map_err(|error| format!("GET {url}: {}", cause(&error)))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| format!("GET {url}: {}", cause(&error)))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST {
                return Err(format!("GET {url}: answered more than {} MiB", LARGEST >> 20));
            }
        }
        Ok((status, body))
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
