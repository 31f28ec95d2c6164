//! Sends one request, reads its answer to the last byte, and records the result.

use super::{
    Target,
    answer::{ExpectedAnswer, prediction_id},
    connections::{Connections, Received},
    feedback::{self, Due},
    in_flight::InFlight,
    record::{Ending, Failure, Record, Timing},
};
use crate::{
    connect::{Endpoint, USER_AGENT},
    plan::{Model, Plan, PreparedRequest},
    scenario::Payload,
};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Uri};
use reqwest::header::{self, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

/// The record that a worker writes to; each worker has its own.
pub(super) type Recorder = Rc<RefCell<Record>>;

/// Sends requests on behalf of one worker.
pub(super) struct Sender {
    connections: Connections,
    timeout: Duration,
    templates: Vec<Template>,
    /// How feedback on each payload's predictions is sent, if it is.
    pub(super) feedback: Vec<Option<feedback::Request>>,
    /// The connections for feedback, if it goes to another server than the requests.
    elsewhere: Option<Connections>,
    pub(super) recorder: Recorder,
}

/// The common parts of a payload's requests, which each request copies.
struct Template {
    method: Method,
    /// The path and the query.
    uri: Uri,
    headers: HeaderMap,
    /// Whether the payload's own headers declare the content type.
    declared: bool,
    expected: Vec<u16>,
    answer: ExpectedAnswer,
}

impl Template {
    fn new(payload: &Payload, target: &Endpoint, model: Option<&Model>) -> Result<Self, String> {
        let address = address(&target.at(&payload.path), payload.headers.clone());
        let (uri, headers) = address.map_err(|problem| format!("payloads.{}: {problem}", payload.name))?;
        Ok(Self {
            method: payload.method.clone(),
            uri,
            declared: headers.contains_key(CONTENT_TYPE),
            headers,
            expected: payload.expected_status.clone(),
            answer: ExpectedAnswer::new(payload, model),
        })
    }

    fn request(&self, prepared: PreparedRequest) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(prepared.body.unwrap_or_default()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        *headers = self.headers.clone();
        if let (false, Some(content_type)) = (self.declared, prepared.content_type) {
            headers.insert(CONTENT_TYPE, content_type);
        }
        request
    }
}

/// Returns the path and the headers of requests to `endpoint`: the usual headers, and `headers` in addition.
///
/// # Errors
/// If the address is invalid.
pub(super) fn address(endpoint: &Endpoint, mut headers: HeaderMap) -> Result<(Uri, HeaderMap), String> {
    let url = endpoint.url();
    let problem = |error: &dyn std::fmt::Display| format!("{url}: {error}");
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let host = HeaderValue::try_from(host).map_err(|error| problem(&error))?;
    let mut usual = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    usual(header::HOST, host);
    usual(header::ACCEPT, HeaderValue::from_static("*/*"));
    usual(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    if let Some(authorization) = endpoint.authorization() {
        usual(AUTHORIZATION, authorization.clone());
    }
    let uri = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let uri = uri.parse().map_err(|error| problem(&error))?;
    Ok((uri, headers))
}

impl Sender {
    /// # Errors
    /// If the target's address or a payload's path is invalid.
    pub(super) fn new(
        target: &Target,
        most: InFlight,
        plan: &Plan,
        recorder: Recorder,
    ) -> Result<Self, String> {
        let (payloads, timeout) = (&plan.scenario.payloads, plan.scenario.timeout);
        let template = |payload| Template::new(payload, &target.endpoint, plan.model.as_deref());
        let templates = payloads.iter().map(template).collect::<Result<_, _>>()?;
        let feedback = |payload| feedback::Request::new(payload, target);
        let feedback: Vec<_> = payloads.iter().map(feedback).collect::<Result<_, _>>()?;
        let is_elsewhere = !target.takes_feedback() && feedback.iter().any(Option::is_some);
        let elsewhere = is_elsewhere.then(|| Connections::new(&target.feedback, &target.tls, most.clone()));
        let elsewhere = elsewhere.transpose()?;
        let connections = Connections::new(&target.endpoint, &target.tls, most)?;
        Ok(Self { connections, timeout, templates, feedback, elsewhere, recorder })
    }

    /// Counts a request as offered. The returned guard counts its end, even if the request is never sent.
    pub(super) fn ticket(&self, phase: usize, payload: usize) -> Ticket {
        self.recorder.borrow_mut().phase(phase).totals.offered += 1;
        Ticket { recorder: Rc::clone(&self.recorder), phase, payload, open: true }
    }

    /// Sends a request that was due at `intended`, which is `None` in a closed loop.
    ///
    /// If the future is dropped before its end, the request counts as interrupted.
    pub(super) async fn send(
        &self,
        ticket: Ticket,
        mut request: PreparedRequest,
        intended: Option<Instant>,
    ) -> Sent {
        let label = request.label.take();
        let template = &self.templates[request.payload];
        let request = template.request(request);
        let sent = Instant::now();
        let exchange = self.connections.exchange(request, |status| template.answer.most_bytes(status));
        let answered = tokio::time::timeout(self.timeout, exchange).await;
        let done = Instant::now();
        let mut feedback = None;
        let ending = match answered {
            Ok(Ok(answer))
                if answer.is_followed || !template.answer.is_met(answer.status, answer.body.as_deref()) =>
            {
                Ending::Failed(Failure::BadAnswer)
            }
            Ok(Ok(Received { status, body, prediction_id: header, .. })) => {
                let in_header = || Some(header?.to_str().ok()?.trim().to_owned()).filter(|id| !id.is_empty());
                feedback = label.filter(|_| status == 200).map(|label| Due {
                    label,
                    prediction_id: body.and_then(|body| prediction_id(&body)).or_else(in_header),
                });
                Ending::Completed { status, expected: template.expected.contains(&status) }
            }
            Ok(Err(reason)) => Ending::Failed(reason),
            Err(_) => Ending::TimedOut,
        };
        ticket.settle(
            ending,
            Timing {
                response: done - intended.unwrap_or(sent),
                service: done - sent,
                lag: intended.map(|intended| sent.saturating_duration_since(intended)),
            },
        );
        Sent { answered: matches!(ending, Ending::Completed { .. }), feedback }
    }

    /// Sends feedback, which is not part of the plan, and returns the status of its answer.
    ///
    /// # Errors
    /// If the answer does not come in time.
    pub(super) async fn send_feedback(&self, request: Request<Full<Bytes>>) -> Result<u16, ()> {
        let exchange = self.elsewhere.as_ref().unwrap_or(&self.connections).exchange(request, |_| 0);
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(answer)) => Ok(answer.status),
            Ok(Err(_)) | Err(_) => Err(()),
        }
    }
}

/// The result of a request.
pub(super) struct Sent {
    /// Whether it was answered.
    pub(super) answered: bool,
    /// The feedback on its prediction, if any is due.
    pub(super) feedback: Option<Due>,
}

/// Counts the end of an offered request, even if its task is dropped before it first runs.
pub(super) struct Ticket {
    recorder: Recorder,
    phase: usize,
    payload: usize,
    open: bool,
}

impl Ticket {
    fn settle(mut self, ending: Ending, timing: Timing) {
        self.open = false;
        self.recorder.borrow_mut().phase(self.phase).ended(self.payload, ending, timing);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            self.recorder.borrow_mut().phase(self.phase).interrupted(self.payload);
        }
    }
}
