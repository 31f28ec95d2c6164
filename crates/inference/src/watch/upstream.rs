//! The connections of one worker to the upstream. Each carries one request at a time and stays open for the next one.

use super::{
    args::Upstream,
    relay::{self, Relay},
};
use crate::{reason::Reason, refusal::Refusal};
use hyper::{
    Request, Response, Version,
    body::Incoming,
    client::conn::http1::{Builder, SendRequest},
};
use hyper_util::rt::TokioIo;
use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpStream, lookup_host},
    task::spawn_local,
    time::{sleep, timeout},
};

/// The time after which an idle connection is closed. It is shorter than that of common servers (5 s in uvicorn), because a request that
/// is sent while the server closes the connection fails.
const IDLE: Duration = Duration::from_secs(3);

/// How long an idle connection may take to finish its previous request.
const READY_TIMEOUT: Duration = Duration::from_millis(5);

/// The time limit for connecting to one of a name's addresses if there are others.
const PER_ADDRESS: Duration = Duration::from_secs(5);

/// The greatest size of a connection's read buffer, in bytes. It limits the size of an answer's head.
const BUFFER: usize = 32 << 10;

/// The greatest number of fields in the head of an answer, which is that of hyper.
const MOST_FIELDS: usize = 100;

/// Connections to the upstream.
pub(super) struct Connections {
    upstream: Upstream,
    authority: String,
    limit: Duration,
    /// The idle connections, each with the time at which it was last used; the most recently used one is the last.
    idle: RefCell<VecDeque<(Instant, SendRequest<Relay>)>>,
}

/// A connection whose answer is being read.
pub(super) struct Lease {
    connections: Rc<Connections>,
    sender: SendRequest<Relay>,
    /// Whether the server speaks HTTP/1.0. Later requests of the connection would be of this version, which has no chunked bodies, so
    /// that those would be lost.
    is_http_10: bool,
}

impl Lease {
    /// Keeps the connection for the next request. Must be called after the whole answer was read.
    pub(super) fn give_back(self) {
        if !self.sender.is_closed() && !self.is_http_10 {
            self.connections.idle.borrow_mut().push_back((Instant::now(), self.sender));
        }
    }
}

impl Connections {
    /// Creates connections to `upstream`. `limit` is the time limit for connecting and for the head of an answer.
    pub(super) fn new(upstream: Upstream, limit: Duration) -> Rc<Self> {
        Rc::new(Self { authority: upstream.authority(), upstream, limit, idle: RefCell::default() })
    }

    /// Returns the address of the upstream.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Sends a request and waits for the head of its answer. `again` returns the request once more; there is none if the request may not
    /// be repeated. It is sent once more, on a new connection, if the server closed an idle connection instead of answering.
    ///
    /// # Errors
    /// Returns an error if the upstream cannot be reached, or does not answer with HTTP in time.
    pub(super) async fn send(
        self: &Rc<Self>,
        mut request: Request<Relay>,
        again: Option<impl Fn() -> Request<Relay>>,
    ) -> Result<(Response<Incoming>, Lease), Refusal> {
        let mut idle = self.idle().await;
        loop {
            let (mut sender, was_idle) = match idle.take() {
                Some(sender) => (sender, true),
                None => (self.connect().await?, false),
            };
            let ended = request.body_mut().ended();
            // The time of the answer begins when the body has passed, whose pauses have a limit of their own.
            let late = async {
                if let Some(ended) = ended {
                    ended.notified().await;
                }
                sleep(self.limit).await;
            };
            let answer = tokio::select! {
                biased;
                answer = sender.try_send_request(request) => answer,
                () = late => {
                    let limit = humantime::format_duration(self.limit);
                    let message = format!("the model server did not answer within {limit}");
                    return Err(Refusal::new(Reason::UpstreamTimeout, message));
                }
            };
            match answer {
                Ok(response) => {
                    let is_http_10 = response.version() == Version::HTTP_10;
                    return Ok((response, Lease { connections: Rc::clone(self), sender, is_http_10 }));
                }
                Err(mut error) => {
                    // The request comes back if nothing of it was sent.
                    if let Some(unsent) = error.take_message() {
                        if was_idle {
                            request = unsent;
                            continue;
                        }
                    } else if let Some(again) = &again
                        && was_idle
                        && !error.error().is_parse()
                        && !error.error().is_user()
                    {
                        request = again();
                        continue;
                    }
                    return Err(fault(error.error()));
                }
            }
        }
    }

    /// Returns an idle connection that is open and ready.
    async fn idle(&self) -> Option<SendRequest<Relay>> {
        loop {
            let (since, mut sender) = self.idle.borrow_mut().pop_back()?;
            if since.elapsed() > IDLE {
                // All others were used earlier.
                self.idle.borrow_mut().clear();
                return None;
            }
            if sender.is_ready() || matches!(timeout(READY_TIMEOUT, sender.ready()).await, Ok(Ok(()))) {
                return Some(sender);
            }
        }
    }

    /// Closes connections that have been idle for too long.
    pub(super) fn close_idle(&self) {
        let mut idle = self.idle.borrow_mut();
        while idle.front().is_some_and(|(since, sender)| since.elapsed() > IDLE || sender.is_closed()) {
            idle.pop_front();
        }
    }

    async fn connect(&self) -> Result<SendRequest<Relay>, Refusal> {
        let unreachable = |error: &dyn std::fmt::Display| {
            let message = format!("the model server cannot be reached: {error}");
            Refusal::new(Reason::UpstreamUnreachable, message)
        };
        let Upstream { host, port } = &self.upstream;
        let open = async {
            let addresses: Vec<_> = lookup_host((host.as_str(), *port)).await?.collect();
            let mut last = std::io::Error::other("the name has no address");
            for (at, address) in addresses.iter().enumerate() {
                let is_last = at + 1 == addresses.len();
                let limit = if is_last { self.limit } else { PER_ADDRESS.min(self.limit) };
                match timeout(limit, TcpStream::connect(address)).await {
                    Ok(Ok(socket)) => return Ok(socket),
                    Ok(Err(error)) => last = error,
                    Err(_) => last = std::io::ErrorKind::TimedOut.into(),
                }
            }
            Err(last)
        };
        let socket = timeout(self.limit, open).await.map_err(|_| {
            Refusal::new(Reason::UpstreamTimeout, "the model server does not accept the connection in time")
        })?;
        let socket = socket.map_err(|error| unreachable(&error))?;
        socket.set_nodelay(true).map_err(|error| unreachable(&error))?;
        let handshake = Builder::new()
            .preserve_header_case(true)
            // A proxy has to repair these two (RFC 9112, sections 5.1 and 5.2).
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(socket))
            .await;
        let (sender, connection) = handshake.map_err(|error| fault(&error))?;
        spawn_local(async move {
            // Its errors are those of the requests that it carries.
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }
}

/// Returns the refusal for a request whose answer could not be read.
fn fault(error: &hyper::Error) -> Refusal {
    if error.is_user() {
        // The body of the request ended with an error, because the client stopped sending it.
        let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
        return cause.map_or_else(|| relay::unread(&io::ErrorKind::Other.into()), relay::unread);
    }
    let message = if error.is_parse_too_large() {
        format!(
            "the head of the model server's answer has more than {} KiB or {MOST_FIELDS} fields",
            BUFFER >> 10
        )
    } else if error.is_parse() {
        format!("the model server's answer is not HTTP/1.1: {error}")
    } else {
        format!("the model server closed the connection before it answered: {error}")
    };
    Refusal::new(Reason::UpstreamBroken, message)
}
