//! Starts the server with its listeners, and stops it gracefully.

use crate::{
    LoadedModel, Settings, api,
    connection::{self, Connections},
    memory::WorstCase,
    reload, signals,
};
use actix_web::dev::Server;
use anyhow::{Context, Result};
use bytesize::ByteSize;
use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

/// The interval of the upkeep, which adds the samples of histograms to buckets. Samples are kept until then, so this limits the
/// memory of a service that is not scraped.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// A service whose listeners are bound. It answers requests once it runs.
pub struct Application {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    server: Server,
    metrics_server: Option<Server>,
    state: Arc<api::State>,
    drain: Duration,
    connections: usize,
    max_connections: usize,
    worst_case: WorstCase,
}

impl Application {
    /// Binds the listeners and prepares the model. Connections that are opened from then on are answered by
    /// [`Application::run_until_stopped`]. Must be called inside an actix system.
    ///
    /// # Errors
    /// Returns an error if an address is in use, the receipt key cannot be read, or the system provides too few file descriptors or no
    /// random bytes.
    pub fn build(settings: &Settings, model: LoadedModel) -> Result<Self> {
        let listener = bind(settings.listen, "--listen")?;
        let metrics_listener =
            settings.metrics_listen.map(|address| bind(address, "--metrics-listen")).transpose()?;
        let state = Arc::new(api::State::new(settings, model)?);
        let workers = settings.worker_threads();
        let connections = connection::allowed(settings.max_connections, workers)?;

        let address = listener.local_addr()?;
        let metrics_address = metrics_listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let (serving, scrapes) = (Arc::clone(&state), api::Scrapes::shared());
        let accept = |open, limit| Connections::new(&state.metrics, open, limit, settings.request_timeout);
        let server =
            accept(Arc::clone(&state.connections), connections)
                .serve(listener, workers, move |config| api::routes(config, &serving, &scrapes))?;
        let (serving, scrapes) = (Arc::clone(&state), api::Scrapes::shared());
        let metrics_server = metrics_listener
            .map(|listener| {
                accept(Arc::default(), connection::METRICS_CONNECTIONS)
                    .serve(listener, 1, move |config| api::health_only(config, &serving, &scrapes))
            })
            .transpose()?;
        Ok(Self {
            address,
            metrics_address,
            server,
            metrics_server,
            state,
            drain: settings.drain,
            connections,
            max_connections: settings.max_connections,
            worst_case: WorstCase::of(settings, connections),
        })
    }

    /// Returns the address of the main listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of the metrics listener, if there is one.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Serves until SIGTERM or SIGINT, then waits for the drain time and finishes the requests in flight. A second signal ends the
    /// process immediately.
    ///
    /// # Errors
    /// If the server fails, or signal handlers cannot be installed.
    pub async fn run_until_signalled(self) -> Result<()> {
        actix_web::rt::spawn(reload::on_hangup(reload::hangups()?, Arc::clone(&self.state)));
        let stops = signals::stops()?;
        self.run(stops).await
    }

    /// Serves until `stop` resolves, then waits for the drain time and finishes the requests in flight.
    ///
    /// # Errors
    /// If the server fails.
    pub async fn run_until_stopped(self, stop: impl Future<Output = &'static str> + 'static) -> Result<()> {
        self.run(signals::once(stop)).await
    }

    async fn run(self, mut next_signal: impl AsyncFnMut() -> &'static str + 'static) -> Result<()> {
        self.log_start();
        let upkeep = actix_web::rt::spawn(upkeep(Arc::clone(&self.state)));
        let handles = [Some(self.server.handle()), self.metrics_server.as_ref().map(Server::handle)];
        let (state, drain) = (Arc::clone(&self.state), self.drain);
        // Resolves at the second signal.
        let interrupted = async move {
            let cause = next_signal().await;
            let in_flight = state.in_flight.in_use();
            tracing::info!(cause, in_flight, drain = ?drain, "stopping; a second signal ends the process immediately");
            state.stop_being_ready();
            let gracefully = async {
                // During this time, load balancers notice that /readyz answers 503, and answers ask clients to close their connections.
                tokio::time::sleep(drain).await;
                for handle in handles.iter().flatten() {
                    handle.stop(true).await;
                }
                std::future::pending().await
            };
            tokio::select! {
                () = gracefully => {}
                cause = next_signal() => {
                    tracing::warn!(cause, in_flight = state.in_flight.in_use(), "stopping immediately");
                }
            }
        };
        let (server, metrics_server) = (self.server, self.metrics_server);
        let served = async move {
            let metrics_server = metrics_server.map(actix_web::rt::spawn);
            server.await.context("the server failed")?;
            if let Some(server) = metrics_server {
                server.await?.context("the metrics server failed")?;
            }
            anyhow::Ok(())
        };
        tokio::select! {
            served = served => served?,
            () = interrupted => {}
        }
        upkeep.abort();
        tracing::info!("stopped");
        Ok(())
    }

    /// Logs the model, the addresses and the memory limit.
    fn log_start(&self) {
        let served = self.state.served();
        let card = &served.card;
        tracing::info!(address = %self.address, model = card.name, version = card.version, "serving");
        if let Some(address) = self.metrics_address {
            tracing::info!(%address, "metrics have a separate listener");
        }
        let bytes = |bytes: usize| ByteSize(bytes as u64).to_string();
        let worst = &self.worst_case;
        tracing::info!(
            at_most = bytes(worst.total()),
            connections = bytes(worst.connections),
            small_requests = bytes(worst.small),
            large_requests = bytes(worst.large),
            arriving_bodies = bytes(worst.arriving),
            queued_bodies = bytes(worst.queued),
            "worst-case memory of client requests, in addition to the process itself"
        );
        if self.connections < self.max_connections {
            tracing::warn!(
                connections = self.connections,
                asked_for = self.max_connections,
                "the limit on open files (`ulimit -n`) allows fewer connections than --max-connections"
            );
        }
        if self.state.allow_fault_injection {
            tracing::warn!("fault injection by headers is allowed: not for production");
        }
    }
}

pub(crate) async fn upkeep(state: Arc<api::State>) {
    let mut ticks = tokio::time::interval(UPKEEP_EVERY);
    loop {
        ticks.tick().await;
        let state = Arc::clone(&state);
        if let Err(error) = tokio::task::spawn_blocking(move || state.metrics.upkeep()).await {
            tracing::error!(%error, "upkeep of the metrics failed");
        }
    }
}

pub(crate) fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    let listen = || {
        let listener = TcpListener::bind(address)?;
        connection::limit_send_buffer(&listener)?;
        io::Result::Ok(listener)
    };
    listen().with_context(|| format!("{flag} {address}: cannot listen on this address"))
}
