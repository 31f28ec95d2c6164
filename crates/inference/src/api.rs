//! The routes, what they share, and their errors.

mod body;
mod docs;
mod error;
mod feedback;
mod health;
mod large;
pub mod limits;
mod model_card;
mod pieces;
mod predict;
mod sent;
mod state;

pub use error::{ApiError, Reason};
pub use health::Scrapes;
pub use state::State;

use crate::{
    instrument::{resource, unmatched},
    metrics::Endpoint,
};
use actix_web::web::{self, ServiceConfig, get, head, post};
use std::sync::Arc;

/// All routes.
pub fn routes(config: &mut ServiceConfig, state: &Arc<State>, scrapes: &web::Data<Scrapes>) {
    config
        .app_data(web::Data::from(Arc::clone(state)))
        .service(resource(state, Endpoint::Predict, |r| r.route(post().to(predict::predict))))
        .service(resource(state, Endpoint::Feedback, |r| r.route(post().to(feedback::feedback))))
        .service(resource(state, Endpoint::Model, |r| {
            r.route(get().to(model_card::card)).route(head().to(model_card::card))
        }))
        .service(resource(state, Endpoint::OpenApi, |r| {
            r.route(get().to(docs::openapi)).route(head().to(docs::openapi))
        }))
        .service(resource(state, Endpoint::Docs, |r| {
            r.route(get().to(docs::redirect)).route(head().to(docs::redirect))
        }))
        .service(resource(state, Endpoint::DocsFile, |r| {
            r.route(get().to(docs::file)).route(head().to(docs::file))
        }))
        .configure(|config| vitals(config, state, scrapes));
}

/// The routes that tell how the service is: all that the metrics listener has.
pub fn vitals_only(config: &mut ServiceConfig, state: &Arc<State>, scrapes: &web::Data<Scrapes>) {
    config.app_data(web::Data::from(Arc::clone(state))).configure(|config| vitals(config, state, scrapes));
}

fn vitals(config: &mut ServiceConfig, state: &Arc<State>, scrapes: &web::Data<Scrapes>) {
    config
        .app_data(web::Data::clone(scrapes))
        .service(resource(state, Endpoint::Metrics, |r| {
            r.route(get().to(health::metrics)).route(head().to(health::metrics))
        }))
        .service(resource(state, Endpoint::Healthz, |r| {
            r.route(get().to(health::alive)).route(head().to(health::alive))
        }))
        .service(resource(state, Endpoint::Readyz, |r| {
            r.route(get().to(health::ready)).route(head().to(health::ready))
        }))
        // Not a pattern: `*` and `example.com:443` are targets of requests, too, and match none.
        .default_service(unmatched(state));
}
