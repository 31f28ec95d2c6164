//! How the service is: for probes and for Prometheus.

use super::{ApiError, Reason, State};
use actix_web::{HttpResponse, web};

/// Says that the process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "Alive")))]
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "alive" }))
}

/// Says whether work should be sent here: a model is loaded, and the service is not stopping.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "Ready for work"),
    (status = 503, description = "Stopping", body = super::error::ErrorBody)
))]
pub(super) async fn ready(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    if state.is_ready() {
        Ok(HttpResponse::Ok().json(serde_json::json!({ "status": "ready" })))
    } else {
        Err(ApiError::new(Reason::NotReady, "the service is stopping"))
    }
}

/// Every vital sign, in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, description = "Metrics", body = String, content_type = "text/plain")
))]
pub(super) async fn metrics(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    state.metrics.set_in_flight(state.in_flight.count());
    // Rendering clones every distribution, which would hold up the predictions of this worker.
    let page = web::block(move || state.metrics.render()).await.map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(page))
}
