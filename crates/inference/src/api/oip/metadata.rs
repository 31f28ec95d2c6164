//! Handles the routes that describe the server and the model, and those that report whether they are ready.

use super::{check_model, outputs::OutputTensor};
use crate::{
    api::{ApiError, State, health},
    refusal::TextErrorBody,
};
use actix_web::{HttpRequest, HttpResponse, web};
use model::{ModelCard, Values};
use serde::Serialize;
use utoipa::ToSchema;

/// The metadata of the server.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ServerMetadata {
    name: &'static str,
    version: &'static str,
    /// The extensions of the protocol that the server supports
    extensions: [&'static str; 1],
}

/// The metadata of the served model, as the Open Inference Protocol defines it.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ModelMetadata<'a> {
    name: &'a str,
    versions: [&'a str; 1],
    platform: &'static str,
    /// One tensor per feature; one tensor of shape `[-1, features]` with all features is accepted as well
    inputs: Vec<TensorMetadata<'a>>,
    outputs: Vec<TensorMetadata<'a>>,
}

/// An input or an output.
#[derive(Serialize, ToSchema)]
struct TensorMetadata<'a> {
    name: &'a str,
    /// `FP64`, `INT64` or `BYTES`
    datatype: &'static str,
    /// The number of rows, which is variable, and of columns
    #[schema(example = json!([-1, 1]))]
    shape: [i64; 2],
}

/// Describes the server.
#[utoipa::path(get, path = "/v2", tag = "open inference protocol", responses(
    (status = 200, description = "The server", body = ServerMetadata)
))]
pub(in crate::api) async fn server() -> HttpResponse {
    HttpResponse::Ok().json(ServerMetadata {
        name: "model-vitals",
        version: env!("CARGO_PKG_VERSION"),
        extensions: ["binary_tensor_data"],
    })
}

/// Reports that the process is alive.
#[utoipa::path(get, path = "/v2/health/live", tag = "open inference protocol", responses(
    (status = 200, description = "Alive")
))]
pub(in crate::api) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "live": true }))
}

/// Reports whether the service accepts requests. It does not while it is stopping.
#[utoipa::path(get, path = "/v2/health/ready", tag = "open inference protocol", responses(
    (status = 200, description = "Ready"),
    (status = 503, description = "Stopping", body = TextErrorBody)
))]
pub(in crate::api) async fn ready(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    health::check_ready(&state).map_err(ApiError::in_oip)?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "ready": true })))
}

/// Describes the model.
#[utoipa::path(get, path = "/v2/models/{model}", tag = "open inference protocol",
    params(("model" = String, Path, description = "The model's name")),
    responses(
        (status = 200, description = "The model", body = ModelMetadata),
        (status = 404, description = "Another model is served", body = TextErrorBody)
    )
)]
pub(in crate::api) async fn model(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let served = state.served();
    check_model(&request, &served.card)?;
    Ok(HttpResponse::Ok().json(ModelMetadata::of(&served.card)))
}

/// Describes a version of the model.
#[utoipa::path(get, path = "/v2/models/{model}/versions/{version}", tag = "open inference protocol",
    params(
        ("model" = String, Path, description = "The model's name"),
        ("version" = String, Path, description = "The model's version")
    ),
    responses(
        (status = 200, description = "The model", body = ModelMetadata),
        (status = 404, description = "Another model or version is served", body = TextErrorBody)
    )
)]
#[expect(dead_code, reason = "documents the second path of `model`")]
pub(in crate::api) fn version() {}

/// Reports whether the model is ready.
#[utoipa::path(get, path = "/v2/models/{model}/ready", tag = "open inference protocol",
    params(("model" = String, Path, description = "The model's name")),
    responses(
        (status = 200, description = "Ready"),
        (status = 404, description = "Another model is served", body = TextErrorBody),
        (status = 503, description = "Stopping", body = TextErrorBody)
    )
)]
pub(in crate::api) async fn model_ready(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let served = state.served();
    check_model(&request, &served.card)?;
    health::check_ready(&state).map_err(ApiError::in_oip)?;
    let card = &served.card;
    Ok(HttpResponse::Ok()
        .json(serde_json::json!({ "name": card.name, "version": card.version, "ready": true })))
}

/// Reports whether a version of the model is ready.
#[utoipa::path(get, path = "/v2/models/{model}/versions/{version}/ready", tag = "open inference protocol",
    params(
        ("model" = String, Path, description = "The model's name"),
        ("version" = String, Path, description = "The model's version")
    ),
    responses(
        (status = 200, description = "Ready"),
        (status = 404, description = "Another model or version is served", body = TextErrorBody),
        (status = 503, description = "Stopping", body = TextErrorBody)
    )
)]
#[expect(dead_code, reason = "documents the second path of `model_ready`")]
pub(in crate::api) fn version_ready() {}

impl<'a> ModelMetadata<'a> {
    fn of(card: &'a ModelCard) -> Self {
        let input = |feature: &'a model::Feature| TensorMetadata {
            name: &feature.name,
            datatype: match feature.values {
                Values::Numeric(_) => "FP64",
                Values::Categorical(_) => "BYTES",
            },
            shape: [-1, 1],
        };
        let output = |output: OutputTensor| TensorMetadata {
            name: output.name(),
            datatype: output.datatype(card),
            shape: [-1, output.columns(card) as i64],
        };
        Self {
            name: &card.name,
            versions: [&card.version],
            platform: "modelvitals_json",
            inputs: card.features.iter().map(input).collect(),
            outputs: OutputTensor::of(card).map(output).collect(),
        }
    }
}
