//! `POST /predict`: rows in, predictions out.

use super::{ApiError, Reason, State, body, error::ErrorBody};
use crate::{faults::Faults, rows::Rows};
use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web};
use model::Prediction;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};
use utoipa::ToSchema;

/// What a prediction is asked with.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents the body, which is read by hand to tell its faults apart")]
pub(super) enum PredictRequest {
    /// One row
    One { features: Features },
    /// Many rows, answered together or refused together
    Many { instances: Vec<Features> },
}

/// One row.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents the body")]
pub(super) enum Features {
    /// The values, in the model's order
    Listed(Vec<f64>),
    /// The values by name
    Named(BTreeMap<String, f64>),
}

/// The answer for one row.
#[derive(Serialize, ToSchema)]
pub(super) struct Answer<'a> {
    /// Position of the class in the model's list
    prediction: usize,
    /// Its name
    class: &'a str,
    /// One probability a class
    probabilities: &'a [f64],
    /// What feedback about this prediction must name
    prediction_id: String,
    /// The model's name
    model: &'a str,
    /// The model's version
    version: &'a str,
}

/// The answer for one row or many, as they were asked for.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum PredictResponse<'a> {
    /// For `features`
    One(Answer<'a>),
    /// For `instances`: one answer a row, in their order
    Many { predictions: Vec<Answer<'a>> },
}

/// Classifies one row or many.
#[utoipa::path(
    post, path = "/predict", tag = "model", request_body = PredictRequest,
    responses(
        (status = 200, description = "One answer for `features`, a list for `instances`", body = PredictResponse),
        (status = 400, description = "No JSON", body = ErrorBody),
        (status = 408, description = "The body came too slowly", body = ErrorBody),
        (status = 413, description = "The body is too large", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "JSON that the model can't use", body = ErrorBody),
        (status = 503, description = "Too much work at a time; try again after `Retry-After`", body = ErrorBody),
        (status = 504, description = "The answer took too long", body = ErrorBody),
    )
)]
pub(super) async fn predict(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let start = Instant::now();
    let Some(_place) = state.in_flight.enter() else {
        return Err(ApiError::new(Reason::Overloaded, "too many predictions at a time; try again shortly"));
    };
    let body = body::read(&request, payload, state.body_limit, state.request_timeout).await?;
    let faults = Faults::from_headers(request.headers(), state.allow_fault_injection, &state.metrics)?;
    if let Some(delay) = faults.delay {
        wait(delay, state.request_timeout.saturating_sub(start.elapsed())).await?;
    }
    if let Some(status) = faults.abort {
        return Err(ApiError::fault(status));
    }
    let rows = Rows::parse(&body, &state.card)?;
    rows.rows.iter().for_each(|row| state.metrics.observed(row));
    rows.check_missing(&state.card)?;
    let predictions = score(&rows, &state)?;
    predictions.iter().for_each(|prediction| state.metrics.predicted(prediction));
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(answer(&predictions, rows.batch, &state)?))
}

async fn wait(delay: Duration, left: Duration) -> Result<(), ApiError> {
    tokio::time::sleep(delay.min(left)).await;
    if delay > left { Err(ApiError::new(Reason::TooSlow, "the answer took too long")) } else { Ok(()) }
}

fn score(rows: &Rows, state: &State) -> Result<Vec<Prediction>, ApiError> {
    let score = |(index, row): (usize, &Vec<Option<f64>>)| {
        state.classifier.predict(row).map_err(|too_large| {
            let name = &state.card.features[too_large.feature].name;
            let message = format!("{name:?} is too large to score: {:e}", too_large.value);
            ApiError::new(Reason::NumberOutOfRange, message).at(format!("{}.{name}", rows.place(index)))
        })
    };
    rows.rows.iter().enumerate().map(score).collect()
}

fn answer(predictions: &[Prediction], batch: bool, state: &State) -> Result<Vec<u8>, ApiError> {
    let now = SystemTime::now();
    let card = &state.card;
    let mut answers = predictions.iter().map(|prediction| Answer {
        prediction: prediction.class,
        class: &card.classes[prediction.class],
        probabilities: &prediction.probabilities,
        prediction_id: state.receipts.issue(now, prediction.class, prediction.confidence),
        model: &card.name,
        version: &card.version,
    });
    let response = match answers.next() {
        Some(only) if !batch => PredictResponse::One(only),
        first => PredictResponse::Many { predictions: first.into_iter().chain(answers).collect() },
    };
    serde_json::to_vec(&response).map_err(ApiError::internal)
}
