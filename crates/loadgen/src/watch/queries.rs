//! Stores the results of a PromQL query that is evaluated every second.

use super::{EVERY, answer::parse, instances::AT_ONCE};
use crate::scenario::{Condition, QueryAssertion};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// Why a query has no value.
#[derive(Debug, Clone, PartialEq)]
pub enum NoValue {
    /// Prometheus or this program rejected the query.
    Refused(String),
    /// Prometheus did not answer.
    NoAnswer(String),
}

impl NoValue {
    /// Returns the reason as text.
    pub fn words(&self) -> &str {
        match self {
            Self::Refused(words) | Self::NoAnswer(words) => words,
        }
    }
}

/// The results of a query. Only what the verdict needs is stored, so the memory does not grow with the length of the run.
///
/// Times are counted from the run's start.
#[derive(Debug, Clone)]
pub struct QueryWatch {
    expr: String,
    condition: Condition,
    /// When it is first evaluated, which is the start of the phase.
    pub from: Duration,
    /// When it is last evaluated.
    pub until: Duration,
    /// Whether the condition must become true, rather than stay true.
    becomes: bool,
    /// When the first answer came, if it met the condition.
    met_at_first: Option<Duration>,
    /// The first value that met the condition.
    pub met: Option<(Duration, f64)>,
    /// The first value that did not meet the condition.
    pub broken: Option<(Duration, f64)>,
    /// The first evaluation without a value, or with one that is NaN.
    pub empty: Option<Duration>,
    /// The value nearest to the limit of the condition.
    pub nearest: Option<f64>,
    /// The number of answered evaluations.
    pub answered: u64,
    /// The number of evaluations without an answer.
    pub failed: u64,
    /// The last error.
    pub last_error: Option<String>,
    /// The longest time without an answer between the first and the last evaluation.
    pub longest_gap: Duration,
    last_answer: Option<Duration>,
}

impl QueryWatch {
    /// Creates the results for `assertion` on the query `expr`, in a phase between these two instants.
    pub fn new(expr: &str, assertion: &QueryAssertion, start: Duration, end: Duration) -> Self {
        let (condition, until, becomes) = match assertion {
            QueryAssertion::Becomes { condition, within } => (*condition, start + *within, true),
            QueryAssertion::Stays(condition) => (*condition, end, false),
        };
        Self {
            expr: expr.to_owned(),
            condition,
            from: start,
            until,
            becomes,
            met_at_first: None,
            met: None,
            broken: None,
            empty: None,
            nearest: None,
            answered: 0,
            failed: 0,
            last_error: None,
            longest_gap: Duration::ZERO,
            last_answer: None,
        }
    }

    /// Adds the values of all series at `at`, or the reason why there are none.
    pub fn observe(&mut self, at: Duration, values: Result<Vec<f64>, NoValue>) {
        self.note_gap(at);
        let values = match values {
            Ok(values) => values,
            Err(why) => {
                self.failed += 1;
                self.last_error = Some(why.words().to_owned());
                return;
            }
        };
        let is_first = self.answered == 0;
        self.answered += 1;
        self.last_answer = Some(at);
        if values.is_empty() || values.iter().any(|value| value.is_nan()) {
            self.empty.get_or_insert(at);
        }
        for value in values.into_iter().filter(|value| !value.is_nan()) {
            let distance = |value: f64| (value - self.condition.limit).abs();
            if self.nearest.is_none_or(|nearest| distance(value) < distance(nearest)) {
                self.nearest = Some(value);
            }
            if self.condition.holds(value) {
                self.met.get_or_insert((at, value));
                self.met_at_first = self.met_at_first.or(is_first.then_some(at));
            } else {
                self.broken.get_or_insert((at, value));
            }
        }
    }

    /// Returns whether the condition held when the phase began. `None` means that this is not known, because the first answer was
    /// too late and met the condition.
    pub fn held_at_start(&self) -> Option<bool> {
        match self.met_at_first {
            // A query without an answer is repeated after a second.
            Some(at) if at > self.from + EVERY + AT_ONCE => None,
            met => Some(met.is_some()),
        }
    }

    /// Stores the time since the last answer, as far as it is between the first and the last evaluation.
    pub fn note_gap(&mut self, at: Duration) {
        let since = self.last_answer.unwrap_or(self.from);
        self.longest_gap = self.longest_gap.max(at.min(self.until).saturating_sub(since));
    }

    /// Returns which event the run still waits for at `now`, and until when.
    pub fn awaited(&self, now: Duration) -> Option<(String, Duration)> {
        (self.becomes && now < self.until && self.met.is_none())
            .then(|| (format!("{} to become {}", self.expr, self.condition), self.until))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

/// Returns the values in an answer of Prometheus' `/api/v1/query`: one of a scalar, one for each series of an instant
/// vector.
///
/// # Errors
/// [`NoValue`] if the response is not of this kind, or its value cannot be compared with a number.
pub fn values(json: &[u8]) -> Result<Vec<f64>, NoValue> {
    let data: Data = parse(json).map_err(NoValue::NoAnswer)?;
    let strange = || NoValue::NoAnswer(format!("its answer has an invalid value: {}", data.result));
    match data.result_type.as_str() {
        "scalar" => Ok(vec![number(&data.result).ok_or_else(strange)?]),
        "vector" => data
            .result
            .as_array()
            .ok_or_else(strange)?
            .iter()
            .map(|series| match series.get("value") {
                Some(value) => number(value).ok_or_else(strange),
                None => Err(NoValue::Refused(
                    "returns native histograms, which cannot be compared with a number; compute one from them, such as \
                    histogram_quantile(0.95, …)"
                        .into(),
                )),
            })
            .collect(),
        "matrix" => Err(NoValue::Refused(
            "returns the samples of a range, which cannot be compared with a number; put a function around it, such as \
            rate(…[1m]) or max_over_time(…[1m])"
                .into(),
        )),
        "string" => Err(NoValue::Refused(
            "returns a text, which cannot be compared with a number; use a metric or a number".into(),
        )),
        other => Err(NoValue::Refused(format!("returns a {other}; use a query that returns a scalar or an instant vector"))),
    }
}

/// Returns the value in `[time, "value"]`.
fn number(sample: &Value) -> Option<f64> {
    sample.get(1)?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn answer(kind: &str, result: &str) -> Result<Vec<f64>, NoValue> {
        values(
            format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
                .as_bytes(),
        )
    }

    #[test]
    fn scalars_and_vectors_have_values() {
        assert_eq!(answer("scalar", r#"[1.5,"2.5"]"#), Ok(vec![2.5]));
        let vector = r#"[{"metric":{"a":"1"},"value":[1,"+Inf"]},{"metric":{},"value":[1,"-3e-5"]}]"#;
        assert_eq!(answer("vector", vector), Ok(vec![f64::INFINITY, -3e-5]));
        assert_eq!(answer("vector", "[]"), Ok(vec![]));
        assert!(answer("vector", r#"[{"metric":{},"value":[1,"NaN"]}]"#).unwrap()[0].is_nan());
    }

    #[test]
    fn values_that_are_not_numbers_are_rejected_with_a_remedy() {
        let refusal = |kind, result| match answer(kind, result) {
            Err(NoValue::Refused(words)) => words,
            other => panic!("{other:?}"),
        };
        assert!(refusal("matrix", "[]").contains("rate("));
        assert!(refusal("string", r#"[1,"x"]"#).contains("returns a text"));
        assert!(refusal("vector", r#"[{"metric":{},"histogram":[1,{}]}]"#).contains("histogram_quantile"));
        assert!(matches!(values(b"<html>"), Err(NoValue::NoAnswer(_))));
    }

    #[test]
    fn values_that_the_verdict_needs_are_stored() {
        let condition = Condition::parse("> 5").unwrap();
        let mut watch =
            QueryWatch::new("q", &QueryAssertion::Becomes { condition, within: at(20) }, at(10), at(15));
        assert_eq!((watch.from, watch.until), (at(10), at(30)));
        watch.observe(at(10), Ok(vec![1.0, 4.0]));
        assert_eq!(watch.awaited(at(11)), Some(("q to become > 5".to_owned(), at(30))));
        assert_eq!(watch.awaited(at(30)), None);
        watch.observe(at(11), Err(NoValue::NoAnswer("refused".into())));
        watch.observe(at(14), Ok(vec![]));
        watch.observe(at(16), Ok(vec![f64::NAN, 7.0, -90.0]));
        assert_eq!(watch.met, Some((at(16), 7.0)));
        assert_eq!((watch.broken, watch.empty), (Some((at(10), 1.0)), Some(at(14))));
        assert_eq!((watch.nearest, watch.held_at_start()), (Some(4.0), Some(false)));
        assert_eq!(watch.longest_gap, at(4));
        assert_eq!((watch.answered, watch.failed), (3, 1));
        assert_eq!(watch.awaited(at(17)), None);
        watch.note_gap(at(26));
        assert_eq!(watch.longest_gap, at(10));
        // The query was evaluated until 30 s.
        watch.note_gap(at(99));
        assert_eq!(watch.longest_gap, at(14));
    }
}
