//! Trains a model on a table: splits the rows, fits the weights, scores the model and describes it.
//!
//! Layout:
//! - this module: options, errors, and the steps of the training in their order
//! - `validation`: scores rows with weights that were fitted without them
//! - `features`: describes the features of a table, and how much the predictions depend on each

mod features;
mod validation;

pub(crate) use features::features;

use crate::{
    Calibration, FileError, ModelCard, ModelFile, Simulator, Table, TrainingReport,
    design::Design,
    logistic::{Fit, argmax},
    pool::{Source, simulator},
    predictor::Predictor,
    rarity,
    reference::{Outputs, PLENTY, ReferenceOutputs, reference, twins},
    scores::{auroc, class_scores, warnings},
    split::split,
};
use drift::SignalReference;
use features::importances;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use thiserror::Error;
use validation::Validation;

/// The number of folds of the cross-validation if there are many rows.
const FOLDS: usize = 5;

/// The number of folds if there are few rows: many folds, so that the weights of each fold are close to the served weights.
const MANY_FOLDS: usize = 20;

/// Options of the training.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOptions {
    /// The model's name.
    pub name: String,
    /// The share of each class to hold out, in [0, 1).
    pub test_fraction: f64,
    /// Seed of the split, the folds and the simulator.
    pub seed: u64,
    /// The strength of the L2 penalty, above 0. Without a penalty, the weights for separable classes would be infinite.
    pub alpha: f64,
}

impl TrainOptions {
    /// Returns the default options: a fifth of the rows held out, seed 42, alpha 0.1.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), test_fraction: 0.2, seed: 42, alpha: 0.1 }
    }
}

/// A step of the training, which is reported when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The weights are fitted.
    Fit,
    /// Weights are fitted without parts of the rows, so that these parts can be scored.
    Validate,
    /// The reference is measured.
    Reference,
    /// The simulator's rows are generated and checked.
    Simulator,
}

/// The reason why no model could be trained.
#[derive(Debug, Error)]
pub enum TrainError {
    /// An option is out of range.
    #[error("{option} must be {range}, got {got}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// The allowed range.
        range: &'static str,
        /// The value.
        got: f64,
    },
    /// A class has fewer than two rows. Validation scores a row with weights that are fitted without it, which needs another row of the
    /// same class.
    #[error("class {class:?}: expected at least two rows, got {rows}; add rows of this class, or remove it")]
    RareClass {
        /// The class's name.
        class: String,
        /// The number of rows of the class.
        rows: usize,
    },
    /// The optimiser failed.
    #[error("cannot fit the model: {0}")]
    Fit(String),
    /// The parts of the trained model contradict each other.
    #[error(transparent)]
    File(#[from] FileError),
}

impl TrainError {
    pub(crate) fn fit(error: impl std::fmt::Display) -> Self {
        Self::Fit(error.to_string())
    }
}

/// Trains a model. The same table and options give the same file, byte for byte.
///
/// # Errors
/// Returns an error if an option is out of range, a class has fewer than two rows, or the optimiser fails.
pub fn train(table: &Table, options: &TrainOptions) -> Result<ModelFile, TrainError> {
    train_with_progress(table, options, |_| {})
}

/// Trains a model and reports each step when it begins.
///
/// # Errors
/// Returns the errors of [`train`].
pub fn train_with_progress(
    table: &Table,
    options: &TrainOptions,
    mut begins: impl FnMut(Step),
) -> Result<ModelFile, TrainError> {
    check(options)?;
    let counts = table.class_counts();
    if let Some(rare) = counts.iter().position(|&count| count < 2) {
        return Err(TrainError::RareClass { class: table.classes[rare].clone(), rows: counts[rare] });
    }
    begins(Step::Fit);
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let table = &*rarity::corrected(table, &mut rng);
    let (train_rows, test_rows) = split(table, options.test_fraction, &mut rng);
    let design = Design::new(table, &train_rows);
    let classes = table.classes.len();
    let served = Fit::zero(&design, classes).fitted(&design, &table.labels, &train_rows, options.alpha)?;
    let as_served: Vec<Vec<f64>> =
        (0..table.len()).into_par_iter().map(|row| served.logits(&design, row)).collect();

    begins(Step::Validate);
    // Columns of weighted categories are not counted. Each concerns few rows, so together they hardly change the distribution of the
    // confidence: on five tables with 100 to 2,000 of them, that of new rows had a PSI of at most 0.002.
    let plenty = train_rows.len() > PLENTY * (design.width() + 1) * (classes - 1);
    let validation = Validation { table, design: &design, served: &served, alpha: options.alpha };
    let count = if plenty { FOLDS } else { MANY_FOLDS };
    let (cross_validation, unseen) = validation.run(&train_rows, count, as_served.clone(), &mut rng)?;
    let calibration = Calibration::fit(&unseen, &table.labels);
    let scored = Outputs::of_logits(&unseen, calibration.temperature);
    // If there are many rows, a single row hardly changes the weights, and the weights of the folds differ more from the served ones.
    let twins = twins(table);
    // The logits are dropped here, because they need much memory for large tables.
    let mut logits = if plenty {
        drop(unseen);
        as_served.clone()
    } else {
        unseen
    };
    twins.iter().for_each(|&row| logits[row].clone_from(&as_served[row]));
    let outputs = Outputs::of_logits(&logits, calibration.temperature);
    drop(logits);

    begins(Step::Reference);
    // The accuracy of `outputs` cannot be used, because fitted rows are scored by the served weights if there are many rows. With 20
    // rows per weight and hardly distinguishable classes, it would be 0.04 above the accuracy on new rows.
    let accuracy = scored.accuracy(&table.labels);
    let reference_outputs = ReferenceOutputs {
        prediction: SignalReference::of_classes("prediction", &outputs.predictions, &table.classes),
        confidences: Some(&outputs.confidences),
        accuracy: Some(accuracy),
        errors: None,
    };
    let (reference, distances) = reference(table, &design, reference_outputs, &twins, &mut rng);
    let weights = served.to_weights(&design, calibration.temperature);
    let class_scores = class_scores(table, &scored);
    let most_frequent = counts.iter().copied().max().unwrap_or_default();
    let baseline_accuracy = most_frequent as f64 / table.len() as f64;
    let held_out = |row: &&usize| argmax(&as_served[**row]) == table.labels[**row];
    let held_out_accuracy = test_rows.iter().filter(held_out).count() as f64 / test_rows.len() as f64;
    let warnings = warnings(table, &class_scores, accuracy, baseline_accuracy, test_rows.len());
    let card = ModelCard {
        name: options.name.clone(),
        version: String::new(),
        features: features(table, &design, &importances(&design, table, &weights)),
        classes: table.classes.clone(),
        notation: table.notation.clone(),
        training: TrainingReport {
            train_rows: train_rows.len(),
            test_rows: test_rows.len(),
            held_out_accuracy: (!test_rows.is_empty()).then_some(held_out_accuracy),
            cross_validation: Some(cross_validation),
            baseline_accuracy: Some(baseline_accuracy),
            auroc: auroc(table, &scored),
            class_scores,
            calibration: Some(calibration),
            alpha: Some(options.alpha),
            seed: options.seed,
            warnings,
        },
        reference,
        simulator: Simulator::new(Vec::new(), 0, &[]),
    };
    begins(Step::Simulator);
    drop((design, as_served));
    let mut file = ModelFile::unchecked(card, weights);
    let own = |&row: &usize| vec![outputs.predictions[row] as f64, outputs.confidences[row], distances[row]];
    let source = Source {
        table,
        held_out: test_rows.iter().map(own).collect(),
        predicted: scored.predictions.iter().map(|&class| class as f64).collect(),
        test_rows: &test_rows,
        predictor: Predictor::built_in(&file),
    };
    file.card.simulator = simulator(&source, &file.card, &mut rng);
    Ok(file.finished()?)
}

fn check(options: &TrainOptions) -> Result<(), TrainError> {
    let TrainOptions { test_fraction, alpha, .. } = *options;
    if !(0.0..1.0).contains(&test_fraction) {
        return Err(TrainError::Option { option: "test-fraction", range: "in [0, 1)", got: test_fraction });
    }
    if !(alpha.is_finite() && alpha > 0.0) {
        return Err(TrainError::Option { option: "alpha", range: "above 0", got: alpha });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
