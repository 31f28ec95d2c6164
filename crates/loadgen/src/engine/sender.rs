//! One request: sent, answered to the last byte, timed, recorded.

use super::{
    Target,
    record::{Ending, Failure, Record, Timing},
};
use crate::{
    connect::{self, Endpoint, tls},
    plan::Draft,
    scenario::Payload,
};
use reqwest::{
    Client, Method, Request, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap},
};
use std::{
    cell::RefCell,
    error::Error,
    io,
    rc::Rc,
    time::{Duration, Instant},
};

/// Linux' numbers for "too many open files" (this process, the system) and "cannot assign requested address" (all local
/// ports are taken): limits of this machine, not of the target.
const OWN_LIMITS: [i32; 3] = [24, 23, 99];

/// Where workers record; each has its own.
pub(super) type Recorder = Rc<RefCell<Record>>;

/// Sends requests on behalf of one worker.
pub(super) struct Sender {
    client: Client,
    timeout: Duration,
    templates: Vec<Template>,
    pub(super) recorder: Recorder,
}

/// What all requests of a payload share, made ready so that a request only copies it.
struct Template {
    method: Method,
    url: Url,
    headers: HeaderMap,
    /// Whether the headers say what the body is, whatever the draft thinks.
    declared: bool,
    expected: Vec<u16>,
}

impl Template {
    fn new(payload: &Payload, target: &Endpoint) -> Self {
        let mut headers = payload.headers.clone();
        if let (false, Some(authorization)) = (headers.contains_key(AUTHORIZATION), target.authorization()) {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        Self {
            method: payload.method.clone(),
            url: target.below(&payload.path),
            declared: headers.contains_key(CONTENT_TYPE),
            headers,
            expected: payload.expected_status.clone(),
        }
    }

    fn request(&self, draft: Draft) -> Request {
        let mut request = Request::new(self.method.clone(), self.url.clone());
        let headers = request.headers_mut();
        *headers = self.headers.clone();
        if let (false, Some(content_type)) = (self.declared, draft.content_type) {
            headers.insert(CONTENT_TYPE, content_type);
        }
        *request.body_mut() = draft.body.map(Into::into);
        request
    }
}

impl Sender {
    pub(super) fn new(
        target: &Target,
        timeout: Duration,
        payloads: &[Payload],
        recorder: Recorder,
    ) -> Result<Self, reqwest::Error> {
        let template = |payload| Template::new(payload, &target.endpoint);
        let templates = payloads.iter().map(template).collect();
        Ok(Self { client: connect::client(&target.tls)?, timeout, templates, recorder })
    }

    /// Takes note of a request that was offered: from here on it will be counted, whatever becomes of it.
    pub(super) fn ticket(&self, phase: usize) -> Ticket {
        Ticket { recorder: Rc::clone(&self.recorder), phase, open: true }
    }

    /// Sends a request that was due at `intended`; `None` in a closed loop. Says whether it was answered.
    ///
    /// Dropping the future before its end counts the request as interrupted.
    pub(super) async fn send(&self, ticket: Ticket, draft: Draft, intended: Option<Instant>) -> bool {
        let template = &self.templates[draft.payload];
        let request = template.request(draft);
        let sent = Instant::now();
        let ending = match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(Ok(status)) => Ending::Completed { status, expected: template.expected.contains(&status) },
            Ok(Err(error)) => Ending::Failed(failure(&error)),
            Err(_) => Ending::TimedOut,
        };
        let done = Instant::now();
        ticket.settle(
            ending,
            Timing {
                response: done - intended.unwrap_or(sent),
                service: done - sent,
                lag: intended.map(|intended| sent.saturating_duration_since(intended)),
            },
        );
        matches!(ending, Ending::Completed { .. })
    }

    /// The status, once the whole answer is read: an unread body would end the connection.
    async fn exchange(&self, request: Request) -> Result<u16, reqwest::Error> {
        let mut response = self.client.execute(request).await?;
        while response.chunk().await?.is_some() {}
        Ok(response.status().as_u16())
    }
}

/// Makes sure that a request which was offered is counted, even if its task is dropped before it ever ran.
pub(super) struct Ticket {
    recorder: Recorder,
    phase: usize,
    open: bool,
}

impl Ticket {
    fn settle(mut self, ending: Ending, timing: Timing) {
        self.open = false;
        self.recorder.borrow_mut().phase(self.phase).ended(ending, timing);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            self.recorder.borrow_mut().phase(self.phase).totals.interrupted += 1;
        }
    }
}

/// Why there was no complete answer. reqwest hides hyper's errors, so their words have to do.
fn failure(error: &reqwest::Error) -> Failure {
    let connecting = error.is_connect();
    if tls::failure(error).is_some() {
        return Failure::Tls;
    }
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            if io.raw_os_error().is_some_and(|code| OWN_LIMITS.contains(&code)) {
                return Failure::OwnLimit;
            }
            use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
            if matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof) {
                return Failure::ClosedEarly;
            }
        }
        let words = if connecting { String::new() } else { error.to_string() };
        if words.contains("closed before") || words.contains("end of file") {
            return Failure::ClosedEarly;
        }
        if words.contains("invalid HTTP") || words.contains("parsed") {
            return Failure::NotHttp;
        }
        cause = error.source();
    }
    if connecting { Failure::Connect } else { Failure::Other }
}
