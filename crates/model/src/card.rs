//! The public part of a model: what clients, simulators and dashboards need. It has no weights.

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

/// Categorical values. A value is the position of its category in `categories`; a greater value is any other category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Categorical {
    /// The categories that are frequent enough in the reference to have a bin and a weight of their own.
    pub categories: Vec<String>,
    /// Some of the reference's other categories, the most frequent first.
    pub rare: Vec<String>,
    /// How the categories are written in JSON. Strings are accepted in every case.
    pub written: Written,
}

/// How the categories of a feature are written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// As strings.
    Text,
    /// As `true` and `false`.
    Boolean,
    /// As numbers.
    Number,
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

/// Returns whether every text has a value and all values are different. For example, `1` and `01`, or `true` and `True`, have the
/// same value.
fn are_distinct<V: PartialEq>(values: impl Iterator<Item = Option<V>>) -> bool {
    let Some(values) = values.collect::<Option<Vec<V>>>() else { return false };
    values.iter().enumerate().all(|(at, value)| !values[..at].contains(value))
}

impl Categorical {
    /// Creates the categories and finds out how they are written.
    pub(crate) fn new(categories: Vec<String>, rare: Vec<String>) -> Self {
        let all = || categories.iter().chain(&rare);
        let boolean = |text: &String| {
            [true, false].into_iter().find(|word| text.eq_ignore_ascii_case(&word.to_string()))
        };
        let number = |text: &String| text.parse().ok().filter(|number: &f64| number.is_finite());
        let written = if all().next().is_none() {
            Written::Text
        } else if are_distinct(all().map(boolean)) {
            Written::Boolean
        } else if are_distinct(all().map(number)) {
            Written::Number
        } else {
            Written::Text
        };
        Self { categories, rare, written }
    }

    /// Returns the value of a category's text. Leading and trailing spaces do not count; booleans may be written in any case, and
    /// numbers with or without a fraction.
    pub fn value(&self, text: &str) -> f64 {
        let exact = self.categories.iter().position(|category| category == text);
        let text = text.trim();
        let found = exact.or_else(|| self.categories.iter().position(|category| category == text));
        let found = found.or_else(|| match self.written {
            Written::Text => None,
            Written::Boolean => {
                self.categories.iter().position(|category| category.eq_ignore_ascii_case(text))
            }
            Written::Number => self.position(text.parse().ok()?),
        });
        found.unwrap_or(self.categories.len()) as f64
    }

    /// Returns the value of a category that is written as a number; `None` if categories are not numbers.
    pub fn value_of_number(&self, number: f64) -> Option<f64> {
        let known = |number| self.position(number).unwrap_or(self.categories.len()) as f64;
        (self.written == Written::Number).then(|| known(number))
    }

    /// Returns the value of a category that is written as a boolean; `None` if categories are not booleans.
    pub fn value_of_boolean(&self, boolean: bool) -> Option<f64> {
        (self.written == Written::Boolean).then(|| self.value(if boolean { "true" } else { "false" }))
    }

    fn position(&self, number: f64) -> Option<usize> {
        self.categories.iter().position(|category| category.parse() == Ok(number))
    }

    /// Returns the text of a value: the category's name, or for the value after the last category the most frequent rare category. For
    /// any other value, and if there are no rare categories, it returns a text that is not in the reference.
    pub fn text(&self, value: f64) -> &str {
        let position = value as usize;
        let rare = || self.rare.first().filter(|_| position == self.categories.len());
        self.categories.get(position).or_else(rare).map_or_else(|| self.unseen(), String::as_str)
    }

    /// Returns a value whose text is not in the reference.
    pub fn unseen_value(&self) -> f64 {
        self.categories.len() as f64 + 1.0
    }

    /// Returns the JSON of a value: the category's name, number or boolean.
    pub fn json(&self, value: f64) -> serde_json::Value {
        self.json_of(self.text(value))
    }

    /// Returns the JSON of a category's name: a number or a boolean if the categories are written as such.
    pub fn json_of(&self, text: &str) -> serde_json::Value {
        let number = || text.parse().ok().and_then(serde_json::Number::from_f64);
        match self.written {
            Written::Boolean if text.eq_ignore_ascii_case("true") => true.into(),
            Written::Boolean if text.eq_ignore_ascii_case("false") => false.into(),
            Written::Number => text
                .parse::<i64>()
                .ok()
                .map(serde_json::Value::from)
                .or_else(|| number().map(serde_json::Value::Number))
                .unwrap_or_else(|| text.into()),
            Written::Text | Written::Boolean => text.into(),
        }
    }

    /// Returns a text that is written like the categories and is not in the reference.
    fn unseen(&self) -> &'static str {
        let candidates: &[&str] = match self.written {
            // If `true` and `false` are both categories, there is no other boolean, so this is a text.
            Written::Text | Written::Boolean => &["unseen", "never seen", "a category that was never seen"],
            Written::Number => &["-999", "-99999", "-9999999"],
        };
        let is_free = |text: &&&str| {
            self.value(text) == self.categories.len() as f64 && !self.rare.iter().any(|rare| rare == **text)
        };
        candidates.iter().find(is_free).copied().unwrap_or("\u{fffd}")
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

    fn categorical(categories: &[&str], rare: &[&str]) -> Categorical {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Categorical::new(owned(categories), owned(rare))
    }

    #[test]
    fn categories_are_found_by_text_number_and_boolean() {
        let text = categorical(&["no", "Yes"], &["maybe"]);
        assert_eq!(text.written, Written::Text);
        assert_eq!(["no", " Yes ", "yes", "maybe", ""].map(|t| text.value(t)), [0.0, 1.0, 2.0, 2.0, 2.0]);
        assert_eq!((text.value_of_number(1.0), text.value_of_boolean(true)), (None, None));
        let boolean = categorical(&["False", "True"], &[]);
        assert_eq!(boolean.written, Written::Boolean);
        assert_eq!(["true", "FALSE", "1"].map(|t| boolean.value(t)), [1.0, 0.0, 2.0]);
        assert_eq!(boolean.value_of_boolean(false), Some(0.0));
        let number = categorical(&["1", "2", "10"], &["3"]);
        assert_eq!(number.written, Written::Number);
        assert_eq!([2.0, 10.0, 3.0].map(|n| number.value_of_number(n)), [Some(1.0), Some(2.0), Some(3.0)]);
        assert_eq!(["2.0", "x"].map(|t| number.value(t)), [1.0, 3.0]);
    }

    #[test]
    fn leading_and_trailing_spaces_count_if_a_category_has_them() {
        let padded = categorical(&[" Gov", "Private", "Private "], &[]);
        assert_eq!([" Gov", "Private", "Private "].map(|text| padded.value(text)), [0.0, 1.0, 2.0]);
        assert_eq!(["Gov", " Private"].map(|text| padded.value(text)), [3.0, 1.0]);
    }

    #[test]
    fn categories_of_equal_numeric_value_are_distinguished_as_text() {
        for (one, other) in [("1", "01"), ("1", "1.0"), ("true", "True")] {
            let own = categorical(&[one, other], &[]);
            assert_eq!(own.written, Written::Text);
            assert_eq!([one, other].map(|text| own.value(text)), [0.0, 1.0]);
            assert_eq!([0.0, 1.0].map(|value| own.json(value)), [one, other].map(serde_json::Value::from));
        }
        assert_eq!(categorical(&["true", "True", "false"], &[]).written, Written::Text);
    }

    #[test]
    fn the_json_of_a_value_is_read_as_the_same_value() {
        for categorical in [
            categorical(&["no", "yes"], &[]),
            categorical(&["unseen", "x"], &["never seen"]),
            categorical(&["-999", "4"], &[]),
        ] {
            for value in [0.0, 1.0, 2.0, 7.0] {
                assert_eq!(categorical.value(categorical.text(value)), value.min(2.0), "{categorical:?}");
            }
            let unseen = categorical.text(categorical.unseen_value());
            assert!(categorical.value(unseen) == 2.0 && !categorical.rare.contains(&unseen.to_owned()));
        }
    }

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
    fn values_have_the_json_type_of_the_categories() {
        let number = categorical(&["1", "2.5", "1e3"], &[]);
        assert_eq!([0.0, 1.0, 2.0].map(|value| number.json(value).to_string()), ["1", "2.5", "1000.0"]);
        assert_eq!(number.json_of("x"), "x");
        let boolean = categorical(&["False", "TRUE"], &[]);
        assert_eq!([0.0, 1.0].map(|value| boolean.json(value).to_string()), ["false", "true"]);
        assert_eq!(boolean.json(2.0), "unseen");
        let text = categorical(&["no", "true"], &["maybe"]);
        assert_eq!([0.0, 1.0, 2.0, 3.0].map(|v| text.json(v)), ["no", "true", "maybe", "unseen"]);
        assert_eq!(number.json(3.0).to_string(), "-999");
    }

    #[test]
    fn an_empty_list_of_categories_is_written_as_text() {
        let none = categorical(&[], &[]);
        assert_eq!((none.written, none.value("a"), none.unseen_value()), (Written::Text, 0.0, 1.0));
        assert_eq!((none.value_of_number(1.0), none.value_of_boolean(false)), (None, None));
        assert_eq!(categorical(&["1", "inf"], &[]).written, Written::Text);
    }

    #[test]
    fn the_placeholder_for_an_unseen_category_is_not_a_category_of_the_reference() {
        let taken = categorical(&["unseen", "never seen"], &["a category that was never seen"]);
        assert_eq!(taken.text(3.0), "\u{fffd}");
        assert_eq!(categorical(&["unseen"], &["never seen"]).text(2.0), "a category that was never seen");
        assert_eq!(categorical(&["-999.0", "1.0"], &[]).text(3.0), "-99999");
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
