//! Handles the routes of health probes and of metrics.

use super::{ApiError, State, sent};
use crate::{permits::Permits, reason::Reason, refusal::Refusal};
use actix_web::{HttpResponse, web};
use std::sync::atomic::Ordering;

/// Reports that the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "Alive")))]
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "alive" }))
}

/// Reports whether the service accepts requests. It does not while it is stopping.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "Ready"),
    (status = 503, description = "Stopping", body = crate::refusal::ErrorBody)
))]
pub(super) async fn ready(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    check_ready(&state)?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "status": "ready" })))
}

/// Refuses while the service is stopping.
pub(super) fn check_ready(state: &State) -> Result<(), ApiError> {
    if state.is_ready() {
        return Ok(());
    }
    Err(Refusal::new(Reason::NotReady, "the service is stopping").into())
}

/// The limit on concurrent requests for metrics per listener, enough for several Prometheus servers.
const SCRAPES: usize = 16;

/// Permits for requests for metrics on one listener.
pub struct Scrapes(Permits);

impl Scrapes {
    /// Creates the permits of a listener.
    pub fn shared() -> web::Data<Self> {
        web::Data::new(Self(Permits::new(SCRAPES)))
    }
}

/// Returns all metrics in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, description = "Metrics", body = String, content_type = "text/plain"),
    (status = 503, description = "Too many concurrent requests for metrics", body = crate::refusal::ErrorBody)
))]
pub(super) async fn metrics(
    state: web::Data<State>,
    scrapes: web::Data<Scrapes>,
) -> Result<HttpResponse, ApiError> {
    let Some(permit) = scrapes.0.try_acquire() else {
        let message = "too many concurrent requests for metrics; try again shortly";
        return Err(Refusal::new(Reason::Overloaded, message).into());
    };
    let in_flight = state.in_flight.in_use() + state.proxied.load(Ordering::Relaxed);
    state.metrics.set_load(in_flight, state.connections.load(Ordering::Relaxed));
    // Rendering clones every distribution. It runs on another thread, because it would delay the predictions of this worker.
    let page = web::block(move || state.metrics.render()).await.map_err(Refusal::internal)?;
    let mut response = HttpResponse::Ok();
    Ok(sent::body(response.content_type("text/plain; version=0.0.4; charset=utf-8"), page, permit))
}
