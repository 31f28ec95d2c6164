//! Limits the number of client connections, and implements the layer between their sockets and actix-http.
//!
//! Layout:
//! - `descriptors`: the number of connections that the limit on open files allows
//! - `framing`: finds the end of a request, and renames the offers to upgrade in its head
//! - `stream`: enforces the time and memory limits of one connection
//! - `turn`: serves one request of a connection at a time
//! - `refusal`: answers to requests that cannot be parsed
//!
//! What does not belong here: models and routes.

mod descriptors;
mod framing;
mod refusal;
mod stream;
mod turn;

use crate::{
    metrics::{ConnectionDrop, MethodLabel, Metrics, RouteMetrics},
    reason::Reason,
    route::Route,
};
use actix_http::{HttpService, error::DispatchError};
use actix_service::{ServiceFactoryExt, map_config};
use actix_web::{
    App,
    dev::{AppConfig, Server, fn_service},
    web::ServiceConfig,
};
pub(crate) use descriptors::allowed;
use std::{
    future::ready,
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use stream::ClientStream;
use tokio::{net::TcpStream, time::Instant};

/// The time after which an idle connection is closed. It is longer than the idle time of common client pools, so that the client
/// closes first and no request is sent on a closing connection.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// The time for which a connection with an unread request body stays open after its last answer, so that the client can read the answer.
const LINGER: Duration = Duration::from_secs(1);

/// The limit on connections of the metrics listener, enough for several Prometheus servers and probes.
pub(crate) const METRICS_CONNECTIONS: usize = 64;

/// The number of connections above the limit that a worker may accept before it closes them.
const SURPLUS: usize = 16;

/// The greatest memory of one connection, in bytes: its buffers for reading, for writing and for requests that are held back.
pub const BYTES_PER_CONNECTION: usize = 128 << 10;

/// The size of a socket's send buffer, in bytes. Linux doubles it for its own bookkeeping. By default the buffer grows to megabytes, so
/// that the service could not distinguish a client that does not read from one that does.
const SEND_BUFFER: usize = 64 << 10;

/// Sets the size of the send buffer of a listener. Its connections inherit this size.
pub(crate) fn limit_send_buffer(listener: &TcpListener) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_send_buffer_size(listener, SEND_BUFFER)?)
}

/// The connections of one listener.
pub struct Connections {
    metrics: Arc<Metrics>,
    unmatched: RouteMetrics,
    open: Arc<AtomicUsize>,
    limit: usize,
    request_timeout: Duration,
}

impl Connections {
    /// Creates the connections of a listener, at most `limit`.
    pub fn new(
        metrics: &Arc<Metrics>,
        open: Arc<AtomicUsize>,
        limit: usize,
        request_timeout: Duration,
    ) -> Arc<Self> {
        let (metrics, unmatched) = (Arc::clone(metrics), metrics.of_route(Route::Unmatched));
        Arc::new(Self { metrics, unmatched, open, limit, request_timeout })
    }

    /// Serves `routes` to the connections of a listener.
    ///
    /// # Errors
    /// Returns an error if the listener cannot be used.
    pub fn serve(
        self: &Arc<Self>,
        listener: TcpListener,
        workers: usize,
        routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> io::Result<Server> {
        // A graceful stop waits for the longest time that a request may take.
        let mut builder = Server::build()
            .workers(workers)
            .max_concurrent_connections(self.limit.div_ceil(workers) + SURPLUS)
            .shutdown_timeout(self.request_timeout.as_secs() + 1)
            .disable_signals();
        let stopping = builder.graceful_shutdown_signal();
        let connections = Arc::clone(self);
        builder = builder.listen("http", listener, move || {
            let (routes, stopping) = (routes.clone(), stopping.clone());
            let app = map_config(App::new().configure(routes), |()| AppConfig::default());
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .keep_alive(KEEP_ALIVE)
                // actix-http limits this time only for the first head. `ClientStream` limits it for every head.
                .client_request_timeout(Duration::ZERO)
                .client_disconnect_timeout(LINGER)
                .on_connect_ext(|stream: &ClientStream, data| {
                    data.insert(stream.turn());
                })
                .h1(turn::by_turns(app));
            let connections = Arc::clone(&connections);
            fn_service(move |socket| ready(connections.accept(socket))).and_then(http)
        })?;
        Ok(builder.run())
    }

    /// Accepts a connection, or closes it if there are too many.
    fn accept(
        self: &Arc<Self>,
        socket: TcpStream,
    ) -> Result<(ClientStream, Option<SocketAddr>), DispatchError> {
        let open = OpenConnection(Arc::clone(&self.open));
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.dropped(ConnectionDrop::ConnectionLimit);
            return Err(io::Error::other("too many connections").into());
        }
        // An answer is written in one piece, so Nagle's algorithm would only delay it.
        socket.set_nodelay(true)?;
        Ok((ClientStream::new(socket, Arc::clone(self), open), None))
    }

    /// Counts a connection that the service closes.
    fn dropped(&self, reason: ConnectionDrop) {
        self.metrics.connection_dropped(reason);
    }

    /// Counts the refusal of a request that did not reach a route, and returns the bytes of the answer.
    fn refused(&self, reason: Reason, began: Option<Instant>) -> Vec<u8> {
        self.metrics.rejected(reason);
        let seconds = began.map_or(0.0, |began| began.elapsed().as_secs_f64());
        self.unmatched.answered(MethodLabel::Other, reason.status().as_u16(), seconds);
        tracing::debug!(reason = reason.code(), "refused before it reached a route");
        refusal::answer(reason)
    }
}

/// Counts one open connection until it is dropped.
struct OpenConnection(Arc<AtomicUsize>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
