//! The public part of a model: all that clients, simulators and dashboards need, and no weights.

use crate::{Calibration, ClassShape};
use drift::SignalReference;
use serde::{Deserialize, Serialize};

/// Names of the signals that the model itself gives off; no feature may carry one.
pub const OUTPUT_SIGNALS: [&str; 3] = ["prediction", "confidence", "distance"];

/// Returns whether a name can be a metric label as it is: the exporter folds backslashes together, and lines end at
/// newlines.
pub(crate) fn is_label(name: &str) -> bool {
    !name.chars().any(|c| c.is_control() || c == '\\')
}

/// What a model says of itself: `GET /model` answers this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// What the model is called.
    pub name: String,
    /// The first 12 hex digits of the SHA-256 of the model file's content.
    pub version: String,
    /// The features, in the order in which a row lists them.
    pub features: Vec<Feature>,
    /// Class names; a prediction is a position in this list.
    pub classes: Vec<String>,
    /// How the model came about, and how good it is.
    pub training: TrainingReport,
    /// What its traffic should look like.
    pub reference: Reference,
}

/// One input column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// The column's name.
    pub name: String,
    /// The unit its values are in, where known.
    pub unit: Option<String>,
    /// Least and greatest reference value; `None` for a column that was never filled.
    pub range: Option<[f64; 2]>,
    /// Mean of the training rows, used to standardise and in place of a missing value.
    pub mean: f64,
    /// Standard deviation of the training rows (divisor n); 1 for a constant column.
    pub sd: f64,
    /// Decimals the values are written with; `None` for a continuous column.
    pub decimals: Option<u8>,
    /// Share of reference rows in which the value is missing. Only a feature with a share above 0 may be missing
    /// from a request.
    pub missing_ratio: f64,
    /// Values that no reference row comes near: the range of the simulator's giants.
    pub extreme: [f64; 2],
}

/// Where the weights come from and how well they do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingReport {
    /// Rows the weights were fitted to.
    pub train_rows: usize,
    /// Rows held out.
    pub test_rows: usize,
    /// Share of held-out rows that were correctly classified; `None` when nothing was held out.
    pub held_out_accuracy: Option<f64>,
    /// The same over stratified folds of all rows.
    pub cross_validation: CrossValidation,
    /// How the probabilities were made to mean what they say.
    pub calibration: Calibration,
    /// Strength of the L2 penalty: loss = Σ −ln p + ½·alpha·Σ w².
    pub alpha: f64,
    /// Seed of the split and the folds.
    pub seed: u64,
}

/// Accuracy over folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrossValidation {
    /// Number of folds.
    pub folds: usize,
    /// Mean accuracy.
    pub mean_accuracy: f64,
    /// Standard deviation over the folds (divisor folds − 1).
    pub sd: f64,
}

/// What traffic without drift looks like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Reference rows.
    pub rows: u64,
    /// Share of them that is correctly classified by weights that have not seen them.
    pub accuracy: f64,
    /// Mean confidence in those classifications. Calibrated, it is what the accuracy should be.
    pub confidence: f64,
    /// One reference per feature, in their order, then `prediction`, `confidence` and `distance`.
    pub signals: Vec<SignalReference>,
    /// Where the rows of each class lie, in the order of the classes.
    pub class_shapes: Vec<ClassShape>,
}

/// The references of a model's signals by what they describe.
#[derive(Debug, Clone, Copy)]
pub struct SignalsByRole<'a> {
    /// One per feature, in the features' order.
    pub features: &'a [SignalReference],
    /// The predicted class.
    pub prediction: &'a SignalReference,
    /// The probability of the predicted class.
    pub confidence: &'a SignalReference,
    /// The distance to the nearest class.
    pub distance: &'a SignalReference,
}

impl Reference {
    /// Returns the signals by role.
    ///
    /// # Panics
    /// If there are fewer than three signals, which reading a model file rules out.
    pub fn by_role(&self) -> SignalsByRole<'_> {
        let [features @ .., prediction, confidence, distance] = self.signals.as_slice() else {
            unreachable!("a model card has the signals of the model's output")
        };
        SignalsByRole { features, prediction, confidence, distance }
    }
}
