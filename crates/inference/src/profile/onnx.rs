//! Answers of an ONNX model.

use super::{
    Answered, Args,
    classes::{MAX_CLASSES, distinct, listed, position},
};
use crate::external;
use ::onnx::{Answers, OnnxEngine, OnnxModel, Runtime, Scores, engine::unlike_probabilities};
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
    let engine = OnnxEngine::new(Arc::new(model), inputs, read.external.clone());
    let outputs = engine.outputs(answers, rows).map_err(anyhow::Error::msg).with_context(place)?;
    Ok(Answered {
        classes: read.classes,
        outputs,
        engine: Some(Arc::new(engine)),
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
    let engine = OnnxEngine::new(Arc::new(model), inputs, external.clone());
    let outputs = engine.outputs(answers, rows.len()).map_err(anyhow::Error::msg).with_context(place)?;
    Ok(Answered {
        classes: classes.to_vec(),
        outputs,
        engine: Some(Arc::new(engine)),
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
fn describe(args: &Args, table: &ReferenceTable, answers: &Answers, sha256: &str) -> Result<Read> {
    let external = |labels: Vec<String>, probabilities| ExternalModel {
        sha256: sha256.to_owned(),
        labels,
        probabilities,
        logits: args.logits,
        temperature: 1.0,
    };
    let truth = table.target.as_ref().map(distinct);
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
        if let Some(problem) = not_probabilities(scores).filter(|_| !args.logits) {
            bail!(
                "output {:?} does not hold probabilities: {problem}; if it holds logits, give --logits",
                scores.output
            );
        }
        return Ok(Read { external: external(classes.clone(), scores.columns), classes, notes: Vec::new() });
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
    let classes = if args.classes.is_empty() { labels.clone() } else { args.classes.clone() };
    if let Some(scores) = scores {
        ensure!(
            count == labels.len() || (count == 1 && labels.len() == 2),
            "output {:?} has {count} probabilities per row, but there are {} classes: {}; name all classes with --classes",
            scores.output,
            labels.len(),
            listed(&labels)
        );
        check_order(scores, answers.labels.as_deref().unwrap_or_default(), &labels)?;
    }
    ensure!(
        (2..=MAX_CLASSES).contains(&classes.len()),
        "the model answers {} different labels, but 2 to {MAX_CLASSES} classes are possible; name all classes with --classes",
        classes.len()
    );
    Ok(Read { external: external(labels, count), classes, notes })
}

/// Checks that most labels are those of the greatest score, which shows whether the columns are in the order of the classes.
fn check_order(scores: &Scores, labels: &[String], classes: &[String]) -> Result<()> {
    if scores.columns < 2 {
        return Ok(());
    }
    let agrees = |(label, numbers): &(&String, &[f64])| {
        let own = classes.iter().position(|class| class == *label).map(|at| numbers[at]);
        own.is_some_and(|own| numbers.iter().all(|other| *other <= own))
    };
    let agreeing = labels.iter().zip(scores.values.chunks_exact(scores.columns)).filter(agrees).count();
    ensure!(
        2 * agreeing >= labels.len(),
        "of {} rows only {agreeing} have the label of their greatest probability, so the columns of output {:?} may be in another \
         order than {}; give the order with --classes",
        labels.len(),
        scores.output,
        listed(classes)
    );
    Ok(())
}

/// Returns whether a model without labels predicts a number.
fn is_regression(args: &Args, scores: &Scores, truth: Option<&[String]>) -> bool {
    let two_classes = !args.classes.is_empty() || args.logits || truth.is_some_and(|truth| truth.len() == 2);
    args.regression || scores.columns == 1 && !two_classes
}

/// Returns what the model calls the classes, in the order of its probabilities.
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
            if seen.iter().all(|label| args.classes.contains(label)) {
                args.classes.clone()
            } else {
                (0..count).map(|class| class.to_string()).collect()
            }
        });
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
        "the model answers {}, but the target column has {}: name what the model's answers stand for, in their order, such as \
         --classes {}",
        listed(seen),
        listed(truth),
        truth.join(",")
    )
}

fn check_count(classes: &[String], count: usize) -> Result<()> {
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
