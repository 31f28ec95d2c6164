//! Takes in a body: declared as JSON, not too large, not too slow.

use crate::api::{ApiError, Reason};
use actix_web::{
    HttpMessage, HttpRequest,
    http::header,
    web::{Bytes, BytesMut, Payload},
};
use futures_util::StreamExt;
use std::time::Duration;
use tokio::time::timeout;

/// Reads the body of a request. What is refused before its end actix reads and throws away, so that a client that sends
/// before it listens gets its answer instead of a broken connection.
pub(super) async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    limit: usize,
    patience: Duration,
) -> Result<Bytes, ApiError> {
    check_headers(request)?;
    let reading = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| {
                ApiError::new(Reason::BodyUnreadable, format!("the body could not be read: {error}"))
            })?;
            if body.len() + chunk.len() > limit {
                return Err(too_large(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    timeout(patience, reading).await.unwrap_or_else(|_| {
        let message = format!("the body did not arrive within {}", humantime::format_duration(patience));
        Err(ApiError::new(Reason::BodyTimeout, message))
    })
}

fn too_large(limit: usize) -> ApiError {
    let message = format!("the body is larger than {limit} bytes; send fewer rows at a time");
    ApiError::new(Reason::BodyTooLarge, message)
}

fn check_headers(request: &HttpRequest) -> Result<(), ApiError> {
    let media_type = request.content_type();
    let is_json = media_type.eq_ignore_ascii_case("application/json")
        || (media_type.len() > 5 && media_type[media_type.len() - 5..].eq_ignore_ascii_case("+json"));
    if !is_json {
        let message =
            format!("the body must be declared as Content-Type: application/json, got {media_type:?}");
        return Err(ApiError::new(Reason::UnsupportedMediaType, message).at("Content-Type"));
    }
    match request.headers().get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            let message = format!("the body must not be compressed, got Content-Encoding: {encoding:?}");
            Err(ApiError::new(Reason::UnsupportedEncoding, message).at("Content-Encoding"))
        }
        _ => Ok(()),
    }
}
