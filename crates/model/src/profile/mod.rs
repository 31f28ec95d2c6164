//! Describes a model that was trained elsewhere, from a reference table and the model's outputs for its rows.

use crate::{
    Batch, BatchRows, Calibration, Engine, Feature, FileError, ModelCard, ModelFile, OtherCategory, Output,
    Predictor, ReferenceTable, Simulator, Table, TrainingReport,
    card::{ErrorReference, is_label},
    design::Design,
    file::ExternalModel,
    pool::{Source, simulator},
    rarity,
    reference::{Outputs, ReferenceOutputs, column_signals, reference, twins},
    scores::{auroc, class_scores, warnings},
    seen_rows::training_rows_correlation,
    server::ServerModel,
    shape::{ClassCentre, Shape, Spread},
    table::{Column, present},
    train::{Step, features},
};
use drift::SignalReference;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::sync::Arc;
use thiserror::Error;

/// The number of rows that the importance of a feature is measured on, and the greatest number of values that are exchanged for it in
/// all features together.
const IMPORTANCE_ROWS: usize = 1000;
const IMPORTANCE_VALUES: usize = 400_000;

/// The difference between mean confidence and accuracy above which there is a warning.
const MISCALIBRATED: f64 = 0.03;

/// The true classes or numbers of the reference rows, if they are known.
#[derive(Debug, Clone, PartialEq)]
pub enum Truth {
    /// The truth is not known.
    Unknown,
    /// The true class of each row.
    Classes(Vec<usize>),
    /// The true number of each row.
    Numbers(Vec<f64>),
}

/// The input from which a profile is made.
#[derive(Debug, Clone)]
pub struct ProfileInput {
    /// The model's name.
    pub name: String,
    /// The reference rows.
    pub table: ReferenceTable,
    /// The names of the classes; empty if the model predicts a number.
    pub classes: Vec<String>,
    /// The model's output for each row.
    pub outputs: Vec<Output>,
    /// The true class or number of each row.
    pub truth: Truth,
    /// The model, to score rows that are not in the table.
    pub engine: Option<Arc<dyn Engine>>,
    /// Whether the model takes missing values, for each feature; empty if that is not known.
    pub accepts_missing: Vec<bool>,
    /// The model's file and how it is read, if there is one.
    pub external: Option<ExternalModel>,
    /// How the model server is asked, if the model runs in one.
    pub server: Option<ServerModel>,
    /// The seed of the simulator.
    pub seed: u64,
}

/// The reason why no profile could be made.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// The outputs or the true values do not fit the rows or the classes.
    #[error("{0}")]
    Outputs(String),
    /// The parts of the profile contradict each other.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Returns the features of a reference table as a model card describes them, without their importance.
pub fn reference_features(table: &ReferenceTable) -> Vec<Feature> {
    let rows = table.values.first().map_or(0, Vec::len);
    let table = grouped(table, &[], &vec![0.0; rows], &Truth::Unknown);
    let design = Design::new(&table, &(0..rows).collect::<Vec<_>>());
    features(&table, &design, &vec![0.0; table.columns.len()])
}

/// Returns the reference of each column of a table on its own, without a model. A signal has the name of its column.
///
/// As in a model's reference, the share of the bin `other` is the one that new rows have. The rows that this moves depend on `seed`.
pub fn reference_signals(table: &ReferenceTable, seed: u64) -> Vec<SignalReference> {
    let rows = table.values.first().map_or(0, Vec::len);
    let names: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
    let table = grouped(table, &[], &vec![0.0; rows], &Truth::Unknown);
    column_signals(&rarity::corrected(&table, &mut ChaCha8Rng::seed_from_u64(seed)), &names)
}

/// Makes a profile, and reports each step when it begins. The same input gives the same file, byte for byte.
///
/// # Errors
/// Returns an error if the outputs do not fit the rows, or if a part of the profile is not finite.
pub fn profile(input: ProfileInput, mut begins: impl FnMut(Step)) -> Result<ModelFile, ProfileError> {
    let ProfileInput {
        name,
        table: raw,
        classes,
        outputs,
        truth,
        engine,
        accepts_missing,
        external,
        server,
        seed,
    } = input;
    check(&raw, &classes, &outputs, &truth)?;
    begins(Step::Reference);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f64> = outputs.iter().map(Output::value).collect();
    let table = grouped(&raw, &classes, &values, &truth);
    let table = &*rarity::corrected(&table, &mut rng);
    let all: Vec<usize> = (0..table.len()).collect();
    let design = Design::new(table, &all);

    let confidences: Option<Vec<f64>> = outputs.iter().map(Output::confidence).collect();
    let prediction = if classes.is_empty() {
        SignalReference::of_values("prediction", &values.iter().copied().map(Some).collect::<Vec<_>>())
    } else {
        let predicted: Vec<usize> = values.iter().map(|&class| class as usize).collect();
        SignalReference::of_classes("prediction", &predicted, &classes)
    };
    let report = report(table, &outputs, &truth, confidences.as_deref(), seed);
    let errors = match &truth {
        Truth::Numbers(numbers) => Some(errors(&values, numbers)),
        Truth::Unknown | Truth::Classes(_) => None,
    };
    let reference_outputs = ReferenceOutputs {
        prediction,
        confidences: confidences.as_deref(),
        accuracy: report.held_out_accuracy,
        errors,
    };
    let (mut reference, _) = reference(table, &design, reference_outputs, &twins(table), &mut rng);
    reference.shape = with_empty_groups(reference.shape, &table.class_counts());
    let importances = match &engine {
        Some(engine) => importances_of_engine(&raw, &outputs, engine.as_ref(), &mut rng),
        None => importances_of_outputs(&reference.signals, table, &values),
    };
    let mut card = ModelCard {
        name,
        version: String::new(),
        features: features(table, &design, &importances),
        classes,
        notation: raw.notation.clone(),
        training: report,
        reference,
        simulator: Simulator::empty(),
    };
    for (feature, accepts) in card.features.iter_mut().zip(accepts_missing) {
        feature.accepts_missing = accepts;
    }
    let correlation = match (&engine, &truth) {
        (Some(engine), Truth::Numbers(numbers)) => {
            training_rows_correlation(&raw, &outputs, numbers, engine.as_ref(), seed)
        }
        _ => None,
    };
    card.training.warnings.extend(limits(&card, &truth, correlation));

    begins(Step::Simulator);
    let source = Source {
        table,
        predicted: values.clone(),
        test_rows: &[],
        held_out: Vec::new(),
        predictor: engine.map(|engine| Predictor::new(engine, &card.features, &card.reference.shape)),
    };
    card.simulator = simulator(&source, &card, &mut rng);
    Ok(ModelFile::profile(card, external, server).finished()?)
}

fn check(
    table: &ReferenceTable,
    classes: &[String],
    outputs: &[Output],
    truth: &Truth,
) -> Result<(), ProfileError> {
    let rows = table.values.first().map_or(0, Vec::len);
    let error = |problem: String| Err(ProfileError::Outputs(problem));
    if rows < drift::MIN_ROWS as usize {
        return error(format!(
            "the table has {rows} rows, but a reference needs at least {}; add rows",
            drift::MIN_ROWS
        ));
    }
    if outputs.len() != rows {
        return error(format!("expected {rows} outputs, one per row, got {}", outputs.len()));
    }
    if let Some(odd) = classes.iter().find(|class| !is_label(class)) {
        return error(format!("class {odd:?} has a control character or a backslash in its name; rename it"));
    }
    let fits = |output: &Output| match output {
        Output::Class { class, probabilities } => {
            *class < classes.len()
                && probabilities.as_ref().is_none_or(|probabilities| probabilities.len() == classes.len())
        }
        Output::Number(number) => classes.is_empty() && number.is_finite(),
    };
    if let Some(row) = outputs.iter().position(|output| !fits(output)) {
        return error(format!("the output for row {row} does not fit the classes: {:?}", outputs[row]));
    }
    let known = match truth {
        Truth::Unknown => rows,
        Truth::Classes(labels) => labels.len(),
        Truth::Numbers(numbers) => numbers.len(),
    };
    if known != rows {
        return error(format!("expected {rows} true values, one per row, got {known}"));
    }
    match truth {
        Truth::Numbers(numbers) if numbers.iter().any(|number| !number.is_finite()) => {
            error("a true number is not finite".into())
        }
        Truth::Classes(labels)
            if classes.is_empty() || labels.iter().any(|&label| label >= classes.len()) =>
        {
            error("a true class is not a class of the model".into())
        }
        Truth::Numbers(_) if !classes.is_empty() => {
            error("expected true classes, because the model predicts classes, got numbers".into())
        }
        Truth::Unknown | Truth::Classes(_) | Truth::Numbers(_) => Ok(()),
    }
}

/// The greatest number of groups of rows with similar numbers, and the least number of rows per encoded column in a group.
const MOST_GROUPS: usize = 5;
const GROUP_ROWS: usize = 20;

/// Returns the table with a label for each row: the group in which its location and spread are measured. This is the true class, or
/// the predicted class if the true one is not known. If the model predicts a number, rows with similar numbers are a group.
fn grouped(table: &ReferenceTable, classes: &[String], predicted: &[f64], truth: &Truth) -> Table {
    let labels = match truth {
        Truth::Classes(labels) => labels.clone(),
        Truth::Numbers(numbers) => similar(numbers, table),
        Truth::Unknown if classes.is_empty() => similar(predicted, table),
        Truth::Unknown => predicted.iter().map(|&class| class as usize).collect(),
    };
    let names = match classes {
        [] => (0..=labels.iter().copied().max().unwrap_or_default()).map(|group| group.to_string()).collect(),
        some => some.to_vec(),
    };
    Table {
        columns: table.columns.clone(),
        classes: names,
        values: table.values.clone(),
        labels,
        notation: table.notation.clone(),
    }
}

/// Returns the group of each row, by the quantiles of its number.
fn similar(numbers: &[f64], table: &ReferenceTable) -> Vec<usize> {
    let width = |column: &Column| column.categories.as_ref().map_or(1, |own| own.known.len() + 2);
    let width: usize = table.columns.iter().map(width).sum();
    let groups = (numbers.len() / (GROUP_ROWS * width)).clamp(1, MOST_GROUPS);
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut starts: Vec<f64> = (1..groups).map(|group| sorted[group * sorted.len() / groups]).collect();
    // Equal numbers are in one group, and each group has rows.
    starts.retain(|start| *start > sorted[0]);
    starts.dedup();
    numbers.iter().map(|number| starts.partition_point(|start| start <= number)).collect()
}

/// Returns a shape with an entry for each group. A group without rows has no location, and its entry contains zeros.
fn with_empty_groups(shape: Shape, rows: &[usize]) -> Shape {
    let width = shape.classes.first().map_or(0, |class| class.means.len());
    let mut classes = shape.classes.into_iter();
    let spread = match shape.spread {
        Spread::PerClass { covariances } => {
            let mut covariances = covariances.into_iter();
            let own = rows.iter().map(|&rows| match rows {
                0 => vec![vec![0.0; width]; width],
                _ => covariances.next().unwrap_or_default(),
            });
            Spread::PerClass { covariances: own.collect() }
        }
        shared @ Spread::Shared { .. } => shared,
    };
    let empty = || ClassCentre { rows: 0, means: vec![0.0; width] };
    let own = rows.iter().map(|&rows| if rows == 0 { empty() } else { classes.next().unwrap_or_else(empty) });
    Shape { classes: own.collect(), spread }
}

/// Returns how the probabilities would be calibrated on these rows, whose true classes are `labels`; `None` without probabilities.
pub fn calibration(outputs: &[Output], labels: &[usize]) -> Option<Calibration> {
    let logarithm = |p: &f64| p.max(f64::MIN_POSITIVE).ln();
    let logits = outputs.iter().map(|output| Some(output.probabilities()?.iter().map(logarithm).collect()));
    let logits: Option<Vec<Vec<f64>>> = logits.collect();
    logits.map(|logits| Calibration::fit(&logits, labels))
}

fn report(
    table: &Table,
    outputs: &[Output],
    truth: &Truth,
    confidences: Option<&[f64]>,
    seed: u64,
) -> TrainingReport {
    let mut report = TrainingReport {
        train_rows: 0,
        test_rows: table.len(),
        held_out_accuracy: None,
        cross_validation: None,
        baseline_accuracy: None,
        class_scores: Vec::new(),
        auroc: None,
        calibration: None,
        alpha: None,
        seed,
        warnings: Vec::new(),
    };
    let Truth::Classes(labels) = truth else { return report };
    let own = Outputs {
        predictions: outputs.iter().map(|output| output.value() as usize).collect(),
        confidences: confidences.map(<[f64]>::to_vec).unwrap_or_default(),
        last: outputs.iter().filter_map(|output| output.probabilities()?.last().copied()).collect(),
    };
    let accuracy = own.accuracy(labels);
    let baseline = table.class_counts().into_iter().max().unwrap_or_default() as f64 / table.len() as f64;
    report.class_scores = class_scores(table, &own);
    report.held_out_accuracy = Some(accuracy);
    report.baseline_accuracy = Some(baseline);
    if confidences.is_some() {
        report.calibration = calibration(outputs, labels);
        let both = report.class_scores.iter().all(|score| score.rows > 0);
        report.auroc = if both { auroc(table, &own) } else { None };
    }
    report.warnings = warnings(table, &report.class_scores, accuracy, baseline, table.len());
    report
}

fn errors(predicted: &[f64], truth: &[f64]) -> ErrorReference {
    let count = truth.len() as f64;
    let errors = || predicted.iter().zip(truth).map(|(predicted, truth)| predicted - truth);
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / count;
    let mean_absolute = mean(&mut errors().map(f64::abs));
    let squares = mean(&mut errors().map(|error| error.powi(2)));
    let deviations: f64 = errors().map(|error| (error.abs() - mean_absolute).powi(2)).sum();
    let mean_truth = mean(&mut truth.iter().copied());
    let spread = mean(&mut truth.iter().map(|number| (number - mean_truth).powi(2)));
    ErrorReference {
        mean_absolute,
        absolute_sd: (deviations / (count - 1.0).max(1.0)).sqrt(),
        root_mean_square: squares.sqrt(),
        bias: mean(&mut errors()),
        r_squared: (spread > 0.0).then(|| 1.0 - squares / spread),
    }
}

/// Returns for each feature how much the outputs change when its values are exchanged between rows (L. Breiman, "Random Forests", 2001,
/// section 10, with the change of the output in place of the loss, because the truth may not be known).
fn importances_of_engine(
    table: &ReferenceTable,
    outputs: &[Output],
    engine: &dyn Engine,
    rng: &mut ChaCha8Rng,
) -> Vec<f64> {
    let features = table.columns.len();
    let rows = measured_rows(outputs.len(), features);
    let mut exchanged = rows.clone();
    exchanged.shuffle(rng);
    let importance = |feature: usize| {
        let mut changed = Vec::with_capacity(rows.len() * features);
        let mut texts = Vec::new();
        for (place, &row) in rows.iter().enumerate() {
            let from = exchanged[place];
            let source = |own: usize| if own == feature { from } else { row };
            let value = |own: usize| present(table.values[own][source(own)]);
            changed.extend((0..features).map(value));
            texts.extend((0..features).filter_map(|own| {
                let text = OtherCategory::find(&table.others, source(own), own)?;
                Some(OtherCategory { row: place, feature: own, text: text.into() })
            }));
        }
        let scored = engine.score(Batch { rows: BatchRows::new(&changed, features), others: &texts });
        let changes = |scored: Vec<Output>| -> f64 {
            rows.iter().zip(&scored).map(|(&row, other)| outputs[row].difference(other)).sum()
        };
        scored.map_or(0.0, changes)
    };
    (0..features).into_par_iter().map(importance).collect()
}

/// Returns the rows that importance is measured on. They are evenly spaced in a table with these numbers of rows and features.
fn measured_rows(rows: usize, features: usize) -> Vec<usize> {
    let count = IMPORTANCE_ROWS.min((IMPORTANCE_VALUES / features).max(drift::MIN_ROWS as usize));
    (0..rows).step_by(rows.div_ceil(count).max(1)).collect()
}

/// Returns the mutual information between the bins of each feature and those of the predictions, in nats.
fn importances_of_outputs(signals: &[SignalReference], table: &Table, predicted: &[f64]) -> Vec<f64> {
    let prediction = &signals[table.columns.len()].bins;
    let predictions: Vec<usize> = predicted.iter().map(|&value| prediction.index(Some(value))).collect();
    let importance = |(signal, values): (&SignalReference, &Vec<f64>)| {
        let width = prediction.len();
        let mut joint = vec![0.0; signal.bins.len() * width];
        for (&value, &predicted) in values.iter().zip(&predictions) {
            joint[signal.bins.index(present(value)) * width + predicted] += 1.0;
        }
        let all = values.len() as f64;
        let line = |bin: usize| joint[bin * width..(bin + 1) * width].iter().sum::<f64>();
        let column = |predicted: usize| joint.iter().skip(predicted).step_by(width).sum::<f64>();
        let term = |(cell, &count): (usize, &f64)| match count {
            0.0 => 0.0,
            _ => count / all * (count * all / (line(cell / width) * column(cell % width))).ln(),
        };
        // With few rows, the estimate is too high by about (bins − 1)·(predictions − 1)/(2·rows) (G. A. Miller, "Note on the bias of information
        // estimates", 1955).
        let used = |sums: &mut dyn Iterator<Item = f64>| sums.filter(|sum| *sum > 0.0).count() as f64;
        let free =
            (used(&mut (0..signal.bins.len()).map(line)) - 1.0) * (used(&mut (0..width).map(column)) - 1.0);
        (joint.iter().enumerate().map(term).sum::<f64>() - free / (2.0 * all)).max(0.0)
    };
    signals.par_iter().zip(&table.values).map(importance).collect()
}

/// Returns sentences about what limits the use of a profile. `correlation` is the result of [`training_rows_correlation`].
fn limits(card: &ModelCard, truth: &Truth, correlation: Option<f64>) -> Vec<String> {
    let mut warnings = Vec::new();
    let reference = &card.reference;
    let rows = reference.rows;
    let training_rows = "these may be rows that the model was trained on. Use rows that it was not trained on; otherwise the \
                         accuracy on traffic will be below that of the reference, and its confidence will differ";
    match (reference.accuracy, reference.confidence) {
        (Some(1.0), _) => {
            warnings.push(format!("the model makes no error on {rows} rows: {training_rows}"));
        }
        (Some(accuracy), Some(confidence)) => {
            let error = 4.0 * (confidence * (1.0 - confidence) / rows as f64).sqrt();
            let difference = accuracy - confidence;
            if difference > MISCALIBRATED.max(error) {
                warnings.push(format!(
                    "accuracy is {accuracy:.3}, but mean confidence is {confidence:.3}: {training_rows}. Or the model's \
                     probabilities are too low, which --calibrate corrects"
                ));
            } else if -difference > MISCALIBRATED.max(error) {
                warnings.push(format!(
                    "accuracy is {accuracy:.3}, but mean confidence is {confidence:.3}: the model's probabilities are too \
                     high, which --calibrate corrects"
                ));
            }
        }
        _ => {}
    }
    if let Some(r_squared) = reference.errors.as_ref().and_then(|errors| errors.r_squared)
        && r_squared <= 0.0
    {
        warnings.push(format!(
            "the model is not better than always predicting the mean (R² {r_squared:.3}); check the target and the order of the columns"
        ));
    }
    if card.training.auroc.is_some_and(|auroc| auroc < 0.4) {
        warnings.push(
            "the area under the ROC curve is below 0.5: the order of the classes may be reversed".into(),
        );
    }
    if let Some(errors) = &reference.errors
        && errors.r_squared.is_some_and(|r_squared| r_squared > 0.999)
    {
        warnings.push(format!("the model explains all of the variance on {rows} rows: {training_rows}"));
    } else if let Some(correlation) = correlation {
        warnings.push(format!(
            "predictions for the table's rows are nearer to their true numbers than predictions for slightly changed rows (correlation \
             {correlation:.2}): {training_rows}"
        ));
    }
    if reference.confidence.is_none() && !card.predicts_number() {
        warnings.push(
            "the model returns no probabilities, so there is no signal `confidence`, and accuracy cannot be estimated without feedback"
                .into(),
        );
    }
    if *truth == Truth::Unknown {
        let unknown = if card.predicts_number() {
            "the model's error on the reference is not known, so a rise of the error cannot be detected"
        } else {
            "the model's accuracy, recall and precision on the reference are not known, so a fall of them cannot be detected"
        };
        warnings.push(format!("there is no target column: {unknown}"));
    }
    warnings
}

#[cfg(test)]
mod tests;
