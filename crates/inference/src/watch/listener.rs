//! Accepts the clients' connections and serves them on the worker threads of the proxy.

use super::{OpenConnection, Shared, WatchSettings, args::Upstream, forward::Worker, upstream::Connections};
use crate::{
    metrics::{ConnectionDrop, MethodLabel},
    reason::Reason,
    route::Route,
};
use anyhow::{Context, Result};
use hyper::{server::conn::http1::Builder, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::set_tcp_user_timeout;
use std::{
    convert::Infallible,
    net::TcpListener,
    pin::pin,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    runtime::{Builder as Runtime, Runtime as TokioRuntime},
    sync::{mpsc, watch},
    task::{LocalSet, spawn_local},
    time::{interval, sleep},
};

/// The time limit for the head of a request, also the next one on an open connection. It is longer than the idle time of common client
/// pools, so that the client closes first.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// The greatest size of a connection's read buffer, in bytes. It limits the size of a request's head.
const BUFFER: usize = 32 << 10;

/// The interval at which idle connections to the upstream are closed.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// A proxy that accepts connections.
pub(super) struct Proxy {
    threads: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Proxy {
    /// Starts the threads.
    ///
    /// # Errors
    /// Returns an error if the system does not allow the threads.
    pub(super) fn start(
        listener: TcpListener,
        upstream: &Upstream,
        settings: &WatchSettings,
        shared: &Arc<Shared>,
    ) -> Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let runtime =
            || Runtime::new_current_thread().enable_all().build().context("starting a thread of the proxy");
        let (mut threads, mut workers) = (Vec::new(), Vec::new());
        for _ in 0..settings.worker_threads() {
            let (sender, receiver) = mpsc::unbounded_channel();
            workers.push(sender);
            let connections = (upstream.clone(), settings.upstream_timeout);
            let (shared, stopping) = (Arc::clone(shared), stopping.clone());
            let runtime = runtime()?;
            let serve = move || work(&runtime, receiver, connections, &shared, &stopping);
            threads.push(std::thread::Builder::new().name("proxy".into()).spawn(serve)?);
        }
        listener.set_nonblocking(true)?;
        let (runtime, shared, most) = (runtime()?, Arc::clone(shared), settings.max_connections);
        let accept = move || runtime.block_on(accept(listener, &workers, &shared, most, stopping));
        threads.push(std::thread::Builder::new().name("accept".into()).spawn(accept)?);
        Ok(Self { threads, stop })
    }

    /// Closes the listener and waits until the requests in flight are answered. It blocks.
    pub(super) fn stop(self) {
        // The threads hold receivers, so it is sent unless they ended already.
        let _ = self.stop.send(true);
        for thread in self.threads {
            // A panic of a worker was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Accepts connections and distributes them over the workers.
async fn accept(
    listener: TcpListener,
    workers: &[mpsc::UnboundedSender<std::net::TcpStream>],
    shared: &Shared,
    most: usize,
    mut stopping: watch::Receiver<bool>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the listener cannot be used"),
    };
    let mut next = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        let socket = match accepted.and_then(|(socket, _)| socket.into_std()) {
            Ok(socket) => socket,
            Err(error) => {
                // Usually there are no file descriptors left; a client that closed at once is no error.
                if error.kind() != std::io::ErrorKind::ConnectionAborted {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    sleep(Duration::from_millis(100)).await;
                }
                continue;
            }
        };
        let connections = &shared.state.connections;
        if connections.fetch_add(1, Ordering::Relaxed) >= most {
            connections.fetch_sub(1, Ordering::Relaxed);
            shared.state.metrics.connection_dropped(ConnectionDrop::ConnectionLimit);
            continue;
        }
        next = (next + 1) % workers.len();
        if workers[next].send(socket).is_err() {
            connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Serves the connections of one worker until the proxy stops.
fn work(
    runtime: &TokioRuntime,
    mut sockets: mpsc::UnboundedReceiver<std::net::TcpStream>,
    (upstream, limit): (Upstream, Duration),
    shared: &Arc<Shared>,
    stopping: &watch::Receiver<bool>,
) {
    let local = LocalSet::new();
    local.block_on(runtime, async {
        let connections = Connections::new(upstream, limit);
        let worker = Rc::new(Worker { shared: Arc::clone(shared), connections: Rc::clone(&connections) });
        let tidy = spawn_local(async move {
            let mut ticks = interval(TIDY_EVERY);
            loop {
                ticks.tick().await;
                connections.close_idle();
            }
        });
        // Closed when the last connection of this worker is.
        let (open, mut all_closed) = mpsc::channel::<Infallible>(1);
        while let Some(socket) = sockets.recv().await {
            let (worker, stopping, open) = (Rc::clone(&worker), stopping.clone(), open.clone());
            let counted = OpenConnection::counted(shared);
            spawn_local(async move {
                // Also dropped if serving panics.
                let _open = (open, counted);
                serve(socket, &worker, stopping, limit).await;
            });
        }
        drop(open);
        // A request takes at most as long as the upstream may, with a pause for its body.
        tokio::select! {
            _ = all_closed.recv() => {}
            () = sleep(limit * 2) => tracing::warn!("requests are still in flight; stopping"),
        }
        tidy.abort();
    });
}

/// Serves one connection.
async fn serve(
    socket: std::net::TcpStream,
    worker: &Rc<Worker>,
    mut stopping: watch::Receiver<bool>,
    limit: Duration,
) {
    // A client that disappears or does not read its answer is disconnected after this time.
    let prepared = socket
        .set_nonblocking(true)
        .and_then(|()| socket.set_nodelay(true))
        .and_then(|()| Ok(set_tcp_user_timeout(&socket, limit.as_millis().try_into().unwrap_or(u32::MAX))?))
        .and_then(|()| TcpStream::from_std(socket));
    let socket = match prepared {
        Ok(socket) => socket,
        Err(error) => return tracing::debug!(%error, "a connection cannot be used"),
    };
    let answer = service_fn(|request| {
        let worker = Rc::clone(worker);
        async move { Ok::<_, Infallible>(worker.answer(request).await) }
    });
    let connection = Builder::new()
        .preserve_header_case(true)
        .auto_date_header(false)
        // A client may close its sending side and still read the answer.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(socket), answer)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopping.wait_for(|stopping| *stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        if error.is_parse() {
            let shared = &worker.shared;
            shared.state.metrics.rejected(Reason::MalformedRequest);
            if error.is_parse_version_h2() {
                // hyper closes the connection without an answer.
                shared.notices.http2();
            } else {
                // hyper answered it.
                let status = Reason::MalformedRequest.status().as_u16();
                shared.answered(Route::Unmatched, MethodLabel::Other, status, 0.0);
            }
        }
        tracing::debug!(%error, "a connection ended with an error");
    }
}
