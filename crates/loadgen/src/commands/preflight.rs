//! Checks before a run that a scenario fits the model, and that its signals, alerts and queries exist, so that a misspelt one does
//! not fail the run at its end.

use crate::{
    plan::{Model, arrivals::planned, body::BodyWriter},
    scenario::{Assertion, Executor, Problem, Scenario, Source, TableSource},
    watch::{queries::NoValue, reader::Reader},
};
use driftsim::counted::counted;
use model::ModelCard;
use std::{collections::BTreeSet, path::Path, sync::Arc};

/// The number of draws per row above which there is a warning, because a verdict then depends on a few rows.
const MANY_DRAWS: f64 = 3.0;

/// Reads the model of `--profile`: a profile, a model file, or a card.
///
/// # Errors
/// If the file cannot be read, or has no consistent model.
pub fn read_profile(path: &Path) -> anyhow::Result<Model> {
    let (card, server) = driftsim::model_card::read_card("--profile", path)?;
    Ok(Model { card, server })
}

/// Fits a scenario to a model: its roles, signals, feedback and tables. Paths of tables are relative to the scenario's own `folder`.
/// Returns warnings about the tables and about the form of requests.
///
/// # Errors
/// Names the first part of the scenario that does not fit the model.
pub fn fit(
    scenario: &mut Scenario,
    folder: Option<&Path>,
    model: &Arc<Model>,
) -> anyhow::Result<Vec<String>> {
    let card = &model.card;
    scenario.fit(card)?;
    check_signals(scenario, card)?;
    scenario.check_feedback(card)?;
    let mut notes = scenario.read_tables(folder, card)?;
    notes.extend(few_rows(scenario));
    notes.extend(other_protocols(scenario, model));
    Ok(notes)
}

/// Returns a warning for each payload whose rows are sent by another protocol than the one that the profile was made with.
fn other_protocols(scenario: &Scenario, model: &Arc<Model>) -> Vec<String> {
    let Some(own) = model.server.as_ref().and_then(|server| server.protocol) else { return Vec::new() };
    let mut notes = Vec::new();
    for payload in &scenario.payloads {
        let Some(protocol) = &payload.protocol else { continue };
        if matches!(payload.source, Source::Fixed(_)) || protocol.name() == own.name() {
            continue;
        }
        // The plan reports a row that cannot be written.
        let Ok(writer) = BodyWriter::new(protocol, model) else { continue };
        notes.push(format!(
            "payloads.{}: the profile was made with protocol {}, but this payload is sent by protocol {}, as {}, which the server may \
             refuse; set `protocol: {}` (or `loadgen --protocol {}`), or make the profile again with `inference profile --protocol {}`",
            payload.name,
            own.name(),
            protocol.name(),
            writer.described(),
            own.name(),
            own.name(),
            protocol.name(),
        ));
    }
    notes
}

/// Returns a warning for each table that has few rows for the number of requests that open-loop phases draw from it.
fn few_rows(scenario: &Scenario) -> Vec<String> {
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
                "{}: payload {} draws about {draws:.0} requests from {}, so a signal may drift only because {} often; give a table \
                with more rows",
                rows.place,
                payload.name,
                counted(rows.rows() as u64, "row", "rows"),
                if rows.rows() == 1 { "that row repeats" } else { "those rows repeat" },
            ));
        }
    }
    notes
}

/// Checks that the model has every signal of the expectations.
///
/// # Errors
/// Names the first signal that it lacks.
fn check_signals(scenario: &Scenario, card: &ModelCard) -> anyhow::Result<()> {
    let known: Vec<&str> = card.reference.signals.iter().map(|signal| signal.name.as_str()).collect();
    for expectation in scenario.expectations.iter().filter(|own| own.inapplicable.is_none()) {
        if let Assertion::Signal { signal, .. } = &expectation.assertion
            && signal != "*"
            && !known.contains(&signal.as_str())
        {
            let problem =
                format!("model {} has no signal {signal:?}; it has {}", card.name, known.join(", "));
            return Err(Problem::new(format!("{}.signal", expectation.path), problem).into());
        }
    }
    Ok(())
}

/// Checks that Prometheus has a rule for every alert of the expectations. Without a rule, an alert would always stay quiet.
///
/// # Errors
/// Names the first alert that has no rule.
pub fn check_alerts(scenario: &Scenario, known: &BTreeSet<String>) -> anyhow::Result<()> {
    for expectation in &scenario.expectations {
        let (alert, path) = match &expectation.assertion {
            Assertion::AlertFires { alert, .. } => (&alert.name, format!("{}.alert", expectation.path)),
            Assertion::AlertQuiet { alert } => (&alert.name, expectation.path.clone()),
            Assertion::Signal { .. } | Assertion::Vital { .. } | Assertion::Query { .. } => continue,
        };
        if !known.contains(alert) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let list = if known.is_empty() {
                "it has none".to_owned()
            } else {
                format!("it has {}", known.join(", "))
            };
            let problem = format!("the server of --prometheus has no alerting rule {alert:?}; {list}");
            return Err(Problem::new(path, problem).into());
        }
    }
    Ok(())
}

/// Checks that Prometheus accepts every query of the expectations, and that its values can be compared with a number.
///
/// # Errors
/// Names the first query that fails, with the error message of Prometheus.
pub async fn check_queries(scenario: &Scenario, reader: &Reader) -> anyhow::Result<()> {
    let queries = scenario.expectations.iter().filter_map(|expectation| match &expectation.assertion {
        Assertion::Query { expr, .. } => Some((&expectation.path, expr)),
        _ => None,
    });
    for (path, expr) in queries {
        // A server that does not answer is reported in the outcome of the expectation.
        if let Some(Err(NoValue::Refused(words))) = reader.query(expr).await {
            return Err(Problem::new(format!("{path}.expr"), format!("{expr:?}: {words}")).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_states_how_few_rows_a_table_has() {
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
            one.contains("draws about 10 requests from 1 row, so a signal may drift only because that row repeats often"),
            "{one}"
        );
        let three = notes(3).concat();
        assert!(
            three.contains("from 3 rows, so a signal may drift only because those rows repeat often"),
            "{three}"
        );
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
    fn a_signal_that_does_not_apply_to_the_model_is_not_reported_as_misspelt() {
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
