//! One server, from build to graceful stop.

use crate::{Settings, api};
use actix_web::{App, HttpServer, dev::Server};
use anyhow::{Context, Result};
use model::ModelFile;
use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

/// Histograms keep every sample until they are folded into buckets; this bounds what an unscraped service holds.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// How long an idle connection is kept: longer than the idle time of common client pools, so that the client closes
/// first and no request meets a closing connection.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// A service that listens, and serves once it is run.
pub struct Application {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    server: Server,
    metrics_server: Option<Server>,
    state: Arc<api::State>,
}

impl Application {
    /// Takes the addresses and prepares the model. Connections made from here on are answered by
    /// [`Application::run_until_stopped`]. Must be called inside an actix system.
    ///
    /// # Errors
    /// When an address is taken, or the receipt key can't be read.
    pub fn build(settings: &Settings, model: ModelFile) -> Result<Self> {
        let listener = bind(settings.listen, "--listen")?;
        let metrics_listener =
            settings.metrics_listen.map(|address| bind(address, "--metrics-listen")).transpose()?;
        let state = Arc::new(api::State::new(settings, model)?);
        // Work may take this long, so a stop has to wait that long for it.
        let patience = settings.request_timeout.as_secs() + 1;

        let serving = Arc::clone(&state);
        let mut server =
            HttpServer::new(move || App::new().configure(|config| api::routes(config, &serving)))
                .keep_alive(KEEP_ALIVE)
                .shutdown_timeout(patience)
                .disable_signals();
        if let Some(workers) = settings.workers {
            server = server.workers(workers);
        }
        let address = listener.local_addr()?;
        let metrics_address = metrics_listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let serving = Arc::clone(&state);
        let metrics_server = metrics_listener
            .map(|listener| {
                HttpServer::new(move || App::new().configure(|config| api::vitals_only(config, &serving)))
                    .workers(1)
                    .disable_signals()
                    .listen(listener)
            })
            .transpose()?
            .map(HttpServer::run);
        Ok(Self { address, metrics_address, server: server.listen(listener)?.run(), metrics_server, state })
    }

    /// The address it answers on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the metrics listener, if there is one.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Serves until `stop` resolves, then finishes what has begun.
    ///
    /// # Errors
    /// When the server breaks.
    pub async fn run_until_stopped(self, stop: impl Future<Output = &'static str> + 'static) -> Result<()> {
        let card = &self.state.card;
        tracing::info!(address = %self.address, model = card.name, version = card.version, "serving");
        if let Some(address) = self.metrics_address {
            tracing::info!(%address, "metrics have a listener of their own");
        }
        if self.state.allow_fault_injection {
            tracing::warn!("fault headers are obeyed: not for production");
        }
        let upkeep = actix_web::rt::spawn(upkeep(Arc::clone(&self.state)));
        let handles = [Some(self.server.handle()), self.metrics_server.as_ref().map(Server::handle)];
        let state = Arc::clone(&self.state);
        let stopping = actix_web::rt::spawn(async move {
            let cause = stop.await;
            tracing::info!(cause, in_flight = state.in_flight.count(), "stopping");
            state.stop_being_ready();
            for handle in handles.into_iter().flatten() {
                handle.stop(true).await;
            }
        });
        let metrics_server = self.metrics_server.map(actix_web::rt::spawn);
        self.server.await.context("the server broke")?;
        if let Some(server) = metrics_server {
            server.await?.context("the metrics server broke")?;
        }
        stopping.await?;
        upkeep.abort();
        tracing::info!("stopped");
        Ok(())
    }
}

/// Resolves with the name of the first signal that asks to stop.
pub async fn signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals can't be watched; only SIGKILL will stop this service");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

async fn upkeep(state: Arc<api::State>) {
    let mut ticks = tokio::time::interval(UPKEEP_EVERY);
    loop {
        ticks.tick().await;
        let state = Arc::clone(&state);
        if let Err(error) = tokio::task::spawn_blocking(move || state.metrics.upkeep()).await {
            tracing::error!(%error, "upkeep of the metrics failed");
        }
    }
}

fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("{flag} {address}: cannot listen there"))
}
