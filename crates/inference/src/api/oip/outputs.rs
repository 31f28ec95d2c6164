//! Writes the tensors of an answer.
//!
//! `predict` has shape `[n, 1]`, as in MLServer's scikit-learn runtime. It contains the names of the classes, because the positions that
//! scikit-learn returns have no meaning without the model card. `label` contains the positions. Clients that name the outputs they want
//! also need the prediction ids, so these are always in `parameters`. The protocol allows only strings, numbers and booleans there, so
//! the ids are one string, separated by commas, which no id contains.

use crate::{
    api::{State, sent::AnswerBody},
    reason::Reason,
    receipt,
    refusal::Refusal,
    rows::tensors::InferRequest,
    served::Served,
};
use model::{ModelCard, Prediction};
use serde::Serialize;
use std::time::SystemTime;

/// A tensor of the answer, which the protocol calls an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputTensor {
    /// The name of the predicted class, or the predicted number
    Predict,
    /// One probability per class, if the model returns probabilities
    PredictProba,
    /// The position of the predicted class
    Label,
    /// The id to send with feedback
    PredictionId,
}

impl OutputTensor {
    /// All outputs. The first two are sent if the request names none.
    const ALL: [Self; 4] = [Self::Predict, Self::PredictProba, Self::Label, Self::PredictionId];

    /// Returns the outputs of a model.
    pub(super) fn of(card: &ModelCard) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|output| match output {
            Self::PredictProba => card.reference.confidence.is_some(),
            Self::Label => !card.predicts_number(),
            Self::Predict | Self::PredictionId => true,
        })
    }

    /// Returns the output's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::PredictProba => "predict_proba",
            Self::Label => "label",
            Self::PredictionId => "prediction_id",
        }
    }

    /// Returns the datatype of its elements.
    pub(super) fn datatype(self, card: &ModelCard) -> &'static str {
        match self {
            Self::Predict if card.predicts_number() => "FP64",
            Self::Predict | Self::PredictionId => "BYTES",
            Self::PredictProba => "FP64",
            Self::Label => "INT64",
        }
    }

    /// Returns the number of elements per row.
    pub(super) fn columns(self, card: &ModelCard) -> usize {
        if self == Self::PredictProba { card.classes.len() } else { 1 }
    }

    /// Returns the codec with which MLServer's client decodes it.
    fn content_type(self, card: &ModelCard) -> &'static str {
        match self {
            Self::Predict if card.predicts_number() => "np",
            Self::Predict | Self::PredictionId => "str",
            Self::PredictProba | Self::Label => "np",
        }
    }
}

/// The id and the outputs that a request asks for.
pub(super) struct Wanted {
    id: Option<String>,
    /// The outputs, and whether each of them is sent in binary form.
    outputs: Vec<(OutputTensor, bool)>,
}

impl Wanted {
    /// Checks the outputs that a request names.
    pub(super) fn new(request: &InferRequest<'_>, card: &ModelCard) -> Result<Self, Refusal> {
        let mut outputs: Vec<(OutputTensor, bool)> = Vec::new();
        for (index, wanted) in request.outputs.iter().enumerate() {
            let place = || format!("outputs[{index}].name");
            let output = OutputTensor::of(card).find(|output| output.name() == wanted.name);
            let output = output.ok_or_else(|| {
                let known = OutputTensor::of(card).map(OutputTensor::name).collect::<Vec<_>>().join(", ");
                let message =
                    format!("unknown output {:?}; the outputs are {known}", shortened(&wanted.name));
                Refusal::new(Reason::UnknownOutput, message).at(place())
            })?;
            if outputs.iter().any(|(known, _)| *known == output) {
                let message = format!("output {:?} is given twice", wanted.name);
                return Err(Refusal::new(Reason::DuplicateField, message).at(place()));
            }
            outputs.push((output, wanted.binary));
        }
        if outputs.is_empty() {
            let usual = OutputTensor::of(card).filter(|output| OutputTensor::ALL[..2].contains(output));
            outputs = usual.map(|output| (output, request.binary_outputs)).collect();
        }
        Ok(Self { id: request.id.as_ref().map(|id| id.clone().into_owned()), outputs })
    }
}

/// Writes the answer, which has one prediction id per row in its parameters.
pub(super) fn write(
    wanted: &Wanted,
    predictions: &[Prediction],
    served: &Served,
    state: &State,
) -> Result<AnswerBody, Refusal> {
    let now = SystemTime::now();
    let mut ids = String::with_capacity(predictions.len() * (receipt::TEXT_LENGTH + 1));
    for prediction in predictions {
        if !ids.is_empty() {
            ids.push(',');
        }
        ids.push_str(&state.receipts.issue(now, prediction.into(), served.version));
    }
    let card = &served.card;
    // The buffer is allocated with its greatest size, because growing it in steps would take several times this memory.
    let mut json = Vec::with_capacity(served.limits.answer_bytes(predictions.len()));
    let mut tensors = Vec::new();
    json.extend_from_slice(b"{\"model_name\":");
    to_json(&mut json, &card.name)?;
    json.extend_from_slice(b",\"model_version\":");
    to_json(&mut json, &card.version)?;
    if let Some(id) = &wanted.id {
        json.extend_from_slice(b",\"id\":");
        to_json(&mut json, id)?;
    }
    json.extend_from_slice(b",\"parameters\":{\"prediction_ids\":\"");
    json.extend_from_slice(ids.as_bytes());
    json.extend_from_slice(b"\"},\"outputs\":[");
    for (index, &(output, binary)) in wanted.outputs.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        let (name, datatype, content_type) =
            (output.name(), output.datatype(card), output.content_type(card));
        let shape = [predictions.len(), output.columns(card)];
        let head = format!(
            "{{\"name\":\"{name}\",\"datatype\":\"{datatype}\",\"shape\":{shape:?},\"parameters\":{{\"content_type\":\"{content_type}\""
        );
        json.extend_from_slice(head.as_bytes());
        if binary {
            let start = tensors.len();
            write_binary(&mut tensors, output, predictions, &ids, card);
            json.extend_from_slice(format!(",\"binary_data_size\":{}}}}}", tensors.len() - start).as_bytes());
        } else {
            json.extend_from_slice(b"},\"data\":[");
            write_json(&mut json, output, predictions, &ids, card)?;
            json.extend_from_slice(b"]}");
        }
    }
    json.extend_from_slice(b"]}");
    if wanted.outputs.iter().any(|(_, binary)| *binary) {
        let length = json.len();
        json.append(&mut tensors);
        return Ok(AnswerBody::with_tensors(json, length));
    }
    Ok(json.into())
}

fn write_json(
    json: &mut Vec<u8>,
    output: OutputTensor,
    predictions: &[Prediction],
    ids: &str,
    card: &ModelCard,
) -> Result<(), Refusal> {
    for (index, (prediction, id)) in predictions.iter().zip(ids.split(',')).enumerate() {
        if index > 0 {
            json.push(b',');
        }
        match output {
            OutputTensor::Predict => match prediction.class() {
                Some(class) => to_json(json, &card.classes[class])?,
                None => to_json(json, &prediction.value())?,
            },
            OutputTensor::Label => to_json(json, &prediction.class())?,
            OutputTensor::PredictionId => to_json(json, id)?,
            OutputTensor::PredictProba => {
                let probabilities = prediction.output.probabilities().unwrap_or_default();
                for (index, probability) in probabilities.iter().enumerate() {
                    if index > 0 {
                        json.push(b',');
                    }
                    to_json(json, probability)?;
                }
            }
        }
    }
    Ok(())
}

fn write_binary(
    tensors: &mut Vec<u8>,
    output: OutputTensor,
    predictions: &[Prediction],
    ids: &str,
    card: &ModelCard,
) {
    let text = |tensors: &mut Vec<u8>, text: &str| {
        // A class name or an id is far shorter than 4 GiB.
        tensors.extend_from_slice(&(text.len() as u32).to_le_bytes());
        tensors.extend_from_slice(text.as_bytes());
    };
    for (prediction, id) in predictions.iter().zip(ids.split(',')) {
        match output {
            OutputTensor::Predict => match prediction.class() {
                Some(class) => text(tensors, &card.classes[class]),
                None => tensors.extend_from_slice(&prediction.value().to_le_bytes()),
            },
            OutputTensor::PredictionId => text(tensors, id),
            OutputTensor::Label => {
                let class = prediction.class().unwrap_or_default() as i64;
                tensors.extend_from_slice(&class.to_le_bytes());
            }
            OutputTensor::PredictProba => {
                let probabilities = prediction.output.probabilities().unwrap_or_default();
                tensors.extend(probabilities.iter().flat_map(|probability| probability.to_le_bytes()));
            }
        }
    }
}

fn to_json(json: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) -> Result<(), Refusal> {
    serde_json::to_writer(json, value).map_err(Refusal::internal)
}

/// Returns the beginning of a long name, for error messages.
fn shortened(name: &str) -> &str {
    name.char_indices().nth(80).map_or(name, |(end, _)| &name[..end])
}
