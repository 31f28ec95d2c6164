//! Reads the fields of a payload about its requests besides their bodies: method, path, headers, credentials.

use super::{
    Body, Feedback, Payload, Scenario, ScenarioError, Source, TableSource,
    check::{Problem, Problems},
    located,
    raw::{RawFeedback, RawMethod, RawPayload, RawSource, RawTable},
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

/// Where predictions are asked for.
pub(crate) const DEFAULT_PATH: &str = "/predict";

/// How a payload asks for predictions, which its path decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `/predict`
    Native,
    /// The Open Inference Protocol v2: `/v2/models/…/infer`
    OpenInference,
}

impl Protocol {
    /// Returns the protocol of a payload; `None` if it does not ask for predictions.
    pub(crate) fn of(payload: &Payload) -> Option<Self> {
        let path = payload.path.split('?').next().unwrap_or_default();
        match path {
            _ if payload.method != Method::POST => None,
            DEFAULT_PATH => Some(Self::Native),
            _ if path.starts_with("/v2/models/") && path.ends_with("/infer") => Some(Self::OpenInference),
            _ => None,
        }
    }
}

/// They say how long the body is; one that lies breaks the connection.
const FRAMING: [HeaderName; 2] = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];

/// Returns a payload of name `name`, unless something is wrong with it.
pub(super) fn payload(name: &str, raw: &RawPayload, problems: &mut Problems) -> Option<Payload> {
    let path = format!("payloads.{name}");
    let headers = headers(&raw.headers, &path, problems);
    let expected_status = raw.expect.status.clone().unwrap_or_else(|| vec![200]);
    if expected_status.is_empty() {
        problems.add(format!("{path}.expect.status"), "must list at least one status");
    }
    for (at, status) in expected_status.iter().enumerate().filter(|(_, s)| !(100..=599).contains(*s)) {
        problems.add(format!("{path}.expect.status[{at}]"), format!("must be 100 to 599, got {status}"));
    }
    if let Some(variable) = &raw.bearer_token_env {
        let field = format!("{path}.bearer_token_env");
        problems.keep(&field, variable_name(variable));
        if headers.contains_key(header::AUTHORIZATION) {
            problems.add(field, "a request carries only one authorization; take away this or the header");
        }
    }
    let url_path = raw.path.as_deref().unwrap_or(DEFAULT_PATH);
    problems.keep(&format!("{path}.path"), url_path_is_good(url_path));
    let source_path = format!("{path}.source");
    let source = problems.keep(&source_path, source(&raw.source))?;
    let method = raw.method.map_or(Method::POST, method);
    if (method == Method::GET || method == Method::HEAD) && !matches!(source, Source::Fixed(_)) {
        let remedy = "carries no row; write `source: { fixed: {} }`, or take another method";
        problems.add(format!("{path}.method"), format!("{method} {remedy}"));
    }
    if let Source::Fixed(body) = &source {
        let given = headers.contains_key(header::CONTENT_TYPE);
        fixed(body.as_ref(), raw, given, &source_path, problems);
    }
    let mut payload = Payload {
        name: name.to_owned(),
        source,
        method,
        path: url_path.to_owned(),
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
        problems.add(path, "needs rows with a true class: a source of model, drift or table");
        return None;
    }
    if Protocol::of(payload).is_none() {
        problems.add(
            path,
            format!("is about predictions: it needs POST {DEFAULT_PATH} or POST /v2/models/NAME/infer"),
        );
        return None;
    }
    if payload.headers.contains_key(ACCEPT_ENCODING) {
        problems.add(path, "needs answers that are not compressed; take the header accept-encoding away");
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
        _ => Err("must have exactly one of model, drift, table, malformed, fixed, as in { model: {} }; drift may stand beside table".into()),
    }
}

fn fixed(body: Option<&Body>, raw: &RawPayload, given: bool, path: &str, problems: &mut Problems) {
    let content_type = raw.source.fixed.as_ref().and_then(|fixed| fixed.content_type.as_ref());
    let field = format!("{path}.fixed.content_type");
    match (body, content_type) {
        (None, Some(_)) => problems.add(field, "there is no body; add `body`"),
        (Some(_), Some(_)) if given => problems.add(field, "the headers have a content-type too; keep one"),
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
        return Err(format!("must start with /, being below the target's own address, got {path:?}"));
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte)) {
        return Err(format!("must be written as in an address, with %20 for a space, got {path:?}"));
    }
    let steps = path.split('?').next().unwrap_or_default().split('/');
    let dots = |step: &str| [".", ".."].contains(&step.to_ascii_lowercase().replace("%2e", ".").as_str());
    match steps.into_iter().any(dots) {
        true => Err(format!("must not have . or .. as a step, got {path:?}")),
        false => Ok(()),
    }
}

fn variable_name(name: &str) -> Result<(), String> {
    let allowed =
        |(at, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || at > 0 && c.is_ascii_digit();
    if name.is_empty() || !name.chars().enumerate().all(allowed) {
        // Not shown: who mistakes this field for the token's own place has written the token here.
        return Err("must be an environment variable's name: letters, digits and _; never the token".into());
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
            problems.add(field, "occurs twice: capital letters make no other header");
        }
    }
    headers
}

fn header_named(name: &str) -> Result<HeaderName, String> {
    let header = HeaderName::try_from(name).map_err(|_| "is not a header's name".to_owned())?;
    if FRAMING.contains(&header) {
        return Err("follows from the body and can't be set; take it away".into());
    }
    if header == header::UPGRADE {
        return Err("would turn the connection into something other than HTTP/1.1; take it away".into());
    }
    Ok(header)
}

impl Scenario {
    /// Fills in the tokens that `bearer_token_env` names, from the environment; `text` and `file` are the scenario's
    /// own, to name the place of an error.
    ///
    /// # Errors
    /// [`ScenarioError`] lists the variables that hold none.
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
