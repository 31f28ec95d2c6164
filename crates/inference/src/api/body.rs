//! Takes in a body: declared as JSON, not too large, not too slow, and within the room for all bodies together.

use crate::{
    api::{ApiError, Reason, State},
    arrivals::{Arrival, NoRoom},
};
use actix_web::{
    HttpMessage, HttpRequest,
    error::PayloadError,
    http::header,
    web::{Bytes, BytesMut, Payload},
};
use futures_util::{FutureExt, StreamExt};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// A body, and the room that it takes if it had to be waited for or has to wait.
pub(super) struct Body {
    pub(super) bytes: Bytes,
    arrival: Option<Arrival>,
}

impl Body {
    /// Takes room while the body waits for its turn.
    pub(super) fn wait_its_turn(&mut self, state: &State) -> Result<(), ApiError> {
        if self.arrival.is_none() {
            let arrival = self.arrival.insert(state.arrivals.begin());
            arrival.grow(self.bytes.len()).and_then(|()| arrival.complete()).map_err(no_room)?;
        }
        Ok(())
    }
}

/// Reads the body of a request. What is refused before its end actix reads and throws away, so that a client that sends
/// before it listens gets its answer instead of a broken connection.
pub(super) async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    state: &State,
) -> Result<Body, ApiError> {
    check_headers(request)?;
    let mut body = BytesMut::new();
    // Most bodies are there with their head: only one that is not takes room and has a deadline.
    let mut arrival: Option<Arrival> = None;
    let deadline = Instant::now() + state.request_timeout;
    loop {
        let chunk = match payload.next().now_or_never() {
            Some(chunk) => chunk,
            None => {
                if arrival.is_none() {
                    arrival.insert(state.arrivals.begin()).grow(body.len()).map_err(no_room)?;
                }
                let Some(arrival) = &arrival else { unreachable!("begun above") };
                tokio::select! {
                    chunk = payload.next() => chunk,
                    () = arrival.gives_way() => return Err(no_room(NoRoom)),
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
            arrival.grow(chunk.len()).map_err(no_room)?;
        }
        body.extend_from_slice(&chunk);
    }
    if let Some(arrival) = &mut arrival {
        arrival.complete().map_err(no_room)?;
    }
    Ok(Body { bytes: body.freeze(), arrival })
}

fn unreadable(error: PayloadError) -> ApiError {
    ApiError::new(Reason::BodyUnreadable, format!("the body could not be read: {error}"))
}

fn no_room(_: NoRoom) -> ApiError {
    let message = "other requests need the memory that this body takes; try again shortly";
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
