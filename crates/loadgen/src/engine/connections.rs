//! Connections of one worker to the target: each carries one request at a time and is kept for a while for the next.
//!
//! hyper by itself: of what reqwest adds, a measured request needs nothing (redirects, cookies, decoding, retries), and would
//! pay for it with half as much CPU time again, which on a machine shared with the target is taken from the target.

use super::{
    in_flight::{InFlight, Permit},
    record::Failure,
};
use crate::connect::{Endpoint, Tls, tls};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    client::conn::http1::{SendRequest, handshake},
    rt::{Read, Write},
};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use rustls::pki_types::ServerName;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    error::Error,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

/// Idle connections are closed before the target closes them (actix after 5 s): a request that is sent on a closing
/// connection would count as the target's failure.
const IDLE: Duration = Duration::from_secs(2);

/// Linux' numbers for "too many open files" (this process, the system) and "cannot assign requested address" (all local
/// ports are taken): limits of this machine, not of the target.
const OWN_LIMITS: [i32; 3] = [24, 23, 99];

/// How long an idle connection may take to finish its previous request.
const READY_TIMEOUT: Duration = Duration::from_millis(5);

/// The time limit for connecting to one of a name's addresses if there are others, because it may not be reachable.
const PER_ADDRESS: Duration = Duration::from_secs(1);

/// A complete answer.
pub(super) struct Received {
    pub(super) status: u16,
    /// `None` when it is larger than wanted.
    pub(super) body: Option<Vec<u8>>,
    /// Whether more bytes followed it than were asked for, such as a second answer.
    pub(super) is_followed: bool,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Set by the connection's task when it ends for that reason.
    is_followed: Arc<AtomicBool>,
}

/// The error message of hyper for bytes that arrive while no answer is due; it has no predicate for that.
const UNASKED: &str = "received unexpected message from connection";

pub(super) struct Connections {
    host: String,
    port: u16,
    /// The address that answered last.
    answered: Cell<Option<SocketAddr>>,
    /// For https.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Shared by all workers.
    most: InFlight,
    /// The most recently used last, with the end of their use.
    idle: RefCell<VecDeque<(Instant, Connection)>>,
}

impl Connections {
    /// Creates connections to the server at `endpoint`.
    ///
    /// # Errors
    /// If its host can't stand in a certificate.
    pub(super) fn new(endpoint: &Endpoint, tls: &Tls, most: InFlight) -> Result<Self, String> {
        let url = endpoint.url();
        let host = bare_host(url);
        let tls = (url.scheme() == "https")
            .then(|| {
                let name = ServerName::try_from(host.clone()).map_err(|error| {
                    format!("{host} is not a name that a certificate can be issued for: {error}")
                })?;
                Ok::<_, String>((TlsConnector::from(tls.config()), name))
            })
            .transpose()?;
        Ok(Self {
            host,
            port: url.port_or_known_default().unwrap_or(80),
            answered: Cell::default(),
            tls,
            idle: RefCell::default(),
            most,
        })
    }

    /// Sends a request and reads the whole answer, because an unread body would end the connection. `most_bytes` returns
    /// for a status how much of the body is needed.
    pub(super) async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        most_bytes: impl Fn(u16) -> usize,
    ) -> Result<Received, Failure> {
        loop {
            let (mut connection, kept) = match self.idle().await {
                Some(connection) => (connection, true),
                None => (self.connect().await?, false),
            };
            let mut response = match connection.sender.try_send_request(request).await {
                Ok(response) => response,
                Err(mut error) => match error.take_message() {
                    // The target had closed an idle connection before a byte was sent, so this is not a retry.
                    Some(unsent) if kept => {
                        request = unsent;
                        continue;
                    }
                    _ => return Err(failure(&error.into_error())),
                },
            };
            let status = response.status().as_u16();
            let most = most_bytes(status);
            let mut body = Some(Vec::new());
            while let Some(frame) = response.body_mut().frame().await {
                let frame = frame.map_err(|error| failure(&error))?;
                if let (Some(data), Some(kept)) = (frame.data_ref(), &mut body) {
                    match kept.len() + data.len() <= most {
                        true => kept.extend_from_slice(data),
                        false => body = None,
                    }
                }
            }
            // The connection's task reads what has arrived, all of it, before the end of the body is noticed here.
            let is_followed = connection.is_followed.load(Ordering::Relaxed);
            self.keep(connection);
            return Ok(Received { status, body, is_followed });
        }
    }

    /// Returns a kept connection that still stands and has nothing left to do.
    async fn idle(&self) -> Option<Connection> {
        loop {
            let (since, mut connection) = self.idle.borrow_mut().pop_back()?;
            // Its task may not have noticed that the last answer is complete. A connection that is still writing the
            // previous request, because the answer came early, may do so for ever.
            let ready = tokio::time::timeout(READY_TIMEOUT, connection.sender.ready());
            if since.elapsed() <= IDLE && ready.await.is_ok_and(|ready| ready.is_ok()) {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        while idle.front().is_some_and(|(since, _)| now - *since > IDLE) {
            idle.pop_front();
        }
        idle.push_back((now, connection));
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        // Idle connections of other workers end by themselves.
        let permit = self.most.try_acquire().ok_or(Failure::OwnLimit)?;
        let stream = self.dial().await.map_err(|error| unconnected(&error))?;
        stream.set_nodelay(true).map_err(|error| unconnected(&error))?;
        match &self.tls {
            None => open(TokioIo::new(stream), permit).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(|e| unconnected(&e))?;
                open(TokioIo::new(stream), permit).await
            }
        }
    }

    /// Tries the address that answered last, and otherwise all addresses of the name, one after the other. The name is
    /// not resolved for every connection, because the time would count as the target's.
    async fn dial(&self) -> io::Result<TcpStream> {
        if let Some(address) = self.answered.get() {
            match TcpStream::connect(address).await {
                // The name may have other addresses by now.
                Err(error) if !is_own_limit(&error) => self.answered.set(None),
                found => return found,
            }
        }
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let mut addresses = lookup_host((self.host.as_str(), self.port)).await?.peekable();
        while let Some(address) = addresses.next() {
            let connecting = TcpStream::connect(address);
            let found = match addresses.peek() {
                Some(_) => tokio::time::timeout(PER_ADDRESS, connecting)
                    .await
                    .unwrap_or(Err(io::ErrorKind::TimedOut.into())),
                None => connecting.await,
            };
            match found {
                Ok(stream) => {
                    self.answered.set(Some(address));
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn is_own_limit(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| OWN_LIMITS.contains(&code))
}

async fn open<I: Read + Write + Unpin + Send + 'static>(
    stream: I,
    permit: Permit,
) -> Result<Connection, Failure> {
    let (sender, driver) = handshake(stream).await.map_err(|error| failure(&error))?;
    let is_followed = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_followed);
    // Not among the worker's own tasks, whose end it waits for. Other errors are reported to the request in flight.
    tokio::spawn(async move {
        if driver.await.is_err_and(|error| error.to_string() == UNASKED) {
            flag.store(true, Ordering::Relaxed);
        }
        drop(permit);
    });
    Ok(Connection { sender, is_followed })
}

/// Returns the host without the brackets that an IPv6 address has in a URL.
fn bare_host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Returns why there is no connection.
fn unconnected(error: &io::Error) -> Failure {
    if is_own_limit(error) {
        Failure::OwnLimit
    } else if tls::failure(error).is_some() {
        Failure::Tls
    } else {
        Failure::Connect
    }
}

/// Returns why an open connection gave no complete answer.
fn failure(error: &hyper::Error) -> Failure {
    if tls::failure(error).is_some() {
        return Failure::Tls;
    }
    if error.is_parse() || error.is_parse_status() {
        return Failure::NotHttp;
    }
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut broken = error.is_incomplete_message() || error.is_canceled() || error.is_closed();
    while let Some(error) = cause {
        broken |= error.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
        });
        cause = error.source();
    }
    if broken { Failure::ClosedEarly } else { Failure::Other }
}
