//! Reads a body: declared as JSON, not too large, not too slow, and within the limit on all arriving bodies.

use crate::{
    api::{ApiError, Reason, State},
    arrivals::{Arrival, Evicted},
};
use actix_web::{
    HttpMessage, HttpRequest,
    error::PayloadError,
    http::header,
    web::{Bytes, BytesMut, Payload},
};
use futures_util::StreamExt;
use std::{future::poll_fn, task::Poll, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Reads the body of a request. What is refused before its end actix reads and throws away, so that a client that sends
/// before it listens gets its answer instead of a broken connection.
pub(super) async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    state: &State,
) -> Result<Bytes, ApiError> {
    check_headers(request)?;
    let mut body = BytesMut::new();
    // Most bodies arrive with their head: only one that does not is counted, and has a deadline.
    let mut arrival: Option<Arrival> = None;
    let deadline = Instant::now() + state.request_timeout;
    loop {
        let chunk = match at_second_look(&mut payload).await {
            Some(chunk) => chunk,
            None => {
                if arrival.is_none() {
                    arrival.insert(state.arrivals.begin()).grow(body.len()).map_err(evicted)?;
                }
                let Some(arrival) = &arrival else { unreachable!("begun above") };
                tokio::select! {
                    chunk = payload.next() => chunk,
                    () = arrival.evicted() => return Err(evicted(Evicted)),
                    () = sleep_until(deadline) => return Err(too_slow(state.request_timeout)),
                }
            }
        };
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(unreadable)?;
        if body.len() + chunk.len() > state.body_limit {
            return Err(too_large(state.body_limit));
        }
        if let Some(arrival) = &mut arrival {
            arrival.grow(chunk.len()).map_err(evicted)?;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The next chunk if it is there, and none if it has to be waited for. actix calls a route before it decodes the body that
/// arrived with the head, so only a second look tells.
async fn at_second_look(payload: &mut Payload) -> Option<Option<Result<Bytes, PayloadError>>> {
    let mut looked = false;
    poll_fn(|cx| match payload.poll_next_unpin(cx) {
        Poll::Pending if !looked => {
            looked = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => Poll::Ready(None),
        Poll::Ready(chunk) => Poll::Ready(Some(chunk)),
    })
    .await
}

fn unreadable(error: PayloadError) -> ApiError {
    ApiError::new(Reason::BodyUnreadable, format!("the body could not be read: {error}"))
}

fn evicted(_: Evicted) -> ApiError {
    let message = "too many bodies arrive at a time; try again shortly";
    ApiError::new(Reason::Overloaded, message)
}

fn too_slow(limit: Duration) -> ApiError {
    let message = format!("the body did not arrive within {}", humantime::format_duration(limit));
    ApiError::new(Reason::BodyTimeout, message)
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
