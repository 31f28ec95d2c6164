//! Bodies as they pass through the proxy. They are passed on piece by piece, as they arrive; if wanted, a copy grows beside them.

use super::{copy::Copy, exchange::Exchange, upstream::Lease};
use crate::{reason::Reason, refusal::Refusal};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::{
    cell::RefCell,
    collections::VecDeque,
    io, mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, Sleep, sleep, timeout, timeout_at},
};

/// A copy that the body and the request's handler share.
pub(super) type SharedCopy = Rc<RefCell<Copy>>;

/// A body on its way to the upstream or to the client.
pub(super) struct Relay {
    source: Source,
    copy: Option<SharedCopy>,
    /// The time limit for the next piece.
    limit: Duration,
    /// Set while a piece is waited for.
    waiting: Option<Pin<Box<Sleep>>>,
    /// For an answer: what is done when it has passed.
    exchange: Option<Box<Exchange>>,
    lease: Option<Lease>,
    /// For a request: notified when it has passed, or was dropped.
    ended: Option<Rc<Notify>>,
}

enum Source {
    /// The rest of a body that is in memory.
    Whole(Option<Bytes>),
    /// A body that arrives.
    Arriving(Incoming),
    /// A body of unknown length whose first pieces were read, and the rest of it if there may be more.
    Begun(VecDeque<Frame<Bytes>>, Option<Incoming>),
}

impl Relay {
    /// Returns a body that is in memory.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::new(Source::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())), Duration::MAX)
    }

    /// Returns a body that is passed on as it arrives. It fails if the next piece does not arrive within `limit`.
    pub(super) fn arriving(body: Incoming, limit: Duration) -> Self {
        Self::new(Source::Arriving(body), limit)
    }

    fn new(source: Source, limit: Duration) -> Self {
        Self { source, copy: None, limit, waiting: None, exchange: None, lease: None, ended: None }
    }

    /// Adds each piece to this copy.
    pub(super) fn copied(mut self, copy: SharedCopy) -> Self {
        self.copy = Some(copy);
        self
    }

    /// Returns what is notified when this body has passed, or was dropped; `None` if it is in memory.
    pub(super) fn ended(&mut self) -> Option<Rc<Notify>> {
        if self.is_end_stream() || matches!(self.source, Source::Whole(_)) {
            return None;
        }
        Some(Rc::clone(self.ended.insert(Rc::default())))
    }

    /// Completes the exchange and keeps the connection when the body has passed.
    pub(super) fn ending(mut self, exchange: Box<Exchange>, lease: Option<Lease>) -> Self {
        (self.exchange, self.lease) = (Some(exchange), lease);
        if self.is_end_stream() {
            self.passed();
        }
        self
    }

    /// Notes that the whole body has passed.
    fn passed(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.complete();
        }
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
        if let Some(ended) = self.ended.take() {
            ended.notify_one();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(ended) = self.ended.take() {
            ended.notify_one();
        }
    }
}

/// How long a small body of unknown length may take to arrive after its head. Servers write such a body at once; if they do not, it is a
/// stream.
const SMALL_WITHIN: Duration = Duration::from_millis(100);

/// Reads a body of unknown length, and returns its bytes if it has at most `max_bytes` and arrives in a short time. The returned body has
/// all pieces as they arrived. Each further piece must arrive within `limit`.
///
/// # Errors
/// Returns an error if the body breaks off.
pub(super) async fn read_small(
    body: Incoming,
    limit: Duration,
    max_bytes: usize,
) -> io::Result<(Option<Bytes>, Relay)> {
    let mut relay = Relay::arriving(body, limit);
    let (mut frames, mut whole) = (VecDeque::new(), Vec::new());
    let deadline = Instant::now() + SMALL_WITHIN;
    let is_complete = loop {
        let next = std::future::poll_fn(|context| Pin::new(&mut relay).poll_frame(context));
        let Ok(next) = timeout_at(deadline, next).await else { break false };
        let Some(frame) = next else { break true };
        let frame = frame?;
        if let Some(data) = frame.data_ref() {
            whole.extend_from_slice(data);
        }
        frames.push_back(frame);
        if whole.len() > max_bytes {
            break false;
        }
    };
    let rest = match mem::replace(&mut relay.source, Source::Whole(None)) {
        Source::Arriving(rest) if !is_complete => Some(rest),
        _ => None,
    };
    Ok((is_complete.then(|| whole.into()), Relay::new(Source::Begun(frames, rest), limit)))
}

/// Reads a body into memory.
///
/// # Errors
/// Returns an error if the body breaks off, or has not arrived within `limit`.
pub(super) async fn read(body: Incoming, limit: Duration) -> io::Result<Bytes> {
    timeout(limit, read_pieces(body)).await.unwrap_or_else(|_| Err(late()))
}

async fn read_pieces(body: Incoming) -> io::Result<Bytes> {
    // The caller limits the time.
    let limit = Duration::MAX;
    let mut relay = Relay::arriving(body, limit);
    let (mut first, mut all): (Bytes, Option<Vec<u8>>) = (Bytes::new(), None);
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut relay).poll_frame(context)).await {
        if let Ok(data) = frame?.into_data() {
            // Most bodies are in one piece, which is not copied.
            match &mut all {
                Some(all) => all.extend_from_slice(&data),
                None if first.is_empty() => first = data,
                None => all = Some([&first[..], &data[..]].concat()),
            }
        }
    }
    Ok(all.map_or(first, Bytes::from))
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the next part of the body did not arrive in time")
}

/// Returns the refusal of a request whose body did not arrive.
pub(super) fn unread(error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::TimedOut => {
            Refusal::new(Reason::BodyTimeout, "the body did not arrive within the time limit")
        }
        _ => Refusal::new(Reason::BodyUnreadable, "the body did not arrive"),
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let relay = &mut *self;
        let arriving = match &mut relay.source {
            Source::Whole(bytes) => Err(bytes.take().map(Frame::data)),
            Source::Arriving(body) => Ok(body),
            Source::Begun(frames, rest) => match (frames.pop_front(), rest) {
                (None, Some(rest)) => Ok(rest),
                (frame, _) => Err(frame),
            },
        };
        let frame = match arriving {
            Err(frame) => frame.map(Ok),
            Ok(body) => match Pin::new(body).poll_frame(context) {
                Poll::Ready(frame) => {
                    relay.waiting = None;
                    frame.map(|frame| frame.map_err(io::Error::other))
                }
                Poll::Pending => {
                    let limit = relay.limit;
                    let waiting = relay.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
                    ready!(waiting.as_mut().poll(context));
                    Some(Err(late()))
                }
            },
        };
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(copy), Some(data)) = (&relay.copy, frame.data_ref()) {
                    copy.borrow_mut().add(data);
                }
                // The connection does not ask for the end of a body whose length is known.
                if relay.is_end_stream() {
                    relay.passed();
                }
            }
            None => relay.passed(),
            Some(Err(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Whole(bytes) => bytes.is_none(),
            Source::Arriving(body) => body.is_end_stream(),
            Source::Begun(frames, rest) => {
                frames.is_empty() && rest.as_ref().is_none_or(Incoming::is_end_stream)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Source::Arriving(body) => body.size_hint(),
            // The client gets the body in chunks, as the server sent it.
            Source::Begun(..) => SizeHint::default(),
        }
    }
}
