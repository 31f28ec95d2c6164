//! Requests and answers of model servers that are not this program, read as a profile describes them. HTTP does not belong here.
//!
//! Layout:
//! - this module: [`Reader`], which reads rows and outputs
//! - `answer`: the named values of an answer, and which of them are predictions and probabilities
//! - `json_answer`: finds the named values in JSON
//! - `excerpt`: shortens an answer for a message
//! - `interpretation`: converts predictions and probabilities into outputs

mod answer;
mod excerpt;
mod interpretation;
mod json_answer;

pub(crate) use answer::{Answer, Field, Wanted};
pub(crate) use excerpt::excerpt;
pub(crate) use interpretation::Interpretation;

use crate::{
    reason::Reason,
    refusal::Refusal,
    rows::{
        ParsedRows, frames, lenient,
        tensors::{self, InferRequest},
    },
};
use anyhow::{Result, ensure};
use clap::ValueEnum;
use model::{ModelCard, ModelFile, Output, ServerProtocol, Simulator};

/// A protocol in which model servers are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// JSON as this program's /predict takes it, or as a hand-written service does
    Native,
    /// The Open Inference Protocol v2 of MLServer, KServe and Triton
    OipV2,
    /// The protocol of TensorFlow Serving and KServe V1
    V1,
    /// The protocol of MLflow's scoring server
    Mlflow,
}

impl Protocol {
    /// Returns the protocol as a profile has it.
    pub(crate) fn recorded(self) -> ServerProtocol {
        match self {
            Self::Native => ServerProtocol::Native,
            Self::OipV2 => ServerProtocol::OipV2,
            Self::V1 => ServerProtocol::V1,
            Self::Mlflow => ServerProtocol::Mlflow,
        }
    }
}

/// Reads the requests to a model server and its answers, as a profile describes them.
#[derive(Debug)]
pub struct Reader {
    card: ModelCard,
    /// The card with the names and the order of the features in requests.
    requests: ModelCard,
    /// The position of each feature in requests; `None` if the order is that of the card.
    positions: Option<Vec<usize>>,
    /// The field of JSON requests that contains the rows, if that is known.
    field: Option<String>,
    interpretation: Interpretation,
}

impl Reader {
    /// Creates the reader of a model's requests and answers.
    ///
    /// # Errors
    /// Returns an error if the profile names a feature that it does not have.
    pub fn new(file: &ModelFile) -> Result<Self> {
        let card = file.card.clone();
        // Rows are read without the simulator, which may be large.
        let mut requests = ModelCard { simulator: Simulator::empty(), ..card.clone() };
        let mut positions = Vec::new();
        if let Some(server) = &file.server {
            let mut features = Vec::new();
            for input in &server.inputs {
                let own = card.features.iter().find(|feature| feature.name == input.feature);
                features.extend(own.map(|own| model::Feature { name: input.name.clone(), ..own.clone() }));
            }
            let position = |feature: &model::Feature| {
                server.inputs.iter().position(|input| input.feature == feature.name)
            };
            positions.extend(card.features.iter().filter_map(position));
            ensure!(
                features.len() == card.features.len() && positions.len() == card.features.len(),
                "server.inputs: expected one input per feature; make the profile again"
            );
            requests.features = features;
        }
        let in_order = positions.iter().enumerate().all(|(at, &position)| at == position);
        let positions = Some(positions).filter(|_| !in_order);
        let field = file.server.as_ref().and_then(|server| {
            server.form.as_ref().and_then(|form| form.field.clone()).or_else(|| server.tensor.clone())
        });
        Ok(Self { interpretation: Interpretation::of(file), card, requests, positions, field })
    }

    /// Returns the card of the model. Rows have its features, in its order.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Reads the rows of a request body. `content_type` is the value of the header Content-Type, and `header_length` that of
    /// Inference-Header-Content-Length.
    ///
    /// # Errors
    /// Returns an error that names the field if it is not certain which values belong to which features.
    pub fn rows(
        &self,
        protocol: Protocol,
        content_type: Option<&str>,
        header_length: Option<usize>,
        body: &[u8],
    ) -> Result<ParsedRows, Refusal> {
        let (card, field) = (&self.requests, self.field.as_deref());
        let is_csv =
            content_type.is_some_and(|own| own.trim_start().to_ascii_lowercase().starts_with("text/csv"));
        let rows = match protocol {
            Protocol::OipV2 => tensor_rows(body, header_length, card),
            Protocol::Mlflow if is_csv => lenient::csv(body, card),
            // The strict readers are faster, and accept most requests.
            Protocol::Native => ParsedRows::parse(body, card).or_else(|_| lenient::json(body, card, field)),
            Protocol::V1 => frames::instances(body, card).or_else(|_| lenient::json(body, card, field)),
            Protocol::Mlflow => frames::dataframe(body, card).or_else(|_| lenient::json(body, card, field)),
        }?;
        Ok(match &self.positions {
            Some(positions) => rows.reordered(positions),
            None => rows,
        })
    }

    /// Reads one output per row from the body of an answer with status 200.
    ///
    /// # Errors
    /// Returns what does not fit, with the name of the field or output.
    pub fn outputs(
        &self,
        protocol: Protocol,
        header_length: Option<usize>,
        body: &[u8],
    ) -> Result<Vec<Output>, String> {
        let answer = Answer::read(protocol, header_length, body)?;
        self.interpretation.outputs(&answer)
    }
}

fn tensor_rows(body: &[u8], header_length: Option<usize>, card: &ModelCard) -> Result<ParsedRows, Refusal> {
    let read = |body: &[u8], header_length| {
        InferRequest::parse_foreign(body, header_length, card).and_then(|request| request.rows(card))
    };
    let refusal = match read(body, header_length) {
        Err(refusal) if refusal.reason == Reason::MalformedJson => refusal,
        other => return other,
    };
    // Python's parser also reads NaN, which its writer writes.
    let json = tensors::split(body, header_length)?.0;
    match lenient::with_null_for_nan(json) {
        Some(mut repaired) => {
            let length = repaired.len();
            repaired.extend_from_slice(&body[json.len()..]);
            read(&repaired, header_length.map(|_| length))
        }
        None => Err(refusal),
    }
}

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;
