//! Converts the labels and scores of a model into predictions.

use crate::{Inputs, OnnxModel, RawOutputs, Scores};
use model::{
    Batch, BatchRows, Engine, EngineError, OtherCategory, Output, Probabilities, file::ExternalModel,
};
use std::sync::Arc;

/// The greatest rounding error of a sum of probabilities, and of a probability near 0 or 1. Single-precision sums over many trees
/// have an error of about 1e-5.
const ROUNDING: f64 = 1e-3;

/// The greatest error of a sum of probabilities that were rounded to a few digits. Of many classes, the errors mostly cancel out.
const MOST_ROUNDING: f64 = 0.05;

/// An ONNX model as an engine: its inputs and outputs are matched with a model card.
#[derive(Debug, Clone)]
pub struct OnnxEngine {
    model: Arc<OnnxModel>,
    inputs: Inputs,
    external: ExternalModel,
    /// A row that the model can score, if there is one.
    known_good: Option<Vec<Option<f64>>>,
}

impl OnnxEngine {
    /// Creates the engine of a profile's model. The model card must have as many classes as `external` has labels.
    pub fn new(model: Arc<OnnxModel>, inputs: Inputs, external: ExternalModel) -> Self {
        Self { model, inputs, external, known_good: None }
    }

    /// Adds a row that the model could score. If the model later fails on other rows but not on this one, the other rows are the cause.
    pub fn with_known_good(self, row: Vec<Option<f64>>) -> Self {
        Self { known_good: Some(row), ..self }
    }

    /// Returns the model.
    pub fn model(&self) -> &OnnxModel {
        &self.model
    }

    /// Returns the inputs.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Converts the raw outputs for a number of rows into predictions.
    ///
    /// # Errors
    /// Returns an error that names the output which differs from what the profile expects.
    pub fn outputs(&self, raw: RawOutputs, rows: usize) -> Result<Vec<Output>, String> {
        outputs(raw, rows, &self.external)
    }
}

impl Engine for OnnxEngine {
    fn score(&self, batch: Batch) -> Result<Vec<Output>, EngineError> {
        match self.try_score(batch) {
            Err(EngineError::Failed(problem)) => Err(self.cause(batch, problem)),
            scored => scored,
        }
    }
}

/// Converts raw outputs for a number of rows into predictions, as `external` describes them.
///
/// # Errors
/// Returns an error that names the output which differs from what the profile expects.
pub fn outputs(raw: RawOutputs, rows: usize, external: &ExternalModel) -> Result<Vec<Output>, String> {
    let RawOutputs { labels, scores } = raw;
    if external.labels.is_empty() {
        let scores =
            scores.ok_or("the model must return numbers, because the profile is of a regression, but it returns none; make the profile again")?;
        return numbers(&scores);
    }
    let classes = external.labels.len();
    let probabilities = match (&scores, external.probabilities == 0) {
        (_, true) => None,
        (None, false) => {
            return Err("the model must return probabilities as in the profile, but it returns none; make the profile again".into());
        }
        (Some(scores), false) => Some(probabilities(scores, external)?),
    };
    let classes_of_labels = labels.map(|labels| {
        let class = |label: &String| {
            external.labels.iter().position(|own| own == label).ok_or_else(|| {
                format!(
                    "the model returned the label {label:?}, which is not in the profile; make the profile again"
                )
            })
        };
        labels.iter().map(class).collect::<Result<Vec<usize>, String>>()
    });
    let class_of = classes_of_labels.transpose()?;
    (0..rows)
        .map(|row| {
            let own = |all: &Vec<f64>| Probabilities::from(&all[row * classes..(row + 1) * classes]);
            let probabilities = probabilities.as_ref().map(own);
            let class = match (&class_of, &probabilities) {
                (Some(classes), _) => classes[row],
                (None, Some(probabilities)) => greatest(probabilities),
                (None, None) => return Err("the model must return labels or probabilities, but it returns neither; make the profile again".into()),
            };
            Ok(Output::Class { class, probabilities })
        })
        .collect()
}

impl OnnxEngine {
    fn try_score(&self, batch: Batch) -> Result<Vec<Output>, EngineError> {
        let raw = self.model.run(&self.inputs, batch)?;
        self.outputs(raw, batch.rows.len()).map_err(EngineError::Failed)
    }

    /// Returns the error for rows that the model failed on. It names the first row that fails on its own, unless the known good row
    /// fails, too.
    fn cause(&self, batch: Batch, problem: String) -> EngineError {
        let fails = |row: &[Option<f64>], others: &[OtherCategory]| match self
            .try_score(Batch { rows: BatchRows::one(row), others })
        {
            // The row is the only one of its batch, so messages call it row 0.
            Err(EngineError::Failed(problem)) => {
                Some(problem.replace(" for row 1", "").replace(": row 1 ", ": it "))
            }
            _ => None,
        };
        if self.known_good.as_ref().is_none_or(|good| fails(good, &[]).is_some()) {
            return EngineError::Failed(problem);
        }
        let first = batch.rows.iter().enumerate().find_map(|(at, row)| {
            let own = batch.others.iter().filter(|other| other.row == at);
            let own: Vec<OtherCategory> =
                own.map(|other| OtherCategory { row: 0, ..other.clone() }).collect();
            Some(EngineError::Row { row: at, problem: fails(row, &own)? })
        });
        first.unwrap_or(EngineError::Failed(problem))
    }
}

/// Returns one number per row.
fn numbers(scores: &Scores) -> Result<Vec<Output>, String> {
    if scores.columns != 1 {
        return Err(format!(
            "output {:?} has {} numbers per row, but one is expected; make the profile again with this model",
            scores.output, scores.columns
        ));
    }
    if let Some(row) = scores.values.iter().position(|value| !value.is_finite()) {
        return Err(format!("output {:?} is {} for row {}", scores.output, scores.values[row], row + 1));
    }
    Ok(scores.values.iter().map(|&number| Output::Number(number)).collect())
}

/// Returns the probabilities of the classes, row by row.
fn probabilities(scores: &Scores, external: &ExternalModel) -> Result<Vec<f64>, String> {
    let (classes, columns) = (external.labels.len(), external.probabilities);
    if scores.columns != columns {
        return Err(format!(
            "output {:?} has {} numbers per row, but the profile expects {columns}",
            scores.output, scores.columns
        ));
    }
    let mut all = Vec::with_capacity(scores.values.len() / columns * classes);
    let mut own = Vec::with_capacity(classes);
    for (row, numbers) in scores.values.chunks_exact(columns).enumerate() {
        own.clear();
        if external.logits {
            own.extend_from_slice(numbers);
            if columns == 1 {
                own.insert(0, 0.0);
            }
            own.iter_mut().for_each(|logit| *logit /= external.temperature);
            softmax(&mut own);
        } else {
            if let Some(problem) = unlike_probabilities(numbers) {
                return Err(format!(
                    "output {:?} does not hold probabilities: row {} {problem}",
                    scores.output,
                    row + 1
                ));
            }
            own.extend(numbers.iter().map(|p| p.clamp(0.0, 1.0)));
            if columns == 1 {
                own.insert(0, 1.0 - own[0]);
            }
            if external.temperature == 1.0 {
                // Rounding errors are removed, because they could make the mean accuracy exceed 1.
                let sum: f64 = own.iter().sum();
                if sum > 1.0 {
                    own.iter_mut().for_each(|p| *p /= sum);
                }
            } else {
                // As in the calibration, a probability of 0 is replaced by the smallest one that has a logarithm.
                own.iter_mut().for_each(|p| *p = p.max(f64::MIN_POSITIVE).ln() / external.temperature);
                softmax(&mut own);
            }
        }
        if own.iter().any(|p| !p.is_finite()) {
            return Err(format!("output {:?} is not finite for row {}", scores.output, row + 1));
        }
        all.extend_from_slice(&own);
    }
    Ok(all)
}

/// Returns the reason if the numbers cannot be the probabilities of a row.
pub fn unlike_probabilities(numbers: &[f64]) -> Option<String> {
    if let Some(bad) = numbers.iter().find(|p| !(-ROUNDING..=1.0 + ROUNDING).contains(*p)) {
        return Some(format!("has {bad}"));
    }
    let sum: f64 = numbers.iter().sum();
    // Slightly more, because 1 - 0.999 is not exactly the same as 0.001.
    let tolerance = (ROUNDING + 1e-9).max(rounding(numbers));
    (numbers.len() > 1 && (sum - 1.0).abs() > tolerance).then(|| format!("adds up to {sum}"))
}

/// Returns the greatest difference that a sum may have because its numbers were rounded to few digits, as services round probabilities
/// for people: half a digit per number, but at most [`MOST_ROUNDING`].
fn rounding(numbers: &[f64]) -> f64 {
    // Single precision has an error of 1e-7.
    let has_digits = |scale: f64| numbers.iter().all(|p| ((p * scale).round() / scale - p).abs() < 1e-6);
    let scale = [1e2, 1e3, 1e4].into_iter().find(|&scale| has_digits(scale));
    scale.map_or(0.0, |scale| (0.5 / scale * numbers.len() as f64 + 1e-6).min(MOST_ROUNDING))
}

fn softmax(logits: &mut [f64]) {
    let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits.iter_mut().for_each(|logit| *logit = (*logit - greatest).exp());
    let sum: f64 = logits.iter().sum();
    logits.iter_mut().for_each(|p| *p /= sum);
}

/// Returns the position of the greatest number, or the first of several equal ones.
fn greatest(numbers: &[f64]) -> usize {
    let mut best = 0;
    for (at, number) in numbers.iter().enumerate() {
        if *number > numbers[best] {
            best = at;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_that_were_rounded_to_a_few_digits_are_probabilities() {
        for rounded in [
            &[0.01, 0.33, 0.67][..],
            &[0.33, 0.33, 0.33],
            &[0.333, 0.333, 0.333],
            &[0.2495, 0.2505, 0.2505, 0.2496],
            &[0.01_f32, 0.33, 0.67].map(f64::from),
        ] {
            assert_eq!(unlike_probabilities(rounded), None, "{rounded:?}");
        }
    }

    #[test]
    fn numbers_that_rounding_does_not_explain_are_not_probabilities() {
        for (scores, expected) in [
            (&[0.5, 0.75][..], "adds up to 1.25"),
            (&[0.4, 0.42, 0.2], "adds up to 1.02"),
            (&[0.331, 0.33, 0.33], "adds up to 0.991"),
            (&[0.33123, 0.33456, 0.33234], "adds up to 0.99"),
            (&[0.0; 300], "adds up to 0"),
            (&[-0.01, 1.01], "has -0.01"),
        ] {
            let problem = unlike_probabilities(scores).unwrap();
            assert!(problem.starts_with(expected), "{problem}");
        }
    }
}
