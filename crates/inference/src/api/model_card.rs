//! Handles `GET /model`, which returns the model card.

use super::{State, sent};
use actix_web::{HttpResponse, http::StatusCode, web};

/// Returns the model card: schema, classes, scores and reference, without the weights.
#[utoipa::path(get, path = "/model", tag = "model", responses(
    (status = 200, description = "The model card", body = serde_json::Value)
))]
pub(super) async fn card(state: web::Data<State>) -> HttpResponse {
    sent::json(StatusCode::OK, state.served().card_json.clone(), ())
}
