//! When which Prometheus alert fired.

use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What `GET /api/v1/alerts` said, poll by poll. Times are counted from the run's start.
#[derive(Debug, Default)]
pub struct AlertLog {
    episodes: BTreeMap<String, Vec<Episode>>,
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
    /// Takes the names of the alerts firing at `at`, or why there is no answer.
    pub fn observe(&mut self, at: Duration, firing: Result<BTreeSet<String>, String>) {
        let silence = at.saturating_sub(self.last_answer.unwrap_or_default());
        self.longest_silence = self.longest_silence.max(silence);
        let firing = match firing {
            Ok(firing) => firing,
            Err(error) => {
                self.failed += 1;
                self.last_error = Some(error);
                return;
            }
        };
        for alert in firing {
            let episodes = self.episodes.entry(alert).or_default();
            match episodes.last_mut() {
                Some(episode) if Some(episode.last) == self.last_answer => episode.last = at,
                _ => episodes.push(Episode { first: at, last: at }),
            }
        }
        self.answered += 1;
        self.last_answer = Some(at);
    }

    /// Whether `alert` was firing at `at`.
    pub fn fired_at(&self, alert: &str, at: Duration) -> bool {
        self.episodes(alert).any(|episode| episode.first <= at && at <= episode.last)
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
struct Answer {
    data: Data,
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

/// The names of the firing alerts in an answer of Prometheus' `/api/v1/alerts`.
///
/// # Errors
/// In words, when it is no such answer.
pub fn firing(json: &[u8]) -> Result<BTreeSet<String>, String> {
    let answer: Answer = serde_json::from_slice(json)
        .map_err(|error| format!("its answer is not that of a Prometheus server: {error}"))?;
    let firing = answer.data.alerts.into_iter().filter(|alert| alert.state == "firing");
    Ok(firing.filter_map(|mut alert| alert.labels.remove("alertname")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn reads_firing_but_not_pending() {
        // The shape of https://prometheus.io/docs/prometheus/latest/querying/api/#alerts
        let json = br#"{"status":"success","data":{"alerts":[
            {"activeAt":"2018-07-04T20:27:12.6Z","annotations":{},"labels":{"alertname":"A"},"state":"firing","value":"1e+00"},
            {"labels":{"alertname":"B"},"state":"pending"}]}}"#;
        assert_eq!(firing(json), Ok(["A".to_owned()].into()));
        assert!(firing(b"<html>").unwrap_err().contains("not that of a Prometheus"));
    }

    #[test]
    fn episodes_begin_and_end() {
        let mut log = AlertLog::default();
        let states = [false, true, true, false, true];
        for (second, firing) in states.into_iter().enumerate() {
            let names = if firing { ["A".to_owned()].into() } else { BTreeSet::new() };
            log.observe(at(second as u64), Ok(names));
        }
        assert!(log.fired_at("A", at(2)) && !log.fired_at("A", at(3)));
        assert_eq!(log.first("A"), Some(at(1)));
        assert_eq!(log.began_after("A", at(1)), Some(at(4)));
        assert_eq!(log.first("B"), None);
    }

    #[test]
    fn silence_is_measured() {
        let mut log = AlertLog::default();
        log.observe(at(1), Ok(BTreeSet::new()));
        log.observe(at(5), Err("refused".into()));
        log.observe(at(8), Ok(BTreeSet::new()));
        assert_eq!((log.longest_silence, log.answered, log.failed), (at(7), 2, 1));
    }
}
