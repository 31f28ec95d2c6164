//! Connections: how many there may be, and what stands between their sockets and actix-http.
//!
//! Layout:
//! - `descriptors`: how many connections the system allows
//! - `framing`: where a request ends, and the offers to upgrade in its head
//! - `stream`: deadlines and bounds of one connection
//! - `turn`: one request at a time on a connection
//! - `refusal`: the answers to what never becomes a request
//!
//! What does not belong here: anything about models or routes.

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

/// How long an idle connection is kept: longer than the idle time of common client pools, so that the client closes
/// first and no request meets a closing connection.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a connection that ends with an unread body is kept, so that its client can read the answer.
const LINGER: Duration = Duration::from_secs(1);

/// Connections of the metrics listener: several Prometheus servers, probes and people.
pub(crate) const METRICS_CONNECTIONS: usize = 64;

/// Connections that a worker may have been given beyond the limit, before it closes them.
const SURPLUS: usize = 16;

/// Most memory of one connection, in bytes: its buffers for reading, writing and what is held back.
pub const BYTES_PER_CONNECTION: usize = 128 << 10;

/// How much of an answer the system may hold for a client that does not read it, in bytes; Linux takes twice that, for its
/// own records. By itself it would hold megabytes, and the service could not tell such a client from one that reads.
const SEND_BUFFER: usize = 64 << 10;

/// Bounds what the system holds of answers on the connections of a listener; they inherit the bound.
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
    /// No connections yet, and `limit` at most.
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
    /// When the listener can't be used.
    pub fn serve(
        self: &Arc<Self>,
        listener: TcpListener,
        workers: usize,
        routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> io::Result<Server> {
        // Work may take as long as a request may, so a stop has to wait that long for it.
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
                // The stream keeps that time itself: for every head, not only for the first.
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

    /// Takes a connection, or closes it when there are too many.
    fn accept(
        self: &Arc<Self>,
        socket: TcpStream,
    ) -> Result<(ClientStream, Option<SocketAddr>), DispatchError> {
        let place = Open(Arc::clone(&self.open));
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.dropped(ConnectionDrop::ConnectionLimit);
            return Err(io::Error::other("too many connections").into());
        }
        // An answer is written as a whole, so there is nothing to wait for.
        socket.set_nodelay(true)?;
        Ok((ClientStream::new(socket, Arc::clone(self), place), None))
    }

    /// Counts a connection that the service closes.
    fn dropped(&self, reason: ConnectionDrop) {
        self.metrics.connection_dropped(reason);
    }

    /// Counts the refusal of a request that never reached a route, and gives the bytes to answer with.
    fn refused(&self, reason: Reason, began: Option<Instant>) -> Vec<u8> {
        self.metrics.rejected(reason);
        let seconds = began.map_or(0.0, |began| began.elapsed().as_secs_f64());
        self.unmatched.answered(MethodLabel::Other, reason.status().as_u16(), seconds);
        tracing::debug!(reason = reason.code(), "refused before it reached a route");
        refusal::answer(reason)
    }
}

/// One of the open connections, as long as it lives.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
