//! The public part of a model: what clients, simulators and dashboards need. It has no weights.
//!
//! `categorical` converts the categories of a feature from text, numbers and booleans to values, and back.

mod categorical;

pub use categorical::{Categorical, Written};

use crate::{
    Calibration, Notation, Shape,
    simulator::{Pool, Simulator, SimulatorError},
};
use drift::SignalReference;
use serde::{Deserialize, Serialize};

/// Names of the signals of the model's output.
pub const OUTPUT_SIGNALS: [&str; 3] = ["prediction", "confidence", "distance"];

/// Returns whether a name is valid as a metric label. The exporter merges repeated backslashes, and a newline would end the line.
pub(crate) fn is_label(name: &str) -> bool {
    !name.chars().any(|c| c.is_control() || c == '\\')
}

/// The public description of a model, which `GET /model` returns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// The model's name.
    pub name: String,
    /// The first 12 hex digits of the SHA-256 of the model file's content.
    pub version: String,
    /// The features, in the order in which a row lists them.
    pub features: Vec<Feature>,
    /// The class names. A predicted class is a position in this list. Empty if the model predicts a number.
    pub classes: Vec<String>,
    /// The column with the class, and the texts for missing values, in the table that the model was trained on.
    #[serde(default)]
    pub notation: Notation,
    /// How the model was trained, and how good it is.
    pub training: TrainingReport,
    /// The distributions of traffic without drift.
    pub reference: Reference,
    /// Synthetic rows like the reference, for generating traffic.
    pub simulator: Simulator,
}

/// One input column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// The column's name.
    pub name: String,
    /// The unit of the values, if it is known.
    pub unit: Option<String>,
    /// The type and range of the values.
    pub values: Values,
    /// The share of reference rows in which the value is missing.
    pub missing_ratio: f64,
    /// Whether the model takes missing values, also if the reference has none.
    #[serde(default, skip_serializing_if = "is_false")]
    pub accepts_missing: bool,
    /// How much the predictions depend on the feature: the standard deviation, over the rows, of the feature's contribution to a class's
    /// logit, averaged over the classes, as a share of the sum over all features.
    pub importance: f64,
}

/// The values of a feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// Numbers.
    Numeric(Numeric),
    /// Texts, of which few are frequent.
    Categorical(Categorical),
}

/// Numeric values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Numeric {
    /// The least and the greatest reference value; `None` if the reference has no value.
    pub range: Option<[f64; 2]>,
    /// Mean of the training rows, used to standardise and in place of a missing value.
    pub mean: f64,
    /// Standard deviation of the training rows (divisor n); 1 for a constant column.
    pub sd: f64,
    /// The number of decimals of the values; `None` for a continuous column.
    pub decimals: Option<u8>,
    /// A range of values that no reference row has, from which the drift operation `extreme` draws.
    pub extreme: [f64; 2],
}

/// How the model was trained, and its scores. In a profile, whose model was trained elsewhere, the parts on the fit are absent, and
/// the scores are those on the reference rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingReport {
    /// The number of rows that the weights were fitted to.
    pub train_rows: usize,
    /// The number of held-out rows.
    pub test_rows: usize,
    /// The share of held-out rows that were correctly classified; `None` if no rows were held out.
    pub held_out_accuracy: Option<f64>,
    /// The accuracy of cross-validation over stratified folds of the fitted rows.
    pub cross_validation: Option<CrossValidation>,
    /// The accuracy of always predicting the most frequent class; `None` without true classes.
    pub baseline_accuracy: Option<f64>,
    /// Recall and precision per class, in the order of the classes, on rows that the weights had not seen; empty without true
    /// classes.
    pub class_scores: Vec<ClassScore>,
    /// The area under the receiver operating characteristic on the same rows; `None` unless there are two classes.
    pub auroc: Option<f64>,
    /// The calibration of the probabilities. In a profile it is measured but not applied. `None` without true classes or probabilities.
    pub calibration: Option<Calibration>,
    /// Strength of the L2 penalty: loss = Σ −ln p + ½·alpha·Σ w².
    pub alpha: Option<f64>,
    /// Seed of the split, the folds and the simulator.
    pub seed: u64,
    /// Sentences about what limits the use of the model.
    pub warnings: Vec<String>,
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

/// Recall and precision of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// The number of rows of this class.
    pub rows: u64,
    /// Recall: the share of rows of this class that were predicted as this class; 0 if there are none.
    pub recall: f64,
    /// Precision: the share of rows predicted as this class that are of this class; `None` if none was predicted.
    pub precision: Option<f64>,
}

/// The distributions that traffic without drift has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// The number of reference rows.
    pub rows: u64,
    /// The share of reference rows that are correctly classified by weights that were not fitted to them; `None` without true classes.
    pub accuracy: Option<f64>,
    /// Mean confidence, which estimates the accuracy if the probabilities are calibrated; `None` if the model gives no
    /// probabilities.
    pub confidence: Option<f64>,
    /// The errors of a model that predicts a number; `None` for classes, and without true numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorReference>,
    /// One reference per feature, in their order, then `prediction`, `confidence` if the model gives probabilities, and
    /// `distance`.
    pub signals: Vec<SignalReference>,
    /// Location and spread of each class, in the order of the classes. If a number is predicted, groups of rows with similar true or
    /// predicted numbers take the place of classes.
    pub shape: Shape,
}

/// Statistics of the errors of predicted numbers on the reference rows. An error is the predicted minus the true number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorReference {
    /// Mean of the absolute errors.
    pub mean_absolute: f64,
    /// Standard deviation of the absolute errors (divisor n − 1).
    pub absolute_sd: f64,
    /// Root of the mean squared error.
    pub root_mean_square: f64,
    /// Mean error: above 0 if predictions are too high.
    pub bias: f64,
    /// Coefficient of determination: 1 − Σ error² / Σ (true − mean)²; `None` if all true numbers are equal.
    pub r_squared: Option<f64>,
}

/// The references of a model's signals, by role.
#[derive(Debug, Clone, Copy)]
pub struct SignalsByRole<'a> {
    /// One per feature, in the features' order.
    pub features: &'a [SignalReference],
    /// The predicted class or number.
    pub prediction: &'a SignalReference,
    /// The probability of the predicted class, if the model gives one.
    pub confidence: Option<&'a SignalReference>,
    /// The distance to the nearest class.
    pub distance: &'a SignalReference,
}

impl ModelCard {
    /// Returns whether the model was trained elsewhere.
    pub fn is_profile(&self) -> bool {
        self.training.alpha.is_none()
    }

    /// Returns whether the model predicts a number instead of a class.
    pub fn predicts_number(&self) -> bool {
        self.classes.is_empty()
    }

    /// Returns the rows of the simulator, ready to be drawn from.
    ///
    /// # Errors
    /// Returns an error if the parts of the simulator do not fit each other or the rest of the card.
    pub fn pool(&self) -> Result<Pool, SimulatorError> {
        let rows: Vec<u64> = self.reference.shape.classes.iter().map(|class| class.rows).collect();
        Pool::new(&self.simulator, &self.features, &rows)
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Feature {
    /// Returns whether the value may be missing from a request.
    pub fn may_be_missing(&self) -> bool {
        self.accepts_missing || self.missing_ratio > 0.0
    }

    /// Returns the numeric values of the feature; `None` if it is categorical.
    pub fn numeric(&self) -> Option<&Numeric> {
        match &self.values {
            Values::Numeric(numeric) => Some(numeric),
            Values::Categorical(_) => None,
        }
    }

    /// Returns the categories of the feature; `None` if it is numeric.
    pub fn categorical(&self) -> Option<&Categorical> {
        match &self.values {
            Values::Categorical(categorical) => Some(categorical),
            Values::Numeric(_) => None,
        }
    }
}

impl Reference {
    /// Returns the signals by role.
    ///
    /// # Panics
    /// If the signals of the output are missing. That cannot happen with a card from a model file.
    pub fn by_role(&self) -> SignalsByRole<'_> {
        // `signal_names` ensures that no feature has a signal of this name.
        let (features, prediction, confidence, distance) = match self.signals.as_slice() {
            [features @ .., prediction, confidence, distance] if confidence.name == OUTPUT_SIGNALS[1] => {
                (features, prediction, Some(confidence), distance)
            }
            [features @ .., prediction, distance] => (features, prediction, None, distance),
            _ => unreachable!("a model card has the signals of the model's output"),
        };
        SignalsByRole { features, prediction, confidence, distance }
    }
}

/// Returns the names of the features' signals: the features' names, changed if an output of the model has the same name.
pub fn signal_names<'a>(features: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for feature in features.clone() {
        let mut name = feature.to_owned();
        while OUTPUT_SIGNALS.contains(&name.as_str())
            || names.contains(&name)
            || name != feature && features.clone().any(|other| other == name)
        {
            name = format!("feature_{name}");
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_of_features_never_have_the_name_of_an_output_signal() {
        let names = |features: &[&str]| signal_names(features.iter().copied());
        assert_eq!(names(&["a", "distance", "b"]), ["a", "feature_distance", "b"]);
        assert_eq!(
            names(&["feature_distance", "distance"]),
            ["feature_distance", "feature_feature_distance"]
        );
    }

    #[test]
    fn names_that_are_invalid_as_metric_labels_are_recognised() {
        assert!(is_label("a b-ü") && !is_label("a\nb") && !is_label("a\\b"));
    }

    #[test]
    fn signals_of_equal_names_are_distinguished_by_numbers() {
        assert_eq!(
            signal_names(["prediction", "feature_prediction", "confidence"].into_iter()),
            ["feature_feature_prediction", "feature_prediction", "feature_confidence"]
        );
    }
}
