//! Keeps the connections of one worker to the target. Each carries one request at a time and stays open for the next one.
//!
//! This module uses hyper without reqwest. A measured request needs none of reqwest's features (redirects, cookies, decoding,
//! retries), which cost about half as much CPU time again. On a shared machine, that CPU time would be missing at the target.

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
use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
};
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

/// The time after which an idle connection is closed. It is shorter than the target's own time limit (5 s in actix), because a
/// request that is sent while the target closes the connection would count as a failure of the target.
const IDLE: Duration = Duration::from_secs(2);

/// Linux' error numbers for limits of this machine: "too many open files" (of this process, of the system) and "cannot assign
/// requested address" (all local ports are in use).
const OWN_LIMITS: [i32; 3] = [24, 23, 99];

/// How long an idle connection may take to finish its previous request.
const READY_TIMEOUT: Duration = Duration::from_millis(5);

/// The time limit for connecting to one of a name's addresses if there are others, because it may not be reachable.
const PER_ADDRESS: Duration = Duration::from_secs(1);

/// A complete answer.
pub(super) struct Received {
    pub(super) status: u16,
    /// `None` if the body is larger than the given limit.
    pub(super) body: Option<Vec<u8>>,
    /// Whether further bytes followed the answer, such as a second answer.
    pub(super) is_followed: bool,
    /// The header [`PREDICTION_ID`].
    pub(super) prediction_id: Option<HeaderValue>,
}

/// The header in which a watcher of a model server returns the prediction ids, one per row, separated by commas.
const PREDICTION_ID: HeaderName = HeaderName::from_static("x-prediction-id");

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Set by the connection's task when it ends because such bytes arrived.
    is_followed: Arc<AtomicBool>,
}

/// The error message of hyper for bytes that arrive while no answer is due. Its error type has no method for this case.
const UNASKED: &str = "received unexpected message from connection";

pub(super) struct Connections {
    host: String,
    port: u16,
    /// The address that the last connection was made to.
    answered: Cell<Option<SocketAddr>>,
    /// The TLS configuration, for https.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// The limit on connections, which all workers share.
    most: InFlight,
    /// The idle connections, each with the time at which it was last used; the most recently used one is the last.
    idle: RefCell<VecDeque<(Instant, Connection)>>,
}

impl Connections {
    /// Creates connections to the server at `endpoint`.
    ///
    /// # Errors
    /// If a certificate cannot be issued for its host.
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

    /// Sends a request and reads the whole answer, because a connection with an unread body cannot be used again. `most_bytes`
    /// returns how many bytes of the body are needed for a status.
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
                    // The target had closed the idle connection before a byte was sent, so the request is sent only once.
                    Some(unsent) if kept => {
                        request = unsent;
                        continue;
                    }
                    _ => return Err(failure(&error.into_error())),
                },
            };
            let status = response.status().as_u16();
            let prediction_id = response.headers_mut().remove(PREDICTION_ID);
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
            // The connection's task reads everything that has arrived before this task sees the end of the body.
            let is_followed = connection.is_followed.load(Ordering::Relaxed);
            self.keep(connection);
            return Ok(Received { status, body, is_followed, prediction_id });
        }
    }

    /// Returns an idle connection that is still open and has finished its previous request.
    async fn idle(&self) -> Option<Connection> {
        loop {
            let (since, mut connection) = self.idle.borrow_mut().pop_back()?;
            // The connection's task may not have seen yet that the last answer is complete. If the answer came early, the
            // connection may still be writing the previous request, perhaps without end.
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
        // Idle connections of other workers are closed after their own time limit.
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

    /// Connects to the last address that worked, or else to the first address of the name that accepts. The name is not
    /// resolved for every connection, because the time that it takes would count as the target's.
    async fn dial(&self) -> io::Result<TcpStream> {
        if let Some(address) = self.answered.get() {
            match TcpStream::connect(address).await {
                // The addresses of the name may have changed.
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
    // This task is not one of the worker's own tasks, because the worker waits for the end of those. Other errors are
    // reported to the request in flight.
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
