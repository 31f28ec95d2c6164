//! Serves one request of a connection at a time, from its head to the end of its answer.
//!
//! actix-http would continue to read while it answers, and queue up to sixteen requests with their bodies. So the stream holds back the
//! next request until the answer is in the connection's write buffer. Waiting requests then take a limited amount of memory, and no
//! request is served after an answer that closes the connection.

use actix_http::Request;
use actix_service::{Service, ServiceFactory, apply_fn_factory};
use actix_web::{
    Error,
    body::{BodySize, MessageBody},
    dev::ServiceResponse,
    http::ConnectionType,
    web::Bytes,
};
use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// The turn of one connection: whether a request is being served. The stream and the answer in progress share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Turn(Rc<State>);

#[derive(Debug, Default)]
struct State {
    answering: Cell<bool>,
    last: Cell<bool>,
    reader: RefCell<Option<Waker>>,
}

impl Turn {
    /// Records that a request was passed on.
    pub(super) fn begin(&self) {
        self.0.answering.set(true);
    }

    /// Returns whether the next request has to wait.
    pub(super) fn is_taken(&self) -> bool {
        self.0.answering.get()
    }

    /// Wakes the task when the answer is complete.
    pub(super) fn wake_at_end(&self, cx: &Context<'_>) {
        let mut reader = self.0.reader.borrow_mut();
        if !reader.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *reader = Some(cx.waker().clone());
        }
    }

    /// Records that no further request of this connection may be served.
    pub(super) fn set_last(&self) {
        self.0.last.set(true);
    }

    fn end(&self) {
        // After the last request, the turn stays taken.
        if !self.0.last.get() {
            self.0.answering.set(false);
            if let Some(reader) = self.0.reader.take() {
                reader.wake();
            }
        }
    }
}

/// The body of an answer, which ends the turn when it is in the connection's write buffer.
pub(super) struct Answer<B> {
    body: B,
    turn: Option<Turn>,
}

impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        if let Some(turn) = &self.turn {
            turn.end();
        }
    }
}

impl<B: MessageBody + Unpin> MessageBody for Answer<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

/// Returns a service whose answers end the turns of their connections.
pub(super) fn by_turns<F, B>(
    app: F,
) -> impl ServiceFactory<Request, Config = (), Response = ServiceResponse<Answer<B>>, Error = Error, InitError = ()>
where
    F: ServiceFactory<Request, Config = (), Response = ServiceResponse<B>, Error = Error, InitError = ()>,
    B: MessageBody + Unpin,
{
    apply_fn_factory(app, |request: Request, app: &F::Service| {
        let turn = request.conn_data::<Turn>().cloned();
        let closes = request.head().connection_type() == ConnectionType::Close;
        let answer = app.call(request);
        async move {
            let mut answer = answer.await?;
            if let Some(turn) = &turn {
                let head = answer.response_mut().head_mut();
                if turn.0.last.get() {
                    head.set_connection_type(ConnectionType::Close);
                } else if closes || head.connection_type() == ConnectionType::Close {
                    turn.set_last();
                }
            }
            Ok(answer.map_body(|_, body| Answer { body, turn }))
        }
    })
}
