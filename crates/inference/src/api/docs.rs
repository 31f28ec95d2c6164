//! `/openapi.json` and, at `/docs`, a page to try it. The page is part of the binary: it needs no network.

use super::{ApiError, State, feedback, health, model_card, predict};
use crate::rows;
use actix_web::{
    HttpResponse,
    http::header::{ContentType, LOCATION},
    web::{self, Bytes},
};
use anyhow::{Context, Result};
use model::ModelCard;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_swagger_ui::Config;

#[derive(OpenApi)]
#[openapi(
    info(title = "inference", description = "Predictions of a tabular classifier, and its vital signs."),
    paths(
        predict::predict,
        feedback::feedback,
        model_card::card,
        health::alive,
        health::ready,
        health::metrics
    )
)]
struct ApiDoc;

/// The documentation of one model's service.
pub(super) struct Docs {
    openapi: Bytes,
    config: Arc<Config<'static>>,
}

impl Docs {
    pub(super) fn new(card: &ModelCard) -> Result<Self> {
        let mut openapi = serde_json::to_value(ApiDoc::openapi())?;
        let body = openapi
            .pointer_mut("/paths/~1predict/post/requestBody/content/application~1json")
            .context("the OpenAPI document has no body for /predict")?;
        body["example"] = serde_json::from_str(&rows::example(card))?;
        Ok(Self {
            openapi: serde_json::to_vec(&openapi)?.into(),
            config: Arc::new(Config::from("../openapi.json")),
        })
    }
}

/// The OpenAPI document.
pub(super) async fn openapi(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(state.docs.openapi.clone())
}

/// The page's files are named relative to `/docs/`.
pub(super) async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "docs/")).finish()
}

/// One file of the page.
pub(super) async fn file(state: web::Data<State>, path: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let file = utoipa_swagger_ui::serve(&path, Arc::clone(&state.docs.config)).map_err(ApiError::internal)?;
    let file = file.ok_or_else(|| ApiError::not_found(&format!("/docs/{path}")))?;
    Ok(HttpResponse::Ok().content_type(file.content_type).body(file.bytes.into_owned()))
}
