//! Header fields between a client, the proxy and the upstream.

use hyper::{
    HeaderMap,
    header::{
        CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TE,
        TRANSFER_ENCODING, UPGRADE,
    },
};

/// Fields of one connection that HTTP names, in addition to those that the field `Connection` lists.
const OF_CONNECTION: [HeaderName; 5] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Fields that stay even if `Connection` lists them, because they define the message.
const OF_MESSAGE: [HeaderName; 3] = [HOST, CONTENT_LENGTH, CONTENT_TYPE];

/// Removes the fields that concern only one connection, as [RFC 9110, section
/// 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1) requires. An upgrade keeps its own two fields.
pub(super) fn remove_those_of_the_connection(headers: &mut HeaderMap, upgrade: Option<HeaderValue>) {
    if headers.contains_key(TRANSFER_ENCODING) {
        // The coding decides where the body ends, so the length may be wrong (RFC 9112, section 6.3).
        headers.remove(CONTENT_LENGTH);
    }
    if headers.contains_key(CONNECTION) {
        let listed: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
            .filter(|name| !OF_MESSAGE.contains(name))
            .collect();
        for name in listed.iter().chain([&CONNECTION]) {
            headers.remove(name);
        }
    }
    for name in &OF_CONNECTION {
        headers.remove(name);
    }
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
}

/// Returns the protocol that a message offers or accepts to upgrade to.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let lists_upgrade = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|name| name.trim().eq_ignore_ascii_case("upgrade")));
    // Through a connection that is upgraded to HTTP/2, requests would pass without being counted.
    let is_http = |protocol: &HeaderValue| protocol.as_bytes().to_ascii_lowercase().starts_with(b"h2");
    lists_upgrade.then(|| headers.get(UPGRADE).cloned()).flatten().filter(|protocol| !is_http(protocol))
}

/// Returns the transfer codings of a message if there is one other than `chunked`. Only `chunked` is decoded.
pub(super) fn unknown_coding(headers: &HeaderMap) -> Option<String> {
    let codings: Vec<&HeaderValue> = headers.get_all(TRANSFER_ENCODING).iter().collect();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    let coding = codings.iter().enumerate().find(|(at, coding)| *at > 0 || !is_chunked(coding))?.1;
    Some(String::from_utf8_lossy(coding.as_bytes()).into_owned())
}

/// Returns whether a body is a JSON value, and not a stream of them.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(text)) = headers.get(CONTENT_TYPE).map(HeaderValue::to_str) else { return false };
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json")
}

/// The longest value of a header that is kept for the observer, in bytes.
const MOST_KEPT: usize = 256;

/// The header fields of a message that say how its body is read.
#[derive(Debug, Clone, Default)]
pub(super) struct BodyHeaders {
    /// `Content-Type`.
    pub(super) content_type: Option<String>,
    /// `Content-Encoding`.
    pub(super) content_encoding: Option<String>,
    /// The number of bytes of an Open Inference Protocol body that are JSON.
    pub(super) json_length: Option<usize>,
}

impl BodyHeaders {
    /// Reads the fields.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| {
            let text = headers.get(name)?.to_str().ok()?.trim();
            (text.len() <= MOST_KEPT).then(|| text.to_owned())
        };
        Self {
            content_type: text(CONTENT_TYPE.as_str()),
            content_encoding: codings(headers).filter(|codings| codings.len() <= MOST_KEPT),
            json_length: text(crate::rows::tensors::HEADER_LENGTH).and_then(|length| length.parse().ok()),
        }
    }
}

/// Returns the codings of a body, which may be in several fields.
fn codings(headers: &HeaderMap) -> Option<String> {
    let mut values =
        headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let first = values.next()?.trim().to_owned();
    Some(values.fold(first, |all, next| format!("{all}, {}", next.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn fields_of_the_connection_are_removed_and_others_stay() {
        let mut fields = headers(&[
            ("connection", "close, X-Own ,te"),
            ("connection", "host, content-length"),
            ("x-own", "1"),
            ("te", "trailers"),
            ("keep-alive", "timeout=5"),
            ("upgrade", "h2c"),
            ("host", "model:80"),
            ("content-length", "2"),
            ("x-other", "2"),
        ]);
        remove_those_of_the_connection(&mut fields, None);
        assert_eq!(fields, headers(&[("host", "model:80"), ("content-length", "2"), ("x-other", "2")]));
    }

    #[test]
    fn streams_of_json_are_not_json() {
        let is_json = |own| is_json(&headers(&[("content-type", own)]));
        assert!(is_json("application/json; charset=utf-8") && is_json("Application/vnd.kserve+JSON"));
        for other in
            ["application/x-ndjson", "application/jsonl", "text/event-stream", "application/json-seq", ""]
        {
            assert!(!is_json(other), "{other}");
        }
    }

    #[test]
    fn a_length_beside_a_transfer_coding_is_removed() {
        for connection in ["keep-alive", "transfer-encoding, close"] {
            let mut fields = headers(&[
                ("transfer-encoding", "chunked"),
                ("content-length", "2"),
                ("connection", connection),
                ("x-other", "2"),
            ]);
            remove_those_of_the_connection(&mut fields, None);
            assert_eq!(fields, headers(&[("x-other", "2")]));
        }
    }

    #[test]
    fn an_upgrade_keeps_its_fields() {
        let mut fields = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        let protocol = upgrade(&fields);
        assert_eq!(protocol, Some(HeaderValue::from_static("websocket")));
        remove_those_of_the_connection(&mut fields, protocol);
        assert_eq!(fields, headers(&[("connection", "upgrade"), ("upgrade", "websocket")]));
        assert_eq!(upgrade(&headers(&[("upgrade", "websocket")])), None);
    }
}
