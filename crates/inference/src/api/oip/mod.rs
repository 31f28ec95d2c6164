//! Implements the [Open Inference Protocol](https://github.com/kserve/open-inference-protocol), version 2, over REST, for the clients
//! of KServe, MLServer and Triton.
//!
//! Layout:
//! - this module: the routes, and the model that a path names
//! - `metadata`: describes the server and the model, and reports whether they are ready
//! - `infer`: predicts rows
//! - `outputs`: writes the tensors of the answer
//!
//! What does not belong here: reading the tensors of requests, which [`crate::rows::tensors`] does.

pub(super) mod infer;
pub(super) mod metadata;
mod outputs;

use super::{ApiError, State, instrument::resource};
use crate::{reason::Reason, refusal::Refusal, route::Route};
use actix_web::{
    HttpRequest,
    web::{ServiceConfig, get, head, post},
};
use model::ModelCard;
use serde::Deserialize;
use std::sync::Arc;

/// Adds the routes of the protocol.
pub(super) fn routes(config: &mut ServiceConfig, state: &Arc<State>) {
    config
        .service(resource(state, Route::OipServer, |r| {
            r.route(get().to(metadata::server)).route(head().to(metadata::server))
        }))
        .service(resource(state, Route::OipLive, |r| {
            r.route(get().to(metadata::live)).route(head().to(metadata::live))
        }))
        .service(resource(state, Route::OipReady, |r| {
            r.route(get().to(metadata::ready)).route(head().to(metadata::ready))
        }));
    for route in [Route::OipModel, Route::OipVersion] {
        config.service(resource(state, route, |r| {
            r.route(get().to(metadata::model)).route(head().to(metadata::model))
        }));
    }
    for route in [Route::OipModelReady, Route::OipVersionReady] {
        config.service(resource(state, route, |r| {
            r.route(get().to(metadata::model_ready)).route(head().to(metadata::model_ready))
        }));
    }
    for route in [Route::OipInfer, Route::OipVersionInfer] {
        config.service(resource(state, route, |r| r.route(post().to(infer::infer))));
    }
}

/// The model that a path names.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Named {
    model: String,
    version: Option<String>,
}

impl Named {
    /// Returns the model that a request's path names.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        request.match_info().load().map_err(|_| ApiError::not_found(request.path()).in_oip())
    }

    /// Checks that the model is served.
    pub(super) fn check(&self, card: &ModelCard) -> Result<(), Refusal> {
        let version = self.version.as_ref();
        if self.model == card.name && version.is_none_or(|version| *version == card.version) {
            return Ok(());
        }
        let version = version.map(|version| format!(" version {version:?}")).unwrap_or_default();
        let message = format!(
            "there is no model {:?}{version}; this service serves {:?} version {:?}",
            self.model, card.name, card.version
        );
        Err(Refusal::new(Reason::UnknownModel, message))
    }
}

/// Checks that the path of a request names the model that is served.
fn check_model(request: &HttpRequest, card: &ModelCard) -> Result<(), ApiError> {
    Named::of(request)?.check(card).map_err(|refusal| ApiError::from(refusal).in_oip())
}
