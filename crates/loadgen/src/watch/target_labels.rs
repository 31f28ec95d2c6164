//! Finds the labels of alerts about the target, because a Prometheus server usually monitors other services, too.
//!
//! The target is looked up by its address among those that Prometheus scrapes. If Prometheus uses another address (because of a
//! load balancer or a separate listener for metrics), it is looked up by the name and version of its model.

use super::answer::parse;
use crate::scenario::TargetLabels;
use reqwest::Url;
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    active_targets: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    labels: ScrapeLabels,
    scrape_url: String,
}

#[derive(Deserialize)]
struct ScrapeLabels {
    job: Option<String>,
    instance: Option<String>,
}

#[derive(Deserialize)]
struct Vector {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: ScrapeLabels,
}

/// The result of the lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scraped {
    /// Prometheus has no targets yet. After its start, it lists none until service discovery reports for the first time.
    Nothing,
    /// Prometheus scrapes only other targets.
    Elsewhere,
    /// Prometheus scrapes the target with these labels.
    Here(TargetLabels),
}

/// Looks up the address `metrics` in an answer of Prometheus' `/api/v1/targets`: the whole address, or else its host and port.
///
/// # Errors
/// If the response is not of this kind.
pub fn scraped_at(json: &[u8], metrics: &Url) -> Result<Scraped, String> {
    let targets: Targets = parse(json)?;
    if targets.active_targets.is_empty() {
        return Ok(Scraped::Nothing);
    }
    let here: Vec<(Url, ScrapeLabels)> = targets
        .active_targets
        .into_iter()
        .filter_map(|target| Some((target.scrape_url.parse().ok()?, target.labels)))
        .filter(|(url, _)| place(url).is_some() && place(url) == place(metrics))
        .collect();
    let exact = here.iter().any(|(url, _)| url.path() == metrics.path());
    let mut found = TargetLabels::default();
    for (url, labels) in here {
        if !exact || url.path() == metrics.path() {
            found.jobs.extend(labels.job);
            found.instances.extend(labels.instance);
        }
    }
    Ok(if found.jobs.is_empty() { Scraped::Elsewhere } else { Scraped::Here(found) })
}

fn place(url: &Url) -> Option<(&str, u16)> {
    Some((host(url)?, url.port_or_known_default()?))
}

/// Returns the host of an address. All names of this machine are replaced by the same one, because Prometheus may use another
/// than --target.
fn host(url: &Url) -> Option<&str> {
    match url.host_str()? {
        "127.0.0.1" | "[::1]" => Some("localhost"),
        host => Some(host),
    }
}

/// Returns a query for the jobs that serve a version of a model.
pub fn jobs_query(model: &str, version: &str) -> String {
    // The escapes of JSON are valid in PromQL, which has those of Go.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!("group by (job) (model_info{{model={},version={}}})", quoted(model), quoted(version))
}

/// Returns the jobs in the answer to such a query.
///
/// # Errors
/// If the response is not of this kind.
pub fn jobs(json: &[u8]) -> Result<BTreeSet<String>, String> {
    let vector: Vector = parse(json)?;
    Ok(vector.result.into_iter().filter_map(|series| series.metric.job).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    // The shape of https://prometheus.io/docs/prometheus/latest/querying/api/#targets
    const TARGETS: &str = r#"{"status":"success","data":{"activeTargets":[
        {"discoveredLabels":{},"labels":{"instance":"a","job":"ml"},"scrapeUrl":"http://127.0.0.1:8000/metrics","health":"up"},
        {"labels":{"instance":"b","job":"other"},"scrapeUrl":"http://127.0.0.1:8001/metrics"},
        {"labels":{"instance":"c","job":"iris"},"scrapeUrl":"https://gateway/iris/metrics"},
        {"labels":{"instance":"d","job":"telco"},"scrapeUrl":"https://gateway/telco/metrics"}],
        "droppedTargets":[]}}"#;

    fn found(metrics: &str) -> Option<String> {
        match scraped_at(TARGETS.as_bytes(), &metrics.parse().unwrap()).unwrap() {
            Scraped::Here(labels) => Some(labels.to_string()),
            Scraped::Elsewhere => None,
            Scraped::Nothing => panic!("there are targets"),
        }
    }

    #[test]
    fn the_target_is_found_by_its_address() {
        assert_eq!(found("http://localhost:8000/metrics").as_deref(), Some("job ml, instance a"));
        assert_eq!(found("http://127.0.0.1:8001/x/metrics").as_deref(), Some("job other, instance b"));
        assert_eq!(found("https://gateway:443/telco/metrics").as_deref(), Some("job telco, instance d"));
        assert_eq!(found("https://gateway/").as_deref(), Some("job iris or telco, instance c or d"));
        assert_eq!(found("http://127.0.0.1:8002/metrics"), None);
        assert_eq!(found("http://example:8000/metrics"), None);
        let anywhere = "http://a/".parse().unwrap();
        assert!(scraped_at(b"<html>", &anywhere).is_err());
        let none = br#"{"status":"success","data":{"activeTargets":[],"droppedTargets":[]}}"#;
        assert_eq!(scraped_at(none, &anywhere), Ok(Scraped::Nothing));
    }

    #[test]
    fn jobs_are_queried_by_the_name_and_version_of_their_model() {
        let query = jobs_query("a\"b", "1");
        assert_eq!(query, r#"group by (job) (model_info{model="a\"b",version="1"})"#);
        let json = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"job":"ml"},"value":[1,"1"]},{"metric":{},"value":[1,"1"]}]}}"#;
        assert_eq!(jobs(json), Ok(["ml".to_owned()].into()));
    }
}
