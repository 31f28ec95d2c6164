//! The named values of an answer, whatever the protocol, and which of them are the predictions and the probabilities.

use super::{Protocol, json_answer};
use crate::rows::tensors::answer::{TensorValues, outputs};
use cli_io::printable::quoted;
use onnx::{RawOutputs, Scores};
use std::borrow::Cow;

/// Names of fields with a prediction, the most certain first. A service that returns the name of a class beside its number, as this one
/// does in `class` and `prediction`, predicts the class.
const PREDICTIONS: [&str; 20] = [
    "class",
    "class_name",
    "label",
    "predicted_class",
    "predicted_label",
    "predict",
    "prediction",
    "predictions",
    "predicted",
    "predicted_value",
    "output_label",
    "y_pred",
    "result",
    "results",
    "classes",
    "labels",
    "output",
    "outputs",
    "value",
    "y",
];

/// Parts of the names of fields with probabilities, the most certain first.
const PROBABILITIES: [&str; 6] = ["confidence", "prob", "proba", "likelihood", "score", "logit"];

/// Names of fields that accompany a prediction without being one.
const COMPANIONS: [&str; 12] = [
    "id",
    "version",
    "model",
    "model_name",
    "model_version",
    "time",
    "timestamp",
    "latency",
    "status",
    "message",
    "duration",
    "elapsed",
];

/// The values of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// The number of rows.
    pub(crate) rows: usize,
    /// The values by name. Each field has values for all rows.
    pub(crate) fields: Vec<Field>,
}

/// Values of one name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    /// The name of the output, or the path of the field in JSON.
    pub(crate) name: String,
    /// The number of values per row, at least 1.
    pub(crate) columns: usize,
    /// The names of the values of a row, if they have names.
    pub(crate) names: Option<Vec<String>>,
    /// The values, row by row.
    pub(crate) values: FieldValues,
}

/// The values of a field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FieldValues {
    /// Numbers; NaN stands for a missing one.
    Numbers(Vec<f64>),
    /// Texts, and booleans as `true` or `false`.
    Texts(Vec<String>),
}

/// What an answer is searched for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    /// The name of the field with the prediction, if it is known.
    pub(crate) output: Option<&'a str>,
    /// The name of the field with probabilities, if it is known.
    pub(crate) probabilities: Option<&'a str>,
    /// Whether the model predicts a number.
    pub(crate) number: bool,
}

/// The fields with the prediction and with probabilities.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Roles<'a> {
    pub(crate) prediction: Option<&'a Field>,
    pub(crate) probabilities: Option<&'a Field>,
}

impl Answer {
    /// Reads the body of an answer with status 200.
    ///
    /// # Errors
    /// Returns what cannot be read.
    pub(crate) fn read(
        protocol: Protocol,
        header_length: Option<usize>,
        body: &[u8],
    ) -> Result<Self, String> {
        match protocol {
            Protocol::OipV2 => Self::of_tensors(body, header_length),
            Protocol::Native | Protocol::V1 | Protocol::Mlflow => json_answer::read(body),
        }
    }

    fn of_tensors(body: &[u8], header_length: Option<usize>) -> Result<Self, String> {
        let tensors = outputs(body, header_length).map_err(|refusal| refusal.placed())?;
        let rows = tensors.first().map_or(0, |tensor| tensor.shape[0]);
        let mut fields = Vec::new();
        for tensor in tensors {
            if tensor.shape[0] != rows {
                return Err(format!(
                    "output {:?} has {} rows, but another output has {rows}",
                    tensor.name, tensor.shape[0]
                ));
            }
            let values = match tensor.values {
                TensorValues::Numbers(numbers) => FieldValues::Numbers(numbers),
                TensorValues::Texts(texts) => FieldValues::Texts(texts),
            };
            let columns = tensor.shape.get(1).copied().unwrap_or(1);
            fields.push(Field { name: tensor.name, columns, names: None, values });
        }
        if fields.is_empty() {
            return Err("the answer has no outputs".into());
        }
        Ok(Self { rows, fields })
    }

    /// Finds the fields with the prediction and with probabilities.
    ///
    /// # Errors
    /// Returns the names of the fields if there is none, or if it is not certain which they are.
    pub(crate) fn roles(&self, wanted: Wanted<'_>) -> Result<Roles<'_>, String> {
        let named = |name: Option<&str>| self.fields.iter().find(|field| Some(field.name.as_str()) == name);
        let probabilities = match named(wanted.probabilities) {
            Some(field) => Some(field),
            None if wanted.number => None,
            None => self.probabilities(wanted.output)?,
        };
        let prediction = match named(wanted.output) {
            Some(field) => Some(field),
            None => self.prediction(wanted, probabilities)?,
        };
        if let Some(field) = prediction.filter(|field| field.columns != 1) {
            return Err(format!(
                "{} has {} values per row, but a prediction is one",
                field.quoted(),
                field.columns
            ));
        }
        if prediction.is_none() && probabilities.is_none() {
            return Err(format!("no field can be read as a prediction: {}", self.listed()));
        }
        Ok(Roles { prediction, probabilities })
    }

    fn prediction(
        &self,
        wanted: Wanted<'_>,
        probabilities: Option<&Field>,
    ) -> Result<Option<&Field>, String> {
        let single =
            |field: &&Field| field.columns == 1 && probabilities.is_none_or(|other| other.name != field.name);
        let certainty = |field: &Field| {
            let own = field.last_name();
            PREDICTIONS.iter().position(|name| *name == own)
        };
        let certain = self.fields.iter().filter(single).filter_map(|field| Some((certainty(field)?, field)));
        if let Some((_, field)) = certain.min_by_key(|(certainty, _)| *certainty) {
            return Ok(Some(field));
        }
        if wanted.output.is_some() {
            return Ok(None);
        }
        let possible: Vec<&Field> = self
            .fields
            .iter()
            .filter(single)
            .filter(|field| !field.is_companion() && (wanted.number || field.likeness().is_none()))
            .collect();
        match possible.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            // Probabilities are sufficient without a label.
            _ if probabilities.is_some_and(|field| field.columns > 1) => Ok(None),
            several => Err(format!(
                "the prediction may be {}; name it with --output when the profile is made",
                several.iter().map(|field| field.quoted()).collect::<Vec<_>>().join(" or ")
            )),
        }
    }

    fn probabilities(&self, output: Option<&str>) -> Result<Option<&Field>, String> {
        let is_free = |field: &&Field| Some(field.name.as_str()) != output && field.is_numeric();
        let lists: Vec<&Field> =
            self.fields.iter().filter(is_free).filter(|field| field.columns > 1).collect();
        let most_certain = |fields: &[&'_ Field]| -> Option<usize> {
            let likenesses =
                fields.iter().enumerate().filter_map(|(at, field)| Some((field.likeness()?, at)));
            likenesses.min().map(|(_, at)| at)
        };
        match lists.as_slice() {
            [] => {}
            [one] => return Ok(Some(one)),
            several => {
                return match most_certain(several) {
                    Some(at) => Ok(Some(several[at])),
                    None => Err(format!(
                        "the probabilities may be {}; name them with --probabilities-output when the profile is made",
                        several.iter().map(|field| field.quoted()).collect::<Vec<_>>().join(" or ")
                    )),
                };
            }
        }
        let single: Vec<&Field> =
            self.fields.iter().filter(is_free).filter(|field| field.likeness().is_some()).collect();
        Ok(most_certain(&single).map(|at| single[at]))
    }

    /// Returns the names of the fields, for messages.
    pub(crate) fn listed(&self) -> String {
        let fields: Vec<String> = self
            .fields
            .iter()
            .map(|field| format!("{} ({} per row)", field.quoted(), field.columns))
            .collect();
        if fields.is_empty() { "the answer has no values".into() } else { fields.join(", ") }
    }
}

impl Roles<'_> {
    /// Returns the values in the form in which those of an ONNX model are read.
    pub(crate) fn raw(&self, number: bool) -> Result<RawOutputs, String> {
        let scores = |field: &Field| match &field.values {
            FieldValues::Numbers(values) => Ok(Scores {
                output: field.name.clone(),
                columns: field.columns,
                names: field.names.clone(),
                values: values.clone(),
            }),
            FieldValues::Texts(texts) => Err(format!(
                "{}: expected numbers, got {}",
                field.quoted(),
                texts.first().map_or(String::new(), |text| quoted(text))
            )),
        };
        if number {
            let field = self.prediction.or(self.probabilities);
            return Ok(RawOutputs { labels: None, scores: field.map(scores).transpose()? });
        }
        Ok(RawOutputs {
            labels: self.prediction.map(Field::texts),
            scores: self.probabilities.map(scores).transpose()?,
        })
    }
}

impl Field {
    /// Returns the values as text. A number without a fraction is written without a decimal point.
    pub(crate) fn texts(&self) -> Vec<String> {
        match &self.values {
            FieldValues::Numbers(numbers) => numbers.iter().map(f64::to_string).collect(),
            FieldValues::Texts(texts) => texts.clone(),
        }
    }

    pub(crate) fn is_numeric(&self) -> bool {
        matches!(self.values, FieldValues::Numbers(_))
    }

    pub(crate) fn quoted(&self) -> String {
        quoted(&self.name)
    }

    /// Returns whether a single value is certainly the probability of the predicted class.
    pub(crate) fn is_confidence(&self) -> bool {
        self.last_name().contains(PROBABILITIES[0])
    }

    fn last_name(&self) -> Cow<'_, str> {
        last_name(&self.name)
    }

    /// Returns how likely the name is that of probabilities: a smaller number is likelier.
    fn likeness(&self) -> Option<usize> {
        likeness(&self.name)
    }

    fn is_companion(&self) -> bool {
        let name = self.last_name();
        COMPANIONS.iter().any(|companion| {
            name == *companion
                || name.ends_with(&format!("_{companion}"))
                || name.starts_with(&format!("{companion}_"))
        }) || name.ends_with("_ids")
            || name.ends_with("_ms")
            || name == "ids"
    }
}

/// Returns whether a field of this name has a prediction.
pub(super) fn is_prediction(name: &str) -> bool {
    PREDICTIONS.contains(&&*last_name(name))
}

/// Returns whether a field of this name has probabilities.
pub(super) fn is_probability(name: &str) -> bool {
    likeness(name).is_some()
}

fn last_name(name: &str) -> Cow<'_, str> {
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_lower = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    if last.bytes().all(is_lower) { Cow::Borrowed(last) } else { Cow::Owned(last.to_lowercase()) }
}

fn likeness(name: &str) -> Option<usize> {
    let name = last_name(name);
    PROBABILITIES.iter().position(|part| name.contains(part))
}
