//! Checks that the body of a 200 answer to a prediction request is a prediction. By its status alone, an error page of a proxy
//! would count as a prediction, too.
//!
//! Servers answer in many forms, so only the structure is checked: JSON with as many predictions as the request has rows. What does
//! not belong here: whether the prediction is correct.

use crate::{
    plan::Model,
    scenario::{Payload, Protocol, Source},
};
use reqwest::header::ACCEPT_ENCODING;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// The most bytes of an answer that are read for each of its predictions; a prediction of a hundred classes has about 3 kB.
const LARGEST: usize = 64 << 10;

/// The expected content of the answers to a payload's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExpectedAnswer {
    /// The format; `None` for any content, because the request does not ask for a prediction, or asks for a compressed answer.
    format: Option<Format>,
    rows: Rows,
    /// The field with the prediction, if the model's profile names one.
    field: Option<String>,
}

/// The format of the answers of a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// An object with a prediction, or a list of predictions.
    Native,
    /// `{"predictions": […]}`
    Predictions,
    /// `{"outputs": [{"shape": […]}]}`
    Tensors,
}

/// The number of predictions in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// One prediction, not necessarily in a list.
    One,
    /// A list of this many predictions.
    List(usize),
    /// One prediction, or a list of any length.
    Any,
}

impl ExpectedAnswer {
    /// Returns the expected content for the body and the protocol of a payload.
    pub(super) fn new(payload: &Payload, model: Option<&Model>) -> Self {
        let is_compressed = payload.headers.contains_key(ACCEPT_ENCODING);
        let format = payload.protocol.as_ref().filter(|_| !is_compressed).map(|protocol| match protocol {
            Protocol::Native => Format::Native,
            Protocol::V1 | Protocol::Mlflow => Format::Predictions,
            Protocol::OipV2(_) => Format::Tensors,
        });
        let rows = match &payload.source {
            Source::Model | Source::Drift(_) | Source::Table(_) => Rows::One,
            Source::Malformed(_) | Source::Fixed(None) => Rows::Any,
            Source::Fixed(Some(body)) => Rows::asked_by(&body.text),
        };
        let server = model.and_then(|model| model.server.as_ref());
        let field = server.and_then(|server| server.output.as_ref().or(server.probabilities_output.as_ref()));
        // A name with dots is that of a field within an object.
        let field = field.and_then(|name| name.split('.').next()).map(str::to_owned);
        Self { format, rows, field }
    }

    /// Returns how many bytes of an answer with `status` are needed to check it.
    pub(super) fn most_bytes(&self, status: u16) -> usize {
        match self.rows {
            _ if status != 200 || self.format.is_none() => 0,
            Rows::One => LARGEST,
            Rows::List(rows) => LARGEST.saturating_mul(rows.max(1)),
            Rows::Any => LARGEST << 8,
        }
    }

    /// Returns whether `body`, of an answer with `status`, has the expected content; `None` stands for a body that is too large.
    pub(super) fn is_met(&self, status: u16, body: Option<&[u8]>) -> bool {
        let Some(format) = self.format.filter(|_| status == 200) else { return true };
        let Some(body) = body else { return false };
        // Bytes after the JSON value, such as a second one, are an error, and so is a field that occurs twice.
        match format {
            Format::Native => {
                let native = Native { own: self.field.as_deref() };
                native.read(body).is_ok_and(|found| self.rows.are(found))
            }
            Format::Predictions => serde_json::from_slice(body)
                .is_ok_and(|found: Predictions| self.rows.are(Found::List(found.predictions.0))),
            Format::Tensors => {
                serde_json::from_slice(body).is_ok_and(|found: Tensors| found.has_predictions(self.rows))
            }
        }
    }
}

impl Rows {
    /// Returns the number of predictions that the body of a request asks for, if that is known.
    fn asked_by(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Asked {
            features: Option<IgnoredAny>,
            instances: Option<Vec<IgnoredAny>>,
        }
        match serde_json::from_slice(body) {
            Ok(Asked { features: Some(_), instances: None }) => Self::One,
            Ok(Asked { features: None, instances: Some(rows) }) => Self::List(rows.len()),
            _ => Self::Any,
        }
    }

    fn are(self, found: Found) -> bool {
        match (self, found) {
            (Self::Any, _) | (Self::One, Found::One | Found::List(1)) => true,
            (Self::List(rows), Found::List(found)) => rows == found,
            (Self::One, Found::List(_)) | (Self::List(_), Found::One) => false,
        }
    }
}

/// The predictions in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// One, not in a list.
    One,
    /// A list of this many.
    List(usize),
}

/// The fields by one of which an answer of the native protocol has a prediction, if it has no `predictions`. Services that were
/// written for one model use different names. `prediction` is the first.
const FIELDS: [&str; 26] = [
    "prediction",
    "predict",
    "predicted",
    "predicted_class",
    "predicted_label",
    "predicted_value",
    "class",
    "class_name",
    "classes",
    "label",
    "labels",
    "result",
    "results",
    "output",
    "outputs",
    "response",
    "data",
    "value",
    "y_pred",
    "score",
    "scores",
    "confidence",
    "probability",
    "probabilities",
    "proba",
    "probs",
];

/// Reads an answer of the native protocol, which may also have its prediction in the field `own`.
#[derive(Clone, Copy)]
struct Native<'a> {
    own: Option<&'a str>,
}

impl Native<'_> {
    fn read(self, body: &[u8]) -> serde_json::Result<Found> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let found = json.deserialize_any(self)?;
        json.end()?;
        Ok(found)
    }
}

impl<'de> Visitor<'de> for Native<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a prediction or a list of predictions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Found, A::Error> {
        List::count(list).map(|list| Found::List(list.0))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let (mut seen, mut one, mut list) = (0_u32, false, None);
        while let Some(key) = map.next_key_seed(self)? {
            match key {
                Key::List if list.is_some() => return Err(de::Error::duplicate_field("predictions")),
                Key::List => list = Some(map.next_value::<List>()?.0),
                Key::One(at) if seen & (1 << at) != 0 => return Err(de::Error::custom("duplicate field")),
                Key::One(at) => {
                    seen |= 1 << at;
                    one |= map.next_value::<Prediction>()?.0;
                }
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        match (one, list) {
            // An answer has either the parts of one prediction or a list.
            (_, Some(_)) if seen & 1 != 0 => Err(de::Error::custom("both prediction and predictions")),
            (_, Some(list)) => Ok(Found::List(list)),
            (true, None) => Ok(Found::One),
            (false, None) => Err(de::Error::missing_field("prediction")),
        }
    }
}

enum Key {
    List,
    /// The position in [`FIELDS`], or the one after the last for the answer's own field.
    One(usize),
    Other,
}

impl<'de> DeserializeSeed<'de> for Native<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_identifier(KeyVisitor(self))
    }
}

struct KeyVisitor<'a>(Native<'a>);

impl Visitor<'_> for KeyVisitor<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a field")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Key, E> {
        Ok(match FIELDS.iter().position(|field| *field == key) {
            Some(at) => Key::One(at),
            None if key == "predictions" => Key::List,
            None if self.0.own == Some(key) => Key::One(FIELDS.len()),
            None => Key::Other,
        })
    }
}

/// Whether a value is a prediction: a number, a text, a boolean, an object, or a list with anything in it. `null` and empty texts,
/// lists and objects are not.
struct Prediction(bool);

impl<'de> Deserialize<'de> for Prediction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PredictionVisitor)
    }
}

struct PredictionVisitor;

impl<'de> Visitor<'de> for PredictionVisitor {
    type Value = Prediction;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a prediction")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Prediction, E> {
        Ok(Prediction(true))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Prediction, E> {
        Ok(Prediction(true))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Prediction, E> {
        Ok(Prediction(true))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Prediction, E> {
        Ok(Prediction(true))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Prediction, E> {
        Ok(Prediction(!text.is_empty()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Prediction, E> {
        Ok(Prediction(false))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Prediction, A::Error> {
        let mut found = false;
        while let Some(Prediction(one)) = list.next_element()? {
            found |= one;
        }
        Ok(Prediction(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Prediction, A::Error> {
        let mut found = false;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            found = true;
        }
        Ok(Prediction(found))
    }
}

/// The length of a list in which each item is a prediction.
struct List(usize);

impl List {
    fn count<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut count = 0;
        while let Some(Prediction(one)) = list.next_element()? {
            if !one {
                return Err(de::Error::custom("not a prediction"));
            }
            count += 1;
        }
        Ok(Self(count))
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of predictions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<List, A::Error> {
        List::count(list)
    }
}

/// An answer of V1 or of MLflow.
#[derive(Deserialize)]
struct Predictions {
    predictions: List,
}

/// An answer of the Open Inference Protocol.
#[derive(Deserialize)]
struct Tensors {
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Output {
    shape: Vec<u64>,
}

impl Tensors {
    /// Returns whether there is an output with one element per row. Servers may add outputs of other shapes.
    fn has_predictions(&self, rows: Rows) -> bool {
        let has = |output: &Output| match rows {
            Rows::One => output.shape.first() == Some(&1),
            // The number of rows in a fixed body of tensors is not known.
            Rows::List(_) | Rows::Any => output.shape.first().is_some_and(|&rows| rows > 0),
        };
        self.outputs.iter().any(has)
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

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"prediction":0,"class":"setosa","probabilities":[0.9,0.1],"prediction_id":"x"}"#;

    fn is_met(format: Format, rows: Rows, body: &str) -> bool {
        ExpectedAnswer { format: Some(format), rows, field: None }.is_met(200, Some(body.as_bytes()))
    }

    fn native(rows: Rows, body: &str) -> bool {
        is_met(Format::Native, rows, body)
    }

    #[test]
    fn predictions_are_recognised() {
        let many = format!(r#"{{"predictions":[{ONE},{ONE}]}}"#);
        assert!(native(Rows::One, ONE));
        assert!(native(Rows::One, r#" {"prediction": 17.25, "other": {"a": [1]}} "#));
        assert!(native(Rows::List(2), &many));
        assert!(native(Rows::Any, ONE) && native(Rows::Any, &many));
        let any = ExpectedAnswer { format: None, rows: Rows::One, field: None };
        assert!(any.is_met(200, Some(b"<html>")) && any.is_met(200, None));
        let one = ExpectedAnswer { format: Some(Format::Native), rows: Rows::One, field: None };
        assert!(one.is_met(503, Some(b"<html>")) && !one.is_met(200, None));
    }

    #[test]
    fn answers_of_services_that_were_written_for_one_model_are_recognised() {
        for body in [
            r#"{"prediction":"setosa"}"#,
            r#"{"prediction":[0]}"#,
            r#"{"prediction":{"label":"setosa"}}"#,
            r#"{"label":"setosa","confidence":0.9,"model":null}"#,
            r#"{"result":true}"#,
            r#"{"predictions":[0]}"#,
            "[0]",
            r#"[{"label":"setosa","score":0.9}]"#,
        ] {
            assert!(native(Rows::One, body), "{body}");
        }
    }

    #[test]
    fn the_field_that_a_profile_names_has_the_prediction() {
        let species =
            ExpectedAnswer { format: Some(Format::Native), rows: Rows::One, field: Some("species".into()) };
        assert!(species.is_met(200, Some(br#"{"species":"setosa"}"#)));
        assert!(!species.is_met(200, Some(br#"{"species":null}"#)));
        assert!(!native(Rows::One, r#"{"species":"setosa"}"#));
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
            |outputs: &str| is_met(Format::Tensors, Rows::One, &format!(r#"{{"outputs":[{outputs}]}}"#));
        assert!(tensors(r#"{"name":"predict","shape":[1,1],"data":["setosa"]}"#));
        assert!(tensors(r#"{"name":"predict","shape":[1],"data":[0]},{"name":"classes","shape":[3]}"#));
        assert!(!tensors(r#"{"name":"predict","shape":[2,1],"data":["setosa","setosa"]}"#));
        assert!(!tensors("") && !tensors("{}"));
        for body in [ONE, "", "<html>", r#"{"error":"no such model"}"#] {
            assert!(!is_met(Format::Tensors, Rows::One, body), "{body}");
        }
    }

    #[test]
    fn predictions_of_v1_and_mlflow_are_recognised() {
        let one = |body: &str| is_met(Format::Predictions, Rows::One, body);
        for body in [
            r#"{"predictions":[0]}"#,
            r#"{"predictions":[[0.1,0.9]],"model_version":"1"}"#,
            r#"{"predictions":[{"label":"a"}]}"#,
        ] {
            assert!(one(body), "{body}");
        }
        for body in [
            "",
            "<html>",
            ONE,
            "[0]",
            r#"{"predictions":[]}"#,
            r#"{"predictions":[null]}"#,
            r#"{"predictions":[0,1]}"#,
            r#"{"predictions":0}"#,
            r#"{"error":"failed"}"#,
            r#"{"predictions":[0]}{"predictions":[0]}"#,
        ] {
            assert!(!one(body), "{body}");
        }
        assert!(is_met(Format::Predictions, Rows::List(2), r#"{"predictions":[0,1]}"#));
    }

    #[test]
    fn a_body_that_is_not_a_prediction_is_rejected() {
        let two = format!("{ONE}{ONE}");
        let both = r#"{"prediction":0,"predictions":[{"prediction":0}]}"#;
        for body in [
            "",
            "null",
            "\"Unauthorized\"",
            "[]",
            "<html><body>502</body></html>",
            r#"{"hello":1}"#,
            r#"{"error":"the model is not loaded"}"#,
            r#"{"detail":"Not Found"}"#,
            r#"{"prediction":null}"#,
            r#"{"prediction":""}"#,
            r#"{"prediction":[]}"#,
            r#"{"prediction":0,"prediction":1}"#,
            r#"{"predictions":[{"prediction":0},{"prediction":0}]}"#,
            "[0,1]",
            &two,
            both,
            &ONE[..ONE.len() - 1],
        ] {
            assert!(!native(Rows::One, body), "{body}");
        }
        for body in [ONE, r#"{"predictions":[]}"#, r#"{"predictions":[{"prediction":0}]}"#, both] {
            assert!(!native(Rows::List(2), body), "{body}");
        }
        assert!(!native(Rows::List(1), r#"{"predictions":[{}]}"#));
        assert!(!native(Rows::Any, "{}"));
    }

    #[test]
    fn the_expected_number_of_predictions_is_that_of_the_rows_in_a_fixed_body() {
        let asked = |body: &str| Rows::asked_by(body.as_bytes());
        assert_eq!(asked(r#"{ "features": [1, 2] }"#), Rows::One);
        assert_eq!(asked(r#"{ "instances": [[1, 2], {"a": 1}] }"#), Rows::List(2));
        assert_eq!(asked("nonsense"), Rows::Any);
    }
}
