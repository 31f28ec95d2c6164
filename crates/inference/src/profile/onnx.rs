//! Runs an ONNX model on the table and determines how its outputs are read.

use super::{
    Args, ModelOutputs,
    classes::{MAX_CLASSES, distinct, listed, position},
};
use crate::external;
use ::onnx::{
    Inputs, OnnxEngine, OnnxModel, RawOutputs, RunError, Runtime, Scores, engine::unlike_probabilities,
};
use anyhow::{Context, Result, anyhow, bail, ensure};
use model::{
    Batch, BatchRows, EngineError, OtherCategory, ReferenceTable, file::ExternalModel, reference_features,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The greatest number of rows that are scored one by one to find the row that the model fails on.
const MOST_TRIED: usize = 10_000;

/// The time limit for scoring the whole table.
const LIMIT: Duration = Duration::from_secs(600);

/// A model and its raw outputs for the rows of the table.
pub(super) struct Run {
    path: PathBuf,
    model: Arc<OnnxModel>,
    inputs: Inputs,
    raw: RawOutputs,
    rows: usize,
    read: Read,
}

impl Run {
    /// Runs the model on the table and determines how its outputs are read.
    ///
    /// # Errors
    /// Returns an error if the model cannot be run or does not fit the table, or if its outputs cannot be read.
    pub(super) fn new(path: &Path, args: &Args, table: &ReferenceTable) -> Result<Self> {
        let place = || place(path);
        let model = load(path, args)?;
        let inputs = model.inputs(&reference_features(table)).with_context(place)?;
        let values = values(table);
        let batch = batch(&values, table);
        let raw = model.run_within(&inputs, batch, LIMIT);
        let raw = raw.map_err(|error| explained(error, &model, &inputs, table, batch)).with_context(place)?;
        let read = describe(args, table, &raw, model.sha256()).with_context(place)?;
        Ok(Self { path: path.to_owned(), model: Arc::new(model), inputs, raw, rows: batch.rows.len(), read })
    }

    /// Returns the outputs, with probabilities of this temperature. It does not run the model again.
    ///
    /// # Errors
    /// Returns an error if the outputs differ from the description of the model.
    pub(super) fn outputs(&self, temperature: f64) -> Result<ModelOutputs> {
        let external = ExternalModel { temperature, ..self.read.external.clone() };
        let engine = OnnxEngine::new(Arc::clone(&self.model), self.inputs.clone(), external.clone());
        let outputs = engine.outputs(self.raw.clone(), self.rows).map_err(anyhow::Error::msg);
        Ok(ModelOutputs {
            classes: self.read.classes.clone(),
            outputs: outputs.with_context(|| place(&self.path))?,
            engine: Some(Arc::new(engine)),
            accepts_missing: self.inputs.accept_missing(),
            external: Some(external),
            server: None,
            notes: self.read.notes.iter().cloned().chain(self.inputs.describe()).collect(),
        })
    }
}

fn place(path: &Path) -> String {
    format!("--onnx {}", path.display())
}

fn load(path: &Path, args: &Args) -> Result<OnnxModel> {
    let place = || place(path);
    let bytes = fs::read(path).with_context(place)?;
    let runtime = Runtime::load(args.onnxruntime.as_deref())?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    external::read(&runtime, &bytes, threads).with_context(place)
}

/// Returns the values of the table, row by row.
pub(super) fn values(table: &ReferenceTable) -> Vec<Option<f64>> {
    let rows = table.values.first().map_or(0, Vec::len);
    let value = |value: f64| (!value.is_nan()).then_some(value);
    (0..rows).flat_map(|row| table.values.iter().map(move |column| value(column[row]))).collect()
}

pub(super) fn batch<'a>(values: &'a [Option<f64>], table: &'a ReferenceTable) -> Batch<'a> {
    Batch { rows: BatchRows::new(values, table.columns.len()), others: &table.others }
}

/// Adds the place of the cause in the table, and a remedy, to an error of the model.
fn explained(
    error: RunError,
    model: &OnnxModel,
    inputs: &Inputs,
    table: &ReferenceTable,
    batch: Batch,
) -> anyhow::Error {
    match error {
        RunError::Engine(EngineError::Value { row, feature, problem }) => {
            let (place, name) = (table.place(row), &table.columns[feature].name);
            anyhow!("{place}: column {name:?}: {problem}; correct the cell, or leave the row out")
        }
        RunError::TimedOut { .. } => anyhow!("{error}; give a table with fewer rows"),
        RunError::Engine(_) => match first_failing(model, inputs, batch) {
            Some(row) => {
                anyhow!(
                    "{}: {error}, on this row and not on those before it; leave the row out",
                    table.place(row)
                )
            }
            None => anyhow!(
                "{error}; {} must have the columns that the model was trained on, in the same order; leave other columns out with --drop",
                table.file
            ),
        },
    }
}

/// Runs the model on one row at a time and returns the first row that it fails on, or `None` if that is row 0.
fn first_failing(model: &OnnxModel, inputs: &Inputs, batch: Batch) -> Option<usize> {
    let fails = |row: usize| {
        let first = batch.others.partition_point(|other| other.row < row);
        let others = batch.others[first..].iter().take_while(|other| other.row == row);
        let others: Vec<_> = others.map(|other| OtherCategory { row: 0, ..other.clone() }).collect();
        model.run(inputs, Batch { rows: BatchRows::one(&batch.rows[row]), others: &others }).is_err()
    };
    (0..batch.rows.len().min(MOST_TRIED)).find(|&row| fails(row)).filter(|&row| row > 0)
}

/// The classes of a model, and the description of its outputs.
pub(super) struct Read {
    pub(super) classes: Vec<String>,
    pub(super) external: ExternalModel,
    pub(super) notes: Vec<String>,
}

/// Determines the meaning of the outputs.
pub(super) fn describe(args: &Args, table: &ReferenceTable, raw: &RawOutputs, sha256: &str) -> Result<Read> {
    let external = |labels: Vec<String>, probabilities| ExternalModel {
        sha256: sha256.to_owned(),
        labels,
        probabilities,
        logits: args.logits,
        temperature: 1.0,
    };
    let truth = table.target.as_ref().map(distinct);
    if let Some(scores) = raw.scores.as_ref().filter(|_| args.logits)
        && not_probabilities(scores, table).is_none()
    {
        bail!("--logits: output {:?} holds probabilities already; leave the flag out", scores.output);
    }
    let Some(labels) = &raw.labels else {
        let scores = raw.scores.as_ref().context("the model has no output")?;
        if is_regression(args, scores, truth.as_deref()) {
            ensure!(!args.logits, "--logits: the model predicts a number; leave the flag out");
            check_numbers(scores, table)?;
            return Ok(Read { classes: Vec::new(), external: external(Vec::new(), 0), notes: Vec::new() });
        }
        let count = scores.columns.max(2);
        let classes = match truth {
            _ if !args.classes.is_empty() => args.classes.clone(),
            Some(truth) if truth.len() == count => truth,
            _ if scores.columns > 1 && !args.logits && not_probabilities(scores, table).is_some() => bail!(
                "output {:?} has {count} numbers per row, which are not probabilities, but models that predict several numbers are \
                 not supported; export a model for one of them; if they are logits, give --logits, and --classes with the names of \
                 the classes in their order",
                scores.output
            ),
            other => bail!(
                "output {:?} has the probabilities of {count} classes, {}; name the classes in the order of the probabilities \
                 with --classes",
                scores.output,
                other.map_or("which are not named".into(), |truth| format!(
                    "but the target column has {}",
                    truth.len()
                ))
            ),
        };
        check_count(&classes, count)?;
        ensure!(
            count <= MAX_CLASSES,
            "output {:?} has {count} probabilities per row, but models of more than {MAX_CLASSES} classes are not supported",
            scores.output
        );
        if let Some(problem) = not_probabilities(scores, table).filter(|_| !args.logits) {
            bail!(
                "output {:?} does not hold probabilities: {problem}; if it holds logits, give --logits",
                scores.output
            );
        }
        let notes = vec![reading(scores, &classes)];
        return Ok(Read { external: external(classes.clone(), scores.columns), classes, notes });
    };
    ensure!(
        !args.regression,
        "--regression: the model returns labels of classes; export the model with a number as its output"
    );
    let seen = distinct(labels);
    let mut notes = Vec::new();
    let problem = raw.scores.as_ref().and_then(|scores| Some((scores, not_probabilities(scores, table)?)));
    let scores = match problem {
        Some((scores, problem)) if !args.logits => {
            notes.push(format!(
                "output {:?} does not hold probabilities, and is not read: {problem}; if it holds logits, give --logits",
                scores.output
            ));
            None
        }
        _ => raw.scores.as_ref(),
    };
    let labels = labels_in_order(args, &seen, scores, truth.as_deref())?;
    let count = scores.map_or(0, |scores| scores.columns);
    // If the model names its classes, these names keep their probabilities in any order of --classes.
    let is_renamed = labels.iter().any(|label| !args.classes.contains(label));
    let classes = if args.classes.is_empty() || !is_renamed { labels.clone() } else { args.classes.clone() };
    if classes != labels {
        let pairs = labels.iter().zip(&classes).map(|(label, class)| format!("{label} is {class}"));
        notes.push(format!("the model's labels: {}", pairs.collect::<Vec<_>>().join(", ")));
    }
    if truth.is_none() && scores.is_none() {
        notes.push(format!(
            "the classes are the labels that the model returns for the table: {}",
            listed(&classes)
        ));
    }
    if let Some(scores) = scores {
        ensure!(
            count == labels.len() || (count == 1 && labels.len() == 2),
            "output {:?} has {count} probabilities per row, but there are {} classes: {}; name all classes with --classes",
            scores.output,
            labels.len(),
            listed(&labels)
        );
        check_order(scores, raw.labels.as_deref().unwrap_or_default(), &labels, args.logits)?;
        notes.push(reading(scores, &classes));
    }
    ensure!(
        (2..=MAX_CLASSES).contains(&classes.len()),
        "expected 2 to {MAX_CLASSES} classes, but the model returns {} different labels; name all classes with --classes",
        classes.len()
    );
    Ok(Read { external: external(labels, count), classes, notes })
}

/// Returns a sentence about the class of each column of probabilities.
fn reading(scores: &Scores, classes: &[String]) -> String {
    let output = &scores.output;
    match scores.columns {
        1 => format!("output {output:?} is read as the probability of {}", listed(&classes[1..])),
        _ => format!("the columns of output {output:?} are read as the probabilities of {}", listed(classes)),
    }
}

/// Checks that the labels are those with the greatest scores, which shows that the columns are in the order of the classes.
fn check_order(scores: &Scores, labels: &[String], classes: &[String], logits: bool) -> Result<()> {
    let columns = scores.columns;
    let greatest = |numbers: &[f64]| match columns {
        1 => usize::from(numbers[0] >= if logits { 0.0 } else { 0.5 }),
        _ => (0..columns).fold(0, |best, at| if numbers[at] > numbers[best] { at } else { best }),
    };
    let mut counts = vec![vec![0_usize; classes.len()]; classes.len()];
    for (label, numbers) in labels.iter().zip(scores.values.chunks_exact(columns)) {
        if let Some(own) = classes.iter().position(|class| class == label) {
            counts[own][greatest(numbers)] += 1;
        }
    }
    for (at, (class, counts)) in classes.iter().zip(&counts).enumerate() {
        let most = counts.iter().copied().max().unwrap_or_default();
        ensure!(
            counts[at] == most,
            "for the rows that the model labels {class:?}, the greatest probability is more often in the column of another class of \
             output {:?}; the columns may not be in the order {}; give their order with --classes",
            scores.output,
            listed(classes)
        );
    }
    Ok(())
}

/// Returns whether a model without labels predicts a number.
fn is_regression(args: &Args, scores: &Scores, truth: Option<&[String]>) -> bool {
    let two_classes = !args.classes.is_empty() || args.logits || truth.is_some_and(|truth| truth.len() == 2);
    args.regression || scores.columns == 1 && !two_classes
}

/// Returns the model's labels of the classes, in the order of its probabilities.
fn labels_in_order(
    args: &Args,
    seen: &[String],
    scores: Option<&Scores>,
    truth: Option<&[String]>,
) -> Result<Vec<String>> {
    let named = scores.and_then(|scores| scores.names.clone());
    if !args.classes.is_empty() {
        let count = named.as_ref().map_or(args.classes.len(), Vec::len);
        check_count(&args.classes, count)?;
        let own = named.unwrap_or_else(|| {
            // These are the names that the model has for the classes, or their numbers if it has none.
            let is_number = |label: &String| label.parse::<f64>().is_ok();
            if seen.iter().all(|label| args.classes.contains(label)) {
                args.classes.clone()
            } else if seen.len() == count && !seen.iter().all(is_number) {
                seen.to_vec()
            } else {
                (0..count).map(|class| class.to_string()).collect()
            }
        });
        // Without probabilities to compare with, labels from 1 on could be taken for those from 0 on.
        let is_numbered = own.iter().any(|label| !args.classes.contains(label));
        ensure!(
            !is_numbered || scores.is_some() || seen.contains(&own[0]),
            "--classes: the model returns {}, but never {:?}, so it is not known with which number its labels begin; add rows of the \
             first class",
            listed(seen),
            own[0]
        );
        if let Some(odd) = seen.iter().find(|label| !own.contains(label)) {
            bail!(
                "--classes: the model returns {odd:?}, which is neither one of the classes nor the number of one: {}",
                listed(&args.classes)
            );
        }
        return Ok(own);
    }
    if let Some(names) = named {
        return Ok(names);
    }
    let Some(truth) = truth else {
        let count = scores.map_or(seen.len(), |scores| scores.columns.max(2));
        ensure!(
            count == seen.len(),
            "the model has {count} classes, but returns only {} for the table; name all classes, in the order of the \
             probabilities, with --classes",
            listed(seen)
        );
        return Ok(seen.to_vec());
    };
    // The labels as the model writes them, where the table writes the same numbers in another form.
    let own = |truth: &String| position(truth, seen).map_or_else(|| truth.clone(), |at| seen[at].clone());
    if seen.iter().all(|label| position(label, truth).is_some()) {
        return Ok(truth.iter().map(own).collect());
    }
    bail!(
        "the model returns {}, but the target column has {}; name the table's classes in the order of the model's labels with --classes; \
         --classes {} would mean that {} is {}",
        listed(seen),
        listed(truth),
        truth.join(","),
        listed(&seen[..1]),
        listed(&truth[..1])
    )
}

fn check_count(classes: &[String], count: usize) -> Result<()> {
    if let Some(twice) = classes.iter().enumerate().find(|(at, class)| classes[..*at].contains(class)) {
        bail!("--classes: names {:?} twice; name each class once", twice.1);
    }
    ensure!(
        classes.len() == count,
        "--classes: names {} classes, but the model has {count}: {}; name all of them, in the order of the probabilities",
        classes.len(),
        listed(classes)
    );
    Ok(())
}

/// Returns the reason if scores are not probabilities.
fn not_probabilities(scores: &Scores, table: &ReferenceTable) -> Option<String> {
    let mut rows = scores.values.chunks_exact(scores.columns).enumerate();
    rows.find_map(|(row, numbers)| {
        let problem = unlike_probabilities(numbers)?;
        Some(format!("row {} {problem} ({})", row + 1, table.place(row)))
    })
}

/// Checks that there is one finite number per row.
fn check_numbers(scores: &Scores, table: &ReferenceTable) -> Result<()> {
    ensure!(
        scores.columns == 1,
        "output {:?} has {} numbers per row, but models that predict several numbers are not supported; if they are the \
         probabilities of classes, leave --regression out",
        scores.output,
        scores.columns
    );
    if let Some(row) = scores.values.iter().position(|value| !value.is_finite()) {
        bail!(
            "{}: output {:?} is {} for this row; leave the row out, or give the model values that it can score",
            table.place(row),
            scores.output,
            scores.values[row]
        );
    }
    Ok(())
}
