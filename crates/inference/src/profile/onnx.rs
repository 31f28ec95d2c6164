//! Runs an ONNX model on the table and determines how its outputs are read.

use super::{
    Answered, Args,
    classes::{MAX_CLASSES, distinct, listed, position},
};
use crate::external;
use ::onnx::{OnnxEngine, OnnxModel, RawOutputs, Runtime, Scores, engine::unlike_probabilities};
use anyhow::{Context, Result, bail, ensure};
use model::{Batch, ReferenceTable, file::ExternalModel, reference_features};
use std::{fs, path::Path, sync::Arc, time::Duration};

/// How long the model may take for the whole table.
const LIMIT: Duration = Duration::from_secs(600);

/// Runs the model on the table and reads its answers.
///
/// # Errors
/// If the model cannot be run, does not fit the table, or its answers cannot be read.
pub(super) fn answered(path: &Path, args: &Args, table: &ReferenceTable) -> Result<Answered> {
    let place = || format!("--onnx {}", path.display());
    let model = load(path, args)?;
    let inputs = model.inputs(&reference_features(table)).with_context(place)?;
    let answers = model.run_within(&inputs, batch(&rows(table), table), LIMIT);
    let answers = answers.map_err(|error| named(error, table)).with_context(place)?;
    let rows = table.values.first().map_or(0, Vec::len);
    let read = describe(args, table, &answers, model.sha256()).with_context(place)?;
    let mut notes = read.notes;
    notes.extend(inputs.describe());
    let accepts_missing = inputs.accept_missing();
    let engine = OnnxEngine::new(Arc::new(model), inputs, read.external.clone());
    let outputs = engine.outputs(answers, rows).map_err(anyhow::Error::msg).with_context(place)?;
    Ok(Answered {
        classes: read.classes,
        outputs,
        engine: Some(Arc::new(engine)),
        accepts_missing,
        external: Some(read.external),
        notes,
    })
}

/// Returns the answers with this temperature.
///
/// # Errors
/// As [`answered`].
pub(super) fn with_temperature(
    path: &Path,
    args: &Args,
    table: &ReferenceTable,
    classes: &[String],
    temperature: f64,
) -> Result<Answered> {
    let first = answered(path, args, table)?;
    let place = || format!("--onnx {}", path.display());
    let Some(external) = first.external else { bail!("{}: is not described", place()) };
    let external = ExternalModel { temperature, ..external };
    let model = load(path, args)?;
    let inputs = model.inputs(&reference_features(table)).with_context(place)?;
    let rows = rows(table);
    let answers = model.run_within(&inputs, batch(&rows, table), LIMIT);
    let answers = answers.map_err(|error| named(error, table)).with_context(place)?;
    let accepts_missing = inputs.accept_missing();
    let engine = OnnxEngine::new(Arc::new(model), inputs, external.clone());
    let outputs = engine.outputs(answers, rows.len()).map_err(anyhow::Error::msg).with_context(place)?;
    Ok(Answered {
        classes: classes.to_vec(),
        outputs,
        engine: Some(Arc::new(engine)),
        accepts_missing,
        external: Some(external),
        notes: Vec::new(),
    })
}

fn load(path: &Path, args: &Args) -> Result<OnnxModel> {
    let place = || format!("--onnx {}", path.display());
    let bytes = fs::read(path).with_context(place)?;
    let runtime = Runtime::load(args.onnxruntime.as_deref())?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    external::read(&runtime, &bytes, threads).with_context(place)
}

fn rows(table: &ReferenceTable) -> Vec<Vec<Option<f64>>> {
    let rows = table.values.first().map_or(0, Vec::len);
    let value = |value: f64| (!value.is_nan()).then_some(value);
    (0..rows).map(|row| table.values.iter().map(|column| value(column[row])).collect()).collect()
}

fn batch<'a>(rows: &'a [Vec<Option<f64>>], table: &'a ReferenceTable) -> Batch<'a> {
    Batch { rows, others: &table.others }
}

/// Names the column of a value that the model cannot take.
fn named(error: ::onnx::RunError, table: &ReferenceTable) -> anyhow::Error {
    match error {
        ::onnx::RunError::Engine(model::EngineError::Value { row, feature, problem }) => {
            anyhow::anyhow!("row {} of the table: {:?} {problem}", row + 1, table.columns[feature].name)
        }
        other => other.into(),
    }
}

/// The classes of a model, and how its answers are read.
struct Read {
    classes: Vec<String>,
    external: ExternalModel,
    notes: Vec<String>,
}

/// Finds out what the answers mean.
fn describe(args: &Args, table: &ReferenceTable, answers: &RawOutputs, sha256: &str) -> Result<Read> {
    let external = |labels: Vec<String>, probabilities| ExternalModel {
        sha256: sha256.to_owned(),
        labels,
        probabilities,
        logits: args.logits,
        temperature: 1.0,
    };
    let truth = table.target.as_ref().map(distinct);
    if let Some(scores) = answers.scores.as_ref().filter(|_| args.logits)
        && not_probabilities(scores).is_none()
    {
        bail!("--logits: output {:?} holds probabilities already; leave the flag out", scores.output);
    }
    let Some(labels) = &answers.labels else {
        let scores = answers.scores.as_ref().context("the model has no output")?;
        if is_regression(args, scores, truth.as_deref()) {
            ensure!(!args.logits, "--logits: the model predicts a number");
            return Ok(Read { classes: Vec::new(), external: external(Vec::new(), 0), notes: Vec::new() });
        }
        let count = scores.columns.max(2);
        let classes = match truth {
            _ if !args.classes.is_empty() => args.classes.clone(),
            Some(truth) if truth.len() == count => truth,
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
            "output {:?} has {count} probabilities per row, but at most {MAX_CLASSES} classes are possible",
            scores.output
        );
        if let Some(problem) = not_probabilities(scores).filter(|_| !args.logits) {
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
        "--regression: the model answers labels, which are those of classes; export the model with a number as its output"
    );
    let seen = distinct(labels);
    let mut notes = Vec::new();
    let problem = answers.scores.as_ref().and_then(|scores| Some((scores, not_probabilities(scores)?)));
    let scores = match problem {
        Some((scores, problem)) if !args.logits => {
            notes.push(format!(
                "output {:?} does not hold probabilities, and is not read: {problem}; if it holds logits, give --logits",
                scores.output
            ));
            None
        }
        _ => answers.scores.as_ref(),
    };
    let labels = labels_in_order(args, &seen, scores, truth.as_deref())?;
    let count = scores.map_or(0, |scores| scores.columns);
    // The names of a model stay with its probabilities, in whatever order they are typed.
    let is_renamed = labels.iter().any(|label| !args.classes.contains(label));
    let classes = if args.classes.is_empty() || !is_renamed { labels.clone() } else { args.classes.clone() };
    if classes != labels {
        let pairs = labels.iter().zip(&classes).map(|(label, class)| format!("{label} is {class}"));
        notes.push(format!("the model's labels: {}", pairs.collect::<Vec<_>>().join(", ")));
    }
    if truth.is_none() && scores.is_none() {
        notes
            .push(format!("the classes are those that the model answers to the table: {}", listed(&classes)));
    }
    if let Some(scores) = scores {
        ensure!(
            count == labels.len() || (count == 1 && labels.len() == 2),
            "output {:?} has {count} probabilities per row, but there are {} classes: {}; name all classes with --classes",
            scores.output,
            labels.len(),
            listed(&labels)
        );
        check_order(scores, answers.labels.as_deref().unwrap_or_default(), &labels, args.logits)?;
        notes.push(reading(scores, &classes));
    }
    ensure!(
        (2..=MAX_CLASSES).contains(&classes.len()),
        "the model answers {} different labels, but 2 to {MAX_CLASSES} classes are possible; name all classes with --classes",
        classes.len()
    );
    Ok(Read { external: external(labels, count), classes, notes })
}

/// Describes which class each column of probabilities belongs to.
fn reading(scores: &Scores, classes: &[String]) -> String {
    let output = &scores.output;
    match scores.columns {
        1 => format!("output {output:?} is read as the probability of {}", listed(&classes[1..])),
        _ => format!("the columns of output {output:?} are read as the probabilities of {}", listed(classes)),
    }
}

/// Checks that the labels are those of the greatest scores, which shows whether the columns are in the order of the classes.
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
            // What the model calls them, if it names them at all, and otherwise their numbers.
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
            "--classes: the model answers {}, but never {:?}: it is not known with which number its labels begin; add rows of the \
             first class",
            listed(seen),
            own[0]
        );
        if let Some(odd) = seen.iter().find(|label| !own.contains(label)) {
            bail!(
                "--classes: the model answers {odd:?}, which is neither one of the classes nor the number of one: {}",
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
            "the model has {count} classes, but answers only {} to the table: name all classes, in the order of the \
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
        "the model answers {}, but the target column has {}: name the table's classes in the order of the model's answers with --classes; \
         --classes {} would say that {} is {}",
        listed(seen),
        listed(truth),
        truth.join(","),
        listed(&seen[..1]),
        listed(&truth[..1])
    )
}

fn check_count(classes: &[String], count: usize) -> Result<()> {
    if let Some(twice) = classes.iter().enumerate().find(|(at, class)| classes[..*at].contains(class)) {
        bail!("--classes: names {:?} twice", twice.1);
    }
    ensure!(
        classes.len() == count,
        "--classes: names {} classes, but the model has {count}: {}",
        classes.len(),
        listed(classes)
    );
    Ok(())
}

/// Returns why scores are not probabilities, if they are not.
fn not_probabilities(scores: &Scores) -> Option<String> {
    let rows = scores.values.chunks_exact(scores.columns).enumerate();
    rows.filter_map(|(row, numbers)| Some((row, unlike_probabilities(numbers)?)))
        .map(|(row, problem)| format!("row {} {problem}", row + 1))
        .next()
}
