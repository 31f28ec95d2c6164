//! When which Prometheus alert fired.

use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The alerts that Prometheus knows of at a time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alerts {
    /// Names of those that fire.
    pub firing: BTreeSet<String>,
    /// Names of those whose condition holds, but not yet for long enough.
    pub pending: BTreeSet<String>,
}

/// What `GET /api/v1/alerts` said, poll by poll. Times are counted from the run's start.
#[derive(Debug, Default)]
pub struct AlertLog {
    episodes: BTreeMap<String, Vec<Episode>>,
    pending: BTreeMap<String, Vec<Episode>>,
    last_answer: Option<Duration>,
    /// The longest time without an answer.
    pub longest_silence: Duration,
    /// Polls that were answered.
    pub answered: u64,
    /// Polls that were not.
    pub failed: u64,
    /// Why the last of them was not.
    pub last_error: Option<String>,
}

/// From the first poll that saw an alert firing to the last.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Episode {
    first: Duration,
    last: Duration,
}

impl AlertLog {
    /// Takes the alerts at `at`, or why there is no answer.
    pub fn observe(&mut self, at: Duration, alerts: Result<Alerts, String>) {
        let silence = at.saturating_sub(self.last_answer.unwrap_or_default());
        self.longest_silence = self.longest_silence.max(silence);
        let alerts = match alerts {
            Ok(alerts) => alerts,
            Err(error) => {
                self.failed += 1;
                self.last_error = Some(error);
                return;
            }
        };
        for (names, log) in [(alerts.firing, &mut self.episodes), (alerts.pending, &mut self.pending)] {
            for alert in names {
                let episodes = log.entry(alert).or_default();
                match episodes.last_mut() {
                    Some(episode) if Some(episode.last) == self.last_answer => episode.last = at,
                    _ => episodes.push(Episode { first: at, last: at }),
                }
            }
        }
        self.answered += 1;
        self.last_answer = Some(at);
    }

    /// Whether `alert` was firing at `at`.
    pub fn fired_at(&self, alert: &str, at: Duration) -> bool {
        self.episodes(alert).any(|episode| episode.first <= at && at <= episode.last)
    }

    /// Whether `alert` was pending at `at`.
    pub fn pended_at(&self, alert: &str, at: Duration) -> bool {
        self.pending.get(alert).into_iter().flatten().any(|episode| episode.first <= at && at <= episode.last)
    }

    /// Since when `alert` has been pending, by the last answer.
    pub fn pending_now(&self, alert: &str) -> Option<Duration> {
        let episode = self.pending.get(alert)?.last()?;
        (Some(episode.last) == self.last_answer).then_some(episode.first)
    }

    /// When `alert` first began to fire after `since`.
    pub fn began_after(&self, alert: &str, since: Duration) -> Option<Duration> {
        self.episodes(alert).map(|episode| episode.first).find(|&first| first > since)
    }

    /// When `alert` was first seen firing at all.
    pub fn first(&self, alert: &str) -> Option<Duration> {
        self.episodes(alert).next().map(|episode| episode.first)
    }

    fn episodes(&self, alert: &str) -> impl Iterator<Item = Episode> {
        self.episodes.get(alert).into_iter().flatten().copied()
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Data {
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    labels: BTreeMap<String, String>,
    state: String,
}

/// The alerts in an answer of Prometheus' `/api/v1/alerts`.
///
/// # Errors
/// In words, when it is no such answer.
pub fn alerts(json: &[u8]) -> Result<Alerts, String> {
    let answer: Answer<Data> = parse(json)?;
    let mut alerts = Alerts::default();
    for mut alert in answer.data.alerts {
        let Some(name) = alert.labels.remove("alertname") else { continue };
        match alert.state.as_str() {
            "firing" => drop(alerts.firing.insert(name)),
            "pending" => drop(alerts.pending.insert(name)),
            _ => {}
        }
    }
    Ok(alerts)
}

/// The names of the alerting rules in an answer of Prometheus' `/api/v1/rules`.
///
/// # Errors
/// In words, when it is no such answer.
pub fn rules(json: &[u8]) -> Result<BTreeSet<String>, String> {
    let answer: Answer<Groups> = parse(json)?;
    let rules = answer.data.groups.into_iter().flat_map(|group| group.rules);
    Ok(rules.filter(|rule| rule.kind == "alerting").map(|rule| rule.name).collect())
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(json)
        .map_err(|error| format!("its answer is not that of a Prometheus server: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn tells_firing_from_pending() {
        // The shape of https://prometheus.io/docs/prometheus/latest/querying/api/#alerts
        let json = br#"{"status":"success","data":{"alerts":[
            {"activeAt":"2018-07-04T20:27:12.6Z","annotations":{},"labels":{"alertname":"A"},"state":"firing","value":"1e+00"},
            {"labels":{"alertname":"B"},"state":"pending"}]}}"#;
        let expected = Alerts { firing: ["A".to_owned()].into(), pending: ["B".to_owned()].into() };
        assert_eq!(alerts(json), Ok(expected));
        assert!(alerts(b"<html>").unwrap_err().contains("not that of a Prometheus"));
    }

    #[test]
    fn reads_the_names_of_alerting_rules() {
        let json = br#"{"status":"success","data":{"groups":[{"name":"g","rules":[
            {"name":"A","type":"alerting","query":"x","health":"ok"},{"name":"r:x","type":"recording","query":"x"}]}]}}"#;
        assert_eq!(rules(json), Ok(["A".to_owned()].into()));
    }

    #[test]
    fn episodes_begin_and_end() {
        let mut log = AlertLog::default();
        let states = [false, true, true, false, true];
        for (second, firing) in states.into_iter().enumerate() {
            let name: BTreeSet<String> = ["A".to_owned()].into();
            let alerts = if firing {
                Alerts { firing: name, ..Alerts::default() }
            } else {
                Alerts { pending: name, ..Alerts::default() }
            };
            log.observe(at(second as u64), Ok(alerts));
        }
        assert!(log.fired_at("A", at(2)) && !log.fired_at("A", at(3)));
        assert_eq!(log.first("A"), Some(at(1)));
        assert_eq!(log.began_after("A", at(1)), Some(at(4)));
        assert_eq!(log.first("B"), None);
        assert!(log.pended_at("A", at(3)) && !log.pended_at("A", at(2)));
        assert_eq!(log.pending_now("A"), None);
    }

    #[test]
    fn silence_is_measured() {
        let mut log = AlertLog::default();
        log.observe(at(1), Ok(Alerts::default()));
        log.observe(at(5), Err("refused".into()));
        log.observe(at(8), Ok(Alerts::default()));
        assert_eq!((log.longest_silence, log.answered, log.failed), (at(7), 2, 1));
    }
}
