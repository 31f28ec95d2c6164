//! Defines [`Engine`], the interface of the built-in model and of models that run in other libraries.

use crate::{
    Feature, Prediction,
    encoding::{Encoding, Scaling, Slot},
    logistic::{Weights, argmax},
};
use smallvec::SmallVec;
use std::{fmt, ops::Index, slice::ChunksExact};
use thiserror::Error;

/// Rows to score. Each has one value per feature: a number, or the position of a category. `None` is a missing value.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The rows.
    pub rows: BatchRows<'a>,
    /// The texts of the categories that the model card does not list, in the order of rows and features.
    pub others: &'a [OtherCategory],
}

/// Rows of equal length in one list of values, row by row.
#[derive(Debug, Clone, Copy)]
pub struct BatchRows<'a> {
    values: &'a [Option<f64>],
    features: usize,
}

impl<'a> BatchRows<'a> {
    /// Divides a list of values into rows of `features` values each.
    ///
    /// # Panics
    /// If `features` is 0, or the number of values is not a multiple of it.
    pub fn new(values: &'a [Option<f64>], features: usize) -> Self {
        assert!(features > 0 && values.len().is_multiple_of(features), "one value per row and feature");
        Self { values, features }
    }

    /// Returns a batch of a single row.
    pub fn one(row: &'a [Option<f64>]) -> Self {
        Self::new(row, row.len())
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.features
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns the number of values in a row.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Returns the rows, in their order.
    pub fn iter(&self) -> ChunksExact<'a, Option<f64>> {
        self.values.chunks_exact(self.features)
    }
}

impl<'a> IntoIterator for BatchRows<'a> {
    type Item = &'a [Option<f64>];
    type IntoIter = ChunksExact<'a, Option<f64>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Index<usize> for BatchRows<'_> {
    type Output = [Option<f64>];

    fn index(&self, row: usize) -> &Self::Output {
        &self.values[row * self.features..(row + 1) * self.features]
    }
}

impl<'a> Batch<'a> {
    /// Returns the text of a category that the model card does not list, if the text is known.
    pub fn other(&self, row: usize, feature: usize) -> Option<&'a str> {
        OtherCategory::find(self.others, row, feature)
    }
}

/// A category that the model card does not list. Its value in the row is a position after the feature's last category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherCategory {
    /// Position of the row.
    pub row: usize,
    /// Position of the feature.
    pub feature: usize,
    /// The text.
    pub text: Box<str>,
}

impl OtherCategory {
    /// Returns the text for a row and a feature, if `others` has one. They must be in the order of rows and features.
    pub(crate) fn find(others: &[Self], row: usize, feature: usize) -> Option<&str> {
        debug_assert!(others.is_sorted_by_key(|other| (other.row, other.feature)));
        let found = others.binary_search_by_key(&(row, feature), |other| (other.row, other.feature));
        found.ok().map(|at| &*others[at].text)
    }
}

/// One probability per class. Up to four are stored without an allocation, which would take much of the time per row of a batch.
pub type Probabilities = SmallVec<[f64; 4]>;

/// What a model answers to one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A class.
    Class {
        /// The position of the class in the classes of the model card.
        class: usize,
        /// One probability per class, which add up to 1; `None` if the model gives none.
        probabilities: Option<Probabilities>,
    },
    /// A number.
    Number(f64),
}

/// The reason why rows could not be scored.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum EngineError {
    /// The model cannot take a value.
    #[error("row {row}, feature {feature}: {problem}")]
    Value {
        /// Position of the row.
        row: usize,
        /// Position of the feature.
        feature: usize,
        /// What is wrong with the value.
        problem: ValueProblem,
    },
    /// The model cannot score a row, and it is not known which of its values is the cause.
    #[error("row {row}: {problem}")]
    Row {
        /// Position of the row.
        row: usize,
        /// The message of the model.
        problem: String,
    },
    /// The model failed, and it is not known whether a row is the cause.
    #[error("the model failed: {0}")]
    Failed(String),
}

/// The reason why a model cannot take a value.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueProblem {
    /// The value is so large that scoring overflows.
    TooLarge(f64),
    /// The value is missing, and the model's input cannot represent a missing value.
    Missing,
    /// The model takes only whole numbers, but the value has a fraction.
    NotWhole(f64),
    /// The model takes only numbers, but the category is another text.
    NotANumber(String),
    /// The text contains a NUL character, which would end the model's input.
    Nul,
}

impl fmt::Display for ValueProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(value) => {
                write!(f, "must be small enough to be scored without overflow, got {value:e}")
            }
            Self::Missing => f.write_str("is missing, but the model needs a value"),
            Self::NotWhole(value) => write!(f, "must be a whole number, got {value}"),
            Self::Nul => f.write_str("must not contain a NUL character"),
            Self::NotANumber(text) => write!(f, "must be a category that is a number, got {text:?}"),
        }
    }
}

/// A model that scores rows. The model card describes its inputs and its output.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Returns one output per row.
    ///
    /// # Errors
    /// Returns an error if the model cannot take one of the values, or if it fails.
    fn score(&self, batch: Batch) -> Result<Vec<Output>, EngineError>;
}

/// The built-in model: a multinomial logistic regression.
#[derive(Debug, Clone)]
pub struct Linear {
    encoding: Encoding,
    weights: Weights,
}

impl Linear {
    /// Creates the model for rows of these features.
    pub fn new(features: &[Feature], weights: Weights) -> Self {
        Self { encoding: Encoding::new(features), weights }
    }
}

impl Engine for Linear {
    fn score(&self, batch: Batch) -> Result<Vec<Output>, EngineError> {
        let (mut encoded, mut weighted) = (Vec::with_capacity(self.encoding.width()), Vec::new());
        let score = |(at, row): (usize, &[Option<f64>])| {
            self.encoding.encode_for_weights(row, &mut encoded, &mut weighted);
            let probabilities = self.weights.probabilities(&encoded, &weighted);
            if probabilities.iter().any(|probability| !probability.is_finite()) {
                return Err(too_large(&self.encoding, at, row));
            }
            Ok(Output::Class { class: argmax(&probabilities), probabilities: Some(probabilities) })
        };
        batch.rows.iter().enumerate().map(score).collect()
    }
}

/// Returns the error for a row whose numbers overflow. It names the value that is furthest from its mean.
pub(crate) fn too_large(encoding: &Encoding, at: usize, row: &[Option<f64>]) -> EngineError {
    let size = |(slot, &value): (&Slot, &Option<f64>)| match slot {
        Slot::Numeric(scaling) => Scaling::apply(*scaling, value).abs(),
        Slot::Categorical { .. } => 0.0,
    };
    let sizes: Vec<f64> = encoding.slots().iter().zip(row).map(size).collect();
    let feature = argmax(&sizes);
    let problem = ValueProblem::TooLarge(row[feature].unwrap_or_default());
    EngineError::Value { row: at, feature, problem }
}

impl Output {
    /// Returns the value of the signal `prediction`: the position of the class, or the number.
    pub fn value(&self) -> f64 {
        match self {
            Self::Class { class, .. } => *class as f64,
            Self::Number(number) => *number,
        }
    }

    /// Returns one probability per class, if the model gives them.
    pub fn probabilities(&self) -> Option<&[f64]> {
        match self {
            Self::Class { probabilities, .. } => probabilities.as_deref(),
            Self::Number(_) => None,
        }
    }

    /// Returns the probability of the predicted class, if the model gives one.
    pub fn confidence(&self) -> Option<f64> {
        match self {
            Self::Class { class, probabilities } => probabilities.as_ref().map(|own| own[*class]),
            Self::Number(_) => None,
        }
    }

    /// Returns the difference between two outputs of one model. For numbers it is the absolute difference. For classes it is half the sum
    /// of the absolute differences of the probabilities, or without probabilities 1 if the classes differ and 0 otherwise.
    pub fn difference(&self, other: &Self) -> f64 {
        match (self.probabilities(), other.probabilities()) {
            (Some(one), Some(other)) => {
                one.iter().zip(other).map(|(one, other)| (one - other).abs()).sum::<f64>() / 2.0
            }
            _ if matches!(self, Self::Number(_)) => (self.value() - other.value()).abs(),
            _ => f64::from(u8::from(self.value() != other.value())),
        }
    }

    /// Returns the prediction with this output and distance. The confidence is the probability of the predicted class.
    pub fn at_distance(self, distance: f64) -> Prediction {
        Prediction { confidence: self.confidence(), output: self, distance }
    }
}
