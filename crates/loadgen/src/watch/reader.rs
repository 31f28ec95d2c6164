//! Fetches the model card, `/metrics`, and the answers of Prometheus and its Alertmanagers.

use super::{
    Alerts, Routes, Snapshot,
    alertmanager::{self, Asked},
    alerts::{alerts, rules},
    answer::refusal,
    queries::{NoValue, values},
    target_labels::{self, Scraped},
    text_format,
};
use crate::{
    connect::{Endpoint, Fetcher, ReadError, Target, USER_AGENT},
    scenario::TargetLabels,
};
use model::ModelCard;
use reqwest::{StatusCode, Url};
use std::{collections::BTreeSet, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

/// The time limit of one reading, which also bounds how long it can delay the next.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long to wait for a Prometheus server that lists no targets. After its start, service discovery reports the first ones
/// after 5 s.
const DISCOVERY: Duration = Duration::from_secs(10);

/// The pause between two queries to such a server.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// What to do if the target does not answer with a model card.
const PROFILE: &str = "name the address of an inference service in --target, or the profile of the model in --profile (`inference \
profile` writes one for any model server)";

/// Reads from the target and from Prometheus. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Reader {
    fetcher: Fetcher,
    target: Target,
    routes: Routes,
    /// The name of the model whose series count, if it is known.
    model: Option<String>,
    prometheus: Option<Endpoint>,
}

impl Reader {
    /// Creates a reader of the service at `target`, whose `routes` the scenario calls, and of a Prometheus server if there is one.
    ///
    /// # Errors
    /// If the HTTP client cannot be created.
    pub fn new(
        target: &Target,
        routes: Routes,
        prometheus: Option<Endpoint>,
    ) -> Result<Self, reqwest::Error> {
        let fetcher = Fetcher::new(&target.tls, USER_AGENT, TIMEOUT)?;
        Ok(Self { fetcher, target: target.clone(), routes, model: None, prometheus })
    }

    /// Ignores the series of other models, which a page may have if its server observes several models.
    pub fn narrow(&mut self, card: &ModelCard) {
        self.model = Some(card.name.clone());
    }

    /// Reads the model card of the target.
    ///
    /// # Errors
    /// If the card cannot be read; the error names a remedy.
    pub async fn card(&self) -> Result<ModelCard, String> {
        let target = &self.target.endpoint;
        let url = target.below("model");
        let body = self.fetcher.get(target.authorization(), &url).await.map_err(|error| match error {
            ReadError::Unreachable(error) => format!(
                "{error}\nstart the service there with `inference serve`, or name another address in --target"
            ),
            ReadError::Moved { from, to } => {
                format!("{from} redirected to {to}, but redirects are not followed; name that address in --target")
            }
            ReadError::Unauthorized(error) => {
                format!("{error}\nset environment variable LOADGEN_BEARER_TOKEN to a token that the service accepts")
            }
            ReadError::Unavailable(error) => error,
            ReadError::Tls(error) | ReadError::Other(error) => format!("{error}\n{PROFILE}"),
        })?;
        let card: ModelCard = serde_json::from_slice(&body)
            .map_err(|error| format!("{url}: the answer is not a model card ({error})\n{PROFILE}"))?;
        card.check().map_err(|error| format!("{url}: the model card is inconsistent: {error}"))?;
        Ok(card)
    }

    /// Reads `/metrics`.
    ///
    /// # Errors
    /// If the page cannot be read.
    pub async fn metrics(&self) -> Result<Snapshot, String> {
        let metrics = &self.target.metrics;
        let url = metrics.url();
        let body = self.fetcher.get(metrics.authorization(), url).await.map_err(String::from)?;
        let page = std::str::from_utf8(&body).map_err(|error| format!("{url}: {error}"))?;
        text_format::parse(page)
            .map(|samples| Snapshot::new(&samples, &self.routes, self.model.as_deref()))
            .map_err(|error| format!("{url}: {error}"))
    }

    /// Returns the alerts, firing and pending; `None` without a Prometheus server.
    ///
    /// # Errors
    /// If Prometheus cannot be queried.
    pub async fn alerts(&self) -> Option<Result<Alerts, String>> {
        self.ask("api/v1/alerts", alerts).await
    }

    /// Returns the names of the alerting rules before a run; `None` without a Prometheus server, and `Ok(Err(…))` if the server
    /// cannot answer yet.
    ///
    /// # Errors
    /// If there is no Prometheus server at the address.
    pub async fn check_prometheus(&self) -> Option<Result<Result<BTreeSet<String>, String>, String>> {
        let prometheus = self.prometheus.as_ref()?;
        let error = match self.ask_at(prometheus, &prometheus.below("api/v1/rules"), rules).await {
            Ok(rules) => return Some(Ok(Ok(rules))),
            Err(error) => error,
        };
        Some(match error {
            // The server is still starting, or overloaded.
            ReadError::Unavailable(words) => Ok(Err(words)),
            ReadError::Unreachable(words) => Err(format!(
                "{words}\nstart Prometheus there, name another address in --prometheus, or leave the flag out"
            )),
            ReadError::Moved { from, to } => Err(format!(
                "{from} redirected to {to}, but redirects are not followed; name that address in --prometheus"
            )),
            ReadError::Unauthorized(words) => Err(format!(
                "{words}\nset environment variable LOADGEN_PROMETHEUS_BEARER_TOKEN to a token that Prometheus accepts"
            )),
            ReadError::Tls(words) | ReadError::Other(words) => Err(format!(
                "{words}\nname the address of a Prometheus server in --prometheus, with the path before /api/v1 if there is one"
            )),
        })
    }

    /// Returns the names of the alerting rules; `None` without a Prometheus server.
    ///
    /// # Errors
    /// If Prometheus cannot be queried.
    pub async fn alert_rules(&self) -> Option<Result<BTreeSet<String>, String>> {
        self.ask("api/v1/rules", rules).await
    }

    /// Returns the labels of alerts about the target, which serves the model of `card`, if it is known. The job is unknown if
    /// Prometheus does not scrape the target. Returns `None` without a Prometheus server. Waits for the first targets of a server that has just started.
    pub async fn target_labels(&self, card: Option<&ModelCard>) -> Option<TargetLabels> {
        let scraped = |json: &[u8]| target_labels::scraped_at(json, self.target.metrics.url());
        let deadline = Instant::now() + DISCOVERY;
        let found = loop {
            match self.ask("api/v1/targets?state=active", scraped).await? {
                Ok(Scraped::Nothing) if Instant::now() < deadline => sleep(RETRY_DELAY).await,
                found => break found,
            }
        };
        let mut labels = match found {
            Ok(Scraped::Here(labels)) => labels,
            Ok(Scraped::Nothing | Scraped::Elsewhere) | Err(_) => {
                let mut labels = TargetLabels::default();
                if let (Some(prometheus), Some(card)) = (&self.prometheus, card) {
                    let url = query_url(prometheus, &target_labels::jobs_query(&card.name, &card.version));
                    labels.jobs =
                        self.ask_at(prometheus, &url, target_labels::jobs).await.unwrap_or_default();
                }
                labels
            }
        };
        labels.models.extend(card.map(|card| card.name.clone()));
        Some(labels)
    }

    /// Evaluates a query; `None` without a Prometheus server.
    ///
    /// # Errors
    /// [`NoValue`] if the query has no value.
    pub async fn query(&self, expr: &str) -> Option<Result<Vec<f64>, NoValue>> {
        let prometheus = self.prometheus.as_ref()?;
        let url = query_url(prometheus, expr);
        let answer = async {
            let response = self.fetcher.send(prometheus.authorization(), &url).await?;
            Ok::<_, ReadError>((response.status(), self.fetcher.body(response, &url).await?))
        };
        let (status, body) = match answer.await {
            Ok(answer) => answer,
            Err(error) => return Some(Err(NoValue::NoAnswer(error.into()))),
        };
        Some(match (status, refusal(&body)) {
            (StatusCode::OK, _) => values(&body),
            (StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY, Some(words)) => {
                Err(NoValue::Refused(words))
            }
            _ => Err(NoValue::NoAnswer(format!("GET {url}: answered {status}"))),
        })
    }

    /// Returns the alerts in the Alertmanagers that Prometheus sends to; `None` without a Prometheus server.
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
                let body = reader.fetcher.get(None, &url).await?;
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
        let prometheus = self.prometheus.as_ref()?;
        Some(self.ask_at(prometheus, &prometheus.below(path), read).await.map_err(String::from))
    }

    async fn ask_at<T>(
        &self,
        prometheus: &Endpoint,
        url: &Url,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, ReadError> {
        let body = self.fetcher.get(prometheus.authorization(), url).await?;
        read(&body).map_err(|error| ReadError::Other(format!("{url}: {error}")))
    }
}

fn query_url(prometheus: &Endpoint, expr: &str) -> Url {
    let mut url = prometheus.below("api/v1/query");
    url.query_pairs_mut().append_pair("query", expr);
    url
}
