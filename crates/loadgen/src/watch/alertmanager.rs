//! Checks that alerts reach the Alertmanagers that Prometheus sends them to.

use super::{
    alerts::Labels,
    answer::parse,
    instances::{AT_ONCE, LONGEST_LAPSE},
};
use crate::scenario::AlertPattern;
use serde::Deserialize;
use std::time::Duration;

/// An alert that an Alertmanager has.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Its labels, including those that Prometheus adds when it sends the alert.
    pub labels: Labels,
    /// When Prometheus last sent it, as Alertmanager writes it.
    pub updated: String,
    /// Why Alertmanager sends no notification; `None` if it sends one.
    pub suppressed: Option<String>,
}

/// The answers of all Alertmanagers in one round of queries.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    /// The number of Alertmanagers that Prometheus sends to; `None` if Prometheus did not answer.
    pub known: Option<usize>,
    /// The alerts of the Alertmanagers that answered; `None` if none did.
    pub held: Option<Vec<Held>>,
    /// The error of one that did not answer, or of Prometheus.
    pub error: Option<String>,
}

/// How many rounds of queries to Alertmanagers were answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reach {
    /// Whether Prometheus ever listed an Alertmanager.
    pub known: bool,
    /// The number of rounds.
    pub rounds: u64,
    /// Rounds in which Prometheus listed its Alertmanagers.
    pub listed: u64,
    /// Rounds in which an Alertmanager answered.
    pub answered: u64,
    /// Rounds in which an Alertmanager did not answer.
    pub failed: u64,
    /// The last error.
    pub last_error: Option<String>,
}

impl Reach {
    /// Counts one round.
    pub fn observe(&mut self, asked: &Asked) {
        self.rounds += 1;
        self.known |= asked.known.is_some_and(|known| known > 0);
        self.listed += u64::from(asked.known.is_some());
        self.answered += u64::from(asked.held.is_some());
        self.failed += u64::from(asked.error.is_some());
        if let Some(error) = &asked.error {
            self.last_error = Some(error.clone());
        }
    }
}

/// The delivery of an expected alert.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delivery {
    /// When an Alertmanager was first observed to have the alert and to send notifications about it.
    pub arrived: Option<Duration>,
    /// When an Alertmanager was first observed to have the alert without sending a notification, and why it sent none.
    pub suppressed: Option<(Duration, String)>,
    /// When an Alertmanager last answered that it does not have the alert, before it arrived or while it fired.
    pub last_without: Option<Duration>,
    /// When an Alertmanager was first observed to have an alert that may be of an earlier firing, because none answered when the
    /// phase began.
    pub unclear: Option<Duration>,
    /// The alerts of earlier firings, which an Alertmanager had before the phase or when it began, by the time at which they were
    /// sent.
    before: Option<(Duration, Vec<String>)>,
}

impl Delivery {
    /// Takes the alerts that the Alertmanagers have at `at`. The phase began at `from`; `fired` is the time at which the alert
    /// fired, if it did, and `gone` states whether it has resolved.
    pub fn observe(
        &mut self,
        at: Duration,
        held: &[Held],
        pattern: &AlertPattern,
        from: Duration,
        fired: Option<Duration>,
        gone: bool,
    ) {
        let mut held = held.iter().filter(|held| pattern.matches(&held.labels));
        if at <= from + AT_ONCE {
            self.before = Some((at, held.map(|held| held.updated.clone()).collect()));
            return;
        }
        if self.arrived.is_some() {
            return;
        }
        let without = self.last_without;
        // An Alertmanager does not list resolved alerts.
        if !gone {
            self.last_without = Some(at);
        }
        if fired.is_none_or(|fired| at < fired) {
            return;
        }
        let Some((_, leftover)) = self.before.as_ref().filter(|(at, _)| *at + LONGEST_LAPSE >= from) else {
            if held.next().is_some() {
                self.unclear.get_or_insert(at);
            }
            return;
        };
        for held in held.filter(|held| !leftover.contains(&held.updated)) {
            match &held.suppressed {
                None => (self.arrived, self.last_without) = (Some(at), without),
                Some(why) => drop(self.suppressed.get_or_insert((at, why.clone()))),
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Active {
    active_alertmanagers: Vec<Address>,
}

#[derive(Deserialize)]
struct Address {
    url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: Labels,
    updated_at: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    state: String,
    #[serde(default)]
    silenced_by: Vec<String>,
    #[serde(default)]
    inhibited_by: Vec<String>,
}

/// Returns the addresses of the Alertmanagers, from an answer of Prometheus' `/api/v1/alertmanagers`.
///
/// # Errors
/// If the response is not of this kind.
pub fn addresses(json: &[u8]) -> Result<Vec<String>, String> {
    let active: Active = parse(json)?;
    Ok(active.active_alertmanagers.into_iter().map(|address| address.url).collect())
}

/// Returns the alerts in an answer of Alertmanager's `/api/v2/alerts`.
///
/// # Errors
/// If the response is not of this kind.
pub fn held(json: &[u8]) -> Result<Vec<Held>, String> {
    let alerts: Vec<Alert> = serde_json::from_slice(json)
        .map_err(|error| format!("its answer is not that of an Alertmanager: {error}"))?;
    let held = alerts.into_iter().map(|alert| {
        let Status { state, silenced_by, inhibited_by } = alert.status;
        let suppressed =
            (state == "suppressed").then(|| match (silenced_by.first(), inhibited_by.is_empty()) {
                (Some(silence), _) => format!("silenced there (by {silence})"),
                (None, false) => "inhibited there by another alert".to_owned(),
                (None, true) => "suppressed there".to_owned(),
            });
        Held { labels: alert.labels, updated: alert.updated_at, suppressed }
    });
    Ok(held.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Job;

    // Recorded answers of Alertmanager 0.25.
    const HELD: &str = r#"[{"annotations":{},"endsAt":"2026-11-24T17:16:00Z","fingerprint":"1","receivers":[{"name":"w"}],
        "startsAt":"2026-11-24T17:12:00Z","status":{"inhibitedBy":[],"silencedBy":[],"state":"active"},
        "updatedAt":"T1","generatorURL":"http://x","labels":{"alertname":"A","x":"1"}},
        {"annotations":{},"endsAt":"2026-11-24T17:16:00Z","fingerprint":"2","receivers":[{"name":"w"}],
        "startsAt":"2026-11-24T17:12:00Z","status":{"inhibitedBy":[],"silencedBy":["id"],"state":"suppressed"},
        "updatedAt":"T2","labels":{"alertname":"A","x":"2"}}]"#;

    fn pattern(x: &str) -> AlertPattern {
        AlertPattern::new("A".into(), [("x".to_owned(), x.to_owned())].into(), Job::Target)
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn addresses_and_alerts_are_read() {
        let json = br#"{"status":"success","data":{"activeAlertmanagers":[{"url":"http://a:9093/x/api/v2/alerts"}],"droppedAlertmanagers":[]}}"#;
        assert_eq!(addresses(json), Ok(vec!["http://a:9093/x/api/v2/alerts".to_owned()]));
        let held = held(HELD.as_bytes()).unwrap();
        assert_eq!(held[0].suppressed, None);
        assert_eq!(held[1].suppressed.as_deref(), Some("silenced there (by id)"));
        assert!(super::held(b"{}").unwrap_err().contains("not that of an Alertmanager"));
    }

    #[test]
    fn an_alert_of_an_earlier_firing_counts_as_delivered_once_it_is_updated() {
        let mut held = held(HELD.as_bytes()).unwrap();
        let mut delivery = Delivery::default();
        delivery.observe(at(9), &held, &pattern("1"), at(10), None, false);
        delivery.observe(at(20), &held, &pattern("1"), at(10), Some(at(20)), false);
        assert_eq!((delivery.arrived, delivery.last_without), (None, Some(at(20))));
        held[0].updated = "T3".into();
        delivery.observe(at(21), &held, &pattern("1"), at(10), Some(at(20)), false);
        delivery.observe(at(22), &[], &pattern("1"), at(10), Some(at(20)), false);
        assert_eq!((delivery.arrived, delivery.last_without), (Some(at(21)), Some(at(20))));
    }

    #[test]
    fn an_alert_that_may_be_of_an_earlier_firing_does_not_count_as_delivered() {
        let held = held(HELD.as_bytes()).unwrap();
        let mut delivery = Delivery::default();
        delivery.observe(at(6), &[], &pattern("1"), at(10), None, false);
        delivery.observe(at(21), &held, &pattern("1"), at(10), Some(at(20)), false);
        delivery.observe(at(22), &held, &pattern("1"), at(10), Some(at(20)), false);
        assert_eq!((delivery.arrived, delivery.unclear), (None, Some(at(21))));
    }

    #[test]
    fn a_silenced_alert_does_not_count_as_delivered() {
        let held = held(HELD.as_bytes()).unwrap();
        let mut delivery = Delivery::default();
        delivery.observe(at(10), &[], &pattern("2"), at(10), None, false);
        delivery.observe(at(21), &held, &pattern("2"), at(10), Some(at(20)), false);
        assert_eq!(delivery.arrived, None);
        assert_eq!(delivery.suppressed, Some((at(21), "silenced there (by id)".to_owned())));
    }
}
