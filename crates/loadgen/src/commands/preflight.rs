//! Finds before a run what would only show after it: signals, alerts and queries that can't be.

use crate::{
    scenario::{Assertion, Scenario, SignalAssertion},
    watch::{queries::NoValue, reader::Reader},
};
use anyhow::bail;
use model::ModelCard;
use std::collections::BTreeSet;

/// Finds misspelt signals.
///
/// # Errors
/// Names the first.
pub fn check_signals(scenario: &Scenario, card: &ModelCard) -> anyhow::Result<()> {
    let known: Vec<&str> = card.reference.signals.iter().map(|signal| signal.name.as_str()).collect();
    for expectation in &scenario.expectations {
        if let Assertion::Signal { signal, assertion } = &expectation.assertion
            && signal != "*"
            && !known.contains(&signal.as_str())
        {
            let what =
                if matches!(assertion, SignalAssertion::StaysSteady) { "stays" } else { "drifts_within" };
            bail!(
                "expect.signals ({what}): model {} has no signal {signal:?}; it has {}",
                card.name,
                known.join(", ")
            );
        }
    }
    Ok(())
}

/// Finds misspelt alerts, by the names of those that Prometheus has rules for: one that no rule can raise would stay quiet
/// for ever.
///
/// # Errors
/// Names the first.
pub fn check_alerts(scenario: &Scenario, known: &BTreeSet<String>) -> anyhow::Result<()> {
    for expectation in &scenario.expectations {
        let (alert, field) = match &expectation.assertion {
            Assertion::AlertFires { alert, .. } => (&alert.name, "alerts"),
            Assertion::AlertQuiet { alert } => (&alert.name, "quiet"),
            Assertion::Signal { .. } | Assertion::Vital { .. } | Assertion::Query { .. } => continue,
        };
        if !known.contains(alert) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let list = if known.is_empty() {
                "it has none".to_owned()
            } else {
                format!("it has {}", known.join(", "))
            };
            bail!("expect.{field}: --prometheus has no alerting rule {alert:?}; {list}");
        }
    }
    Ok(())
}

/// Finds queries that Prometheus refuses, or whose value can't be compared with a number.
///
/// # Errors
/// Names the first, in Prometheus' words.
pub async fn check_queries(scenario: &Scenario, reader: &Reader) -> anyhow::Result<()> {
    let queries = scenario.expectations.iter().filter_map(|expectation| match &expectation.assertion {
        Assertion::Query { expr, .. } => Some(expr),
        _ => None,
    });
    for (at, expr) in queries.enumerate() {
        // One that does not answer is reported with the expectation.
        if let Some(Err(NoValue::Refused(words))) = reader.query(expr).await {
            bail!("expect.promql[{at}].expr: {expr:?}: {words}");
        }
    }
    Ok(())
}
