//! One request and its answer: counted when the answer has passed, and handed to the observer if it is a prediction.

use super::{
    Shared,
    copy::{Copy, NotCopied},
    headers::BodyHeaders,
    observer::Observation,
    relay::SharedCopy,
};
use crate::{
    metrics::{MethodLabel, WatchOutcome},
    route::Route,
};
use model::Output;
use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// An exchange that has begun. If it is dropped before it is complete, the client or the upstream broke it off.
pub(super) struct Exchange {
    shared: Arc<Shared>,
    route: Route,
    method: MethodLabel,
    began: Instant,
    status: u16,
    prediction: Option<Prediction>,
    is_complete: bool,
}

/// What is observed of a request for predictions.
pub(super) struct Prediction {
    pub(super) model: usize,
    pub(super) protocol: crate::foreign::Protocol,
    pub(super) request: SharedCopy,
    pub(super) request_headers: BodyHeaders,
    pub(super) answer: SharedCopy,
    pub(super) answer_headers: BodyHeaders,
    /// The outputs, if the answer was already read for prediction ids.
    pub(super) outputs: Option<Vec<Output>>,
}

impl Prediction {
    /// Takes the memory for an answer of this many bytes, if it is known. Neither the request nor the answer takes memory if there is not
    /// enough for both, so that other predictions can be observed.
    pub(super) fn expect_answer(&self, length: Option<u64>) {
        let (mut request, mut answer) = (self.request.borrow_mut(), self.answer.borrow_mut());
        if let Err(reason) = request.bytes() {
            answer.fail(reason);
        } else if let Some(length) = length {
            answer.expect(length);
        }
        if answer.bytes() == Err(NotCopied::NoMemory) {
            request.fail(NotCopied::NoMemory);
        }
    }
}

impl Exchange {
    /// Begins an exchange.
    pub(super) fn new(shared: &Arc<Shared>, route: Route, method: MethodLabel) -> Box<Self> {
        if route != Route::Unmatched {
            shared.state.proxied.fetch_add(1, Ordering::Relaxed);
        }
        Box::new(Self {
            shared: Arc::clone(shared),
            route,
            method,
            began: Instant::now(),
            // The status that is counted if the client closes the connection before there is an answer, as nginx logs it.
            status: 499,
            prediction: None,
            is_complete: false,
        })
    }

    /// Sets the status of the answer.
    pub(super) fn answers(&mut self, status: u16) {
        self.status = status;
    }

    /// Observes the exchange as a prediction when it is complete.
    pub(super) fn observes(&mut self, prediction: Prediction) {
        self.prediction = Some(prediction);
    }

    /// Returns the route.
    pub(super) fn route(&self) -> Route {
        self.route
    }

    /// Observes nothing, because the exchange is counted elsewhere.
    pub(super) fn observes_nothing(&mut self) {
        self.prediction = None;
    }

    /// Returns what will be observed.
    pub(super) fn prediction(&mut self) -> Option<&mut Prediction> {
        self.prediction.as_mut()
    }

    /// Notes that the whole answer has passed.
    pub(super) fn complete(mut self: Box<Self>) {
        self.is_complete = true;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.route != Route::Unmatched {
            self.shared.state.proxied.fetch_sub(1, Ordering::Relaxed);
        }
        let seconds = self.began.elapsed().as_secs_f64();
        self.shared.answered(self.route, self.method, self.status, seconds);
        let Some(prediction) = self.prediction.take() else { return };
        if !self.is_complete {
            return self.shared.outcome(prediction.model, WatchOutcome::Aborted);
        }
        let Prediction { model, protocol, request, request_headers, answer, answer_headers, outputs } =
            prediction;
        self.shared.observe(Observation {
            model,
            protocol,
            status: self.status,
            request: own(request, &self.shared),
            request_headers,
            answer: own(answer, &self.shared),
            answer_headers,
            outputs,
        });
    }
}

/// Returns the copy. The body that shared it has passed, or was dropped; otherwise the copy is taken out of it.
fn own(copy: SharedCopy, shared: &Shared) -> Copy {
    match Rc::try_unwrap(copy) {
        Ok(copy) => RefCell::into_inner(copy),
        Err(copy) => copy.replace(shared.new_copy()),
    }
}
