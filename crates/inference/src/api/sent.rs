//! Response bodies that hold permits until they are sent.
//!
//! actix drops a body when it has written the last of it into the connection's buffer. So a body that is handed over in
//! small pieces lives until nearly all of it is sent. An answer that fits the buffer as a whole releases its permits at once.

use actix_web::{
    HttpResponse,
    body::{BodySize, MessageBody},
    http::{StatusCode, header::ContentType},
    web::Bytes,
};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

/// Bytes handed over at a time. An answer of this size fits the connection's own buffer.
const PIECE: usize = 16 << 10;

/// Returns a JSON answer; `kept` is dropped when the last of it is in the connection's buffer, or when the
/// connection ends.
pub(super) fn json<T: Unpin + 'static>(status: StatusCode, bytes: impl Into<Bytes>, kept: T) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    body(response.content_type(ContentType::json()), bytes, kept)
}

/// Returns the same with headers of its own.
pub(super) fn body<T: Unpin + 'static>(
    response: &mut actix_web::HttpResponseBuilder,
    bytes: impl Into<Bytes>,
    kept: T,
) -> HttpResponse {
    let bytes = bytes.into();
    if bytes.len() <= PIECE { response.body(bytes) } else { response.body(Kept { bytes, _kept: kept }) }
}

struct Kept<T> {
    bytes: Bytes,
    _kept: T,
}

impl<T: Unpin> MessageBody for Kept<T> {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.bytes.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let length = self.bytes.len().min(PIECE);
        Poll::Ready((length > 0).then(|| Ok(self.bytes.split_to(length))))
    }
}
