//! Handles `POST /feedback`, which counts the true classes or numbers of earlier predictions.
//!
//! The signed prediction id contains the predicted value, the time of the prediction and the version of the model, so nothing has to
//! be looked up. Accepted feedback is counted in the confusion matrix, or among the errors of predicted numbers.

use super::{
    ApiError, OwnIds, State, body, large,
    pieces::{Body, Field, Fields, Piece},
    sent,
};
use crate::{
    reason::Reason,
    receipt::{Predicted, ReceiptError},
    refusal::{ErrorBody, Refusal},
    served::Described,
};
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use cli_io::printable::{MOST_QUOTED, printable, quoted};
use serde::Serialize;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;
use utoipa::ToSchema;

/// The greatest age of a prediction for which feedback is accepted.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// The greatest difference between the clocks of replicas.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// The greatest number of pieces of feedback in one request. About as many fit into a mebibyte.
const MOST_PIECES: usize = 10_000;

/// The greatest number of rejections that an answer lists, so that it is smaller than the request.
const MOST_REJECTED: usize = 100;

/// The greatest number of classes that an error lists.
const MOST_LISTED: usize = 20;

/// The true class or number of an earlier prediction.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read by hand so that errors are specific")]
pub(super) struct Feedback {
    /// The prediction id from the answer to the prediction
    prediction_id: String,
    /// The true number if the model predicts a number, otherwise the name of the true class. A JSON number stands for the class of this
    /// value, and a boolean for the class `true` or `false` in any case
    label: TrueLabel,
}

/// A class or a number.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents the body")]
pub(super) enum TrueLabel {
    Name(String),
    Number(f64),
    Boolean(bool),
}

/// One piece of feedback, or a list.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents the body")]
pub(super) enum FeedbackRequest {
    One(Feedback),
    Many(Vec<Feedback>),
}

/// The numbers of accepted and rejected pieces of feedback.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct FeedbackResponse {
    /// The number of pieces that were counted
    accepted: usize,
    /// The first hundred pieces of a list that were rejected
    rejected: Vec<Rejected>,
    /// The number of further rejected pieces; absent if there are none
    #[serde(skip_serializing_if = "is_zero")]
    rejected_without_detail: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A piece of feedback that was not counted.
#[derive(Serialize, ToSchema)]
struct Rejected {
    /// Position in the list
    index: usize,
    /// Stable word for the reason
    code: &'static str,
    /// The reason and how to correct it
    message: String,
}

/// Counts the true classes of earlier predictions. Each piece of a list is accepted or rejected separately.
#[utoipa::path(
    post, path = "/feedback", tag = "model", request_body = FeedbackRequest,
    responses(
        (status = 202, description = "Counted; of a list, at least one", body = FeedbackResponse),
        (status = 400, description = "The body is not JSON", body = ErrorBody),
        (status = 408, description = "The body did not arrive within the time limit", body = ErrorBody),
        (status = 413, description = "The body is too large, or a list of more than 10,000", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "No piece of it was accepted", body = ErrorBody),
        (status = 503, description = "Too many concurrent requests; try again after `Retry-After`", body = ErrorBody),
    )
)]
pub(super) async fn feedback(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let deadline = Instant::now() + state.request_timeout;
    let body = body::read(&request, payload, &state).await?;
    if state.served().limits.is_large_body(body.len()) {
        let large = large::turn(body.len(), &state, deadline).await?;
        return large.work(&state, StatusCode::ACCEPTED, move |state| take(&body, state)).await;
    }
    let permit = state.admit()?;
    Ok(sent::json(StatusCode::ACCEPTED, take(&body, &state)?, permit))
}

/// Counts the feedback in a body and writes the answer.
fn take(body: &[u8], state: &State) -> Result<Vec<u8>, Refusal> {
    let body = Body::parse(body, MOST_PIECES, state.own_ids.are_accepted()).map_err(|error| {
        Refusal::new(Reason::MalformedJson, format!("the body cannot be read as JSON: {error}"))
    })?;
    let mut response = FeedbackResponse::default();
    match body {
        Body::Many(pieces) => {
            if pieces.count > MOST_PIECES {
                let message = format!(
                    "expected at most {MOST_PIECES} pieces of feedback, got {}; send fewer per request",
                    pieces.count
                );
                return Err(Refusal::new(Reason::TooManyPieces, message));
            }
            let mut first = None;
            for (index, piece) in pieces.first.iter().enumerate() {
                match count(piece, &format!("[{index}]"), state) {
                    Ok(()) => response.accepted += 1,
                    Err(error) if response.rejected.len() < MOST_REJECTED => {
                        let (code, message) = (error.reason.code(), error.message.clone());
                        response.rejected.push(Rejected { index, code, message });
                        first.get_or_insert(error);
                    }
                    Err(_) => response.rejected_without_detail += 1,
                }
            }
            if response.accepted == 0 {
                return Err(first.unwrap_or_else(|| Refusal::new(Reason::EmptyBatch, "the list is empty")));
            }
        }
        Body::One(piece) => {
            count(&piece, "", state)?;
            response.accepted = 1;
        }
    }
    serde_json::to_vec(&response).map_err(Refusal::internal)
}

/// Verifies and counts one piece of feedback.
fn count(piece: &Piece, place: &str, state: &State) -> Result<(), Refusal> {
    let counted = read(piece, place, &state.own_ids).and_then(|sent| match sent.own {
        Some(own) => count_own(sent.id, &own, &sent.label, place, state),
        None => verify_and_count(sent.id, sent.label, place, state),
    });
    counted.inspect_err(|error| state.metrics.feedback_rejected(error.reason))
}

/// The fields of a piece of feedback.
struct SentFeedback<'a> {
    id: &'a str,
    label: Label<'a>,
    own: Option<Own<'a>>,
}

/// What a client sends with an id of its own, in which nothing is signed.
struct Own<'a> {
    prediction: Label<'a>,
    model: Option<&'a str>,
}

/// Returns the fields of a piece of feedback.
fn read<'a>(piece: &'a Piece, place: &str, own_ids: &OwnIds) -> Result<SentFeedback<'a>, Refusal> {
    let Piece::Fields(Fields { prediction_id, label, prediction, model, unknown }) = piece else {
        let message = "feedback must be an object with \"prediction_id\" and \"label\"";
        return Err(located(Refusal::new(Reason::WrongType, message), place));
    };
    if let Some(name) = unknown {
        let fields = match own_ids.are_accepted() {
            true => "\"prediction_id\", \"label\" and, with an id of your own, \"prediction\" and \"model\"",
            false => "\"prediction_id\" and \"label\"",
        };
        // Feedback with an id of the client's own has these fields.
        let is_of_own_id = matches!(name.as_str(), "prediction" | "model");
        let remedy = if is_of_own_id { own_ids.remedy() } else { "" };
        let message = format!("unknown field {}; the fields are {fields}{remedy}", quoted(name));
        return Err(
            Refusal::new(Reason::UnknownField, message).at(path(place, &printable(name, MOST_QUOTED)))
        );
    }
    let refused = |name, reason, what| Refusal::new(reason, format!("{name:?} {what}")).at(path(place, name));
    let text = |name, field: &'a Field| match field {
        Field::Text(text) => Ok(text.as_str()),
        Field::Missing => Err(refused(name, Reason::MissingField, "is missing")),
        Field::Repeated => Err(refused(name, Reason::DuplicateField, "is given twice")),
        Field::Literal(_) | Field::Other => Err(refused(name, Reason::WrongType, "must be a string")),
    };
    let id = text("prediction_id", prediction_id)?;
    let value = |name, field: &'a Field| match field {
        Field::Literal(literal) => Ok(Label::Literal(literal)),
        Field::Other => Err(refused(name, Reason::WrongType, "must be a string, a number or a boolean")),
        _ => Ok(Label::Text(text(name, field)?)),
    };
    let own = match (prediction, model) {
        (Field::Missing, Field::Missing) => None,
        (prediction, Field::Missing) => {
            Some(Own { prediction: value("prediction", prediction)?, model: None })
        }
        (prediction, model) => {
            Some(Own { prediction: value("prediction", prediction)?, model: Some(text("model", model)?) })
        }
    };
    Ok(SentFeedback { id, label: value("label", label)?, own })
}

/// Counts feedback with an id of the client's own. The client says what was predicted, because nothing was signed.
fn count_own(id: &str, own: &Own<'_>, label: &Label<'_>, place: &str, state: &State) -> Result<(), Refusal> {
    if state.receipts.verify(id).is_ok() {
        let message =
            "the id was issued by the watcher and contains the prediction; leave the prediction out";
        return Err(Refusal::new(Reason::UnknownField, message).at(path(place, "prediction")));
    }
    let model = state.named(own.model).ok_or_else(|| {
        let message = match own.model {
            Some(name) => {
                format!("no model is called {}; give the name that --profile MODEL=FILE has", quoted(name))
            }
            None => "there are several models; name the one of the prediction".to_owned(),
        };
        Refusal::new(Reason::ForeignVersion, message).at(path(place, "model"))
    })?;
    let card = &model.card;
    let wrong = |field| move |message| Refusal::new(Reason::UnknownLabel, message).at(path(place, field));
    let truth = if card.predicts_number() {
        let predicted = own.prediction.number().map_err(wrong("prediction"))?;
        let (error, largest) =
            (label.error(predicted).map_err(wrong("label"))?, model.metrics.largest_error());
        Truth::Error(checked_error(error, largest, place)?)
    } else {
        let predicted = own.prediction.class(&card.classes).map_err(wrong("prediction"))?;
        let actual = label.class(&card.classes).map_err(wrong("label"))?;
        Truth::Class { predicted, confidence: None, actual }
    };
    let mut hasher = DefaultHasher::new();
    (&card.version, id).hash(&mut hasher);
    count_once(hasher.finish(), truth, &model, place, state)
}

/// Checks that an error can be counted.
fn checked_error(error: f64, largest: f64, place: &str) -> Result<f64, Refusal> {
    if error.abs() <= largest {
        return Ok(error);
    }
    let message = format!(
        "the error is {:.1e}, but errors of this model are counted up to {largest:.1e}; send the label in the unit of the predictions",
        error.abs()
    );
    Err(Refusal::new(Reason::ErrorTooLarge, message).at(path(place, "label")))
}

/// Counts feedback, unless there was feedback with this serial number before.
fn count_once(
    serial: u64,
    truth: Truth,
    model: &Described,
    place: &str,
    state: &State,
) -> Result<(), Refusal> {
    if !state.feedback_given.insert(serial) {
        let message = "feedback for this prediction was already accepted";
        return Err(Refusal::new(Reason::RepeatedPredictionId, message).at(path(place, "prediction_id")));
    }
    match truth {
        Truth::Class { predicted, confidence, actual } => {
            model.metrics.class_feedback(predicted, confidence, actual);
        }
        Truth::Error(error) => model.metrics.number_feedback(error),
    }
    Ok(())
}

/// Verifies a prediction id and counts the true value with the predicted one.
fn verify_and_count(id: &str, label: Label<'_>, place: &str, state: &State) -> Result<(), Refusal> {
    let refuse = |reason, message: String| Refusal::new(reason, message).at(path(place, "prediction_id"));
    let receipt = state.receipts.verify(id).map_err(|error| match error {
        ReceiptError::Malformed => {
            refuse(Reason::MalformedPredictionId, format!("{error}{}", state.own_ids.remedy()))
        }
        ReceiptError::Forged => refuse(Reason::ForgedPredictionId, error.to_string()),
    })?;
    let now = SystemTime::now();
    if receipt.at.duration_since(now).is_ok_and(|ahead| ahead > CLOCK_SKEW) {
        let message = "the time of the prediction is more than a minute in the future; synchronise the clocks of the replicas";
        return Err(refuse(Reason::FuturePredictionId, message.into()));
    }
    let lag = now.duration_since(receipt.at).unwrap_or_default();
    if lag > OLDEST {
        let message = format!(
            "the prediction is older than {}; send feedback within that time",
            humantime::format_duration(OLDEST)
        );
        return Err(refuse(Reason::ExpiredPredictionId, message));
    }
    let Some(model) = state.of_version(&receipt.version) else {
        let current = state.served();
        let message = format!(
            "the prediction is of model version {}, but this service serves {}; send the feedback to a replica with the version of the \
             prediction",
            receipt.version, current.card.version
        );
        return Err(refuse(Reason::ForeignVersion, message));
    };
    let card = &model.card;
    let unknown = |message| Refusal::new(Reason::UnknownLabel, message).at(path(place, "label"));
    // The output is checked although it is signed: any output can be signed with the key, and the version is a truncated hash.
    let truth = match receipt.predicted {
        Predicted::Class { class, confidence } if class < card.classes.len() => {
            let actual = label.class(&card.classes).map_err(unknown)?;
            Truth::Class { predicted: class, confidence, actual }
        }
        Predicted::Number(number) if card.predicts_number() && number.is_finite() => {
            let error = label.error(number).map_err(unknown)?;
            Truth::Error(checked_error(error, model.metrics.largest_error(), place)?)
        }
        Predicted::Class { .. } | Predicted::Number(_) => {
            let message = "the id contains an output that the model does not have".into();
            return Err(refuse(Reason::MalformedPredictionId, message));
        }
    };
    // This check is the last one, so that feedback refused for another reason can be corrected and sent again.
    count_once(receipt.serial, truth, &model, place, state)?;
    state.metrics.feedback_accepted(lag.as_secs_f64());
    Ok(())
}

/// The true value, with the predicted one.
enum Truth {
    /// The positions of the predicted and the true class, with the confidence of the prediction.
    Class { predicted: usize, confidence: Option<f64>, actual: usize },
    /// The predicted number minus the true one.
    Error(f64),
}

/// The true class or number, as the client sends it.
enum Label<'a> {
    /// A string: the class's name, or a number.
    Text(&'a str),
    /// A JSON number or boolean. The table of the model may write the same class differently.
    Literal(&'a str),
}

impl Label<'_> {
    /// Returns the predicted number minus the true one, or a message if the label is not a usable number.
    fn error(&self, predicted: f64) -> Result<f64, String> {
        Ok(predicted - self.number()?)
    }

    /// Returns the number, or a message if the text is none.
    fn number(&self) -> Result<f64, String> {
        let (Self::Text(sent) | Self::Literal(sent)) = self;
        let number = sent.trim().parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| format!("expected a number, which the model predicts, got {}", quoted(sent)))
    }

    /// Returns the position of the class, or a message if the label is not a class or not a unique one.
    fn class(&self, classes: &[String]) -> Result<usize, String> {
        let (Self::Text(sent) | Self::Literal(sent)) = self;
        if let Some(exact) = classes.iter().position(|class| class == sent) {
            return Ok(exact);
        }
        let equal = |class: &str| match sent {
            &"true" | &"false" => class.eq_ignore_ascii_case(sent),
            _ => is_same_number(class, sent),
        };
        let equal = match self {
            Self::Text(_) => Vec::new(),
            Self::Literal(_) => (0..classes.len()).filter(|&class| equal(&classes[class])).collect(),
        };
        match equal[..] {
            [only] => Ok(only),
            [one, other, ..] => Err(format!(
                "{sent} stands for several classes of the model, such as {} and {}; send the name as a string",
                quoted(&classes[one]),
                quoted(&classes[other])
            )),
            [] => Err(format!(
                "{} is not a class of the model; the classes are {}",
                quoted(sent),
                listed(classes)
            )),
        }
    }
}

/// Returns whether two texts are numbers of the same value. Integers are compared exactly, also beyond 2^53.
fn is_same_number(one: &str, other: &str) -> bool {
    if let (Ok(one), Ok(other)) = (one.parse::<i128>(), other.parse::<i128>()) {
        return one == other;
    }
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    number(one).is_some_and(|one| number(other) == Some(one))
}

/// Returns the classes as a list, which ends after the first [`MOST_LISTED`].
fn listed(classes: &[String]) -> String {
    let first = classes.iter().take(MOST_LISTED).map(|class| printable(class, MOST_QUOTED));
    let first = first.collect::<Vec<_>>().join(", ");
    match classes.len().saturating_sub(MOST_LISTED) {
        0 => first,
        more => format!("{first}, … ({more} more: see /model)"),
    }
}

/// Adds the place of an error. If `place` is empty, the error concerns the whole body and has no place.
fn located(error: Refusal, place: &str) -> Refusal {
    if place.is_empty() { error } else { error.at(place) }
}

fn path(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}
