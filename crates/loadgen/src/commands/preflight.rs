//! Finds before a run what would only show after it: signals, alerts and queries that can't be.

use crate::{
    plan::arrivals::planned,
    scenario::{Assertion, Executor, Scenario, SignalAssertion, Source, TableSource},
    watch::{queries::NoValue, reader::Reader},
};
use anyhow::bail;
use driftsim::counted::counted;
use model::ModelCard;
use std::collections::BTreeSet;

/// From so many draws per row on, a verdict on the requests is a verdict on those few rows.
const MANY_DRAWS: f64 = 3.0;

/// Says which tables have few rows for the number of requests that open phases draw from them.
pub fn few_rows(scenario: &Scenario) -> Vec<String> {
    let mut notes = Vec::new();
    for (at, payload) in scenario.payloads.iter().enumerate() {
        let Source::Table(TableSource { rows: Some(rows), .. }) = &payload.source else { continue };
        let draws = scenario.phases.iter().map(|phase| match &phase.executor {
            Executor::Open { ramps, .. } => {
                let all: f64 = phase.mix.iter().map(|&weight| f64::from(weight)).sum();
                planned(ramps) as f64 * f64::from(phase.mix[at]) / all
            }
            Executor::Closed { .. } => 0.0,
        });
        let draws: f64 = draws.sum();
        if draws > MANY_DRAWS * rows.rows() as f64 {
            notes.push(format!(
                "{}: payload {} draws about {draws:.0} times from {}: a signal that drifts is a verdict on {}, not on the \
                 traffic that the table stands for",
                rows.place,
                payload.name,
                counted(rows.rows() as u64, "row", "rows"),
                if rows.rows() == 1 { "that row" } else { "those rows" },
            ));
        }
    }
    notes
}

/// Finds misspelt signals.
///
/// # Errors
/// Names the first.
pub fn check_signals(scenario: &Scenario, card: &ModelCard) -> anyhow::Result<()> {
    let known: Vec<&str> = card.reference.signals.iter().map(|signal| signal.name.as_str()).collect();
    for expectation in scenario.expectations.iter().filter(|own| own.inapplicable.is_none()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_few_rows_are_named_with_their_number_of_rows() {
        let card = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card;
        let notes = |rows: usize| {
            let folder = tempfile::tempdir().unwrap();
            let header = "sepal_length,sepal_width,petal_length,petal_width,species\n";
            let text = format!("{header}{}", "5.1,3.5,1.4,0.2,setosa\n".repeat(rows));
            std::fs::write(folder.path().join("rows.csv"), text).unwrap();
            let yaml = "name: x\npayloads: { p: { source: { table: rows.csv } } }\n\
                        phases: [ { name: a, executor: constant-arrival-rate, rate: 10, duration: 1s } ]\n";
            let mut scenario = Scenario::parse(yaml, "x").unwrap();
            scenario.read_tables(Some(folder.path()), &card).unwrap();
            few_rows(&scenario)
        };
        let one = notes(1).concat();
        assert!(
            one.contains("draws about 10 times from 1 row: a signal that drifts is a verdict on that row"),
            "{one}"
        );
        let three = notes(3).concat();
        assert!(three.contains("from 3 rows: a signal that drifts is a verdict on those rows"), "{three}");
        assert!(notes(4).is_empty());
    }

    fn iris() -> ModelCard {
        model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card
    }

    fn scenario(payload: &str, expect: &str) -> Scenario {
        let text = format!(
            "name: x\npayloads: {{ calm: {{ source: {{ model: {{}} }} }}, a: {payload} }}\n\
             phases: [ {{ name: p, executor: constant-vus, vus: 2, duration: 1s }} ]\nexpect: {{ {expect} }}"
        );
        Scenario::parse(&text, "x").unwrap()
    }

    #[test]
    fn a_signal_that_the_model_cannot_have_is_not_a_misspelt_one() {
        let mut card = iris();
        card.reference.confidence = None;
        card.reference.signals.retain(|signal| signal.name != "confidence");
        let fitted = |signal: &str| {
            let expect = format!("signals: [ {{ signal: {signal}, phase: p, stays: steady }} ]");
            let mut scenario = scenario("{ source: { model: {} } }", &expect);
            scenario.fit(&card).unwrap();
            check_signals(&scenario, &card)
        };
        assert!(fitted("confidence").is_ok());
        assert!(fitted("confidnce").is_err());
    }
}
