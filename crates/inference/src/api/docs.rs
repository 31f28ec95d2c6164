//! Serves `/openapi.json`, and at `/docs` a page from which requests can be sent. The page is part of the binary and needs no other
//! server.

use super::{
    ApiError, State, feedback, frames, health, model_card,
    oip::{infer, metadata},
    predict, reload, sent,
};
use crate::{refusal::Refusal, rows};
use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{CONTENT_SECURITY_POLICY, LOCATION, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS},
    },
    web::{self, Bytes},
};
use anyhow::{Context, Result};
use model::ModelCard;
use std::{borrow::Cow, sync::Arc};
use utoipa::OpenApi;
use utoipa_swagger_ui::Config;

/// The content security policy of the page. It allows scripts of the page and requests to this service. Inline styles and images as
/// `data:` URLs are allowed because Swagger UI uses them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "inference",
        description = "Predictions of a tabular classifier, with metrics of its health."
    ),
    paths(
        predict::predict,
        feedback::feedback,
        model_card::card,
        reload::reload,
        health::alive,
        health::ready,
        health::metrics,
        metadata::server,
        metadata::live,
        metadata::ready,
        metadata::model,
        metadata::version,
        metadata::model_ready,
        metadata::version_ready,
        infer::infer,
        infer::version_infer,
        frames::v1_predict,
        frames::invocations
    )
)]
struct ApiDoc;

/// Returns the OpenAPI document, with examples of requests to this model.
pub(crate) fn openapi_document(card: &ModelCard) -> Result<Bytes> {
    let mut openapi = serde_json::to_value(ApiDoc::openapi())?;
    let body = openapi
        .pointer_mut("/paths/~1predict/post/requestBody/content/application~1json")
        .context("the OpenAPI document has no body for /predict")?;
    body["example"] = serde_json::from_str(&rows::example(card))?;
    for path in ["/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer"] {
        let body = &mut openapi["paths"][path]["post"]["requestBody"]["content"]["application/json"];
        body["example"] = serde_json::from_str(&rows::tensors::example(card))?;
    }
    Ok(serde_json::to_vec(&openapi)?.into())
}

/// Returns the configuration of the page.
pub(super) fn page_config() -> Arc<Config<'static>> {
    Arc::new(Config::from("../openapi.json"))
}

/// Returns the OpenAPI document.
pub(super) async fn openapi(state: web::Data<State>) -> HttpResponse {
    sent::json(StatusCode::OK, state.served().openapi.clone(), ())
}

/// Redirects to `/docs/`, to which the links of the page are relative.
pub(super) async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "docs/")).finish()
}

/// Returns one file of the page.
pub(super) async fn file(state: web::Data<State>, path: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let file = utoipa_swagger_ui::serve(&path, Arc::clone(&state.docs)).map_err(Refusal::internal)?;
    let file = file.ok_or_else(|| ApiError::not_found(&format!("/docs/{path}")))?;
    // Most files are part of the binary and are not copied, because a copy per answer could be more than a megabyte.
    let bytes = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    let mut response = HttpResponse::Ok();
    response
        .content_type(file.content_type)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"));
    Ok(sent::body(&mut response, bytes, ()))
}
