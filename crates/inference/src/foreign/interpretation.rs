//! Converts the predictions and probabilities of a server into outputs of the model card.

use super::answer::{Answer, Wanted};
use crate::profile::classes::{listed, position};
use model::{ModelFile, Output, Probabilities, ServerModel, ServerProbabilities, file::ExternalModel};
use onnx::{RawOutputs, Scores, engine};

/// How the answers of a server are read.
#[derive(Debug, Clone)]
pub(crate) struct Interpretation {
    output: Option<String>,
    probabilities_output: Option<String>,
    /// The meaning of a single probability per row; `None` if the profile does not say.
    single: Option<ServerProbabilities>,
    /// Whether the card has a confidence, so that probabilities are used.
    has_confidence: bool,
    /// How outputs without probabilities are read. The labels are those of the server; none if the model predicts a number.
    without: ExternalModel,
    /// How outputs with one probability per row are read.
    with_one: ExternalModel,
    /// How outputs with a probability per class are read.
    with_all: ExternalModel,
}

impl Interpretation {
    /// Returns how the answers of the model of a file are read: as its profile says, or by default the labels are the names of the
    /// classes.
    pub(crate) fn of(file: &ModelFile) -> Self {
        let external = file.external.as_ref();
        let temperature = external.map_or(1.0, |external| external.temperature);
        if let Some(server) = &file.server {
            return Self::new(server, temperature);
        }
        let has_confidence = file.card.reference.confidence.is_some();
        let single = external.filter(|external| external.probabilities == 1);
        Self {
            output: None,
            probabilities_output: None,
            single: single.map(|_| ServerProbabilities::SecondClass),
            has_confidence,
            ..Self::reading(
                external.map_or(&file.card.classes, |external| &external.labels),
                external.is_some_and(|external| external.logits),
                temperature,
            )
        }
    }

    /// Returns how the answers of a server are read.
    pub(crate) fn of_server(server: &ServerModel) -> Self {
        Self::new(server, 1.0)
    }

    fn new(server: &ServerModel, temperature: f64) -> Self {
        Self {
            output: server.output.clone(),
            probabilities_output: server.probabilities_output.clone(),
            single: Some(server.probabilities),
            has_confidence: server.probabilities != ServerProbabilities::None,
            ..Self::reading(&server.labels, server.logits, temperature)
        }
    }

    /// Returns how outputs with these labels are read, whatever their fields.
    fn reading(labels: &[String], logits: bool, temperature: f64) -> Self {
        let with = |probabilities| ExternalModel {
            sha256: String::new(),
            labels: labels.to_vec(),
            probabilities,
            logits,
            temperature,
        };
        Self {
            output: None,
            probabilities_output: None,
            single: None,
            has_confidence: false,
            without: with(0),
            with_one: with(1),
            with_all: with(labels.len()),
        }
    }

    /// Returns one output per row of an answer.
    ///
    /// # Errors
    /// Returns what does not fit, with the name of the field or output.
    pub(crate) fn outputs(&self, answer: &Answer) -> Result<Vec<Output>, String> {
        let wanted = Wanted {
            output: self.output.as_deref(),
            probabilities: self.probabilities_output.as_deref(),
            number: self.labels().is_empty(),
        };
        let roles = answer.roles(wanted)?;
        let confident = roles.probabilities.is_some_and(|field| field.columns == 1 && field.is_confidence());
        self.outputs_of(roles.raw(self.labels().is_empty())?, confident, answer.rows)
    }

    /// Returns the outputs of rows. `confident` says whether a single probability is called a confidence.
    ///
    /// # Errors
    /// Returns what does not fit, with the name of the field or output.
    pub(crate) fn outputs_of(
        &self,
        mut raw: RawOutputs,
        confident: bool,
        rows: usize,
    ) -> Result<Vec<Output>, String> {
        if self.labels().is_empty() {
            return engine::outputs(raw, rows, &self.without);
        }
        if let Some(labels) = &mut raw.labels {
            for label in labels {
                let own = &self.labels()[self.class(label)?];
                if label != own {
                    label.clone_from(own);
                }
            }
        }
        if raw.labels.is_some() && !self.has_confidence {
            // The card has no signal of confidence, so the probabilities have no use.
            raw.scores = None;
        }
        let Some(scores) = raw.scores.take() else {
            return engine::outputs(raw, rows, &self.without);
        };
        let classes = self.labels().len();
        let single = match self.single {
            Some(ServerProbabilities::SecondClass | ServerProbabilities::PredictedClass) => self.single,
            _ if confident => Some(ServerProbabilities::PredictedClass),
            other => other,
        };
        let outputs = match (scores.columns, single) {
            (columns, _) if columns == classes => {
                let scores = self.in_order(scores)?;
                engine::outputs(RawOutputs { scores: Some(scores), ..raw }, rows, &self.with_all)?
            }
            (1, Some(ServerProbabilities::SecondClass)) if classes == 2 => {
                engine::outputs(RawOutputs { scores: Some(scores), ..raw }, rows, &self.with_one)?
            }
            (1, Some(ServerProbabilities::PredictedClass)) => {
                with_confidence(engine::outputs(raw, rows, &self.without)?, &scores, classes)?
            }
            (1, _) => {
                return Err(format!(
                    "{:?}: it is not known whether it is the probability of the predicted class; make the profile with --upstream, \
                     which finds out",
                    scores.output
                ));
            }
            (columns, _) => {
                return Err(format!(
                    "{:?} has {columns} numbers per row, but there are {classes} classes: {}",
                    scores.output,
                    listed(self.labels())
                ));
            }
        };
        if self.has_confidence {
            return Ok(outputs);
        }
        let without = |output| match output {
            Output::Class { class, .. } => Output::Class { class, probabilities: None },
            number => number,
        };
        Ok(outputs.into_iter().map(without).collect())
    }

    fn labels(&self) -> &[String] {
        &self.without.labels
    }

    fn class(&self, label: &str) -> Result<usize, String> {
        position(label, self.labels()).ok_or_else(|| {
            format!(
                "the server predicts {label:?}, which is none of the classes {}; make the profile with --upstream, and with --classes if \
                 the server has other labels than the table",
                listed(self.labels())
            )
        })
    }

    /// Returns scores in the order of the classes, if they have names.
    fn in_order(&self, scores: Scores) -> Result<Scores, String> {
        let Some(names) = &scores.names else { return Ok(scores) };
        let columns = self
            .labels()
            .iter()
            .map(|label| position(label, names).ok_or(label))
            .collect::<Result<Vec<usize>, _>>()
            .map_err(|label| {
                format!("{:?} has no probability of {label:?}, only of {}", scores.output, listed(names))
            })?;
        let rows = scores.values.chunks_exact(scores.columns);
        let values = rows.flat_map(|row| columns.iter().map(|&column| row[column])).collect();
        Ok(Scores { values, names: None, ..scores })
    }
}

/// Adds the probability of the predicted class. The rest is divided evenly among the other classes, whose probabilities are not known.
pub(crate) fn with_confidence(
    outputs: Vec<Output>,
    scores: &Scores,
    classes: usize,
) -> Result<Vec<Output>, String> {
    let add = |(row, (output, &confidence)): (usize, (Output, &f64))| {
        if let Some(problem) = engine::unlike_probabilities(&[confidence]) {
            return Err(format!("{:?} is not a probability: row {} {problem}", scores.output, row + 1));
        }
        let confidence = confidence.clamp(0.0, 1.0);
        Ok(match output {
            Output::Class { class, .. } => {
                let rest = (1.0 - confidence) / (classes - 1) as f64;
                let mut probabilities = Probabilities::from_elem(rest, classes);
                probabilities[class] = confidence;
                Output::Class { class, probabilities: Some(probabilities) }
            }
            number => number,
        })
    };
    outputs.into_iter().zip(&scores.values).enumerate().map(add).collect()
}
