//! Handles `POST /predict`, and the steps of a prediction that all protocols share.

use super::{ApiError, State, body, large, sent, sent::AnswerBody};
use crate::{
    faults::Faults,
    reason::Reason,
    refusal::{ErrorBody, Refusal},
    rows::{ParsedRows, Rows},
    served::Served,
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{self, Bytes},
};
use model::{EngineError, ModelCard, Prediction, ValueProblem};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, sleep_until};
use utoipa::ToSchema;

/// The body of a request for predictions.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents the body, which is read by hand so that errors are specific")]
pub(super) enum PredictRequest {
    /// One row
    One { features: Features },
    /// Many rows, which are either all predicted or all refused
    Many { instances: Vec<Features> },
}

/// One row.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents the body")]
pub(super) enum Features {
    /// The values, in the model's order
    Listed(Vec<Value>),
    /// The values by name
    Named(BTreeMap<String, Value>),
}

/// The value of one feature: a number, a category, or null if the reference has missing values of this feature.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents the body")]
pub(super) enum Value {
    /// A number, or a category that is written as one
    Number(f64),
    /// A category
    Text(String),
    /// A category that is written as `true` or `false`
    Boolean(bool),
    /// A missing value
    Missing(()),
}

/// The answer for one row.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the answer, which `AnswerTexts` writes")]
pub(super) struct Answer<'a> {
    /// Position of the class in the model's list, or the predicted number
    prediction: PredictedValue,
    /// Name of the class; absent if a number is predicted
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    /// One probability per class; absent if the model returns none
    #[serde(skip_serializing_if = "Option::is_none")]
    probabilities: Option<&'a [f64]>,
    /// The id to send with feedback about this prediction
    prediction_id: String,
    /// The model's name
    model: &'a str,
    /// The model's version
    version: &'a str,
}

/// A predicted class or number.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents the answer")]
pub(super) enum PredictedValue {
    /// The position of a class
    Class(usize),
    /// A number
    Number(f64),
}

/// The answer for one row or for a list of rows.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents the answer, which is written one row at a time")]
pub(super) enum PredictResponse<'a> {
    /// The answer to `features`
    One(Answer<'a>),
    /// The answer to `instances`: one per row, in their order
    Many { predictions: Vec<Answer<'a>> },
}

/// Predicts one row or many.
#[utoipa::path(
    post, path = "/predict", tag = "model", request_body = PredictRequest,
    responses(
        (status = 200, description = "One answer to `features`, a list to `instances`", body = PredictResponse),
        (status = 400, description = "The body is not JSON", body = ErrorBody),
        (status = 408, description = "The body did not arrive within the time limit", body = ErrorBody),
        (status = 413, description = "The body is too large, or the answer would be", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "The body is JSON, but not valid input for this model", body = ErrorBody),
        (status = 503, description = "Too many concurrent requests; try again after `Retry-After`", body = ErrorBody),
        (status = 504, description = "An injected delay exceeds the request timeout", body = ErrorBody),
    )
)]
pub(super) async fn predict(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let deadline = Instant::now() + state.request_timeout;
    let body = body::read(&request, payload, &state).await?;
    respond(Native, &request, body, &state, deadline).await
}

/// Reads the requests and writes the answers of one protocol.
pub(super) trait Protocol: Clone + Send + 'static {
    /// The parts of the request that are needed to write the answer.
    type Request;

    /// Reads the rows of a body.
    fn read(&self, body: &[u8], served: &Served) -> Result<(ParsedRows, Self::Request), Refusal>;

    /// Writes the answer.
    fn write(
        &self,
        request: &Self::Request,
        predictions: &Predictions,
        served: &Served,
        state: &State,
    ) -> Result<AnswerBody, Refusal>;
}

/// Answers a request whose body has arrived: takes its permits, injects faults, and predicts the rows. A large request is processed
/// on another thread.
pub(super) async fn respond<P: Protocol>(
    protocol: P,
    request: &HttpRequest,
    body: Bytes,
    state: &web::Data<State>,
    deadline: Instant,
) -> Result<HttpResponse, ApiError> {
    if state.served().limits.is_large_body(body.len()) {
        let large = large::turn(body.len(), state, deadline).await?;
        inject_faults(request, state, deadline).await?;
        return large
            .work(state, StatusCode::OK, move |state| read_and_answer(&protocol, &body, state))
            .await;
    }
    let permit = state.admit()?;
    inject_faults(request, state, deadline).await?;
    let served = state.served();
    let (rows, asked) = protocol.read(&body, &served)?;
    if served.limits.is_large_answer(rows.rows().len()) {
        // While it waits, a request holds only its body; the rows are parsed again afterwards.
        drop((rows, asked, permit, served));
        let large = large::turn(body.len(), state, deadline).await?;
        return large
            .work(state, StatusCode::OK, move |state| read_and_answer(&protocol, &body, state))
            .await;
    }
    let answer = protocol.write(&asked, &count_predictions(rows, &served)?, &served, state)?;
    Ok(sent::answer(StatusCode::OK, answer, permit))
}

fn read_and_answer<P: Protocol>(protocol: &P, body: &[u8], state: &State) -> Result<AnswerBody, Refusal> {
    let served = state.served();
    let (rows, request) = protocol.read(body, &served)?;
    protocol.write(&request, &count_predictions(rows, &served)?, &served, state)
}

/// The protocol of `/predict`.
#[derive(Clone, Copy)]
struct Native;

impl Protocol for Native {
    type Request = ();

    fn read(&self, body: &[u8], served: &Served) -> Result<(ParsedRows, ()), Refusal> {
        Ok((ParsedRows::parse(body, &served.card)?, ()))
    }

    fn write(
        &self,
        (): &(),
        predictions: &Predictions,
        served: &Served,
        state: &State,
    ) -> Result<AnswerBody, Refusal> {
        Ok(write(&predictions.predictions, predictions.batch, served, state)?.into())
    }
}

/// Injects the faults that the headers ask for, if that is allowed.
async fn inject_faults(request: &HttpRequest, state: &State, deadline: Instant) -> Result<(), ApiError> {
    let header = |name: &'static str| request.headers().get(name).map(|value| value.as_bytes());
    let faults = Faults::from_headers(header, state.allow_fault_injection, &state.metrics)?;
    if let Some(delay) = faults.delay {
        wait(delay, deadline).await?;
    }
    faults.abort.map_or(Ok(()), |status| Err(ApiError::injected(status)))
}

async fn wait(delay: Duration, deadline: Instant) -> Result<(), Refusal> {
    // The sum of now and a long delay may be too large for an instant.
    match Instant::now().checked_add(delay).filter(|end| *end <= deadline) {
        Some(end) => {
            sleep_until(end).await;
            Ok(())
        }
        None => {
            sleep_until(deadline).await;
            Err(Refusal::new(
                Reason::TooSlow,
                "the answer took longer than the request timeout; try again later",
            ))
        }
    }
}

/// Predictions that have been counted.
pub(super) struct Predictions {
    /// One per row, in their order.
    pub(super) predictions: Vec<Prediction>,
    /// Whether the rows were sent as a list, so that the answer is a list, too.
    pub(super) batch: bool,
}

/// Counts the values of rows, scores them and counts the predictions.
fn count_predictions(parsed: ParsedRows, served: &Served) -> Result<Predictions, Refusal> {
    served.limits.check_answer(parsed.rows().len())?;
    // Counted first: a row that is then refused because a value is missing is a sign of drift, too.
    served.metrics.observed_all(parsed.rows());
    let rows = parsed.complete(&served.card)?;
    let predictions =
        served.predictor.predict(rows.batch()).map_err(|error| refusal(error, &rows, &served.card))?;
    served.metrics.predicted_all(&predictions);
    Ok(Predictions { predictions, batch: rows.is_batch() })
}

/// Returns the refusal of rows that the model cannot score. If the model fails for another reason, the reason is logged and not sent.
fn refusal(error: EngineError, rows: &Rows, card: &ModelCard) -> Refusal {
    let (row, feature, problem) = match error {
        EngineError::Value { row, feature, problem } => (row, feature, problem),
        EngineError::Row { row, problem } => {
            let message = format!("the model cannot score this row: {problem}");
            return Refusal::new(Reason::UnscorableRow, message).at(rows.place(row));
        }
        EngineError::Failed(_) => return Refusal::internal(error),
    };
    let reason = match problem {
        ValueProblem::TooLarge(_) | ValueProblem::NotWhole(_) => Reason::NumberOutOfRange,
        ValueProblem::Missing => Reason::MissingValue,
        ValueProblem::NotANumber(_) | ValueProblem::Nul => Reason::NotACategory,
    };
    let name = &card.features[feature].name;
    Refusal::new(reason, format!("{name:?} {problem}")).at(format!("{}.{name}", rows.place(row)))
}

fn write(
    predictions: &[Prediction],
    batch: bool,
    served: &Served,
    state: &State,
) -> Result<Vec<u8>, Refusal> {
    let now = SystemTime::now();
    // The buffer is allocated with its greatest size, because growing it in steps would take several times this memory.
    let mut bytes = Vec::with_capacity(served.limits.answer_bytes(predictions.len()));
    if batch {
        bytes.extend_from_slice(b"{\"predictions\":[");
    }
    for (index, prediction) in predictions.iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        let id = state.receipts.issue(now, prediction.into(), served.version);
        served.answers.write(&prediction.output, id.as_bytes(), &mut bytes).map_err(Refusal::internal)?;
    }
    if batch {
        bytes.extend_from_slice(b"]}");
    }
    Ok(bytes)
}
