//! One request: sent, answered to the last byte, timed, recorded.

use super::record::{Ending, Failure, Record, Timing};
use crate::{plan::Draft, scenario::Payload};
use reqwest::{
    Client, Method, Request, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use std::{
    cell::RefCell,
    error::Error,
    io,
    rc::Rc,
    time::{Duration, Instant},
};

/// Idle connections are given up before the target's side does it (actix after 5 s): a request sent into a
/// connection that is just being closed would count as the target's failure.
const IDLE: Duration = Duration::from_secs(2);

/// Linux' numbers for "too many open files" (this process, the system) and "cannot assign requested address" (all local
/// ports are taken): limits of this machine, not of the target.
const OWN_LIMITS: [i32; 3] = [24, 23, 99];

/// Where workers record; each has its own.
pub(super) type Recorder = Rc<RefCell<Record>>;

/// A client that adds nothing of its own: no proxy, no redirects, no second try.
///
/// # Errors
/// When the system refuses it.
pub(crate) fn client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .pool_idle_timeout(IDLE)
        .user_agent(concat!("loadgen/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Sends requests on behalf of one worker.
pub(super) struct Sender {
    client: Client,
    target: Url,
    timeout: Duration,
    templates: Vec<Template>,
    pub(super) recorder: Recorder,
}

/// What all requests of a payload share.
struct Template {
    headers: HeaderMap,
    expected: Vec<u16>,
}

impl Sender {
    pub(super) fn new(
        target: Url,
        timeout: Duration,
        payloads: &[Payload],
        recorder: Recorder,
    ) -> Result<Self, reqwest::Error> {
        let template = |payload: &Payload| Template {
            headers: payload.headers.clone(),
            expected: payload.expected_status.clone(),
        };
        Ok(Self {
            client: client()?,
            target,
            timeout,
            templates: payloads.iter().map(template).collect(),
            recorder,
        })
    }

    /// Takes note of a request that was offered: from here on it will be counted, whatever becomes of it.
    pub(super) fn ticket(&self, phase: usize, payload: usize) -> Ticket {
        Ticket { recorder: Rc::clone(&self.recorder), phase, payload, open: true }
    }

    /// Sends a request that was due at `intended`; `None` in a closed loop. Says whether it was answered.
    ///
    /// Dropping the future before its end counts the request as interrupted.
    pub(super) async fn send(&self, ticket: Ticket, draft: Draft, intended: Option<Instant>) -> bool {
        let template = &self.templates[draft.payload];
        let request = self.request(template, draft);
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

    fn request(&self, template: &Template, draft: Draft) -> Request {
        let mut request = Request::new(Method::POST, self.target.clone());
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(draft.content_type));
        headers.extend(template.headers.clone());
        *request.body_mut() = Some(draft.body.into());
        request
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
    payload: usize,
    open: bool,
}

impl Ticket {
    fn settle(mut self, ending: Ending, timing: Timing) {
        self.open = false;
        let mut record = self.recorder.borrow_mut();
        let phase = record.phase(self.phase);
        phase.came_to(self.payload, ending.outcome());
        phase.ended(ending, timing);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            self.recorder.borrow_mut().phase(self.phase).interrupted(self.payload);
        }
    }
}

/// Why there was no complete answer. reqwest hides hyper's errors, so their words have to do.
fn failure(error: &reqwest::Error) -> Failure {
    let connecting = error.is_connect();
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
