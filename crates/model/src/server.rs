//! The description of a model server that is not this program: the columns of its requests, and the meaning of its answers.

use crate::ModelCard;
use serde::{Deserialize, Serialize};
use std::fmt;

/// In a profile: how a model server is asked, and how its answers are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerModel {
    /// The protocol that the server was asked in; `None` if the profile was made without asking it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ServerProtocol>,
    /// The columns of requests, in the server's order. Rows without names are read by position in this list.
    pub inputs: Vec<ServerInput>,
    /// The name of the tensor that holds all columns; `None` if each column is an input or a named value of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensor: Option<String>,
    /// The JSON around the rows of requests that the server was asked with, as far as its protocol leaves this to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<ServerForm>,
    /// The name of the output or field with the predicted class or number, if the server returns one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The name of the output or field with probabilities, if the server returns them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probabilities_output: Option<String>,
    /// The server's own label of each class, in the order of the card's classes; empty if it predicts a number.
    pub labels: Vec<String>,
    /// The meaning of the probabilities.
    pub probabilities: ServerProbabilities,
    /// Whether the server returns logits, from which softmax or sigmoid computes the probabilities.
    #[serde(default)]
    pub logits: bool,
}

/// The protocol of requests to a model server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerProtocol {
    /// JSON that the server defines.
    Native,
    /// The Open Inference Protocol v2.
    OipV2,
    /// TensorFlow Serving and KServe V1.
    V1,
    /// MLflow's scoring server.
    Mlflow,
}

impl ServerProtocol {
    /// Returns the name that flags and scenarios use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::OipV2 => "oip-v2",
            Self::V1 => "v1",
            Self::Mlflow => "mlflow",
        }
    }
}

/// The JSON around the rows of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerForm {
    /// The field that has the row or the rows; `None` if they are the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Whether a row is an object of named values instead of a list.
    pub named: bool,
    /// Whether there is a list of rows instead of one row.
    pub listed: bool,
}

/// Writes the form as text for people, such as `{"instances": [[…], …]}`.
impl fmt::Display for ServerForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = if self.named { "{…}" } else { "[…]" };
        let rows = if self.listed { format!("[{row}, …]") } else { row.to_owned() };
        match &self.field {
            Some(name) => write!(f, "{{{name:?}: {rows}}}"),
            None if self.named && !self.listed => f.write_str("one object of named values"),
            None => f.write_str(&rows),
        }
    }
}

/// A column of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInput {
    /// The name in requests.
    pub name: String,
    /// The name of the feature in the card.
    pub feature: String,
}

/// The meaning of the probabilities that a server returns for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerProbabilities {
    /// It returns none.
    None,
    /// One per class, in the order of the labels.
    PerClass,
    /// That of the second of two classes.
    SecondClass,
    /// That of the predicted class.
    PredictedClass,
}

impl ServerModel {
    /// Checks that the description fits a card.
    ///
    /// # Errors
    /// Returns the inconsistent field, and what is wrong with it.
    pub(crate) fn check(&self, card: &ModelCard) -> Result<(), (&'static str, &'static str)> {
        let ensure = |holds: bool, field, problem| if holds { Ok(()) } else { Err((field, problem)) };
        let names: Vec<&str> = self.inputs.iter().map(|input| input.name.as_str()).collect();
        ensure(distinct(&names), "server.inputs", "names must be different")?;
        let own: Vec<&str> = self.inputs.iter().map(|input| input.feature.as_str()).collect();
        ensure(
            own.len() == card.features.len()
                && distinct(&own)
                && card.features.iter().all(|feature| own.contains(&feature.name.as_str())),
            "server.inputs",
            "there must be one per feature",
        )?;
        let labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
        ensure(distinct(&labels), "server.labels", "must be different")?;
        ensure(labels.len() == card.classes.len(), "server.labels", "there must be one per class")?;
        ensure(
            (self.probabilities == ServerProbabilities::None) == card.reference.confidence.is_none(),
            "server.probabilities",
            "the card must have a confidence exactly if there are probabilities",
        )?;
        ensure(
            self.probabilities != ServerProbabilities::SecondClass || labels.len() == 2,
            "server.probabilities",
            "only of two classes can the second one be sufficient",
        )
    }
}

fn distinct(names: &[&str]) -> bool {
    names.iter().enumerate().all(|(at, name)| !names[..at].contains(name))
}
