//! The [Open Inference Protocol](https://github.com/kserve/open-inference-protocol), version 2, over REST, for the clients of
//! KServe, MLServer and Triton.
//!
//! Layout:
//! - this module: the routes, and which model they name
//! - `metadata`: what the server and the model are, and whether they are ready
//! - `infer`: predictions
//! - `outputs`: the answer's tensors
//!
//! What does not belong here: reading requests, which is [`crate::rows::tensors`].

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
#[derive(Deserialize)]
struct Named {
    model: String,
    version: Option<String>,
}

/// Checks that a path names the model that is served.
pub(super) fn check_model(request: &HttpRequest, card: &ModelCard) -> Result<(), ApiError> {
    let named: Named =
        request.match_info().load().map_err(|_| ApiError::not_found(request.path()).in_oip())?;
    let is_served =
        named.model == card.name && named.version.as_ref().is_none_or(|version| *version == card.version);
    if is_served {
        return Ok(());
    }
    let version = named.version.map(|version| format!(" version {version:?}")).unwrap_or_default();
    let message = format!(
        "there is no model {:?}{version}; this service has {:?} version {:?}",
        named.model, card.name, card.version
    );
    Err(ApiError::from(Refusal::new(Reason::UnknownModel, message)).in_oip())
}
