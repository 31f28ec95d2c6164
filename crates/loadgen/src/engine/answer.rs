//! Checks that the body of a 200 answer to a prediction request is a prediction. By its status alone, an error page of a proxy
//! would count as a prediction, too.
//!
//! What does not belong here: whether the prediction is correct.

use crate::scenario::{Payload, Source, request::Protocol};
use reqwest::header::ACCEPT_ENCODING;
use serde::{Deserialize, de::IgnoredAny};

/// The most bytes of an answer that are read for each of its predictions; a prediction of a hundred classes has about 3 kB.
const LARGEST: usize = 64 << 10;

/// The expected content of the answers to a payload's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExpectedAnswer {
    /// Any content, because the request does not ask for a prediction, or asks for a compressed answer.
    Any,
    /// One prediction.
    One,
    /// A list of this many predictions.
    Many(usize),
    /// One prediction, or a list of any length.
    OneOrMany,
    /// The tensors of one row, by the Open Inference Protocol.
    Tensors,
}

impl ExpectedAnswer {
    /// Returns the expected content for the body and the path of a payload.
    pub(super) fn new(payload: &Payload) -> Self {
        let protocol = Protocol::of(payload).filter(|_| !payload.headers.contains_key(ACCEPT_ENCODING));
        match &payload.source {
            _ if protocol.is_none() => Self::Any,
            Source::Model | Source::Drift(_) | Source::Table(_)
                if protocol == Some(Protocol::OpenInference) =>
            {
                Self::Tensors
            }
            _ if protocol == Some(Protocol::OpenInference) => Self::Any,
            Source::Model | Source::Drift(_) | Source::Table(_) => Self::One,
            Source::Malformed(_) | Source::Fixed(None) => Self::OneOrMany,
            Source::Fixed(Some(body)) => Self::asked_by(&body.text),
        }
    }

    fn asked_by(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Asked {
            features: Option<IgnoredAny>,
            instances: Option<Vec<IgnoredAny>>,
        }
        match serde_json::from_slice(body) {
            Ok(Asked { features: Some(_), instances: None }) => Self::One,
            Ok(Asked { features: None, instances: Some(rows) }) => Self::Many(rows.len()),
            _ => Self::OneOrMany,
        }
    }

    /// Returns how many bytes of an answer with `status` are needed to check it.
    pub(super) fn most_bytes(self, status: u16) -> usize {
        match self {
            _ if status != 200 => 0,
            Self::Any => 0,
            Self::One | Self::Tensors => LARGEST,
            Self::Many(rows) => LARGEST.saturating_mul(rows.max(1)),
            Self::OneOrMany => LARGEST << 8,
        }
    }

    /// Returns whether `body`, of an answer with `status`, has the expected content; `None` stands for a body that is too large.
    pub(super) fn is_met(self, status: u16, body: Option<&[u8]>) -> bool {
        if status != 200 || self == Self::Any {
            return true;
        }
        if self == Self::Tensors {
            let answer = body.map(serde_json::from_slice::<TensorAnswer>);
            let is_one_row = |output: &Output| output.shape.first() == Some(&1);
            return matches!(answer, Some(Ok(TensorAnswer { outputs }))
                if !outputs.is_empty() && outputs.iter().all(is_one_row));
        }
        // Bytes after the JSON value, such as a second one, are an error, and so is a field that occurs twice.
        let Some(Ok(answer)) = body.map(serde_json::from_slice::<Answer>) else { return false };
        match (self, answer) {
            (Self::One | Self::OneOrMany, Answer { prediction: Some(_), predictions: None }) => true,
            (Self::Many(rows), Answer { prediction: None, predictions: Some(found) }) => found.len() == rows,
            (Self::OneOrMany, Answer { prediction: None, predictions: Some(_) }) => true,
            _ => false,
        }
    }
}

/// Returns the prediction id of an answer with a single prediction, if it has an id.
pub(super) fn prediction_id(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Identified {
        prediction_id: Option<String>,
        parameters: Option<Parameters>,
    }
    #[derive(Deserialize)]
    struct Parameters {
        /// The prediction id, if the answer is about one row. Those of several rows would be separated by commas.
        prediction_ids: Option<String>,
    }
    let answer: Identified = serde_json::from_slice(body).ok()?;
    answer.prediction_id.or_else(|| answer.parameters?.prediction_ids)
}

/// An answer of the Open Inference Protocol.
#[derive(Deserialize)]
struct TensorAnswer {
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Output {
    shape: Vec<u64>,
}

/// One prediction or many. Other fields are ignored.
#[derive(Deserialize)]
struct Answer {
    /// The position of the class, or the predicted number.
    prediction: Option<f64>,
    predictions: Option<Vec<Prediction>>,
}

#[derive(Deserialize)]
struct Prediction {
    #[expect(dead_code, reason = "only its presence and type are checked")]
    prediction: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"prediction":0,"class":"setosa","probabilities":[0.9,0.1],"prediction_id":"x"}"#;

    fn is_met(expected: ExpectedAnswer, body: &str) -> bool {
        expected.is_met(200, Some(body.as_bytes()))
    }

    #[test]
    fn predictions_are_recognised() {
        let many = format!(r#"{{"predictions":[{ONE},{ONE}]}}"#);
        assert!(is_met(ExpectedAnswer::One, ONE));
        assert!(is_met(ExpectedAnswer::One, r#" {"prediction": 17.25, "other": {"a": [1]}} "#));
        assert!(is_met(ExpectedAnswer::Many(2), &many));
        assert!(is_met(ExpectedAnswer::OneOrMany, ONE) && is_met(ExpectedAnswer::OneOrMany, &many));
        assert!(is_met(ExpectedAnswer::Any, "<html>"));
        assert!(ExpectedAnswer::One.is_met(503, Some(b"<html>")));
    }

    #[test]
    fn the_id_of_a_prediction_is_read() {
        assert_eq!(prediction_id(ONE.as_bytes()).as_deref(), Some("x"));
        let tensors = br#"{"parameters":{"prediction_ids":"x"},"outputs":[]}"#;
        assert_eq!(prediction_id(tensors).as_deref(), Some("x"));
        assert_eq!(prediction_id(br#"{"prediction":0}"#), None);
        assert_eq!(prediction_id(b"<html>"), None);
    }

    #[test]
    fn tensors_of_one_row_are_recognised() {
        let tensors =
            |outputs: &str| is_met(ExpectedAnswer::Tensors, &format!(r#"{{"outputs":[{outputs}]}}"#));
        assert!(tensors(r#"{"name":"predict","shape":[1,1],"data":["setosa"]}"#));
        assert!(!tensors(r#"{"name":"predict","shape":[2,1],"data":["setosa","setosa"]}"#));
        assert!(!tensors("") && !tensors("{}"));
        assert!(!is_met(ExpectedAnswer::Tensors, ONE) && !is_met(ExpectedAnswer::Tensors, "<html>"));
    }

    #[test]
    fn a_body_that_is_not_a_prediction_is_rejected() {
        let two = format!("{ONE}{ONE}");
        let list = format!("[{ONE}]");
        let both = r#"{"prediction":0,"predictions":[{"prediction":0}]}"#;
        for body in [
            "",
            "<html><body>502</body></html>",
            r#"{"hello":1}"#,
            r#"{"prediction":null}"#,
            r#"{"prediction":"setosa"}"#,
            r#"{"prediction":0,"prediction":1}"#,
            r#"{"predictions":[{"prediction":0}]}"#,
            &two,
            &list,
            both,
            &ONE[..ONE.len() - 1],
        ] {
            assert!(!is_met(ExpectedAnswer::One, body), "{body}");
        }
        for body in [ONE, r#"{"predictions":[]}"#, r#"{"predictions":[{"prediction":0}]}"#, both] {
            assert!(!is_met(ExpectedAnswer::Many(2), body), "{body}");
        }
        assert!(!is_met(ExpectedAnswer::Many(1), r#"{"predictions":[{}]}"#));
        assert!(!is_met(ExpectedAnswer::OneOrMany, "{}"));
        assert!(!ExpectedAnswer::One.is_met(200, None));
    }

    #[test]
    fn the_expected_number_of_predictions_is_that_of_the_rows_in_a_fixed_body() {
        let asked = |body: &str| ExpectedAnswer::asked_by(body.as_bytes());
        assert_eq!(asked(r#"{ "features": [1, 2] }"#), ExpectedAnswer::One);
        assert_eq!(asked(r#"{ "instances": [[1, 2], {"a": 1}] }"#), ExpectedAnswer::Many(2));
        assert_eq!(asked("nonsense"), ExpectedAnswer::OneOrMany);
    }
}
