//! Determines what the answers of a server mean: numbers or classes, and the class that a probability belongs to.

use super::Collected;
use crate::{
    foreign::{Interpretation, Protocol},
    profile::{
        Args, ModelOutputs,
        classes::{MAX_CLASSES, distinct, listed, position},
        onnx::{Read, describe},
    },
};
use ::onnx::{RawOutputs, Scores, engine::unlike_probabilities};
use anyhow::{Result, anyhow, bail};
use model::{ReferenceTable, ServerInput, ServerModel, ServerProbabilities};

/// Returns the outputs, and how further answers are read.
///
/// # Errors
/// Returns an error if the answers contradict the table or each other, or if their meaning is not certain.
pub(super) fn of(
    args: &Args,
    table: &ReferenceTable,
    inputs: &[ServerInput],
    collected: Collected,
) -> Result<ModelOutputs> {
    let Collected { mut output, mut probabilities_output, numeric, confident, mut raw, form, mut notes } =
        collected;
    let rows = table.lines.len();
    if let Some(values) = numbers(args, numeric, &raw)? {
        let name = output.clone().unwrap_or_default();
        raw = RawOutputs {
            labels: None,
            scores: Some(Scores { output: name, columns: 1, names: None, values }),
        };
    }
    let single = match (&raw.labels, raw.scores.take_if(|scores| scores.columns == 1)) {
        (Some(_), Some(scores)) => Some(scores),
        (None, scores @ Some(_)) => {
            raw.scores = scores;
            None
        }
        (_, None) => None,
    };
    let Read { classes, external, notes: own } = describe(args, table, &raw, "")?;
    notes.extend(own);
    let mut probabilities = match external.probabilities {
        0 => ServerProbabilities::None,
        1 => ServerProbabilities::SecondClass,
        _ => ServerProbabilities::PerClass,
    };
    if raw.labels.is_none() && !classes.is_empty() && probabilities_output.is_none() {
        probabilities_output = output.take();
    }
    if raw.labels.is_none() && classes.is_empty() && output.is_none() {
        output = probabilities_output.take();
    }
    if let (Some(scores), Some(labels)) = (single, &raw.labels) {
        match kind(&scores, labels, &external.labels, confident, table)? {
            Ok(found) => {
                probabilities = found;
                let class = match found {
                    ServerProbabilities::SecondClass => listed(&classes[1..]),
                    _ => "the predicted class".into(),
                };
                notes.push(format!("field {:?} is read as the probability of {class}", scores.output));
                if found == ServerProbabilities::PredictedClass && classes.len() > 2 {
                    notes
                        .push("the rest of the probability is divided evenly among the other classes".into());
                }
                raw.scores = Some(scores);
            }
            Err(problem) => {
                notes.push(format!("field {:?} is not read: {problem}", scores.output));
                probabilities_output = None;
            }
        }
    }
    let server = ServerModel {
        protocol: args.server.protocol.map(Protocol::recorded),
        inputs: inputs.to_vec(),
        tensor: args.mapping.tensor.clone(),
        form,
        output,
        probabilities_output: probabilities_output.filter(|_| probabilities != ServerProbabilities::None),
        labels: external.labels,
        probabilities,
        logits: external.logits,
    };
    let outputs =
        Interpretation::of_server(&server).outputs_of(raw, confident, rows).map_err(anyhow::Error::msg)?;
    Ok(ModelOutputs {
        classes,
        outputs,
        engine: None,
        accepts_missing: Vec::new(),
        external: None,
        server: Some(server),
        notes,
    })
}

/// Returns the predictions as numbers, if they are numbers and not the labels of classes.
fn numbers(args: &Args, numeric: bool, raw: &RawOutputs) -> Result<Option<Vec<f64>>> {
    let Some(labels) = raw.labels.as_ref().filter(|_| raw.scores.is_none() || args.regression) else {
        return Ok(None);
    };
    if !numeric {
        let odd = labels.iter().find(|label| label.parse::<f64>().is_err());
        if let Some(odd) = odd.filter(|_| args.regression) {
            bail!("--regression: the server predicts {odd:?}, which is not a number; leave the flag out");
        }
        return Ok(None);
    }
    let numbers: Vec<f64> = labels.iter().map(|label| label.parse().unwrap_or(f64::NAN)).collect();
    let is_number = args.regression
        || numbers.iter().any(|number| number.fract() != 0.0)
        || args.classes.is_empty() && distinct(labels).len() > MAX_CLASSES;
    Ok(is_number.then_some(numbers))
}

/// Determines the class of a single probability per row. Returns the reason if it is not a probability.
///
/// # Errors
/// Returns an error if the table does not show which class it belongs to.
fn kind(
    scores: &Scores,
    labels: &[String],
    classes: &[String],
    confident: bool,
    table: &ReferenceTable,
) -> Result<Result<ServerProbabilities, String>> {
    let name = &scores.output;
    if let Some((row, problem)) =
        scores.values.iter().enumerate().find_map(|(row, p)| Some((row, unlike_probabilities(&[*p])?)))
    {
        return Ok(Err(format!("{} {problem}, but probabilities are between 0 and 1", table.place(row))));
    }
    let class = |label: &String| position(label, classes);
    let of = |wanted: usize| {
        labels
            .iter()
            .zip(&scores.values)
            .filter(move |(label, _)| class(label) == Some(wanted))
            .map(|(_, &p)| p)
    };
    let least = 1.0 / classes.len() as f64 - 1e-6;
    let below = scores.values.iter().position(|&p| p < least);
    if let ([_, second], false) = (classes, confident) {
        let (greatest, smallest) =
            (of(0).fold(f64::NEG_INFINITY, f64::max), of(1).fold(f64::INFINITY, f64::min));
        let is_of_second = greatest <= smallest;
        return match (below, is_of_second) {
            (Some(_), true) => Ok(Ok(ServerProbabilities::SecondClass)),
            (Some(row), false) => Err(anyhow!(
                "field {name:?} is neither the probability of {second:?} nor that of the predicted class: for {} it is {}",
                table.place(row),
                scores.values[row]
            )),
            (None, false) => Ok(Ok(ServerProbabilities::PredictedClass)),
            (None, true) if of(1).next().is_none() => Ok(Ok(ServerProbabilities::PredictedClass)),
            (None, true) => Err(anyhow!(
                "field {name:?} may be the probability of {second:?} or that of the predicted class; add rows of both classes to the table"
            )),
        };
    }
    match below {
        None => Ok(Ok(ServerProbabilities::PredictedClass)),
        Some(row) => Ok(Err(format!(
            "for {} it is {}, but the predicted one of {} classes has at least {:.3}",
            table.place(row),
            scores.values[row],
            classes.len(),
            1.0 / classes.len() as f64
        ))),
    }
}
