//! The model file, which is JSON. Its version is a hash of its content.
//!
//! `consistency` checks that the parts of a file or of a card do not contradict each other.

mod consistency;

use crate::{ModelCard, logistic::Weights, server::ServerModel};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// The format of the file. It is increased when a reader of the former format could misread the file.
pub const FORMAT: u32 = 3;

/// The number of hex digits of the hash in the version. 48 bits are enough to distinguish the models of one service.
const VERSION_DIGITS: usize = 12;

/// A model file: everything that a service needs to serve a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFile {
    /// [`FORMAT`].
    pub format: u32,
    /// The public part of the model.
    pub card: ModelCard,
    /// The weights of the built-in model, on encoded features. A profile has none, because its model is in another file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// In a profile: the model that the profile was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalModel>,
    /// In a profile: how a model server that is not this program is asked, and how its answers are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerModel>,
}

/// A model in another file, and how its outputs are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExternalModel {
    /// SHA-256 of the model's file, in hex digits.
    pub sha256: String,
    /// The model's own label of each class, in the order of the card's classes; empty if it predicts a number.
    pub labels: Vec<String>,
    /// The number of probabilities that the model returns per row: one per class in their order, only that of the second of two
    /// classes, or none.
    pub probabilities: usize,
    /// Whether the model returns logits, from which softmax or sigmoid computes the probabilities.
    pub logits: bool,
    /// The number by which the logarithms of the probabilities are divided; 1 leaves the probabilities unchanged.
    pub temperature: f64,
}

/// The reason why a model file cannot be used.
#[derive(Debug, Error)]
pub enum FileError {
    /// The text is not JSON, or not a model.
    #[error("not a model file")]
    Json(#[from] serde_json::Error),
    /// The file has another format, because another version of this program wrote it.
    #[error("expected format {FORMAT}, got {found}; train the model again")]
    Format {
        /// The file's format.
        found: u32,
    },
    /// The file has a field that this program does not know.
    #[error("unknown field {field}: the file was edited, or a newer program wrote it; train the model again")]
    UnknownField {
        /// Path of the field.
        field: String,
    },
    /// The file was changed after it was written.
    #[error(
        "expected version {actual}, which is the hash of the content, got {stated}: the file was edited or damaged; train the model again"
    )]
    Version {
        /// The version in the file.
        stated: String,
        /// The version of the content.
        actual: String,
    },
    /// Parts of the file contradict each other.
    #[error("{field}: {problem}")]
    Inconsistent {
        /// Path of the field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl ModelFile {
    /// Creates a built-in model without a version.
    pub(crate) fn unchecked(card: ModelCard, weights: Weights) -> Self {
        Self { format: FORMAT, card, weights: Some(weights), external: None, server: None }
    }

    /// Creates a profile without a version.
    pub(crate) fn profile(
        card: ModelCard,
        external: Option<ExternalModel>,
        server: Option<ServerModel>,
    ) -> Self {
        Self { format: FORMAT, card, weights: None, external, server }
    }

    /// Computes the version of a model and checks it.
    ///
    /// # Errors
    /// Returns an error if the parts of the model contradict each other, or if a number is not finite.
    pub(crate) fn finished(mut self) -> Result<Self, FileError> {
        self.card.version = self.content_version()?;
        self.check()?;
        // An infinity would be written to JSON as null, and the file could not be read.
        Self::from_json(&self.to_json()?)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// Returns an error if the text is not a model file of this format, was edited, or is inconsistent.
    pub fn from_json(text: &str) -> Result<Self, FileError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        // The format is read first, because the rest depends on it.
        let Format { format: found } = serde_json::from_str(text)?;
        if found != FORMAT {
            return Err(FileError::Format { found });
        }
        // The types ignore unknown fields, because a card over HTTP may be from a newer service. In a file they are refused, because
        // the hash does not include them.
        let mut unknown = None;
        let mut json = serde_json::Deserializer::from_str(text);
        let file: Self = serde_ignored::deserialize(&mut json, |path| {
            unknown.get_or_insert_with(|| path.to_string());
        })?;
        json.end()?;
        if let Some(field) = unknown {
            return Err(FileError::UnknownField { field });
        }
        let actual = file.content_version()?;
        if file.card.version != actual {
            return Err(FileError::Version { stated: file.card.version, actual });
        }
        file.check()?;
        Ok(file)
    }

    /// Returns the file's text. The same model gives the same bytes.
    ///
    /// # Errors
    /// Returns an error if serialisation fails, which does not happen with a model that was trained or read.
    pub fn to_json(&self) -> Result<String, FileError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    fn content_version(&self) -> Result<String, FileError> {
        let mut content = self.clone();
        content.card.version.clear();
        let hash = Sha256::digest(serde_json::to_vec(&content)?);
        let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(digits[..VERSION_DIGITS].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TrainOptions, iris, train};

    pub(super) fn iris_file() -> ModelFile {
        train(&iris::table(), &TrainOptions::new("iris")).unwrap()
    }

    #[test]
    fn the_version_is_the_beginning_of_a_sha256() {
        let file = iris_file();
        assert_eq!(file.card.version.len(), 12);
        // Computed by sha256sum from the same content without the version.
        let mut content = file.clone();
        content.card.version = String::new();
        let digest = Sha256::digest(serde_json::to_string(&content).unwrap());
        let number = u64::from_be_bytes(digest[..8].try_into().unwrap());
        assert_eq!(u64::from_str_radix(&file.card.version, 16).unwrap(), number >> 16);
    }
}
