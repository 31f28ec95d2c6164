//! Checks the fields of a payload: source, method, path, headers, credentials, expected statuses and feedback. The fields of one
//! protocol are checked in [`super::protocol`].

use super::{
    Body, Feedback, Payload, Problem, Scenario, ScenarioError, Source, TableSource,
    check::Problems,
    located,
    protocol::protocol,
    raw_payload::{RawFeedback, RawMethod, RawPayload, RawSource, RawTable},
    tables::sends_rows,
    values::{HeaderText, OrderedMap},
};
use crate::connect::bearer;
use driftsim::DriftSpec;
use reqwest::{
    Method,
    header::{self, ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue},
};
use std::time::Duration;

/// The headers that follow from the body. A wrong one would break the connection.
const FRAMING: [HeaderName; 2] = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];

/// Returns the payload `name`, or `None` if there are problems.
pub(super) fn payload(name: &str, raw: &RawPayload, problems: &mut Problems) -> Option<Payload> {
    let path = format!("payloads.{name}");
    let headers = headers(&raw.headers, &path, problems);
    let expected_status = raw.expect.status.clone().unwrap_or_else(|| vec![200]);
    if expected_status.is_empty() {
        problems.add(format!("{path}.expect.status"), "must list at least one status, such as 200, got none");
    }
    for (at, status) in expected_status.iter().enumerate().filter(|(_, s)| !(100..=599).contains(*s)) {
        problems.add(format!("{path}.expect.status[{at}]"), format!("must be 100 to 599, got {status}"));
    }
    if let Some(variable) = &raw.bearer_token_env {
        let field = format!("{path}.bearer_token_env");
        problems.keep(&field, variable_name(variable));
        if headers.contains_key(header::AUTHORIZATION) {
            problems.add(field, "a request can have only one authorization; remove this field or the header");
        }
    }
    let (protocol, url_path) = protocol(name, raw, problems);
    problems.keep(&format!("{path}.path"), url_path_is_good(&url_path));
    let source_path = format!("{path}.source");
    let source = problems.keep(&source_path, source(&raw.source))?;
    let method = raw.method.map_or(Method::POST, method);
    if (method == Method::GET || method == Method::HEAD) && !matches!(source, Source::Fixed(_)) {
        let remedy = "has no body for a row; write `source: { fixed: {} }`, or use another method";
        problems.add(format!("{path}.method"), format!("{method} {remedy}"));
    }
    if let Source::Fixed(body) = &source {
        let given = headers.contains_key(header::CONTENT_TYPE);
        fixed(body.as_ref(), raw, given, &source_path, problems);
    }
    let mut payload = Payload {
        name: name.to_owned(),
        source,
        protocol,
        method,
        path: url_path,
        headers,
        bearer_token_env: raw.bearer_token_env.clone(),
        expected_status,
        feedback: None,
    };
    payload.feedback = raw.feedback.as_ref().and_then(|raw| feedback(raw, &payload, problems));
    Some(payload)
}

fn feedback(raw: &RawFeedback, payload: &Payload, problems: &mut Problems) -> Option<Feedback> {
    let path = format!("payloads.{}.feedback", payload.name);
    let share = raw.share.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&share) {
        problems.add(format!("{path}.share"), format!("must be from 0 to 1, got {share}"));
        return None;
    }
    if !sends_rows(payload) {
        problems.add(path, "needs rows with true classes; use the source model, drift or table");
        return None;
    }
    if payload.headers.contains_key(ACCEPT_ENCODING) {
        problems.add(path, "needs uncompressed answers; remove the header accept-encoding");
        return None;
    }
    Some(Feedback { after: raw.after.map_or(Duration::ZERO, |span| span.0), share })
}

fn table(raw: &RawTable, drift: Option<&DriftSpec>) -> Result<Source, String> {
    if raw.file.is_empty() {
        return Err("table: must name a CSV file".into());
    }
    let separator = raw.separator.as_deref().map_or(Ok(b','), cli_io::table_file::separator);
    let separator = separator.map_err(|error| format!("table.separator: {error}"))?;
    Ok(Source::Table(TableSource {
        target: raw.target.clone(),
        missing: raw.missing.clone(),
        separator,
        drift: drift.cloned().unwrap_or_else(DriftSpec::steady),
        ..TableSource::of_file((&raw.file).into())
    }))
}

fn source(raw: &RawSource) -> Result<Source, String> {
    match (&raw.model, &raw.table, &raw.drift, &raw.malformed, &raw.fixed) {
        (Some(_), None, None, None, None) => Ok(Source::Model),
        (None, Some(file), drift, None, None) => table(file, drift.as_ref()),
        (None, None, Some(spec), None, None) => Ok(Source::Drift(spec.clone())),
        (None, None, None, Some(malformed), None) => Ok(Source::Malformed(malformed.kinds.clone())),
        (None, None, None, None, Some(fixed)) => Ok(Source::Fixed(fixed.body.as_ref().map(|body| {
            let content_type = fixed.content_type.clone().unwrap_or_else(|| "application/json".to_owned());
            Body { text: body.clone().into(), content_type }
        }))),
        _ => Err("must have exactly one of model, drift, table, malformed, fixed, as in { model: {} }; only drift and table may be given together".into()),
    }
}

fn fixed(body: Option<&Body>, raw: &RawPayload, given: bool, path: &str, problems: &mut Problems) {
    let content_type = raw.source.fixed.as_ref().and_then(|fixed| fixed.content_type.as_ref());
    let field = format!("{path}.fixed.content_type");
    match (body, content_type) {
        (None, Some(_)) => problems.add(field, "there is no body for this media type; add `body`"),
        (Some(_), Some(_)) if given => {
            problems.add(field, "the headers have a content-type, too; remove one of them")
        }
        (Some(body), Some(_)) if HeaderValue::try_from(&body.content_type).is_err() => {
            problems.add(field, format!("must be visible ASCII characters, got {:?}", body.content_type));
        }
        _ => {}
    }
}

fn method(raw: RawMethod) -> Method {
    match raw {
        RawMethod::Get => Method::GET,
        RawMethod::Head => Method::HEAD,
        RawMethod::Post => Method::POST,
        RawMethod::Put => Method::PUT,
        RawMethod::Patch => Method::PATCH,
        RawMethod::Delete => Method::DELETE,
        RawMethod::Options => Method::OPTIONS,
    }
}

fn url_path_is_good(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!(
            "must begin with /, because it is appended to the target's address, got {path:?}"
        ));
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte)) {
        return Err(format!("must be written as in a URL, with %20 for a space, got {path:?}"));
    }
    let steps = path.split('?').next().unwrap_or_default().split('/');
    let dots = |step: &str| [".", ".."].contains(&step.to_ascii_lowercase().replace("%2e", ".").as_str());
    match steps.into_iter().any(dots) {
        true => Err(format!("must not have . or .. between slashes, got {path:?}")),
        false => Ok(()),
    }
}

fn variable_name(name: &str) -> Result<(), String> {
    let allowed =
        |(at, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || at > 0 && c.is_ascii_digit();
    if name.is_empty() || !name.chars().enumerate().all(allowed) {
        // The value is not shown, because it may be a token that was written into this field by mistake.
        return Err(
            "must be the name of an environment variable (letters, digits and _), not the token itself"
                .into(),
        );
    }
    Ok(())
}

fn headers(raw: &OrderedMap<HeaderText>, path: &str, problems: &mut Problems) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, HeaderText(value)) in &raw.0 {
        let field = format!("{path}.headers.{name}");
        let parsed = header_named(name).and_then(|header| {
            let secret = header == header::AUTHORIZATION || header == header::PROXY_AUTHORIZATION;
            let got = if secret { String::new() } else { format!(", got {value:?}") };
            let mut value = HeaderValue::try_from(value.as_str())
                .map_err(|_| format!("must be visible ASCII characters{got}"))?;
            value.set_sensitive(secret);
            Ok((header, value))
        });
        let Some((header, value)) = problems.keep(&field, parsed) else { continue };
        if headers.insert(header, value).is_some() {
            problems.add(
                field,
                "occurs twice, because names of headers do not depend on capital letters; remove one of them",
            );
        }
    }
    headers
}

fn header_named(name: &str) -> Result<HeaderName, String> {
    let header = HeaderName::try_from(name)
        .map_err(|_| "is not a valid name of a header; use letters, digits and -".to_owned())?;
    if FRAMING.contains(&header) {
        return Err("follows from the body and cannot be set; remove it".into());
    }
    if header == header::UPGRADE {
        return Err("would change the connection to another protocol than HTTP/1.1; remove it".into());
    }
    Ok(header)
}

impl Scenario {
    /// Reads the tokens from the environment variables that `bearer_token_env` names. `text` and `file` are those of the scenario,
    /// and are only used in error messages.
    ///
    /// # Errors
    /// [`ScenarioError`] lists the variables without a valid token.
    pub fn read_tokens(&mut self, text: &str, file: &str) -> Result<(), ScenarioError> {
        let mut problems = Vec::new();
        for payload in &mut self.payloads {
            let Some(variable) = &payload.bearer_token_env else { continue };
            match bearer(variable, std::env::var_os(variable)) {
                Ok(value) => drop(payload.headers.insert(header::AUTHORIZATION, value)),
                Err(problem) => {
                    let path = format!("payloads.{}.bearer_token_env", payload.name);
                    problems.push(Problem { path, problem });
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(located(problems, text, file)) }
    }
}
