//! Drift specifications: a share of the rows, and what happens to them. Their YAML form is
//! `yaml`'s matter; what it means for one model's features and classes is `drifted_distribution`'s.

use crate::preset::presets;
use thiserror::Error;

/// Drift to be made. Written in YAML as a preset or as operations:
///
/// ```
/// let spec: driftsim::DriftSpec = serde_yaml::from_str("{ preset: giant, share: 0.3 }")?;
/// assert_eq!(spec.share, 0.3);
///
/// let spec: driftsim::DriftSpec = serde_yaml::from_str(r#"
///     description: A worn scale
///     share: 0.5                                             # of the rows drift; all of them if not said
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
    /// What it is about, for people.
    pub description: String,
    /// Share of the rows that drift, in [0, 1].
    pub share: f64,
    /// What happens to the rows that drift, in this order. Without any, no row drifts.
    pub operations: Vec<Operation>,
}

/// One thing that happens to rows. Missing values stay missing.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Adds a multiple of each column's standard deviation: incremental covariate shift.
    Shift {
        /// Names or patterns.
        features: Vec<String>,
        /// How many standard deviations, not 0.
        by_sd: f64,
    },
    /// Multiplies, as a change of unit does.
    Scale {
        /// Names or patterns.
        features: Vec<String>,
        /// Neither 0 nor 1.
        factor: f64,
    },
    /// Adds Gaussian noise of a multiple of each column's standard deviation.
    Noise {
        /// Names or patterns.
        features: Vec<String>,
        /// How many standard deviations, above 0.
        by_sd: f64,
    },
    /// Puts a value in its place that is uniform in the feature's `extreme` range.
    Extreme {
        /// Names or patterns.
        features: Vec<String>,
    },
    /// Puts a value in its place that belongs to another row: the marginal distribution stays, the correlation with
    /// everything else goes. Always done before the other operations, with which it commutes.
    Shuffle {
        /// Names or patterns.
        features: Vec<String>,
    },
    /// Draws rows with other class shares: prior shift. The values of each class stay as they are.
    ClassShares(ClassShares),
    /// Gives the row another true class, each other class as likely: concept drift. Its values stay as they are.
    Relabel,
}

/// Which classes get which share of the rows; the others share the rest as they did in the reference.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassShares {
    /// Class names and their shares, which add up to 1 at most.
    Named(Vec<(String, f64)>),
    /// The share of the model's last class, whatever its name.
    Last(f64),
}

impl DriftSpec {
    /// No drift.
    pub fn steady() -> Self {
        Self { description: "Like the reference".to_owned(), share: 0.0, operations: Vec::new() }
    }

    /// Returns a built-in spec, by its name.
    ///
    /// # Errors
    /// [`SpecError::UnknownPreset`] lists those that exist.
    pub fn preset(name: &str) -> Result<Self, SpecError> {
        let found = presets().into_iter().find(|preset| preset.name == name);
        found.map(|preset| preset.spec).ok_or_else(|| SpecError::UnknownPreset {
            name: name.to_owned(),
            known: presets().iter().map(|preset| preset.name).collect::<Vec<_>>().join(", "),
        })
    }
}

/// What is wrong with a drift spec, and where.
#[derive(Debug, Error, PartialEq)]
pub enum SpecError {
    /// There is no such preset.
    #[error("preset: there is no {name:?}; there are {known}")]
    UnknownPreset {
        /// The name asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// Not YAML, or not a drift spec.
    #[error("{file}:{line}: {problem}")]
    Yaml {
        /// The file's name.
        file: String,
        /// Line in the file, from 1.
        line: usize,
        /// Path of the field, what is wrong with it and how to fix it.
        problem: String,
    },
    /// A spec that asks for what the model doesn't have.
    #[error("{place}: {problem}")]
    Model {
        /// Path of the field in the spec.
        place: String,
        /// What is wrong with it and how to fix it.
        problem: String,
    },
    /// A model card that no rows can be drawn from.
    #[error("model card: {place}: {problem}")]
    Card {
        /// Path of the field in the card.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
}
