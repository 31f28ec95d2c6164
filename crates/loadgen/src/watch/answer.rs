//! Parses the common structure of all answers of Prometheus' HTTP API.

use serde::Deserialize;

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// Returns the data in an answer of Prometheus.
///
/// # Errors
/// If the response is not of this kind.
pub fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, String> {
    let answer: Answer<T> = serde_json::from_slice(json)
        .map_err(|error| format!("its answer is not that of a Prometheus server: {error}"))?;
    Ok(answer.data)
}

/// Returns the error message of Prometheus about a query, or `None` if the answer has no readable one.
pub fn refusal(json: &[u8]) -> Option<String> {
    serde_json::from_slice(json).ok().map(|refusal: Refusal| refusal.error)
}
