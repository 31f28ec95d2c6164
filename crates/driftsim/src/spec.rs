//! Drift specifications: a share of the rows, and what happens to them. `yaml` reads their YAML form, and
//! `drifted_distribution` applies them to the features and classes of one model.

use crate::preset::presets;
use thiserror::Error;

/// A specification of drift. In YAML it is a preset or a list of operations:
///
/// ```
/// let spec: driftsim::DriftSpec = serde_yaml::from_str("{ preset: giant, share: 0.3 }")?;
/// assert_eq!(spec.share, 0.3);
///
/// let spec: driftsim::DriftSpec = serde_yaml::from_str(r#"
///     description: A worn scale
///     share: 0.5                                             # share of the rows that drift; all rows by default
///     operations:
///       - shift: { features: ["petal*", sepal_width], by_sd: 1.5 } # standard deviations of the column
///       - scale: { features: "*", factor: 10 }               # another unit
///       - noise: { features: sepal_length, by_sd: 0.5 }      # Gaussian
///       - extreme: { features: petal_width }                 # uniform in the feature's extreme range
///       - shuffle: { features: sepal_width }                 # same marginal, no correlation
///       - class_shares: { named: { virginica: 0.9 } }        # or { last: 0.9 }
///       - relabel: {}                                        # another true class, the same values
/// "#)?;
/// assert_eq!(spec.operations.len(), 7);
/// # Ok::<(), serde_yaml::Error>(())
/// ```
///
/// Features are chosen by name or by a pattern in which `*` stands for any characters.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftSpec {
    /// A description for people.
    pub description: String,
    /// Share of the rows that drift, in [0, 1].
    pub share: f64,
    /// What happens to the rows that drift, in this order. Without operations, no row drifts.
    pub operations: Vec<Operation>,
}

/// A change to the rows that drift. Missing values stay missing.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Adds a multiple of each column's standard deviation: incremental covariate shift.
    Shift {
        /// Names or patterns.
        features: Vec<String>,
        /// How many standard deviations, not 0.
        by_sd: f64,
    },
    /// Multiplies by a factor, like a change of unit.
    Scale {
        /// Names or patterns.
        features: Vec<String>,
        /// The factor, which is neither 0 nor 1.
        factor: f64,
    },
    /// Adds Gaussian noise of a multiple of each column's standard deviation.
    Noise {
        /// Names or patterns.
        features: Vec<String>,
        /// How many standard deviations, above 0.
        by_sd: f64,
    },
    /// Replaces a number by one that is uniform in the feature's `extreme` range, and a category by one that the reference lacks.
    Extreme {
        /// Names or patterns.
        features: Vec<String>,
    },
    /// Replaces a value by that of another row. The marginal distribution stays, and the correlation with other features is lost.
    /// This operation is applied before the others, wherever it stands in the list.
    Shuffle {
        /// Names or patterns.
        features: Vec<String>,
    },
    /// Draws rows with other shares of the classes: prior shift. The values of each class stay as they are. If the true classes of a
    /// model's reference are not known, these are shares of the predicted classes.
    ClassShares(ClassShares),
    /// Gives the row another true class, each of the other classes with the same probability: concept drift. Its values do not change.
    /// It is not available for a model that predicts a number, because it would need the size of the error. A table with a changed
    /// target column has the same effect.
    Relabel,
}

/// The shares of some classes among the rows. The other classes share the rest in the proportions of the reference.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassShares {
    /// Class names and their shares, which add up to 1 at most.
    Named(Vec<(String, f64)>),
    /// The share of the model's last class, whatever its name.
    Last(f64),
}

impl DriftSpec {
    /// Returns a spec without drift.
    pub fn steady() -> Self {
        Self { description: "No row drifts".to_owned(), share: 0.0, operations: Vec::new() }
    }

    /// Returns a built-in spec, by its name.
    ///
    /// # Errors
    /// Returns [`SpecError::UnknownPreset`], which lists the presets, if there is none of this name.
    pub fn preset(name: &str) -> Result<Self, SpecError> {
        let found = presets().into_iter().find(|preset| preset.name == name);
        found.map(|preset| preset.spec).ok_or_else(|| SpecError::UnknownPreset {
            name: name.to_owned(),
            known: presets().iter().map(|preset| preset.name).collect::<Vec<_>>().join(", "),
        })
    }
}

/// An error in a drift spec.
#[derive(Debug, Error, PartialEq)]
pub enum SpecError {
    /// There is no such preset.
    #[error("preset: there is no preset {name:?}; use one of {known}")]
    UnknownPreset {
        /// The unknown name.
        name: String,
        /// The names of the presets.
        known: String,
    },
    /// The text is not YAML, or not a drift spec.
    #[error("{file}:{line}: {problem}")]
    Yaml {
        /// The file's name.
        file: String,
        /// Line in the file, from 1.
        line: usize,
        /// Path of the field, what is wrong with it and how to fix it.
        problem: String,
    },
    /// The spec does not fit the model.
    #[error("{place}: {problem}")]
    Model {
        /// Path of the field in the spec.
        place: String,
        /// What is wrong with it and how to fix it.
        problem: String,
    },
    /// No rows can be drawn from the model card.
    #[error("model card: {place}: {problem}")]
    Card {
        /// Path of the field in the card.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
}
