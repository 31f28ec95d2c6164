//! Reads the firing and pending alerts of Prometheus, and the names of its alerting rules.

use super::answer::parse;
use crate::scenario::AlertPattern;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The labels that identify an instance of an alert; its name is among them, as `alertname`.
pub type Labels = BTreeMap<String, String>;

/// All firing and pending instances of alerts at a time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alerts {
    /// The firing instances.
    pub firing: BTreeSet<Labels>,
    /// The pending instances, whose condition holds but not yet for long enough.
    pub pending: BTreeSet<Labels>,
}

impl Alerts {
    /// Returns the firing instances that `pattern` selects.
    pub fn firing<'a>(&'a self, pattern: &'a AlertPattern) -> impl Iterator<Item = &'a Labels> {
        self.firing.iter().filter(|labels| pattern.matches(labels))
    }

    /// Returns the pending instances that `pattern` selects.
    pub fn pending<'a>(&'a self, pattern: &'a AlertPattern) -> impl Iterator<Item = &'a Labels> {
        self.pending.iter().filter(|labels| pattern.matches(labels))
    }
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
    labels: Labels,
    state: String,
}

/// Returns the alerts in an answer of Prometheus' `/api/v1/alerts`.
///
/// # Errors
/// If the response is not of this kind.
pub fn alerts(json: &[u8]) -> Result<Alerts, String> {
    let data: Data = parse(json)?;
    let mut alerts = Alerts::default();
    for alert in data.alerts {
        match alert.state.as_str() {
            "firing" => drop(alerts.firing.insert(alert.labels)),
            "pending" => drop(alerts.pending.insert(alert.labels)),
            _ => {}
        }
    }
    Ok(alerts)
}

/// Returns the names of the alerting rules in an answer of Prometheus' `/api/v1/rules`.
///
/// # Errors
/// If the response is not of this kind.
pub fn rules(json: &[u8]) -> Result<BTreeSet<String>, String> {
    let data: Groups = parse(json)?;
    let rules = data.groups.into_iter().flat_map(|group| group.rules);
    Ok(rules.filter(|rule| rule.kind == "alerting").map(|rule| rule.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Job;

    #[test]
    fn firing_and_pending_instances_are_distinguished() {
        // The shape of https://prometheus.io/docs/prometheus/latest/querying/api/#alerts
        let json = br#"{"status":"success","data":{"alerts":[
            {"activeAt":"2018-07-04T20:27:12.6Z","annotations":{},"labels":{"alertname":"A","x":"1"},"state":"firing","value":"1e+00"},
            {"labels":{"alertname":"A","x":"2"},"state":"pending"}]}}"#;
        let alerts = alerts(json).unwrap();
        let pattern = |labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
            AlertPattern::new("A".into(), labels, Job::Target)
        };
        assert_eq!((alerts.firing.len(), alerts.pending.len()), (1, 1));
        assert_eq!(alerts.firing(&pattern(&[])).count(), 1);
        assert_eq!(alerts.firing(&pattern(&[("x", "1")])).count(), 1);
        assert_eq!(alerts.firing(&pattern(&[("x", "2")])).count(), 0);
        assert_eq!(alerts.firing(&pattern(&[("x", "1"), ("y", "1")])).count(), 0);
        assert_eq!(alerts.pending(&pattern(&[("x", "2")])).count(), 1);
        assert!(super::alerts(b"<html>").unwrap_err().contains("not that of a Prometheus"));
    }

    #[test]
    fn the_names_of_alerting_rules_are_read() {
        let json = br#"{"status":"success","data":{"groups":[{"name":"g","rules":[
            {"name":"A","type":"alerting","query":"x","health":"ok"},{"name":"r:x","type":"recording","query":"x"}]}]}}"#;
        assert_eq!(rules(json), Ok(["A".to_owned()].into()));
    }
}
