//! Fits a scenario to a model: replaces roles such as `most_important_feature` by the signals that they stand for, and finds the
//! expectations that do not apply to the model. A scenario that needs no model is not fitted to one.

use super::{AlertPattern, Assertion, Expectation, Problem, Scenario, Source, Vital};
use driftsim::roles;
use model::ModelCard;

impl Scenario {
    /// Returns the first part of the scenario that needs a model: a payload whose bodies are not fixed, or an expectation that has a
    /// role or depends on the model's classes.
    pub fn needs_model(&self) -> Option<String> {
        let sends_rows = |source: &Source| !matches!(source, Source::Fixed(_));
        let payload = self.payloads.iter().find(|payload| sends_rows(&payload.source));
        if let Some(payload) = payload {
            return Some(format!("the source of payload {}", payload.name));
        }
        self.expectations.iter().find_map(|expectation| {
            if expectation.if_class_share_below.is_some() {
                return Some("if_class_share_below in an expectation".to_owned());
            }
            Some(format!("{} in an expectation", role(expectation)?))
        })
    }

    /// Replaces every role in the expectations by the signal of the feature that it stands for.
    ///
    /// # Errors
    /// If no feature of the model has a role; the error names the first one.
    pub fn fit(&mut self, card: &ModelCard) -> Result<(), Problem> {
        let predicted = card.reference.by_role().prediction;
        let share = predicted.counts.iter().copied().max().unwrap_or_default() as f64 / predicted.rows as f64;
        for expectation in &mut self.expectations {
            expectation.inapplicable = missing_output(&expectation.assertion, card);
            if expectation.inapplicable.is_some() {
                continue;
            }
            let path = &expectation.path;
            let at = |field: &str| {
                let path = format!("{path}.{field}");
                move |problem: String| Problem { path, problem }
            };
            match &mut expectation.assertion {
                Assertion::Signal { signal, .. } => {
                    *signal = signal_of(signal, card).map_err(at("signal"))?
                }
                Assertion::AlertFires { alert, .. } | Assertion::AlertQuiet { alert } => {
                    fit_alert(alert, card).map_err(at("labels.signal"))?
                }
                Assertion::Query { expr, .. } => *expr = fit_query(expr, card).map_err(at("expr"))?,
                Assertion::Vital { .. } => {}
            }
            if let Some(limit) = expectation.if_class_share_below
                && share >= limit
            {
                let one = if card.predicts_number() { "numbers of one bin" } else { "one class" };
                expectation.inapplicable = Some(format!(
                    "the model predicts {one} for {:.0} % of its reference, so its predictions can hardly drift",
                    100.0 * share
                ));
            }
        }
        Ok(())
    }
}

/// Returns the role that an expectation has, if it has one. Without a model, it is not known whether a feature has that name.
fn role(expectation: &Expectation) -> Option<&'static str> {
    let has = |role: &str| match &expectation.assertion {
        Assertion::Signal { signal, .. } => signal == role,
        Assertion::AlertFires { alert, .. } | Assertion::AlertQuiet { alert } => {
            alert.labels.get("signal").is_some_and(|signal| signal == role)
        }
        Assertion::Query { expr, .. } => {
            ['"', '\''].iter().any(|quote| expr.contains(&format!("{quote}{role}{quote}")))
        }
        Assertion::Vital { .. } => false,
    };
    roles::ROLES.iter().map(|(role, _)| *role).find(|role| has(role))
}

/// Returns why an expectation does not apply to the model, if the model does not have the output that it is about.
fn missing_output(assertion: &Assertion, card: &ModelCard) -> Option<String> {
    // The name is not that of a feature's signal.
    let without = |signal: &str| signal == "confidence" && card.reference.confidence.is_none();
    let confidence = match assertion {
        Assertion::Vital { vital: Vital::ClassShare, .. } if card.predicts_number() => {
            return Some("the model predicts a number, so there are no shares of classes".to_owned());
        }
        Assertion::Signal { signal, .. } => without(signal),
        Assertion::AlertFires { alert, .. } | Assertion::AlertQuiet { alert } => {
            alert.labels.get("signal").is_some_and(|signal| without(signal))
        }
        Assertion::Query { .. } | Assertion::Vital { .. } => false,
    };
    confidence.then(|| "the model gives no probabilities, so it has no signal confidence".to_owned())
}

/// Returns a text with the signals that the roles stand for.
pub fn described(card: &ModelCard) -> Vec<(&'static str, String)> {
    let described = roles::ROLES.iter().map(|(role, _)| {
        let found = roles::feature(role, card).ok().flatten();
        (*role, found.map_or("none".to_owned(), |at| card.features[at].name.clone()))
    });
    described.collect()
}

/// Returns the name of the signal that a name or a role stands for.
fn signal_of(name: &str, card: &ModelCard) -> Result<String, String> {
    let signals = &card.reference.signals;
    if signals.iter().any(|signal| signal.name == name) {
        return Ok(name.to_owned());
    }
    let found = roles::feature(name, card).map_err(|problem| format!("model {}: {problem}", card.name))?;
    Ok(found.map_or_else(|| name.to_owned(), |at| signals[at].name.clone()))
}

fn fit_alert(alert: &mut AlertPattern, card: &ModelCard) -> Result<(), String> {
    if let Some(signal) = alert.labels.get_mut("signal") {
        *signal = signal_of(signal, card)?;
    }
    Ok(())
}

/// Replaces each role in quotes in a query.
fn fit_query(expr: &str, card: &ModelCard) -> Result<String, String> {
    let mut fitted = expr.to_owned();
    for (role, _) in roles::ROLES {
        for quote in ['"', '\''] {
            let quoted = format!("{quote}{role}{quote}");
            if fitted.contains(&quoted) {
                let signal =
                    signal_of(role, card)?.replace('\\', "\\\\").replace(quote, &format!("\\{quote}"));
                fitted = fitted.replace(&quoted, &format!("{quote}{signal}{quote}"));
            }
        }
    }
    Ok(fitted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iris() -> ModelCard {
        model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card
    }

    fn fitted(expect: &str, card: &ModelCard) -> Result<Scenario, Problem> {
        let text = format!(
            "name: x\npayloads: {{ a: {{ weight: 1, source: {{ model: {{}} }} }} }}\n\
             phases: [ {{ name: p, executor: constant-arrival-rate, rate: 1, duration: 1s }} ]\nexpect: {{ {expect} }}"
        );
        let mut scenario = Scenario::parse(&text, "x").unwrap();
        scenario.fit(card).map(|()| scenario)
    }

    #[test]
    fn roles_are_replaced_by_signals_of_the_model() {
        let card = iris();
        let name = &card.features[roles::feature("most_important_feature", &card).unwrap().unwrap()].name;
        let scenario = fitted(
            "signals: [ { signal: most_important_feature, phase: p, drifts_within: 1s } ], \
             alerts: [ { alert: A, labels: { signal: a_numeric_feature }, phase: p, fires_within: 1s } ], \
             promql: [ { expr: 'x{signal=\"most_important_feature\"}', phase: p, stays: '< 1' } ]",
            &card,
        )
        .unwrap();
        let text = format!("{:?}", scenario.expectations);
        assert!(!text.contains("most_important_feature") && !text.contains("a_numeric_feature"), "{text}");
        assert_eq!(text.matches(name.as_str()).count(), 3, "{text}");
    }

    #[test]
    fn only_rows_roles_and_shares_of_classes_need_a_model() {
        let needs = |source: &str, expect: &str| {
            let text = format!(
                "name: x\npayloads: {{ a: {{ source: {{ {source} }} }} }}\n\
                 phases: [ {{ name: p, executor: constant-arrival-rate, rate: 1, duration: 1s }} ]\nexpect: {{ {expect} }}"
            );
            Scenario::parse(&text, "x").unwrap().needs_model().unwrap_or_default()
        };
        let fixed = "fixed: { body: '{}' }";
        for expect in [
            "signals: [ { signal: age, phase: p, stays: steady }, { signal: '*', phase: p, drifts_within: 1s } ]",
            "vitals: [ { vital: class_share, phase: p, exceeds: 0.5 } ], quiet: [A]",
            "promql: [ { expr: 'x{signal=\"age\"}', phase: p, stays: '< 1' } ]",
        ] {
            assert_eq!(needs(fixed, expect), "", "{expect}");
        }
        let role = "most_important_feature in an expectation";
        assert_eq!(
            needs(fixed, "signals: [ { signal: most_important_feature, phase: p, stays: steady } ]"),
            role
        );
        assert_eq!(needs(fixed, "quiet: [ { alert: A, labels: { signal: most_important_feature } } ]"), role);
        let query = "promql: [ { expr: 'x{signal=\"most_important_feature\"}', phase: p, stays: '< 1' } ]";
        assert_eq!(needs(fixed, query), role);
        let share = "vitals: [ { vital: class_share, phase: p, exceeds: 0.5, if_class_share_below: 0.9 } ]";
        assert_eq!(needs(fixed, share), "if_class_share_below in an expectation");
        for source in ["model: {}", "malformed: {}", "table: t.csv", "drift: { preset: giant }"] {
            assert_eq!(needs(source, ""), "the source of payload a", "{source}");
        }
    }

    #[test]
    fn a_role_that_no_feature_has_is_an_error() {
        let error =
            fitted("signals: [ { signal: a_categorical_feature, phase: p, stays: steady } ]", &iris());
        assert_eq!(
            error.unwrap_err().to_string(),
            "expect.signals[0].signal: model iris: a_categorical_feature: the model has no feature of this kind; give the name of another feature"
        );
    }

    #[test]
    fn a_role_is_replaced_by_the_signal_of_a_feature_with_the_name_of_an_output() {
        let mut card = iris();
        card.reference.signals[0].name = "feature_distance".into();
        card.features[0].name = "distance".into();
        card.features.iter_mut().for_each(|feature| feature.importance = 0.0);
        card.features[0].importance = 1.0;
        let scenario =
            fitted("signals: [ { signal: most_important_feature, phase: p, stays: steady } ]", &card)
                .unwrap();
        assert!(format!("{:?}", scenario.expectations).contains("feature_distance"));
    }

    /// Returns a card of a model that predicts a number.
    fn regression() -> ModelCard {
        let mut card = without_confidence();
        card.classes.clear();
        card
    }

    /// Returns a card of a model that gives no probabilities.
    fn without_confidence() -> ModelCard {
        let mut card = iris();
        card.reference.confidence = None;
        card.reference.signals.retain(|signal| signal.name != "confidence");
        card
    }

    #[test]
    fn expectations_about_outputs_that_the_model_lacks_do_not_apply() {
        let inapplicable = |expect: &str, card: &ModelCard| {
            fitted(expect, card).unwrap().expectations[0].inapplicable.clone().unwrap_or_default()
        };
        let share = "vitals: [ { vital: class_share, phase: p, exceeds: 0.5, if_class_share_below: 0.9 } ]";
        assert_eq!(
            inapplicable(share, &regression()),
            "the model predicts a number, so there are no shares of classes"
        );
        assert_eq!(inapplicable(share, &without_confidence()), "");
        for expect in [
            "signals: [ { signal: confidence, phase: p, stays: steady } ]",
            "signals: [ { signal: confidence, phase: p, drifts_within: 1s } ]",
            "alerts: [ { alert: A, labels: { signal: confidence }, phase: p, fires_within: 1s } ]",
            "quiet: [ { alert: A, labels: { signal: confidence } } ]",
        ] {
            for card in [regression(), without_confidence()] {
                let reason = inapplicable(expect, &card);
                assert_eq!(reason, "the model gives no probabilities, so it has no signal confidence");
            }
            assert_eq!(inapplicable(expect, &iris()), "");
        }
        // The signal of a feature called `confidence` is `feature_confidence`, so the model has no signal `confidence` either.
        let mut card = without_confidence();
        card.features[0].name = "confidence".into();
        card.reference.signals[0].name = "feature_confidence".into();
        let expect = "signals: [ { signal: confidence, phase: p, stays: steady } ]";
        assert!(inapplicable(expect, &card).starts_with("the model gives no probabilities"));
    }

    #[test]
    fn drift_is_not_expected_of_predicted_numbers_mostly_in_one_bin() {
        let mut card = regression();
        let expect =
            "signals: [ { signal: prediction, phase: p, drifts_within: 1s, if_class_share_below: 0.7 } ]";
        assert_eq!(fitted(expect, &card).unwrap().expectations[0].inapplicable, None);
        card.reference.signals[4].counts = vec![130, 10, 7];
        let reason = fitted(expect, &card).unwrap().expectations[0].inapplicable.clone().unwrap();
        assert!(reason.starts_with("the model predicts numbers of one bin for 88 %"), "{reason}");
    }
}
