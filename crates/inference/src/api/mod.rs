//! The HTTP routes, the state that they share, and their error responses.

pub mod answer;
pub(crate) mod body;
mod docs;
mod error;
mod feedback;
mod frames;
mod health;
mod instrument;
mod large;
pub mod limits;
mod model_card;
mod oip;
mod pieces;
mod predict;
mod reload;
mod sent;
mod state;

pub(crate) use docs::openapi_document;
pub use error::ApiError;
pub use health::Scrapes;
pub(crate) use state::OwnIds;
pub use state::State;

use crate::route::Route;
use actix_web::web::{self, ServiceConfig, get, head, post};
pub(crate) use instrument::resource;
use instrument::unmatched;
use std::sync::Arc;

/// Adds all routes.
pub fn routes(config: &mut ServiceConfig, state: &Arc<State>, scrapes: &web::Data<Scrapes>) {
    config
        .app_data(web::Data::from(Arc::clone(state)))
        .service(resource(state, Route::Predict, |r| r.route(post().to(predict::predict))))
        .service(resource(state, Route::Feedback, |r| r.route(post().to(feedback::feedback))))
        .service(resource(state, Route::Reload, |r| r.route(post().to(reload::reload))))
        .service(resource(state, Route::Model, |r| {
            r.route(get().to(model_card::card)).route(head().to(model_card::card))
        }))
        .service(resource(state, Route::OpenApi, |r| {
            r.route(get().to(docs::openapi)).route(head().to(docs::openapi))
        }))
        .service(resource(state, Route::Docs, |r| {
            r.route(get().to(docs::redirect)).route(head().to(docs::redirect))
        }))
        .service(resource(state, Route::DocsFile, |r| {
            r.route(get().to(docs::file)).route(head().to(docs::file))
        }))
        .service(resource(state, Route::V1Predict, |r| r.route(post().to(frames::v1_predict))))
        .service(resource(state, Route::Invocations, |r| r.route(post().to(frames::invocations))))
        .configure(|config| oip::routes(config, state))
        .configure(|config| health(config, state, scrapes));
}

/// Adds the routes of the metrics listener: metrics and health.
pub fn health_only(config: &mut ServiceConfig, state: &Arc<State>, scrapes: &web::Data<Scrapes>) {
    config.app_data(web::Data::from(Arc::clone(state))).configure(|config| health(config, state, scrapes));
}

/// Adds the routes that a watcher shares with the service: feedback, the card of its first model, metrics and health.
pub(crate) fn own_of_watcher(config: &mut ServiceConfig, state: &Arc<State>, scrapes: &web::Data<Scrapes>) {
    config
        .app_data(web::Data::from(Arc::clone(state)))
        .service(resource(state, Route::Feedback, |r| r.route(post().to(feedback::feedback))))
        .service(resource(state, Route::Model, |r| {
            r.route(get().to(model_card::card)).route(head().to(model_card::card))
        }))
        .configure(|config| health(config, state, scrapes));
}

fn health(config: &mut ServiceConfig, state: &Arc<State>, scrapes: &web::Data<Scrapes>) {
    config
        .app_data(web::Data::clone(scrapes))
        .service(resource(state, Route::Metrics, |r| {
            r.route(get().to(health::metrics)).route(head().to(health::metrics))
        }))
        .service(resource(state, Route::Healthz, |r| {
            r.route(get().to(health::alive)).route(head().to(health::alive))
        }))
        .service(resource(state, Route::Readyz, |r| {
            r.route(get().to(health::ready)).route(head().to(health::ready))
        }))
        // Request targets such as `*` and `example.com:443` match no pattern, so there is a default service.
        .default_service(unmatched(state));
}
