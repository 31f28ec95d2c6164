//! Checks that the body of a 200 answer to a prediction request is a prediction. By its status alone, an error page of a proxy
//! would count as a prediction, too.
//!
//! Servers answer in many forms, so only the structure is checked: JSON with as many predictions as the request has rows. What does
//! not belong here: whether the prediction is correct.
//!
//! Layout:
//! - this module: the expected format and number of predictions, and the answers of V1, MLflow and the Open Inference Protocol
//! - `native`: reads answers of the native protocol, and of services that were written for one model
//! - `prediction`: finds out whether a JSON value is a prediction

mod native;
mod prediction;

use crate::{
    plan::Model,
    scenario::{Payload, Protocol, Source},
};
use native::Native;
use prediction::List;
use reqwest::header::ACCEPT_ENCODING;
use serde::{Deserialize, de::IgnoredAny};

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
mod tests;
