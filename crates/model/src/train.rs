//! Trains a model from a table: split, fit, score, and describe.

use crate::{
    Calibration, CrossValidation, Feature, FileError, ModelCard, ModelFile, Table, TrainingReport,
    classifier::Scaling,
    fitted::Fitted,
    reference::{Like, reference},
    split::{folds, parted, split},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

/// Folds of the cross-validation.
const FOLDS: usize = 5;

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
    /// Creates the defaults: a fifth held out, seed 42, alpha 0.1.
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
    /// A class that nothing can be learnt of: weights fitted without a row, to judge them by it, would not know its class.
    #[error(
        "class {class:?} has {rows} of the two rows that each class needs: give it more, or leave it out"
    )]
    RareClass {
        /// The class's name.
        class: String,
        /// How many rows it has.
        rows: usize,
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
/// When an option is out of range, a class has fewer than two rows, or the optimiser fails.
pub fn train(table: &Table, options: &TrainOptions) -> Result<ModelFile, TrainError> {
    check(options)?;
    let counts = table.class_counts();
    if let Some(rare) = counts.iter().position(|&count| count < 2) {
        return Err(TrainError::RareClass { class: table.classes[rare].clone(), rows: counts[rare] });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let (train_rows, test_rows) = split(table, options.test_fraction, &mut rng);
    let fitted = Fitted::new(table, &train_rows, options.alpha)?;

    let (cross_validation, logits) = cross_validate(table, options.alpha, &mut rng)?;
    let calibration = Calibration::fit(&logits, &table.labels);
    let served = fitted.with_temperature(calibration.temperature);
    let like = Like { alpha: options.alpha, temperature: calibration.temperature };
    let reference = reference(table, &served, (&train_rows, &test_rows), like, &mut rng)?;
    let card = ModelCard {
        name: options.name.clone(),
        version: String::new(),
        features: features(table, &served.scaling),
        classes: table.classes.clone(),
        training: TrainingReport {
            train_rows: train_rows.len(),
            test_rows: test_rows.len(),
            held_out_accuracy: (!test_rows.is_empty()).then(|| served.accuracy(table, &test_rows)),
            cross_validation,
            calibration,
            alpha: options.alpha,
            seed: options.seed,
        },
        reference,
    };
    Ok(ModelFile::new(card, served.weights)?)
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

/// Accuracy over folds, and the logits of every row by weights that had not seen it.
fn cross_validate(
    table: &Table,
    alpha: f64,
    rng: &mut ChaCha8Rng,
) -> Result<(CrossValidation, Vec<Vec<f64>>), TrainError> {
    let folds = folds(table, FOLDS, rng);
    let mut scores = Vec::new();
    let mut logits = vec![Vec::new(); table.rows.len()];
    for fold in 0..FOLDS {
        let (fit_rows, held_out) = parted(&folds, fold);
        // Fewer rows than folds leave some of them empty.
        if !held_out.is_empty() {
            let fitted = Fitted::new(table, &fit_rows, alpha)?;
            scores.push(fitted.accuracy(table, &held_out));
            held_out.iter().for_each(|&row| logits[row] = fitted.logits(&table.rows[row]));
        }
    }
    let mean_accuracy = scores.iter().sum::<f64>() / scores.len() as f64;
    let squares: f64 = scores.iter().map(|score| (score - mean_accuracy).powi(2)).sum();
    let sd = (squares / (scores.len().saturating_sub(1).max(1)) as f64).sqrt();
    Ok((CrossValidation { folds: scores.len(), mean_accuracy, sd }, logits))
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

/// Returns a range of values beyond another range: from a twentieth to six tenths of its width above it, which is about where
/// the `giant` preset puts the flowers of Iris.
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
        for (before, field) in
            [("\"format\": 2", "added"), ("\"expected\": [", "card.reference.signals.0.added")]
        {
            let added = text.replacen(before, &format!("\"added\": 1, {before}"), 1);
            let error = ModelFile::from_json(&added).unwrap_err();
            assert!(matches!(&error, FileError::UnknownField { field: found } if found == field), "{error}");
        }
        let future = text.replacen("\"format\": 2", "\"format\": 3", 1);
        assert!(matches!(ModelFile::from_json(&future), Err(FileError::Format { found: 3 })));
    }

    #[test]
    fn a_signal_of_other_rows_than_the_reference_is_refused() {
        let ModelFile { mut card, weights, .. } = iris_model();
        card.reference.signals[0].rows += 1;
        card.reference.signals[0].counts[0] += 1;
        let error = ModelFile::new(card, weights).unwrap_err();
        assert!(matches!(error, FileError::Inconsistent { field: "card.reference.signals", .. }), "{error}");
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
    fn a_class_of_fewer_than_two_rows_is_named() {
        let mut table = iris::table();
        table.classes.push("orchid".into());
        for rows in [0, 1] {
            let error = train(&table, &TrainOptions::new("x")).unwrap_err().to_string();
            let expected = format!(
                "class \"orchid\" has {rows} of the two rows that each class needs: give it more, or leave it out"
            );
            assert_eq!(error, expected);
            table.rows.push(table.rows[0].clone());
            table.labels.push(3);
        }
        assert!(train(&table, &TrainOptions::new("x")).is_ok());
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
