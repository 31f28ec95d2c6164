//! Reads the body of a request. The body must be declared as JSON. There is a limit on its size, on the time until it has arrived,
//! and on the size of all arriving bodies together.

use super::State;
use crate::{
    arrivals::{Arrival, Evicted},
    reason::Reason,
    refusal::Refusal,
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

/// Reads the body of a request that must be declared as JSON.
pub(crate) async fn read(request: &HttpRequest, payload: Payload, state: &State) -> Result<Bytes, Refusal> {
    check_json(request)?;
    receive(request, payload, state).await
}

/// Reads the body of a request that may be JSON followed by tensors in binary form. It does not have to be declared, because clients of
/// Triton do not declare it.
pub(super) async fn read_tensors(
    request: &HttpRequest,
    payload: Payload,
    state: &State,
) -> Result<Bytes, Refusal> {
    let media_type = request.content_type();
    if !media_type.is_empty() && !is_json(media_type) && !is_binary(media_type) {
        let message = format!(
            "expected Content-Type: application/json or application/octet-stream, or no Content-Type, got {media_type:?}"
        );
        return Err(Refusal::new(Reason::UnsupportedMediaType, message).at("Content-Type"));
    }
    receive(request, payload, state).await
}

/// Reads the body of a request. After a refusal, actix reads and discards the rest of the body. So a client that sends the whole body
/// before it reads the answer receives the answer and not a connection error.
pub(crate) async fn receive(
    request: &HttpRequest,
    mut payload: Payload,
    state: &State,
) -> Result<Bytes, Refusal> {
    check_encoding(request)?;
    let mut body = BytesMut::new();
    // Most bodies arrive together with the head of the request. Only other bodies are counted as arriving and have a deadline.
    let mut arrival: Option<Arrival> = None;
    let deadline = Instant::now() + state.request_timeout;
    loop {
        let chunk = match poll_twice(&mut payload).await {
            Some(chunk) => chunk,
            None => {
                if arrival.is_none() {
                    arrival.insert(state.arrivals.begin()).grow(body.len()).map_err(evicted)?;
                }
                let Some(arrival) = &arrival else { unreachable!("set above") };
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

/// Returns the next chunk if it has arrived, and `None` if it has not. actix calls the handler before it decodes a body that
/// arrived together with the head, so a chunk may be available only at the second poll.
async fn poll_twice(payload: &mut Payload) -> Option<Option<Result<Bytes, PayloadError>>> {
    let mut polled = false;
    poll_fn(|cx| match payload.poll_next_unpin(cx) {
        Poll::Pending if !polled => {
            polled = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => Poll::Ready(None),
        Poll::Ready(chunk) => Poll::Ready(Some(chunk)),
    })
    .await
}

fn unreadable(error: PayloadError) -> Refusal {
    Refusal::new(Reason::BodyUnreadable, format!("the body could not be read: {error}"))
}

fn evicted(_: Evicted) -> Refusal {
    let message = "too many bodies are arriving; try again shortly";
    Refusal::new(Reason::Overloaded, message)
}

fn too_slow(limit: Duration) -> Refusal {
    let message = format!("the body did not arrive within {}", humantime::format_duration(limit));
    Refusal::new(Reason::BodyTimeout, message)
}

fn too_large(limit: usize) -> Refusal {
    let message = format!("the body is larger than {limit} bytes; send fewer rows per request");
    Refusal::new(Reason::BodyTooLarge, message)
}

fn check_json(request: &HttpRequest) -> Result<(), Refusal> {
    let media_type = request.content_type();
    if is_json(media_type) {
        return Ok(());
    }
    let message = format!("expected Content-Type: application/json, got {media_type:?}");
    Err(Refusal::new(Reason::UnsupportedMediaType, message).at("Content-Type"))
}

fn is_json(media_type: &str) -> bool {
    media_type.eq_ignore_ascii_case("application/json")
        || (media_type.len() > 5 && media_type[media_type.len() - 5..].eq_ignore_ascii_case("+json"))
}

fn is_binary(media_type: &str) -> bool {
    media_type.eq_ignore_ascii_case("application/octet-stream")
}

fn check_encoding(request: &HttpRequest) -> Result<(), Refusal> {
    match request.headers().get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            let message = format!("expected a body without compression, got Content-Encoding: {encoding:?}");
            Err(Refusal::new(Reason::UnsupportedEncoding, message).at("Content-Encoding"))
        }
        _ => Ok(()),
    }
}
