//! Trains a model on a table: splits the rows, fits the weights, scores the model and describes it.

use crate::{
    Calibration, CrossValidation, Feature, FileError, ModelCard, ModelFile, Simulator, Table, TrainingReport,
    card::{Categorical, Numeric, Values},
    design::Design,
    encoding::Slot,
    logistic::{Fit, Weights, argmax},
    pool::{Source, simulator},
    predictor::Predictor,
    rarity,
    reference::{Outputs, PLENTY, ReferenceOutputs, reference, twins},
    scores::{auroc, class_scores, warnings},
    split::{folds, parted, split},
    table::Column,
};
use drift::SignalReference;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use thiserror::Error;

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

/// Scores rows with weights that were fitted without them.
struct Validation<'a> {
    table: &'a Table,
    design: &'a Design,
    served: &'a Fit,
    alpha: f64,
}

impl Validation<'_> {
    /// Replaces the logits of the fitted rows: each of `count` folds is scored with weights that are fitted without it. Returns the
    /// accuracy over the folds. Each fit starts from the served weights, so that it takes few steps.
    fn run(
        &self,
        train_rows: &[usize],
        count: usize,
        mut logits: Vec<Vec<f64>>,
        rng: &mut ChaCha8Rng,
    ) -> Result<(CrossValidation, Vec<Vec<f64>>), TrainError> {
        let folds = folds(self.table, count, rng);
        let fold_of: Vec<usize> = train_rows.iter().map(|&row| folds[row]).collect();
        let parts: Vec<(Vec<usize>, Vec<Vec<f64>>)> = (0..count)
            .into_par_iter()
            .map(|fold| {
                let (fit, held_out) = parted(&fold_of, fold);
                let [fit, held_out] =
                    [fit, held_out].map(|at| at.iter().map(|&at| train_rows[at]).collect::<Vec<_>>());
                let refitted = self.refitted(&fit, &held_out)?;
                let logits = held_out.iter().map(|&row| refitted.logits(self.design, row)).collect();
                Ok::<_, TrainError>((held_out, logits))
            })
            .collect::<Result<_, _>>()?;
        let mut scores = Vec::new();
        for (rows, own) in parts {
            // If there are fewer rows than folds, some folds are empty.
            if !rows.is_empty() {
                let right =
                    rows.iter().zip(&own).filter(|(row, own)| argmax(own) == self.table.labels[**row]);
                scores.push(right.count() as f64 / rows.len() as f64);
            }
            rows.into_iter().zip(own).for_each(|(row, own)| logits[row] = own);
        }
        let mean_accuracy = scores.iter().sum::<f64>() / scores.len() as f64;
        let squares: f64 = scores.iter().map(|score| (score - mean_accuracy).powi(2)).sum();
        let sd = (squares / (scores.len().saturating_sub(1).max(1)) as f64).sqrt();
        Ok((CrossValidation { folds: scores.len(), mean_accuracy, sd }, logits))
    }

    fn refitted(&self, fit: &[usize], held_out: &[usize]) -> Result<Fit, TrainError> {
        let mut present = vec![false; self.table.classes.len()];
        fit.iter().for_each(|&row| present[self.table.labels[row]] = true);
        // If the only fitted row of a class is left out, the weights would be those of a model with fewer classes.
        if held_out.is_empty() || present.contains(&false) {
            return Ok(self.served.clone());
        }
        self.served.fitted(self.design, &self.table.labels, fit, self.alpha)
    }
}

/// Returns how much the logits depend on each feature.
fn importances(design: &Design, table: &Table, weights: &Weights) -> Vec<f64> {
    let mut start = 0;
    let mut spreads = Vec::new();
    for (slot, values) in design.encoding.slots().iter().zip(&table.values) {
        spreads.push(spread(*slot, values, weights, start));
        start += slot.width();
    }
    spreads
}

/// Describes the features of a table. Their importances are given as shares of the sum of `importances`.
pub(crate) fn features(table: &Table, design: &Design, importances: &[f64]) -> Vec<Feature> {
    let all: f64 = importances.iter().sum();
    let columns = table.columns.par_iter().zip(&table.values).zip(design.encoding.slots()).zip(importances);
    let describe = |(((column, values), slot), own): (((&Column, &Vec<f64>), &Slot), &f64)| Feature {
        name: column.name.clone(),
        unit: column.unit.clone(),
        values: describe(column, values, *slot),
        missing_ratio: missing_ratio(values),
        accepts_missing: false,
        importance: if all > 0.0 { own / all } else { 0.0 },
    };
    columns.map(describe).collect()
}

fn missing_ratio(values: &[f64]) -> f64 {
    values.iter().filter(|value| value.is_nan()).count() as f64 / values.len() as f64
}

fn describe(column: &Column, values: &[f64], slot: Slot) -> Values {
    let Slot::Numeric(scaling) = slot else {
        let categories = column.categories.clone().unwrap_or_default();
        return Values::Categorical(Categorical::new(categories.known, categories.rare));
    };
    let present: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    let least = present.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = present.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = (!present.is_empty()).then_some([least, greatest]);
    Values::Numeric(Numeric {
        range,
        mean: scaling.mean,
        sd: scaling.sd,
        decimals: drift::bins::decimals(&present).filter(|_| range.is_some()),
        extreme: column.extreme.unwrap_or_else(|| beyond(range.unwrap_or([0.0, 0.0]))),
    })
}

/// Returns how much the logits depend on a feature: the standard deviation, over the rows, of its contribution to a class's logit,
/// averaged over the classes. The mean contribution to all classes is subtracted first, because it does not change the prediction.
/// `start` is the position of the feature's first encoded column.
fn spread(slot: Slot, values: &[f64], weights: &Weights, start: usize) -> f64 {
    let classes = weights.coefficients.len() as f64;
    // The contribution of each encoded column, class by class.
    let added: Vec<Vec<f64>> = (start..start + slot.width())
        .map(|column| {
            let mean = weights.coefficients.iter().map(|line| line[column]).sum::<f64>() / classes;
            weights.coefficients.iter().map(|line| line[column] - mean).collect()
        })
        .collect();
    match slot {
        // The present values have mean 0 and standard deviation 1, and missing ones count as 0.
        Slot::Numeric(_) => {
            let present = 1.0 - missing_ratio(values);
            present.sqrt() * added[0].iter().map(|weight| weight.abs()).sum::<f64>() / classes
        }
        Slot::Categorical { categories } => {
            let mut shares = vec![0.0; slot.width()];
            for &value in values {
                let value = (!value.is_nan()).then_some(value);
                shares[Slot::active(categories, value)] += 1.0 / values.len() as f64;
            }
            let sd = |class: usize| {
                let own = || added.iter().map(|added| added[class]).zip(&shares);
                let mean: f64 = own().map(|(added, share)| share * added).sum();
                own().map(|(added, share)| share * (added - mean).powi(2)).sum::<f64>().sqrt()
            };
            (0..weights.coefficients.len()).map(sd).sum::<f64>() / classes
        }
    }
}

/// Returns a range of values above another range: it begins 0.05 widths above the greatest value and ends 0.6 widths above it.
fn beyond([least, greatest]: [f64; 2]) -> [f64; 2] {
    let width = (greatest - least).max(greatest.abs() * 0.1).max(1e-9);
    [0.05, 0.6].map(|part| greatest + part * width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CsvOptions, Output, iris, read_csv};
    use rand::RngExt;

    fn iris_model() -> ModelFile {
        train(&iris::table(), &TrainOptions::new("iris")).unwrap()
    }

    #[test]
    fn the_model_of_iris_has_a_high_accuracy() {
        let report = iris_model().card.training;
        assert_eq!((report.train_rows, report.test_rows), (117, 30));
        assert!(report.held_out_accuracy.unwrap() >= 0.93, "{report:?}");
        assert!(report.cross_validation.as_ref().unwrap().mean_accuracy >= 0.93, "{report:?}");
    }

    #[test]
    fn the_same_table_and_seed_give_the_same_bytes() {
        let text = iris_model().to_json().unwrap();
        assert_eq!(text, iris_model().to_json().unwrap());
        let other = TrainOptions { seed: 7, ..TrainOptions::new("iris") };
        assert_ne!(text, train(&iris::table(), &other).unwrap().to_json().unwrap());
    }

    #[test]
    fn a_file_can_be_read_back_and_an_edited_one_is_refused() {
        let file = iris_model();
        let text = file.to_json().unwrap();
        let read = ModelFile::from_json(&text).unwrap();
        assert_eq!(read, file);
        assert_eq!(read.to_json().unwrap(), text);
        let edited = text.replace("\"setosa\"", "\"setoza\"");
        assert!(matches!(ModelFile::from_json(&edited), Err(FileError::Version { .. })));
        for (before, field) in
            [("\"format\": 3", "added"), ("\"expected\": [", "card.reference.signals.0.added")]
        {
            let added = text.replacen(before, &format!("\"added\": 1, {before}"), 1);
            let error = ModelFile::from_json(&added).unwrap_err();
            assert!(matches!(&error, FileError::UnknownField { field: found } if found == field), "{error}");
        }
        let future = text.replacen("\"format\": 3", "\"format\": 4", 1);
        assert!(matches!(ModelFile::from_json(&future), Err(FileError::Format { found: 4 })));
    }

    #[test]
    fn a_signal_with_another_number_of_rows_than_the_reference_is_refused() {
        let mut file = iris_model();
        file.card.reference.signals[0].rows += 1;
        file.card.reference.signals[0].counts[0] += 1;
        let error = file.finished().unwrap_err();
        assert!(matches!(error, FileError::Inconsistent { field: "card.reference.signals", .. }), "{error}");
    }

    #[test]
    fn models_of_unusual_tables_can_be_trained_and_give_predictions() {
        let cases: [(&str, String); 6] = [
            ("constant column", rows(60, |i| format!("1,{},{}", i, i % 2))),
            ("column always missing", rows(60, |i| format!(",{},{}", i, i % 3))),
            ("heavy ties", rows(60, |i| format!("{},{},{}", i % 2, i % 3, i % 2))),
            ("two rows a class", rows(4, |i| format!("{},{},{}", i, 4 - i, i % 2))),
            ("huge numbers", rows(60, |i| format!("{i}e148,-{i}e148,{}", i % 2))),
            ("tiny numbers", rows(60, |i| format!("{i}e-300,-{i}e-300,{}", i % 2))),
        ];
        for (name, text) in cases {
            let table = read(&text, name);
            let file =
                train(&table, &TrainOptions::new(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            let text = file.to_json().unwrap();
            assert_eq!(ModelFile::from_json(&text).unwrap(), file, "{name}");
            let predictor = Predictor::built_in(&file).unwrap();
            for row in table.rows() {
                let prediction =
                    predictor.predict_row(&row).unwrap_or_else(|error| panic!("{name}: {error}"));
                let Output::Class { probabilities, .. } = prediction.output else { panic!() };
                assert!((probabilities.unwrap().iter().sum::<f64>() - 1.0).abs() < 1e-9, "{name}");
            }
        }
    }

    fn read(text: &str, name: &str) -> Table {
        read_csv(text.as_bytes(), name, &CsvOptions::new("class"))
            .unwrap_or_else(|error| panic!("{error}"))
            .table
    }

    fn rows(count: usize, row: impl Fn(usize) -> String) -> String {
        let body: String = (0..count).map(|i| row(i) + "\n").collect();
        format!("a,b,class\n{body}")
    }

    #[test]
    fn a_model_of_sixty_features_and_thirty_rows_can_be_trained() {
        let names: Vec<String> = (0..60).map(|f| format!("f{f}")).collect();
        let cell = |r: usize, f: usize| ((r * 37 + f * 101 + r * f) % 97).to_string();
        let body: String = (0..30)
            .map(|r| format!("{},{}\n", (0..60).map(|f| cell(r, f)).collect::<Vec<_>>().join(","), r % 3))
            .collect();
        let text = format!("{},class\n{body}", names.join(","));
        let table = read(&text, "wide");
        let file = train(&table, &TrainOptions::new("wide")).unwrap();
        assert_eq!(file.card.reference.signals.len(), 63);
    }

    #[test]
    fn the_error_for_a_class_of_fewer_than_two_rows_names_the_class() {
        let mut table = iris::table();
        table.classes.push("orchid".into());
        for rows in [0, 1] {
            let error = train(&table, &TrainOptions::new("x")).unwrap_err().to_string();
            let expected = format!(
                "class \"orchid\": expected at least two rows, got {rows}; add rows of this class, or remove it"
            );
            assert_eq!(error, expected);
            table.values.iter_mut().for_each(|column| column.push(column[0]));
            table.labels.push(3);
        }
        assert!(train(&table, &TrainOptions::new("x")).is_ok());
    }

    #[test]
    fn the_error_for_an_option_out_of_range_names_the_option() {
        let bad = TrainOptions { alpha: 0.0, ..TrainOptions::new("x") };
        assert_eq!(train(&iris::table(), &bad).unwrap_err().to_string(), "alpha must be above 0, got 0");
        let bad = TrainOptions { test_fraction: 1.0, ..TrainOptions::new("x") };
        assert!(
            train(&iris::table(), &bad)
                .unwrap_err()
                .to_string()
                .starts_with("test-fraction must be in [0, 1)")
        );
    }

    /// Returns a table whose only column is constant.
    fn constant(counts: &[usize]) -> Table {
        let labels: Vec<usize> =
            counts.iter().enumerate().flat_map(|(class, &rows)| vec![class; rows]).collect();
        let classes = (0..counts.len()).map(|class| format!("c{class}")).collect();
        Table::from_rows(vec![Column::named("a")], classes, &vec![vec![Some(7.0)]; labels.len()], labels)
    }

    #[test]
    fn the_report_warns_about_a_model_that_always_predicts_one_class() {
        // 52 of 100 rows are of the most frequent class. The five folds of 20 rows have 11, 11, 10, 10 and 10 of them.
        let options = TrainOptions { test_fraction: 0.0, ..TrainOptions::new("t") };
        let report = train(&constant(&[52, 48]), &options).unwrap().card.training;
        assert_eq!((report.train_rows, report.test_rows, report.held_out_accuracy), (100, 0, None));
        let CrossValidation { folds, mean_accuracy, sd } = report.cross_validation.unwrap();
        // numpy.std([.55, .55, .5, .5, .5], ddof=1)
        assert!(
            folds == 5 && (mean_accuracy - 0.52).abs() < 1e-12 && (sd - 0.027386127875258306).abs() < 1e-12
        );
        assert_eq!(report.baseline_accuracy, Some(0.52));
        let report = train(&constant(&[60, 40]), &TrainOptions::new("t")).unwrap().card.training;
        assert_eq!((report.train_rows, report.test_rows, report.held_out_accuracy), (80, 20, Some(0.6)));
        assert!(report.warnings.iter().any(|warning| warning.contains("not better than always predicting")));
    }

    #[test]
    fn the_folds_are_few_from_twenty_rows_per_free_weight_on() {
        let folds = |counts: &[usize]| {
            let options = TrainOptions { test_fraction: 0.0, ..TrainOptions::new("t") };
            train(&constant(counts), &options).unwrap().card.training.cross_validation.unwrap().folds
        };
        // A column and an intercept need 40 rows for two classes, and 80 for three.
        assert_eq!((folds(&[20, 20]), folds(&[21, 20])), (20, 5));
        assert_eq!((folds(&[30, 30, 20]), folds(&[30, 30, 21])), (20, 5));
        // With fewer rows than folds, some folds are empty.
        assert_eq!(folds(&[4, 3]), 7);
    }

    #[test]
    fn the_accuracy_of_the_reference_is_measured_on_rows_that_were_not_fitted() {
        // The ten columns are random numbers, so weights are correct more often on rows that they were fitted to.
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let rows: Vec<Vec<Option<f64>>> =
            (0..400).map(|_| (0..10).map(|_| Some(rng.random::<f64>())).collect()).collect();
        let columns = (0..10).map(|at| Column::named(&format!("c{at}"))).collect();
        let classes = ["x", "y"].map(str::to_owned).to_vec();
        let table = Table::from_rows(columns, classes, &rows, (0..400).map(|row| row % 2).collect());
        let card = train(&table, &TrainOptions::new("t")).unwrap().card;
        assert_eq!(card.training.cross_validation.unwrap().folds, FOLDS, "there are many rows");
        let correct: f64 =
            card.training.class_scores.iter().map(|class| class.recall * class.rows as f64).sum();
        let accuracy = card.reference.accuracy.unwrap();
        assert!((accuracy - correct / 400.0).abs() < 1e-12);
        assert!(accuracy < 0.55, "{accuracy}");
    }

    #[test]
    fn steps_are_reported_in_their_order() {
        let mut steps = Vec::new();
        train_with_progress(&constant(&[3, 2]), &TrainOptions::new("t"), |step| steps.push(step)).unwrap();
        assert_eq!(steps, [Step::Fit, Step::Validate, Step::Reference, Step::Simulator]);
    }

    #[test]
    fn importance_is_the_standard_deviation_of_a_features_contribution() {
        // The first encoded column is of another feature.
        let numeric = Slot::Numeric(crate::encoding::Scaling { mean: 0.0, sd: 1.0 });
        let line = |values: [f64; 4]| values.to_vec();
        let weights = Weights {
            coefficients: vec![line([1.0, 1.0, 2.0, 3.0]), line([-3.0, -1.0, -2.0, -3.0])],
            intercepts: vec![0.0; 2],
        };
        // 1 and −3 minus their mean are 2 and −2.
        assert_eq!(spread(numeric, &[-1.0, 1.0], &weights, 0), 2.0);
        // numpy.std([-1, 1, 0, 0]) is √½.
        let gaps = spread(numeric, &[-1.0, 1.0, f64::NAN, f64::NAN], &weights, 0);
        assert!((gaps - 2.0 * 0.5_f64.sqrt()).abs() < 1e-12, "{gaps}");
        // The shares are 1/2, 1/4 and 1/4: numpy.sqrt(numpy.cov([1, 1, 2, 3], bias=True))
        let values = [0.0, 0.0, 1.0, f64::NAN];
        let own = spread(Slot::Categorical { categories: 1 }, &values, &weights, 1);
        assert!((own - 0.82915619758885).abs() < 1e-12, "{own}");
        // Weights that are equal for all classes do not change the prediction.
        let equal = Weights { coefficients: vec![line([1.0, 1.0, 2.0, 5.0]); 2], intercepts: vec![0.0; 2] };
        assert_eq!(spread(Slot::Categorical { categories: 1 }, &values, &equal, 1), 0.0);

        let categories = crate::Categories { known: vec!["a".into()], rare: vec!["b".into()] };
        let columns = vec![Column::named("x"), Column { categories: Some(categories), ..Column::named("c") }];
        let rows: Vec<Vec<Option<f64>>> =
            [0.0, 0.0, 1.0, 9.0].map(|c| vec![Some(c + 1.5), (c < 9.0).then_some(c)]).to_vec();
        let table = Table::from_rows(columns, vec!["p".into(), "q".into()], &rows, vec![0, 0, 1, 1]);
        let design = Design::new(&table, &[0, 1, 2, 3]);
        let described = features(&table, &design, &importances(&design, &table, &weights));
        assert!((described[0].importance - 2.0 / 2.82915619758885).abs() < 1e-12);
        assert!((described[1].importance - 0.82915619758885 / 2.82915619758885).abs() < 1e-12);
        assert_eq!((described[0].missing_ratio, described[1].missing_ratio), (0.0, 0.25));
        let numeric = described[0].numeric().unwrap();
        assert_eq!((numeric.range, numeric.mean, numeric.decimals), (Some([1.5, 10.5]), 4.0, Some(1)));
        assert_eq!(described[1].categorical().unwrap().rare, ["b"]);
        let idle = features(&table, &design, &importances(&design, &table, &equal));
        assert_eq!((idle[0].importance, idle[1].importance), (0.0, 0.0));
    }

    #[test]
    fn the_extreme_range_lies_above_the_data() {
        let close = |range, expected: [f64; 2]| {
            beyond(range).iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12)
        };
        assert!(close([0.0, 10.0], [10.5, 16.0]));
        // The width of a narrow range is taken as a tenth of the value.
        assert!(close([100.0, 101.0], [101.505, 107.06]) && close([-10.0, -9.5], [-9.4525, -8.93]));
        let [low, high] = beyond([0.0, 0.0]);
        assert!((low / 5e-11 - 1.0).abs() < 1e-12 && (high / 6e-10 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_column_without_values_has_no_range_and_no_decimals() {
        let slot = Slot::Numeric(crate::encoding::Scaling { mean: 0.0, sd: 1.0 });
        let Values::Numeric(numeric) = describe(&Column::named("a"), &[f64::NAN; 3], slot) else { panic!() };
        assert_eq!((numeric.range, numeric.decimals), (None, None));
        let Values::Numeric(numeric) = describe(&Column::named("a"), &[2.5, f64::NAN, 1.0], slot) else {
            panic!()
        };
        assert_eq!((numeric.range, numeric.decimals), (Some([1.0, 2.5]), Some(1)));
    }

    #[test]
    fn without_a_row_of_some_class_the_served_weights_are_used() {
        let table = iris::table();
        let all: Vec<usize> = (0..table.len()).collect();
        let design = Design::new(&table, &all);
        let served = Fit::zero(&design, 3).fitted(&design, &table.labels, &all, 1.0).unwrap();
        let validation = Validation { table: &table, design: &design, served: &served, alpha: 1.0 };
        let is_served = |fit: &[usize], held_out: &[usize]| {
            validation.refitted(fit, held_out).unwrap().logits(&design, 5) == served.logits(&design, 5)
        };
        // The last class begins at row 98.
        assert!(is_served(&all[..98], &all[98..]));
        assert!(is_served(&all, &[]));
        assert!(!is_served(&all[..100], &all[100..]));
    }

    #[test]
    fn the_error_for_each_option_out_of_range_names_it() {
        for (test_fraction, alpha) in
            [(-0.1, 1.0), (f64::NAN, 1.0), (0.2, -1.0), (0.2, f64::INFINITY), (0.2, f64::NAN)]
        {
            let options = TrainOptions { test_fraction, alpha, ..TrainOptions::new("t") };
            assert!(matches!(check(&options), Err(TrainError::Option { .. })), "{test_fraction} {alpha}");
        }
        assert!(check(&TrainOptions { test_fraction: 0.0, ..TrainOptions::new("t") }).is_ok());
    }
}
