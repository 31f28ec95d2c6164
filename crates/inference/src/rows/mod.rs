//! Reads the rows of values from a request body, in two steps. The first step accepts any JSON, and the second one checks it against the
//! model. So each error has a code and names a field, and does not repeat a message of the JSON parser.
//!
//! Layout:
//! - this module: the values of all protocols
//! - `native`: reads the body of `/predict`
//! - `check`: checks rows against the model
//! - `exact`: refuses integers without an exact `f64`
//! - `raw`: parses any JSON before it is checked; `json`: parses objects whose values are read later
//! - [`frames`]: reads requests of TensorFlow Serving and MLflow
//! - [`tensors`]: reads requests of the Open Inference Protocol
//! - [`lenient`]: reads requests to model servers that are not this program

mod check;
mod exact;
pub mod frames;
mod json;
pub mod lenient;
mod native;
mod raw;
pub mod tensors;

pub use native::example;

use crate::{reason::Reason, refusal::Refusal};
use model::{Batch, BatchRows, ModelCard, OtherCategory};

/// The rows of a request, each with one value per feature: a number, or the position of a category. `None` is a missing value.
///
/// The values are counted before [`ParsedRows::complete`] refuses rows with a value that must not be missing, because missing values
/// are a sign of drift, too.
#[derive(Debug, PartialEq)]
pub struct ParsedRows {
    /// The values of at least one row, row by row.
    values: Vec<Option<f64>>,
    /// The number of values in a row.
    features: usize,
    /// The texts of categories that the model card does not list. They are kept only for a model that was trained elsewhere.
    pub others: Vec<OtherCategory>,
    /// The field of the request that contains the rows.
    pub form: Form,
}

/// The field of a request that contains the rows, which messages name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One row, in `features`.
    One,
    /// A list in a field of this name.
    List(&'static str),
}

/// Rows that the model can score. Values are missing only in features with missing values in the reference.
#[derive(Debug, PartialEq)]
pub struct Rows(ParsedRows);

impl ParsedRows {
    /// Returns the rows. There is at least one.
    pub fn rows(&self) -> BatchRows<'_> {
        BatchRows::new(&self.values, self.features)
    }

    /// Moves the values of each row: that of feature `f` is at position `positions[f]`, which are all positions once.
    pub(crate) fn reordered(mut self, positions: &[usize]) -> Self {
        let mut row = vec![None; self.features];
        for values in self.values.chunks_exact_mut(self.features) {
            row.copy_from_slice(values);
            for (value, &position) in values.iter_mut().zip(positions) {
                *value = row[position];
            }
        }
        for other in &mut self.others {
            let feature = positions.iter().position(|&position| position == other.feature);
            other.feature = feature.unwrap_or(other.feature);
        }
        self.others.sort_unstable_by_key(|other| (other.row, other.feature));
        self
    }

    /// Checks that all values that the model needs are present.
    ///
    /// # Errors
    /// Returns an error that names the first missing value of a feature without missing values in the reference.
    pub fn complete(self, card: &ModelCard) -> Result<Rows, Refusal> {
        if self.values.iter().all(Option::is_some) {
            return Ok(Rows(self));
        }
        for (index, row) in self.rows().iter().enumerate() {
            for (feature, value) in card.features.iter().zip(row) {
                if value.is_none() && !feature.may_be_missing() {
                    let message = format!("{:?} is missing, but the model needs a value", feature.name);
                    let field = format!("{}.{}", self.place(index), feature.name);
                    return Err(Refusal::new(Reason::MissingValue, message).at(field));
                }
            }
        }
        Ok(Rows(self))
    }

    fn place(&self, index: usize) -> String {
        self.form.place(index)
    }
}

impl Form {
    /// Returns the path of a row in the request.
    fn place(self, index: usize) -> String {
        match self {
            Self::One => "features".to_owned(),
            Self::List(name) => format!("{name}[{index}]"),
        }
    }
}

impl Rows {
    /// Returns the rows. There is at least one.
    pub fn rows(&self) -> BatchRows<'_> {
        self.0.rows()
    }

    /// Returns the rows in the form that a model takes.
    pub fn batch(&self) -> Batch<'_> {
        Batch { rows: self.rows(), others: &self.0.others }
    }

    /// Returns whether the rows were sent as a list, so that the answer is a list, too.
    pub fn is_batch(&self) -> bool {
        self.0.form != Form::One
    }

    /// Returns the path of a row in the request.
    pub fn place(&self, index: usize) -> String {
        self.0.place(index)
    }
}

fn unreadable(body: &[u8], error: &serde_json::Error) -> Refusal {
    if body.trim_ascii().is_empty() {
        return Refusal::new(Reason::MalformedJson, "expected a JSON object, got an empty body");
    }
    // serde_json reports a number that does not fit into an f64 as a syntax error, but such a number is well-formed JSON.
    let message = error.to_string();
    let reason = if message.starts_with("number out of range") {
        Reason::NumberOutOfRange
    } else {
        Reason::MalformedJson
    };
    // Python's json module writes these words by default.
    let line = body.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let start = error.column().saturating_sub(3).min(line.len());
    let around = String::from_utf8_lossy(&line[start..line.len().min(start + 12)]);
    let is_number = around.contains("NaN") || around.contains("Infinity");
    let hint = if is_number { "; JSON has no NaN or Infinity; send null for a missing value" } else { "" };
    Refusal::new(reason, format!("the body cannot be read as JSON: {message}{hint}"))
}

#[cfg(test)]
mod tests;
