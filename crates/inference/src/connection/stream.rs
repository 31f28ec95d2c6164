//! Implements the layer between a client's socket and actix-http.
//!
//! Reading: heads are held back until they are complete. So their size and their time can be limited, and their offers to upgrade can be
//! renamed. A request is passed on after the answer to the previous one. Writing: a client that does not read its answer is
//! disconnected, and refusals of the parser are replaced by those of the service.

use super::{
    Connections, OpenConnection,
    framing::{Framing, Head},
    refusal,
    turn::Turn,
};
use crate::{metrics::ConnectionDrop, reason::Reason};
use actix_web::web::{Buf, BytesMut};
use std::{
    future::Future,
    io::{Error, ErrorKind, Result},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

/// The largest head (request line and headers), in bytes. Proxies and browsers stay below 16 KiB.
pub(super) const HEAD_LIMIT: usize = 32 << 10;

/// The time limit for a head to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// The size of one read from the socket while a head is held back, in bytes.
const READ_SIZE: usize = 8 << 10;

/// The average rate at which a client must read its answer after a grace period of one request timeout, in bytes per second.
const SLOWEST_READER: u64 = 256 << 10;

/// The time for which the service reads and discards bytes that a client sends after a refusal. Closing a socket with unread bytes
/// resets the connection, and the client could lose the refusal.
const LINGER: Duration = Duration::from_secs(1);

/// A connection that actix-http reads requests from and writes answers to.
pub(super) struct ClientStream {
    socket: TcpStream,
    connections: Arc<Connections>,
    framing: Framing,
    /// Bytes that have arrived but have not been passed on.
    held: BytesMut,
    /// The number of held bytes that are a head and may be passed on.
    released: usize,
    turn: Turn,
    /// Whether no more bytes are passed on to actix-http.
    ended: bool,
    /// Whether the client has closed its sending side.
    closed: bool,
    /// The instant at which the service began to wait for the rest of a request, or for the first request.
    began: Option<Instant>,
    /// The time for which the client may still leave an answer unread. Reading increases it again.
    credit: Duration,
    /// The instant since which an answer has been waiting for the client to read.
    blocked: Option<Instant>,
    /// The reason for a refusal that ends the connection. It is written after all other answers.
    refused: Option<Reason>,
    ending: Ending,
    read_timer: Timer,
    write_timer: Timer,
    _open: OpenConnection,
}

/// The state of a connection that ends with a refusal.
#[derive(Debug)]
enum Ending {
    /// The connection does not end.
    Open,
    /// These bytes have to be written.
    Writing(BytesMut),
    /// The refusal is written. Until this instant, bytes that the client sends are read and discarded.
    Lingering(Instant),
    /// The connection can be closed.
    Ended,
}

/// A timer that is created when it is first needed.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Returns whether the deadline has passed. If not, the task is woken at the deadline.
    fn has_passed(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx).is_ready()
    }
}

impl ClientStream {
    pub(super) fn new(socket: TcpStream, connections: Arc<Connections>, open: OpenConnection) -> Self {
        Self {
            socket,
            framing: Framing::default(),
            held: BytesMut::new(),
            released: 0,
            turn: Turn::default(),
            ended: false,
            closed: false,
            began: Some(Instant::now()),
            credit: connections.request_timeout,
            blocked: None,
            connections,
            refused: None,
            ending: Ending::Open,
            read_timer: Timer::default(),
            write_timer: Timer::default(),
            _open: open,
        }
    }

    /// Returns the turn of this connection.
    pub(super) fn turn(&self) -> Turn {
        self.turn.clone()
    }

    /// Passes on as many held bytes as fit and as may be passed on.
    fn release(&mut self, buf: &mut ReadBuf<'_>) {
        let room = self.held.len().min(buf.remaining());
        let taken = if self.released > 0 {
            let taken = self.released.min(room);
            self.released -= taken;
            taken
        } else {
            self.framing.body(&self.held[..room])
        };
        buf.put_slice(&self.held[..taken]);
        self.held.advance(taken);
        self.passed_on();
    }

    /// Updates the state after bytes were passed on.
    fn passed_on(&mut self) {
        if self.framing.is_head() {
            self.began = None;
        } else if self.framing.is_unknown() {
            // The body is incomplete for the route, and its answer is the last one.
            self.turn.set_last();
            self.ended = true;
            self.held.clear();
        }
    }

    /// Looks for a head in the held bytes.
    fn find_head(&mut self) {
        // Empty lines after a body (RFC 9112, section 2.2) are not the beginning of a head, so the time limit does not apply to them.
        if self.held.iter().all(|&byte| byte == b'\r' || byte == b'\n') {
            return self.held.clear();
        }
        match self.framing.head(&mut self.held) {
            Head::Complete(length) if length <= HEAD_LIMIT => {
                self.released = length;
                self.turn.begin();
                self.began = None;
            }
            Head::Partial if self.held.len() <= HEAD_LIMIT => {}
            _ => self.refuse(Reason::HeadTooLarge),
        }
    }

    /// Ends the connection with a refusal, after the answers in progress.
    fn refuse(&mut self, reason: Reason) {
        self.refused = Some(reason);
        self.ended = true;
        self.held.clear();
    }

    /// Reads from the socket into the held bytes. It is ready when bytes have arrived or the client has closed its side.
    ///
    /// The function is not inlined, so that its buffer is not on the stack of the common path.
    #[inline(never)]
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.socket.poll_read_ready(cx))?;
        let mut bytes = [0; READ_SIZE];
        let mut arrived = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut arrived))?;
        self.closed |= arrived.filled().is_empty();
        self.ended |= self.closed;
        self.held.extend_from_slice(arrived.filled());
        Poll::Ready(Ok(()))
    }

    /// Reads directly into the parser's buffer, which is the common path for a request that arrives in one piece. Bytes of the next
    /// request are held back.
    fn poll_direct(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        let arrived = &mut buf.filled_mut()[before..];
        self.closed |= arrived.is_empty();
        self.ended |= self.closed;
        let mut taken = 0;
        if self.framing.is_head() {
            match self.framing.head(arrived) {
                Head::Complete(length) if length <= HEAD_LIMIT => {
                    taken = length;
                    self.turn.begin();
                    self.began = None;
                }
                Head::Complete(_) => {
                    buf.set_filled(before);
                    self.refuse(Reason::HeadTooLarge);
                    return Poll::Ready(Ok(()));
                }
                Head::Partial => {}
            }
        }
        taken += self.framing.body(&arrived[taken..]);
        self.held.extend_from_slice(&arrived[taken..]);
        buf.set_filled(before + taken);
        if taken > 0 || !self.framing.is_head() {
            self.passed_on();
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for the rest of a request until its deadline, then ends the connection.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let in_head = self.framing.is_head();
        if in_head && self.held.is_empty() && self.began.is_none() {
            // Between requests, actix-http's keep-alive limits the time.
            return Poll::Pending;
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        // A route that reads its body answers 408 before this limit. The limit is for routes that do not read it.
        let limit = if in_head { HEAD_TIMEOUT } else { self.connections.request_timeout + LINGER };
        if !self.read_timer.has_passed(began + limit, cx) {
            return Poll::Pending;
        }
        if !in_head {
            self.connections.dropped(ConnectionDrop::SlowRequest);
        } else if !self.held.is_empty() {
            self.refuse(Reason::HeadTimeout);
        }
        self.ended = true;
        Poll::Ready(Ok(()))
    }

    /// Writes the last answer of the service and closes the connection. It is ready when this is done.
    #[inline]
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.ending {
            Ending::Open | Ending::Ended => Poll::Ready(Ok(())),
            Ending::Writing(_) | Ending::Lingering(_) => self.poll_ending(cx),
        }
    }

    #[inline(never)]
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            match &mut self.ending {
                Ending::Open | Ending::Ended => return Poll::Ready(Ok(())),
                Ending::Writing(bytes) if bytes.is_empty() => {
                    ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
                    self.ending = Ending::Lingering(Instant::now() + LINGER);
                }
                Ending::Writing(bytes) => match Pin::new(&mut self.socket).poll_write(cx, bytes)? {
                    Poll::Ready(written) => {
                        bytes.advance(written);
                        self.wrote(written);
                    }
                    Poll::Pending => return self.poll_blocked(cx).map_ok(|_| ()),
                },
                Ending::Lingering(deadline) => {
                    let deadline = *deadline;
                    let mut bytes = [0; READ_SIZE];
                    let mut late = ReadBuf::new(&mut bytes);
                    let read = Pin::new(&mut self.socket).poll_read(cx, &mut late);
                    let goes_on = matches!(read, Poll::Ready(Ok(()))) && !late.filled().is_empty();
                    // The deadline is checked in every iteration, because a client may never stop sending.
                    if self.write_timer.has_passed(deadline, cx) || (read.is_ready() && !goes_on) {
                        self.ending = Ending::Ended;
                    } else if read.is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Increases the client's credit for the bytes that it read.
    fn wrote(&mut self, written: usize) {
        let grace = self.connections.request_timeout;
        if let Some(since) = self.blocked.take() {
            self.credit = self.credit.saturating_sub(since.elapsed());
        }
        if self.credit < grace {
            let earned = Duration::from_micros(written as u64 * 1_000_000 / SLOWEST_READER);
            self.credit = grace.min(self.credit + earned);
        }
    }

    /// Waits for a client that does not read its answer until its credit is used up, then disconnects it.
    fn poll_blocked(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        let since = *self.blocked.get_or_insert_with(Instant::now);
        if !self.write_timer.has_passed(since + self.credit, cx) {
            return Poll::Pending;
        }
        self.connections.dropped(ConnectionDrop::UnreadAnswer);
        // This discards the kernel's send buffer, too. If it fails, the socket is closed in the usual way.
        let _ = self.socket.set_zero_linger();
        self.ending = Ending::Ended;
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client does not read its answer")))
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        loop {
            let at_head = this.framing.is_head() && this.released == 0;
            if at_head && this.turn.is_taken() {
                // Reading continues while there is room, so that the service notices when the client closes its side.
                if this.ended && this.held.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                if !this.held.is_empty() {
                    this.turn.wake_at_end(cx);
                }
                if this.ended || this.held.len() >= READ_SIZE {
                    return Poll::Pending;
                }
                ready!(this.poll_fill(cx))?;
                continue;
            }
            if !this.held.is_empty() {
                if at_head {
                    this.find_head();
                }
                if this.released > 0 || !this.framing.is_head() {
                    this.release(buf);
                    return Poll::Ready(Ok(()));
                }
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            let read = if this.held.is_empty() { this.poll_direct(cx, buf) } else { this.poll_fill(cx) };
            match read {
                Poll::Pending => ready!(this.wait(cx))?,
                Poll::Ready(result) => result?,
            }
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        if let Some((start, reason)) = refusal::find(bytes) {
            let mut last = BytesMut::from(&bytes[..start]);
            last.extend_from_slice(&this.connections.refused(reason, this.began));
            this.ending = Ending::Writing(last);
            return Poll::Ready(Ok(bytes.len()));
        }
        match Pin::new(&mut this.socket).poll_write(cx, bytes) {
            Poll::Ready(Ok(written)) => {
                this.wrote(written);
                Poll::Ready(Ok(written))
            }
            Poll::Pending => this.poll_blocked(cx),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_end(cx))?;
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        if let Some(reason) = this.refused.take() {
            let answer = this.connections.refused(reason, this.began);
            this.ending = Ending::Writing(BytesMut::from(&answer[..]));
        } else if !this.closed && matches!(this.ending, Ending::Open) {
            this.ending = Ending::Writing(BytesMut::new());
        }
        ready!(this.poll_end(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}
