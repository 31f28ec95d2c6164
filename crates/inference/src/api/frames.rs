//! Handles `POST /v1/models/{model}:predict` of TensorFlow Serving and KServe V1, and `POST /invocations` of MLflow.

use super::{
    ApiError, State, body,
    oip::Named,
    predict::{Predictions, Protocol, respond},
    sent::AnswerBody,
};
use crate::{
    refusal::{Refusal, TextErrorBody},
    rows::{ParsedRows, frames},
    served::Served,
};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use std::time::SystemTime;
use tokio::time::Instant;
use utoipa::ToSchema;

/// The answer, with one prediction per row.
#[derive(Serialize, ToSchema)]
pub(super) struct FrameAnswer<'a> {
    /// The names of the predicted classes, or the predicted numbers
    predictions: Vec<FrameValue<'a>>,
    /// The ids to send with feedback; the protocols themselves do not define this field
    prediction_ids: Vec<String>,
}

/// A predicted class or number.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum FrameValue<'a> {
    /// The name of a class
    Class(&'a str),
    /// A number
    Number(f64),
}

/// Predicts rows sent by the protocol of TensorFlow Serving and KServe V1.
#[utoipa::path(post, path = "/v1/models/{model}:predict", tag = "other protocols",
    params(("model" = String, Path, description = "The model's name")),
    request_body(content = serde_json::Value, description = "`instances`: a list of rows"),
    responses(
        (status = 200, description = "One prediction per row", body = FrameAnswer),
        (status = 404, description = "Another model is served", body = TextErrorBody),
        (status = 422, description = "Not valid input for this model", body = TextErrorBody),
    )
)]
pub(super) async fn v1_predict(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let named = Named::of(&request)?;
    let protocol = Frames { read: frames::instances, named: Some(named) };
    answer(protocol, &request, payload, &state).await.map_err(ApiError::in_oip)
}

/// Predicts rows sent by the protocol of MLflow.
#[utoipa::path(post, path = "/invocations", tag = "other protocols",
    request_body(content = serde_json::Value, description = "One of `dataframe_split`, `dataframe_records`, `instances` and `inputs`"),
    responses(
        (status = 200, description = "One prediction per row", body = FrameAnswer),
        (status = 422, description = "Not valid input for this model", body = TextErrorBody),
    )
)]
pub(super) async fn invocations(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let protocol = Frames { read: frames::dataframe, named: None };
    answer(protocol, &request, payload, &state).await.map_err(ApiError::in_oip)
}

async fn answer(
    protocol: Frames,
    request: &HttpRequest,
    payload: web::Payload,
    state: &web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let deadline = Instant::now() + state.request_timeout;
    protocol.check_name(&state.served())?;
    let body = body::read(request, payload, state).await?;
    respond(protocol, request, body, state, deadline).await
}

/// A protocol that sends rows as JSON.
#[derive(Clone)]
struct Frames {
    read: fn(&[u8], &model::ModelCard) -> Result<ParsedRows, Refusal>,
    /// The model that the path names, if it names one.
    named: Option<Named>,
}

impl Frames {
    fn check_name(&self, served: &Served) -> Result<(), Refusal> {
        self.named.as_ref().map_or(Ok(()), |named| named.check(&served.card))
    }
}

impl Protocol for Frames {
    type Request = ();

    fn read(&self, body: &[u8], served: &Served) -> Result<(ParsedRows, ()), Refusal> {
        // The model may have been replaced after the path was read.
        self.check_name(served)?;
        Ok(((self.read)(body, &served.card)?, ()))
    }

    fn write(
        &self,
        (): &(),
        predictions: &Predictions,
        served: &Served,
        state: &State,
    ) -> Result<AnswerBody, Refusal> {
        let now = SystemTime::now();
        let issue = |prediction: &model::Prediction| {
            state.receipts.issue(now, prediction.into(), served.version).to_string()
        };
        let value = |prediction: &model::Prediction| match prediction.class() {
            Some(class) => FrameValue::Class(served.card.classes[class].as_str()),
            None => FrameValue::Number(prediction.value()),
        };
        let predictions = &predictions.predictions;
        let answer = FrameAnswer {
            predictions: predictions.iter().map(value).collect(),
            prediction_ids: predictions.iter().map(issue).collect(),
        };
        Ok(serde_json::to_vec(&answer).map_err(Refusal::internal)?.into())
    }
}
