//! What the model is.

use super::State;
use actix_web::{HttpResponse, http::header::ContentType, web};

/// The model card: schema, classes, training score and reference, without the weights.
#[utoipa::path(get, path = "/model", tag = "model", responses(
    (status = 200, description = "The model card", body = serde_json::Value)
))]
pub(super) async fn card(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(state.card_json.clone())
}
