//! Handles `POST /admin/reload`, which loads the model files again. Requires the administrators' token.

use super::{ApiError, State, sent};
use crate::{
    reason::Reason,
    refusal::{ErrorBody, Refusal},
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::AUTHORIZATION},
    web,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// The outcome of a reload.
#[derive(Serialize, ToSchema)]
pub(super) struct Reloaded<'a> {
    /// `changed` or `unchanged`
    outcome: &'static str,
    /// The name of the model that is served
    model: &'a str,
    /// The version of that model
    version: &'a str,
}

/// Reads the model files again and serves the new model. Other requests are answered in the meantime.
#[utoipa::path(
    post, path = "/admin/reload", tag = "model",
    responses(
        (status = 200, description = "The model that is served after the reload", body = Reloaded),
        (status = 401, description = "The token is missing or wrong: `Authorization: Bearer TOKEN`", body = ErrorBody),
        (status = 404, description = "The service was started without --admin-token-file", body = ErrorBody),
        (status = 409, description = "The new model cannot be served; the old model is still served", body = ErrorBody),
    )
)]
pub(super) async fn reload(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let Some(expected) = state.admin_token else { return Err(ApiError::not_found(request.path())) };
    authorize(&request, expected)?;
    let reloading = state.clone();
    let outcome = web::block(move || reloading.reload()).await.map_err(Refusal::internal)?;
    let outcome = outcome.map_err(|error| Refusal::new(Reason::ReloadFailed, format!("{error:#}")))?;
    let served = state.served();
    let answer =
        Reloaded { outcome: outcome.as_str(), model: &served.card.name, version: &served.card.version };
    Ok(sent::json(StatusCode::OK, serde_json::to_vec(&answer).map_err(Refusal::internal)?, ()))
}

/// Checks the token. Hashes are compared, so that the time of the comparison does not reveal anything about the token.
fn authorize(request: &HttpRequest, expected: [u8; 32]) -> Result<(), Refusal> {
    let header = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes());
    let token = header.and_then(|value| {
        let (scheme, token) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
    });
    match token {
        Some(token) if <[u8; 32]>::from(Sha256::digest(token)) == expected => Ok(()),
        _ => Err(Refusal::new(
            Reason::Unauthorized,
            "the token is missing or wrong; send the content of --admin-token-file as Authorization: Bearer TOKEN",
        )),
    }
}
