//! Defines response bodies that hold permits until they are sent.
//!
//! actix drops a body when it has written the last part of it to the connection's buffer. So a body that is passed on in small
//! pieces exists until nearly all of it is sent. An answer that fits into the buffer as a whole releases its permits immediately.

use crate::rows::tensors::HEADER_LENGTH;
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

/// The number of bytes that are passed to actix at once. An answer of this size fits into the connection's buffer.
const PIECE: usize = 16 << 10;

/// Returns a JSON answer. `kept` is dropped when the last part of the answer is in the connection's buffer, or when the connection
/// ends.
pub(super) fn json<T: Unpin + 'static>(status: StatusCode, bytes: impl Into<Bytes>, kept: T) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    body(response.content_type(ContentType::json()), bytes, kept)
}

/// Returns an answer with the headers of `response`. `kept` is dropped as by [`json`].
pub(super) fn body<T: Unpin + 'static>(
    response: &mut actix_web::HttpResponseBuilder,
    bytes: impl Into<Bytes>,
    kept: T,
) -> HttpResponse {
    let bytes = bytes.into();
    if bytes.len() <= PIECE { response.body(bytes) } else { response.body(Kept { bytes, _kept: kept }) }
}

/// An answer to a request for predictions.
pub(super) struct AnswerBody {
    bytes: Vec<u8>,
    /// If tensors in binary form follow the JSON: the length of the JSON.
    json_length: Option<usize>,
}

impl AnswerBody {
    /// Creates an answer of JSON, followed by tensors in binary form.
    pub(super) fn with_tensors(bytes: Vec<u8>, json_length: usize) -> Self {
        Self { bytes, json_length: Some(json_length) }
    }
}

impl From<Vec<u8>> for AnswerBody {
    fn from(json: Vec<u8>) -> Self {
        Self { bytes: json, json_length: None }
    }
}

/// Returns the answer to a request for predictions. `kept` is dropped as by [`json`].
pub(super) fn answer<T: Unpin + 'static>(
    status: StatusCode,
    answer: impl Into<AnswerBody>,
    kept: T,
) -> HttpResponse {
    let AnswerBody { bytes, json_length } = answer.into();
    let Some(length) = json_length else { return json(status, bytes, kept) };
    let mut response = HttpResponse::build(status);
    response.content_type(ContentType::octet_stream()).insert_header((HEADER_LENGTH, length));
    body(&mut response, bytes, kept)
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
