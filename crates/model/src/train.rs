//! From a table to a model: split, fit, score, and the reference that its traffic will be held against.
//!
//! What the model gives off (prediction, confidence, distance) is referenced as the served weights give it off on rows
//! that they have not seen, as traffic is. Held-out rows are scored as they are. For the rows that were fitted it depends
//! on how many there are: with plenty, the weights hardly know any single one; with few, each is scored by weights
//! fitted without it and nineteen parts in twenty of the others. Taken in sample, a small reference would look surer and
//! closer to its classes than any fresh row can be; taken from models much unlike the served one, it would be another
//! model's reference. Either way sound traffic would seem to drift.

use crate::{
    CrossValidation, Feature, FileError, ModelCard, ModelFile, Reference, Table, TrainingReport,
    classifier::Scaling,
    logistic::{Weights, argmax},
    shape::{ClassShape, Distance},
};
use drift::SignalReference;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

/// Folds of the cross-validation.
const FOLDS: usize = 5;

/// Folds for the reference of what the model gives off: many, so that each part's weights are close to the served ones.
const REFERENCE_FOLDS: usize = 20;

/// With this many rows for each number that is fitted, a row's own part in the fit no longer shows.
const PLENTY: usize = 20;

/// How to train.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOptions {
    /// The model's name.
    pub name: String,
    /// Share of each class to hold out, in [0, 1).
    pub test_fraction: f64,
    /// Seed of the split and the folds.
    pub seed: u64,
    /// Strength of the L2 penalty, above 0: separable data would drive unpenalised weights to infinity.
    pub alpha: f64,
}

impl TrainOptions {
    /// The defaults: a fifth held out, seed 42, alpha 0.1.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), test_fraction: 0.2, seed: 42, alpha: 0.1 }
    }
}

/// Why no model came about.
#[derive(Debug, Error)]
pub enum TrainError {
    /// An option outside its range.
    #[error("{option} must be {range}, got {got}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What it may be.
        range: &'static str,
        /// What it was.
        got: f64,
    },
    /// The optimiser failed.
    #[error("cannot fit the model: {0}")]
    Fit(String),
    /// Our probabilities and smartcore's predictions differ, which would be a fault of this crate.
    #[error("row {row}: the softmax says class {ours}, smartcore says class {theirs}")]
    Disagreement {
        /// Position of the row.
        row: usize,
        /// Class by our softmax.
        ours: usize,
        /// Class by smartcore.
        theirs: usize,
    },
    /// The parts don't fit together.
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
/// When an option is out of range or the optimiser fails.
pub fn train(table: &Table, options: &TrainOptions) -> Result<ModelFile, TrainError> {
    check(options)?;
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let (train_rows, test_rows) = split(table, options.test_fraction, &mut rng);
    let fitted = Fitted::new(table, &train_rows, options.alpha)?;

    let cross_validation = cross_validate(table, options.alpha, &mut rng)?;
    let outputs = outputs(table, &fitted, &train_rows, &test_rows, options.alpha, &mut rng)?;
    let distances = distances(table, &fitted.scaling, &mut rng);
    let all: Vec<usize> = (0..table.rows.len()).collect();

    let card = ModelCard {
        name: options.name.clone(),
        version: String::new(),
        features: features(table, &fitted.scaling),
        classes: table.classes.clone(),
        training: TrainingReport {
            train_rows: train_rows.len(),
            test_rows: test_rows.len(),
            held_out_accuracy: (!test_rows.is_empty()).then(|| fitted.accuracy(table, &test_rows)),
            cross_validation,
            alpha: options.alpha,
            seed: options.seed,
        },
        reference: Reference {
            rows: all.len() as u64,
            signals: signals(table, &outputs, &distances),
            class_shapes: class_shapes(table, &fitted.scaling, &all),
        },
    };
    Ok(ModelFile::new(card, fitted.weights)?)
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

/// Weights and the scaling they stand on.
struct Fitted {
    scaling: Vec<Scaling>,
    weights: Weights,
}

impl Fitted {
    fn new(table: &Table, rows: &[usize], alpha: f64) -> Result<Self, TrainError> {
        let scaling: Vec<Scaling> =
            (0..table.columns.len()).map(|feature| scaling(table, rows, feature)).collect();
        let x: Vec<Vec<f64>> = rows.iter().map(|&row| standardise(&scaling, &table.rows[row])).collect();
        let y: Vec<usize> = rows.iter().map(|&row| table.labels[row]).collect();
        let weights = Weights::fit(&x, &y, table.classes.len(), alpha)?;
        Ok(Self { scaling, weights })
    }

    fn probabilities(&self, row: &[Option<f64>]) -> Vec<f64> {
        self.weights.probabilities(&standardise(&self.scaling, row))
    }

    fn accuracy(&self, table: &Table, rows: &[usize]) -> f64 {
        let right =
            rows.iter().filter(|&&row| argmax(&self.probabilities(&table.rows[row])) == table.labels[row]);
        right.count() as f64 / rows.len() as f64
    }
}

/// Mean and standard deviation of one feature over some rows, gaps aside.
fn scaling(table: &Table, rows: &[usize], feature: usize) -> Scaling {
    let values: Vec<f64> = rows.iter().filter_map(|&row| table.rows[row][feature]).collect();
    if values.is_empty() {
        return Scaling { mean: 0.0, sd: 1.0 };
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let largest = values.iter().fold(0.0_f64, |largest, value| largest.max((value - mean).abs()));
    if largest == 0.0 {
        return Scaling { mean, sd: 1.0 };
    }
    // The squares of differences as small as 1e-200 would vanish, so they are taken in units of the largest.
    let variance =
        values.iter().map(|value| ((value - mean) / largest).powi(2)).sum::<f64>() / values.len() as f64;
    Scaling { mean, sd: largest * variance.sqrt() }
}

fn standardise(scaling: &[Scaling], row: &[Option<f64>]) -> Vec<f64> {
    scaling.iter().zip(row).map(|(scaling, &value)| scaling.apply(value)).collect()
}

/// Row numbers of each class, shuffled.
fn shuffled_classes(table: &Table, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let mut classes = vec![Vec::new(); table.classes.len()];
    for (row, &label) in table.labels.iter().enumerate() {
        classes[label].push(row);
    }
    classes.iter_mut().for_each(|rows| rows.shuffle(rng));
    classes
}

/// Rows to fit and rows to hold out, the same share of every class; a class always keeps a row to fit.
fn split(table: &Table, test_fraction: f64, rng: &mut ChaCha8Rng) -> (Vec<usize>, Vec<usize>) {
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for rows in shuffled_classes(table, rng) {
        let held_out = ((rows.len() as f64 * test_fraction).round() as usize).min(rows.len() - 1);
        test.extend_from_slice(&rows[..held_out]);
        train.extend_from_slice(&rows[held_out..]);
    }
    train.sort_unstable();
    test.sort_unstable();
    (train, test)
}

/// The fold of each row; every class is dealt out evenly.
fn folds(table: &Table, folds: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut fold = vec![0; table.rows.len()];
    for (dealt, row) in shuffled_classes(table, rng).into_iter().flatten().enumerate() {
        fold[row] = dealt % folds;
    }
    fold
}

fn parted(folds: &[usize], fold: usize) -> (Vec<usize>, Vec<usize>) {
    (0..folds.len()).partition(|&row| folds[row] != fold)
}

fn cross_validate(table: &Table, alpha: f64, rng: &mut ChaCha8Rng) -> Result<CrossValidation, TrainError> {
    let folds = folds(table, FOLDS, rng);
    let mut scores = Vec::new();
    for fold in 0..FOLDS {
        let (fit_rows, held_out) = parted(&folds, fold);
        // Fewer rows than folds leave some of them empty.
        if !held_out.is_empty() {
            scores.push(Fitted::new(table, &fit_rows, alpha)?.accuracy(table, &held_out));
        }
    }
    let mean_accuracy = scores.iter().sum::<f64>() / scores.len() as f64;
    let squares: f64 = scores.iter().map(|score| (score - mean_accuracy).powi(2)).sum();
    let sd = (squares / (scores.len().saturating_sub(1).max(1)) as f64).sqrt();
    Ok(CrossValidation { folds: scores.len(), mean_accuracy, sd })
}

/// What the served model says of each row as if it had never seen it.
struct Outputs {
    predictions: Vec<usize>,
    confidences: Vec<f64>,
}

impl Outputs {
    fn put(&mut self, fitted: &Fitted, table: &Table, row: usize) {
        let probabilities = fitted.probabilities(&table.rows[row]);
        self.predictions[row] = argmax(&probabilities);
        self.confidences[row] = probabilities[self.predictions[row]];
    }
}

fn outputs(
    table: &Table,
    served: &Fitted,
    train_rows: &[usize],
    test_rows: &[usize],
    alpha: f64,
    rng: &mut ChaCha8Rng,
) -> Result<Outputs, TrainError> {
    let rows = table.rows.len();
    let mut outputs = Outputs { predictions: vec![0; rows], confidences: vec![0.0; rows] };
    test_rows.iter().for_each(|&row| outputs.put(served, table, row));
    let weights = (table.columns.len() + 1) * (table.classes.len() - 1);
    if train_rows.len() > PLENTY * weights {
        train_rows.iter().for_each(|&row| outputs.put(served, table, row));
        return Ok(outputs);
    }
    let folds = folds(table, REFERENCE_FOLDS, rng);
    for fold in 0..REFERENCE_FOLDS {
        let (held_out, fit_rows): (Vec<_>, Vec<_>) = train_rows.iter().partition(|&&row| folds[row] == fold);
        // A class whose only fitted row is held out leaves weights of fewer classes, which say nothing of the served ones.
        let complete =
            (0..table.classes.len()).all(|class| fit_rows.iter().any(|&row| table.labels[row] == class));
        let refitted =
            if complete && !held_out.is_empty() { Some(Fitted::new(table, &fit_rows, alpha)?) } else { None };
        held_out.into_iter().for_each(|row| outputs.put(refitted.as_ref().unwrap_or(served), table, row));
    }
    Ok(outputs)
}

/// How far each row is from its nearest class, by shapes that the row had no part in.
fn distances(table: &Table, scaling: &[Scaling], rng: &mut ChaCha8Rng) -> Vec<f64> {
    let smallest = table.class_counts().into_iter().min().unwrap_or_default();
    let plenty = smallest >= PLENTY * table.columns.len();
    let folds = if plenty { vec![0; table.rows.len()] } else { folds(table, REFERENCE_FOLDS, rng) };
    let mut distances = vec![0.0; table.rows.len()];
    let mut scratch = Vec::new();
    for fold in 0..=folds.iter().copied().max().unwrap_or_default() {
        let (others, held_out) = parted(&folds, fold);
        let shaping = if plenty { &held_out } else { &others };
        let distance = Distance::new(&class_shapes(table, scaling, shaping));
        for &row in &held_out {
            distances[row] = distance.of(&standardise(scaling, &table.rows[row]), &mut scratch);
        }
    }
    distances
}

/// The shape of every class among some rows; a class without rows there is left out.
fn class_shapes(table: &Table, scaling: &[Scaling], rows: &[usize]) -> Vec<ClassShape> {
    (0..table.classes.len())
        .filter_map(|class| {
            let own: Vec<usize> = rows.iter().copied().filter(|&row| table.labels[row] == class).collect();
            let standardised: Vec<Vec<f64>> =
                own.iter().map(|&row| standardise(scaling, &table.rows[row])).collect();
            let standardised: Vec<&[f64]> = standardised.iter().map(Vec::as_slice).collect();
            let raw: Vec<&[Option<f64>]> = own.iter().map(|&row| table.rows[row].as_slice()).collect();
            (!own.is_empty()).then(|| ClassShape::of_rows(&standardised, &raw))
        })
        .collect()
}

fn signals(table: &Table, outputs: &Outputs, distances: &[f64]) -> Vec<SignalReference> {
    let some = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
    let features = table.columns.iter().enumerate();
    let features = features.map(|(at, column)| SignalReference::of_values(&column.name, &table.column(at)));
    features
        .chain([
            SignalReference::of_categories("prediction", &outputs.predictions, &table.classes),
            SignalReference::of_values("confidence", &some(&outputs.confidences)),
            SignalReference::of_values("distance", &some(distances)),
        ])
        .collect()
}

fn features(table: &Table, scaling: &[Scaling]) -> Vec<Feature> {
    let describe = |(at, (column, scaling)): (usize, (&crate::table::Column, &Scaling))| {
        let all = table.column(at);
        let values: Vec<f64> = all.iter().flatten().copied().collect();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let range = (!values.is_empty()).then_some([least, greatest]);
        Feature {
            name: column.name.clone(),
            unit: column.unit.clone(),
            range,
            mean: scaling.mean,
            sd: scaling.sd,
            decimals: drift::bins::decimals(&values).filter(|_| range.is_some()),
            missing_ratio: (all.len() - values.len()) as f64 / all.len() as f64,
            extreme: column.extreme.unwrap_or_else(|| beyond(range.unwrap_or([0.0, 0.0]))),
        }
    };
    table.columns.iter().zip(scaling).enumerate().map(describe).collect()
}

/// Values beyond a range: from a twentieth to six tenths of its width above it, which is about what the article's
/// giants are to Iris.
fn beyond([least, greatest]: [f64; 2]) -> [f64; 2] {
    let width = (greatest - least).max(greatest.abs() * 0.1).max(1e-9);
    [0.05, 0.6].map(|part| greatest + part * width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Classifier, iris, read_csv};

    fn iris_model() -> ModelFile {
        train(&iris::table(), &TrainOptions::new("iris")).unwrap()
    }

    #[test]
    fn iris_is_learnt_well() {
        let report = iris_model().card.training;
        assert_eq!((report.train_rows, report.test_rows), (117, 30));
        assert!(report.held_out_accuracy.unwrap() >= 0.93, "{report:?}");
        assert!(report.cross_validation.mean_accuracy >= 0.93, "{report:?}");
    }

    #[test]
    fn the_same_table_and_seed_give_the_same_bytes() {
        let text = iris_model().to_json().unwrap();
        assert_eq!(text, iris_model().to_json().unwrap());
        let other = TrainOptions { seed: 7, ..TrainOptions::new("iris") };
        assert_ne!(text, train(&iris::table(), &other).unwrap().to_json().unwrap());
    }

    #[test]
    fn a_file_survives_its_own_text_and_an_edit_does_not() {
        let file = iris_model();
        let text = file.to_json().unwrap();
        let read = ModelFile::from_json(&text).unwrap();
        assert_eq!(read, file);
        assert_eq!(read.to_json().unwrap(), text);
        let edited = text.replace("\"setosa\"", "\"setoza\"");
        assert!(matches!(ModelFile::from_json(&edited), Err(FileError::Version { .. })));
        let future = text.replacen("\"format\": 1", "\"format\": 2", 1);
        assert!(matches!(ModelFile::from_json(&future), Err(FileError::Format { found: 2 })));
    }

    #[test]
    fn no_held_out_row_was_fitted() {
        let table = iris::table();
        let (train, test) = split(&table, 0.2, &mut ChaCha8Rng::seed_from_u64(42));
        let shared =
            test.iter().filter(|&&held| train.iter().any(|&fit| table.rows[fit] == table.rows[held]));
        assert_eq!(shared.count(), 0);
    }

    #[test]
    fn awkward_tables_train_and_answer() {
        let cases: [(&str, String); 6] = [
            ("constant column", rows(60, |i| format!("1,{},{}", i, i % 2))),
            ("column always missing", rows(60, |i| format!(",{},{}", i, i % 3))),
            ("heavy ties", rows(60, |i| format!("{},{},{}", i % 2, i % 3, i % 2))),
            ("two rows a class", rows(4, |i| format!("{},{},{}", i, 4 - i, i % 2))),
            ("huge numbers", rows(60, |i| format!("{i}e148,-{i}e148,{}", i % 2))),
            ("tiny numbers", rows(60, |i| format!("{i}e-300,-{i}e-300,{}", i % 2))),
        ];
        for (name, text) in cases {
            let table = read_csv(text.as_bytes(), name, "class").unwrap_or_else(|error| panic!("{error}"));
            let file =
                train(&table, &TrainOptions::new(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            let text = file.to_json().unwrap();
            assert_eq!(ModelFile::from_json(&text).unwrap(), file, "{name}");
            let classifier = Classifier::new(&file);
            for row in &table.rows {
                let prediction = classifier.predict(row).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!((prediction.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{name}");
            }
        }
    }

    fn rows(count: usize, row: impl Fn(usize) -> String) -> String {
        let body: String = (0..count).map(|i| row(i) + "\n").collect();
        format!("a,b,class\n{body}")
    }

    #[test]
    fn sixty_features_and_thirty_rows_train() {
        let names: Vec<String> = (0..60).map(|f| format!("f{f}")).collect();
        let cell = |r: usize, f: usize| ((r * 37 + f * 101 + r * f) % 97).to_string();
        let body: String = (0..30)
            .map(|r| format!("{},{}\n", (0..60).map(|f| cell(r, f)).collect::<Vec<_>>().join(","), r % 3))
            .collect();
        let text = format!("{},class\n{body}", names.join(","));
        let table = read_csv(text.as_bytes(), "wide", "class").unwrap();
        let file = train(&table, &TrainOptions::new("wide")).unwrap();
        assert_eq!(file.card.reference.signals.len(), 63);
    }

    #[test]
    fn options_out_of_range_are_named() {
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
}
