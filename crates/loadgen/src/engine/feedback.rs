//! Sends the true class or number of a row some time after its prediction.

use super::{
    record::FeedbackOutcome,
    sender::{Recorder, Sender, address},
};
use crate::{connect::Target, scenario::Payload};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Uri};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use std::{rc::Rc, time::Duration};

/// The status of an answer that accepts feedback.
const ACCEPTED: u16 = 202;

/// How feedback on one payload's predictions is sent.
pub(super) struct Request {
    after: Duration,
    uri: Uri,
    headers: HeaderMap,
}

impl Request {
    /// Returns `None` for a payload without feedback. Of the payload's own headers, only `Authorization` is used, because others may
    /// ask for a fault, and only if the same server takes the feedback.
    ///
    /// # Errors
    /// If the address of the route is invalid.
    pub(super) fn new(payload: &Payload, target: &Target) -> Result<Option<Self>, String> {
        let Some(feedback) = payload.feedback else { return Ok(None) };
        let own = payload.headers.get(AUTHORIZATION).filter(|_| target.takes_feedback()).cloned();
        let headers = own.into_iter().map(|value| (AUTHORIZATION, value)).collect();
        let (uri, mut headers) = address(&target.feedback, headers)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Some(Self { after: feedback.after, uri, headers }))
    }

    fn about(&self, prediction_id: &str, label: &Value) -> hyper::Request<Full<Bytes>> {
        let body = json!({ "prediction_id": prediction_id, "label": label }).to_string();
        let mut request = hyper::Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// Feedback that is due on a prediction.
pub(super) struct Due {
    /// The name of the true class, or the true number.
    pub(super) label: Value,
    /// The prediction id from the answer; without an id, feedback cannot be sent.
    pub(super) prediction_id: Option<String>,
}

/// Starts a task that sends the feedback on a prediction later, if any is due.
pub(super) fn follow_up(sender: &Rc<Sender>, phase: usize, payload: usize, due: Option<Due>) {
    let (Some(due), Some(request)) = (due, &sender.feedback[payload]) else { return };
    // The guard is created here, not in the task, because a task that is dropped before it first runs must be counted, too.
    let ticket = Ticket::new(&sender.recorder, phase);
    let Some(prediction_id) = due.prediction_id else { return ticket.settle(FeedbackOutcome::Failed) };
    let (after, request) = (request.after, request.about(&prediction_id, &due.label));
    let sender = Rc::clone(sender);
    tokio::task::spawn_local(async move {
        tokio::time::sleep(after).await;
        ticket.settle(match sender.send_feedback(request).await {
            Ok(ACCEPTED) => FeedbackOutcome::Accepted,
            Ok(_) => FeedbackOutcome::Refused,
            Err(()) => FeedbackOutcome::Failed,
        });
    });
}

/// Counts the outcome of feedback that was due, as interrupted if its task is dropped.
struct Ticket {
    recorder: Recorder,
    phase: usize,
    open: bool,
}

impl Ticket {
    fn new(recorder: &Recorder, phase: usize) -> Self {
        recorder.borrow_mut().phase(phase).feedback.due += 1;
        Self { recorder: Rc::clone(recorder), phase, open: true }
    }

    fn settle(mut self, outcome: FeedbackOutcome) {
        self.open = false;
        self.recorder.borrow_mut().phase(self.phase).feedback_ended(outcome);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            self.recorder.borrow_mut().phase(self.phase).feedback_ended(FeedbackOutcome::Interrupted);
        }
    }
}
