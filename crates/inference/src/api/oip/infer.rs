//! Handles `POST /v2/models/{model}/infer`, which predicts the rows of tensors.

use super::{
    Named,
    outputs::{self, Wanted},
};
use crate::{
    api::{
        ApiError, State, body,
        predict::{Predictions, Protocol, respond},
        sent::AnswerBody,
    },
    reason::Reason,
    refusal::{Refusal, TextErrorBody},
    rows::{
        ParsedRows,
        tensors::{HEADER_LENGTH, InferRequest},
    },
    served::Served,
};
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::time::Instant;
use utoipa::ToSchema;

/// A request for predictions.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read by hand so that errors are specific")]
pub(in crate::api) struct OipRequest {
    /// An id that the answer repeats
    id: Option<String>,
    /// `binary_data_output`: whether the outputs are sent in binary form
    parameters: Option<serde_json::Value>,
    /// One tensor of shape `[n, features]`, or one of shape `[n, 1]` per feature
    inputs: Vec<OipInput>,
    /// The outputs to send: `predict`, `predict_proba`, `label` or `prediction_id`; by default the first two
    outputs: Option<Vec<serde_json::Value>>,
}

/// A tensor.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body")]
pub(in crate::api) struct OipInput {
    /// The feature's name, unless there is one tensor for all features
    name: String,
    /// Rows and columns
    #[schema(example = json!([1, 4]))]
    shape: Vec<u64>,
    /// `FP64`, `FP32`, `FP16`, `INT8` to `INT64`, `UINT8` to `UINT64`, `BOOL` or `BYTES`
    #[schema(example = "FP64")]
    datatype: String,
    /// `binary_data_size`: the number of bytes of the tensor, which follow the JSON and replace `data`
    parameters: Option<serde_json::Value>,
    /// The elements, row by row
    data: Option<Vec<serde_json::Value>>,
}

/// Predicts the rows of tensors.
#[utoipa::path(
    post, path = "/v2/models/{model}/infer", tag = "open inference protocol", request_body = OipRequest,
    params(("model" = String, Path, description = "The model's name")),
    responses(
        (status = 200, description = "The outputs; with `Inference-Header-Content-Length` if some are in binary form", body = serde_json::Value),
        (status = 400, description = "The body is not JSON", body = TextErrorBody),
        (status = 404, description = "Another model is served", body = TextErrorBody),
        (status = 408, description = "The body did not arrive within the time limit", body = TextErrorBody),
        (status = 413, description = "The body is too large, or the answer would be", body = TextErrorBody),
        (status = 415, description = "The body is declared as neither JSON nor binary", body = TextErrorBody),
        (status = 422, description = "The tensors are not valid input for this model", body = TextErrorBody),
        (status = 503, description = "Too many concurrent requests; try again after `Retry-After`", body = TextErrorBody),
        (status = 504, description = "An injected delay exceeds the request timeout", body = TextErrorBody),
    )
)]
pub(in crate::api) async fn infer(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    answer(&request, payload, &state).await.map_err(ApiError::in_oip)
}

/// Predicts the rows of tensors with a version of the model.
#[utoipa::path(
    post, path = "/v2/models/{model}/versions/{version}/infer", tag = "open inference protocol", request_body = OipRequest,
    params(
        ("model" = String, Path, description = "The model's name"),
        ("version" = String, Path, description = "The model's version")
    ),
    responses(
        (status = 200, description = "As without the version", body = serde_json::Value),
        (status = 404, description = "Another model or version is served", body = TextErrorBody),
        (status = 422, description = "The tensors are not valid input for this model", body = TextErrorBody),
    )
)]
#[expect(dead_code, reason = "documents the second path of `infer`")]
pub(in crate::api) fn version_infer() {}

async fn answer(
    request: &HttpRequest,
    payload: web::Payload,
    state: &web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let deadline = Instant::now() + state.request_timeout;
    let named = Named::of(request)?;
    named.check(&state.served().card)?;
    let header_length = header_length(request)?;
    let body = body::read_tensors(request, payload, state).await?;
    respond(Oip { named, header_length }, request, body, state, deadline).await
}

/// Returns the number of bytes of the body that are JSON; `None` if the whole body is JSON.
fn header_length(request: &HttpRequest) -> Result<Option<usize>, Refusal> {
    let Some(value) = request.headers().get(HEADER_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    length.map(Some).ok_or_else(|| {
        let message = format!("expected the number of bytes of JSON at the start of the body, got {value:?}");
        Refusal::new(Reason::WrongDataSize, message).at(HEADER_LENGTH)
    })
}

/// The protocol, with the path and the header of one request.
#[derive(Clone)]
struct Oip {
    named: Named,
    header_length: Option<usize>,
}

impl Protocol for Oip {
    type Request = Wanted;

    fn read(&self, body: &[u8], served: &Served) -> Result<(ParsedRows, Wanted), Refusal> {
        // The model may have been replaced after the path was read.
        self.named.check(&served.card)?;
        let request = InferRequest::parse(body, self.header_length, &served.card)?;
        // A row may be a single byte, so the number of rows is checked before they are read.
        served.limits.check_tensor_rows(request.row_count())?;
        let wanted = Wanted::new(&request, &served.card)?;
        Ok((request.rows(&served.card)?, wanted))
    }

    fn write(
        &self,
        wanted: &Wanted,
        predictions: &Predictions,
        served: &Served,
        state: &State,
    ) -> Result<AnswerBody, Refusal> {
        outputs::write(wanted, &predictions.predictions, served, state)
    }
}
