//! Writes the answers to requests that do not reach a route, because the HTTP parser refuses them or their head does not arrive in time.
//!
//! actix-http answers these requests with an empty body and has no hook to count them. This module gives the answers the form of all
//! other refusals: JSON with a code, under which they are counted.

use crate::{reason::Reason, refusal::Refusal};
use actix_web::http::{StatusCode, header::HttpDate};
use std::time::SystemTime;

/// The greatest length of a status line with its headers. Those of the parser's own answers have about a third of this length.
const LONGEST: usize = 512;

/// Returns the refusal for a reason that is found before the request reaches a route.
pub(super) fn error(reason: Reason) -> Refusal {
    Refusal::new(
        reason,
        match reason {
            Reason::HeadTimeout => "the request line and the headers did not arrive in time",
            Reason::HeadTooLarge => {
                "the request line and the headers are larger than 32 KiB, or there are more than 96 headers"
            }
            Reason::Internal => "internal error",
            _ => "the request cannot be read as HTTP/1.1",
        },
    )
}

/// Returns the bytes of an answer after which the connection is closed.
pub(super) fn answer(reason: Reason) -> Vec<u8> {
    let error = error(reason);
    let body = error.to_json();
    let status = reason.status();
    let phrase = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!(
        "HTTP/1.1 {} {phrase}\r\ncontent-length: {}\r\ncontent-type: application/json\r\nconnection: close\r\ndate: {}\r\n\r\n",
        status.as_u16(),
        body.len(),
        HttpDate::from(SystemTime::now()),
    )
    .into_bytes();
    bytes.extend_from_slice(&body);
    bytes
}

/// Finds a refusal of the parser at the end of the bytes to write. Returns the position at which it begins, and its reason.
///
/// The service itself never sends these statuses without a body, and a refusal of the parser is always the last answer of a
/// connection.
pub(super) fn find(written: &[u8]) -> Option<(usize, Reason)> {
    if !written.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = written.len().saturating_sub(LONGEST);
    let start = from + memchr::memmem::rfind(&written[from..], b"HTTP/1.")?;
    let head = std::str::from_utf8(&written[start..]).ok()?;
    let (status_line, headers) = head.split_once("\r\n")?;
    let status = status_line.split(' ').nth(1)?.parse().ok()?;
    let reason = match StatusCode::from_u16(status).ok()? {
        StatusCode::BAD_REQUEST => Reason::MalformedRequest,
        StatusCode::REQUEST_TIMEOUT => Reason::HeadTimeout,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Reason::HeadTooLarge,
        StatusCode::INTERNAL_SERVER_ERROR => Reason::Internal,
        _ => return None,
    };
    let is_empty = |line: &str| line.eq_ignore_ascii_case("content-length: 0");
    headers.split("\r\n").any(is_empty).then_some((start, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY_400: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";

    #[test]
    fn only_empty_refusals_are_found() {
        assert_eq!(find(EMPTY_400.as_bytes()), Some((0, Reason::MalformedRequest)));
        let before = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        let both = format!("{before}{EMPTY_400}");
        assert_eq!(find(both.as_bytes()), Some((before.len(), Reason::MalformedRequest)));
        for other in [
            "",
            before,
            "HTTP/1.1 308 Permanent Redirect\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 70\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ] {
            assert_eq!(find(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn an_answer_has_a_body_and_closes_the_connection() {
        let answer = String::from_utf8(answer(Reason::HeadTooLarge)).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{head}");
        assert!(
            head.contains("connection: close")
                && head.contains(&format!("content-length: {}\r\n", body.len()))
        );
        assert_eq!(find(answer.as_bytes()), None);
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["code"], "head_too_large");
    }
}
