//! The model file: JSON, with a version that is a hash of its content.

use crate::{
    Feature, ModelCard,
    card::{OUTPUT_SIGNALS, is_label, signal_names},
    encoding::Encoding,
    logistic::Weights,
    shape::Spread,
};
use drift::{Bins, SignalReference};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Layout of the file; raised when a reader of the former one could misread it.
pub const FORMAT: u32 = 3;

/// Hex digits of the hash that make the version: 48 bits are enough to distinguish the models of one service.
const VERSION_DIGITS: usize = 12;

/// Everything that a service needs to serve a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFile {
    /// [`FORMAT`].
    pub format: u32,
    /// The public part.
    pub card: ModelCard,
    /// The weights, on standardised features.
    pub weights: Weights,
}

/// Why a model file cannot be used.
#[derive(Debug, Error)]
pub enum FileError {
    /// Not JSON, or not a model.
    #[error("not a model file")]
    Json(#[from] serde_json::Error),
    /// Written by another generation of this program.
    #[error("format {found}, but this program reads format {FORMAT}; train the model again")]
    Format {
        /// The file's format.
        found: u32,
    },
    /// A field that this program does not know.
    #[error("unknown field {field}: the file was edited, or written by a newer program")]
    UnknownField {
        /// Path of the field.
        field: String,
    },
    /// Changed since it was written.
    #[error(
        "version {stated} does not match the content, which hashes to {actual}: the file was edited or damaged"
    )]
    Version {
        /// The version the file states.
        stated: String,
        /// The version its content has.
        actual: String,
    },
    /// Parts that don't fit together.
    #[error("{field}: {problem}")]
    Inconsistent {
        /// Path of the field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl ModelFile {
    /// Puts a model together that has no version yet.
    pub(crate) fn unchecked(card: ModelCard, weights: Weights) -> Self {
        Self { format: FORMAT, card, weights }
    }

    /// Gives a model its version and checks it.
    pub(crate) fn finished(mut self) -> Result<Self, FileError> {
        self.card.version = self.content_version()?;
        self.check()?;
        // JSON has no infinity: a file that holds one would be written as null, and never be read again.
        Self::from_json(&self.to_json()?)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// If the text is not a model file of this format, was edited, or contradicts itself.
    pub fn from_json(text: &str) -> Result<Self, FileError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        // The format decides how the rest is to be read, so it is looked at first.
        let Format { format: found } = serde_json::from_str(text)?;
        if found != FORMAT {
            return Err(FileError::Format { found });
        }
        // The types themselves ignore unknown fields, because a card over HTTP may be of a newer service. In a file they are
        // refused: they are not part of the hash.
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
    /// Never for a model that was trained or read; the signature leaves serde's word standing.
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

    fn check(&self) -> Result<(), FileError> {
        let ensure = |holds: bool, field: &'static str, problem: &str| {
            if holds { Ok(()) } else { Err(FileError::Inconsistent { field, problem: problem.to_owned() }) }
        };
        let (card, features, classes) = (&self.card, self.card.features.len(), self.card.classes.len());
        ensure(features > 0, "card.features", "there are none")?;
        ensure(classes > 1, "card.classes", "there must be at least two")?;
        ensure(
            card.features.iter().filter_map(Feature::numeric).all(|numeric| numeric.sd > 0.0),
            "card.features",
            "every sd must be above 0",
        )?;
        let missing = |f: &Feature| (0.0..=1.0).contains(&f.missing_ratio);
        ensure(card.features.iter().all(missing), "card.features", "every missing_ratio must be in [0, 1]")?;
        let names: Vec<&str> = card.features.iter().map(|f| f.name.as_str()).collect();
        ensure(
            distinct(&names),
            "card.features",
            "names must differ and be labels: no control character, no backslash",
        )?;
        let names: Vec<&str> = card.classes.iter().map(String::as_str).collect();
        ensure(
            distinct(&names),
            "card.classes",
            "names must differ and be labels: no control character, no backslash",
        )?;
        let width = Encoding::new(&card.features).width();
        let coefficients = &self.weights.coefficients;
        ensure(
            coefficients.len() == classes && coefficients.iter().all(|row| row.len() == width),
            "weights.coefficients",
            "there must be one row per class and one column per encoded column",
        )?;
        ensure(
            self.weights.intercepts.len() == classes,
            "weights.intercepts",
            "there must be one per class",
        )?;

        let reference = &card.reference;
        ensure(reference.rows > 0, "card.reference.rows", "there must be some")?;
        ensure(
            [reference.accuracy, reference.confidence].iter().all(|share| (0.0..=1.0).contains(share)),
            "card.reference",
            "accuracy and confidence must be in [0, 1]",
        )?;
        let names = signal_names(card.features.iter().map(|feature| feature.name.as_str()));
        ensure(
            reference
                .signals
                .iter()
                .map(|s| s.name.as_str())
                .eq(names.iter().map(String::as_str).chain(OUTPUT_SIGNALS)),
            "card.reference.signals",
            "there must be one per feature, in their order, then prediction, confidence and distance",
        )?;
        ensure(
            reference.signals.iter().all(|s| {
                s.expected.len() == s.bins.len()
                    && s.counts.len() == s.bins.len()
                    && s.rows == reference.rows
                    && s.counts.iter().try_fold(0_u64, |sum, &count| sum.checked_add(count)) == Some(s.rows)
                    && s.expected.iter().all(|&ratio| ratio > 0.0 && ratio <= 1.0)
            }),
            "card.reference.signals",
            "every bin needs an expected ratio above 0 and a count, and the counts must add up to the reference rows",
        )?;
        let signals = reference.by_role();
        let output = |s: &SignalReference| matches!(&s.bins, Bins::Numeric { edges } if ascending(edges));
        let of_feature =
            |(feature, signal): (&Feature, &SignalReference)| match (&signal.bins, feature.categorical()) {
                (Bins::Numeric { edges }, None) => ascending(edges),
                (Bins::Categories { categories }, Some(own)) => *categories == own.categories,
                _ => false,
            };
        ensure(
            card.features.iter().zip(signals.features).all(of_feature)
                && output(signals.confidence)
                && output(signals.distance)
                && matches!(&signals.prediction.bins, Bins::Classes { labels } if *labels == card.classes),
            "card.reference.signals",
            "bins of numbers must have ascending edges; those of categories and of prediction are the model's own",
        )?;
        let shape = &reference.shape;
        let spread = match &shape.spread {
            Spread::PerClass { covariances } => {
                let square =
                    |own: &Vec<Vec<f64>>| own.len() == width && own.iter().all(|line| line.len() == width);
                covariances.len() == classes && covariances.iter().all(square)
            }
            Spread::Shared { factors, residual } => {
                factors.iter().chain([residual]).all(|line| line.len() == width)
                    && residual.iter().all(|&variance| variance > 0.0)
            }
        };
        ensure(
            spread
                && shape.classes.len() == classes
                && shape.classes.iter().all(|class| class.rows > 0 && class.means.len() == width),
            "card.reference.shape",
            "there must be one centre per class, with one number per encoded column, and a covariance of that size",
        )?;
        card.pool()
            .map(drop)
            .map_err(|error| FileError::Inconsistent { field: "card", problem: error.to_string() })
    }
}

fn ascending(edges: &[f64]) -> bool {
    edges.is_sorted_by(|a, b| a < b)
}

/// Returns whether names are distinct and valid as metric labels.
fn distinct(names: &[&str]) -> bool {
    names.iter().enumerate().all(|(at, name)| is_label(name) && !names[..at].contains(name))
}
