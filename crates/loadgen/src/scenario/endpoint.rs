//! Replaces `prediction_endpoint` in queries by the route of the scenario's predictions, because each protocol has its own.

use super::{Assertion, Payload, Problem, Protocol, Scenario};
use std::collections::BTreeSet;

/// The name that stands, in quotes in a query, for the label `endpoint` of the service's metrics about predictions.
pub const PREDICTION_ENDPOINT: &str = "prediction_endpoint";

/// The ways to write the name in a query.
const QUOTED: [&str; 2] = ["\"prediction_endpoint\"", "'prediction_endpoint'"];

impl Scenario {
    /// Replaces `prediction_endpoint` in all queries. Must be called after the protocol of the payloads was set. Returns the route, if
    /// a query named it.
    ///
    /// # Errors
    /// If a query names it and the payloads ask for predictions at no route or at several ones.
    pub fn name_endpoint(&mut self) -> Result<Option<&'static str>, Problem> {
        let names = |expr: &String| QUOTED.iter().any(|quoted| expr.contains(quoted));
        let mut queries: Vec<(&str, &mut String)> = self
            .expectations
            .iter_mut()
            .filter_map(|expectation| match &mut expectation.assertion {
                Assertion::Query { expr, .. } if names(expr) => Some((expectation.path.as_str(), expr)),
                _ => None,
            })
            .collect();
        let Some((first, _)) = queries.first() else { return Ok(None) };
        let routes: BTreeSet<&'static str> = self.payloads.iter().filter_map(route).collect();
        let refused = |problem| Err(Problem::new(format!("{first}.expr"), problem));
        let route = match Vec::from_iter(routes)[..] {
            [route] => route,
            [] => {
                return refused(format!(
                    "{PREDICTION_ENDPOINT} stands for the route of predictions, but no payload asks for any; write the value of the label endpoint"
                ));
            }
            ref several => {
                return refused(format!(
                    "{PREDICTION_ENDPOINT} stands for one route, but the payloads ask for predictions at {}; write the value of the label endpoint",
                    several.join(" and ")
                ));
            }
        };
        for (_, expr) in &mut queries {
            for quoted in QUOTED {
                **expr = expr.replace(quoted, &quoted.replace(PREDICTION_ENDPOINT, route));
            }
        }
        Ok(Some(route))
    }
}

/// Returns the pattern of the route that a payload asks for predictions at, if it does. `inference watch` names the usual route of the
/// protocol for other paths.
fn route(payload: &Payload) -> Option<&'static str> {
    let path = payload.path.split('?').next().unwrap_or_default();
    Some(match payload.protocol.as_ref()? {
        Protocol::Native => "/predict",
        Protocol::OipV2(_) if path.contains("/versions/") => "/v2/models/{model}/versions/{version}/infer",
        Protocol::OipV2(_) => "/v2/models/{model}/infer",
        Protocol::V1 => "/v1/models/{model}:predict",
        Protocol::Mlflow => "/invocations",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(payloads: &str, expr: &str) -> Result<String, String> {
        let text = format!(
            "name: x\npayloads: {{ {payloads} }}\n\
             phases: [ {{ name: p, executor: constant-arrival-rate, rate: 1, duration: 1s }} ]\n\
             expect: {{ promql: [ {{ expr: up, phase: p, stays: '> 0' }}, {{ expr: {expr:?}, phase: p, stays: '> 0' }} ] }}"
        );
        let mut scenario = Scenario::parse(&text, "x").unwrap();
        scenario.name_endpoint().map_err(|problem| problem.to_string())?;
        match &scenario.expectations[1].assertion {
            Assertion::Query { expr, .. } => Ok(expr.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_name_stands_for_the_route_of_the_protocol() {
        for (payload, route) in [
            ("source: { model: {} }", "/predict"),
            ("source: { model: {} }, path: /score, protocol: native", "/predict"),
            ("source: { model: {} }, protocol: v1, model: a", "/v1/models/{model}:predict"),
            ("source: { malformed: {} }, protocol: oip-v2, model: a", "/v2/models/{model}/infer"),
            ("source: { model: {} }, protocol: oip-v2, path: /infer", "/v2/models/{model}/infer"),
            (
                "source: { model: {} }, protocol: oip-v2, path: /v2/models/a/versions/1/infer",
                "/v2/models/{model}/versions/{version}/infer",
            ),
            ("source: { model: {} }, protocol: mlflow", "/invocations"),
        ] {
            let expr = named(&format!("a: {{ {payload} }}"), "x{endpoint=\"prediction_endpoint\"}");
            assert_eq!(expr.unwrap(), format!("x{{endpoint=\"{route}\"}}"), "{payload}");
        }
        let expr =
            named("a: { source: { model: {} } }", "x{endpoint='prediction_endpoint'} + prediction_endpoint");
        assert_eq!(expr.unwrap(), "x{endpoint='/predict'} + prediction_endpoint");
    }

    #[test]
    fn payloads_at_no_route_or_several_are_an_error() {
        let (probe, row) =
            ("a: { method: GET, path: /healthz, source: { fixed: {} } }", "b: { source: { model: {} } }");
        let expr = "x{endpoint='prediction_endpoint'}";
        assert!(named(&format!("{probe}, {row}"), expr).is_ok());
        let none = named(probe, expr).unwrap_err();
        assert!(
            none.starts_with("expect.promql[1].expr: prediction_endpoint") && none.contains("no payload"),
            "{none}"
        );
        let several =
            named(&format!("{row}, c: {{ source: {{ model: {{}} }}, protocol: mlflow }}"), expr).unwrap_err();
        assert!(several.contains("at /invocations and /predict; write"), "{several}");
        assert!(named(probe, "up").is_ok());
    }
}
