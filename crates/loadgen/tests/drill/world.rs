//! A Prometheus that scrapes replicas of the service and runs the shipped rules, and a client of both.

use crate::prometheus::Prometheus;
use loadgen::connect::{Tls, client};
use reqwest::Client;
use serde_json::Value;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// The time limit. The rules count a minute once it is over, and compute the accuracy within another minute.
const DEADLINE: Duration = Duration::from_secs(240);

pub struct World {
    pub client: Client,
    prometheus: Prometheus,
}

/// A sample of a query's result.
pub struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl World {
    pub fn scraping(replicas: &[SocketAddr]) -> Self {
        let client = client(&Tls::new(None, false).unwrap()).unwrap();
        Self { client, prometheus: Prometheus::start(replicas) }
    }

    /// Posts JSON to a replica, and returns the status and body of its answer.
    pub async fn answer(&self, replica: SocketAddr, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.post(format!("http://{replica}{path}"));
        let request = request.header("Content-Type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    }

    /// Posts JSON to a replica, which must accept it.
    pub async fn post(&self, replica: SocketAddr, path: &str, body: &Value) -> Value {
        let (status, answer) = self.answer(replica, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status}: {answer}");
        answer
    }

    /// Returns the result of a query at this Unix time, or now.
    pub async fn query(&self, query: &str, time: Option<f64>) -> Vec<Sample> {
        let request = self.client.post(format!("{}/api/v1/query", self.prometheus.url()));
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let time = time.map(|time| format!("&time={time:.3}")).unwrap_or_default();
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        let answer =
            request.body(format!("query={encoded}{time}")).send().await.unwrap().bytes().await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let result = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{query}: {answer}"));
        let sample = |sample: &Value| Sample {
            labels: serde_json::from_value(sample["metric"].clone()).unwrap(),
            value: sample["value"][1].as_str().unwrap().parse().unwrap(),
        };
        result.iter().map(sample).collect()
    }

    /// Returns the values of a query without their labels.
    pub async fn values(&self, query: &str) -> Vec<f64> {
        self.query(query, None).await.iter().map(|sample| sample.value).collect()
    }

    /// Waits until the single value of a query fulfils `holds`, and returns it.
    pub async fn until(&self, query: &str, holds: impl Fn(f64) -> bool) -> f64 {
        // The query is repeated as seldom as its value changes, to leave CPU time to other drills.
        let mut turns = tokio::time::interval(Duration::from_millis(250));
        let asking = async {
            loop {
                turns.tick().await;
                if let [value] = self.values(query).await[..]
                    && holds(value)
                {
                    return value;
                }
            }
        };
        tokio::time::timeout(DEADLINE, asking).await.unwrap_or_else(|_| panic!("never: {query}"))
    }
}
