//! Starts the proxy and the watcher's own listener, and stops them gracefully.

use super::{Shared, WatchSettings, listener::Proxy, observer, own, sink::Sink};
use crate::{
    api,
    app::{bind, upkeep},
    connection::{self, Connections, METRICS_CONNECTIONS},
    signals,
};
use actix_web::{dev::Server, web};
use anyhow::{Context, Result};
use std::{collections::BTreeSet, future::Future, net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::oneshot;

/// The interval at which events are looked for whose other half did not come.
const TIDY_EVERY: Duration = Duration::from_secs(5);

/// A watcher whose listeners are bound. Requests pass as soon as it is built.
pub struct Watcher {
    address: Option<SocketAddr>,
    own_address: SocketAddr,
    shared: Arc<Shared>,
    proxy: Option<Proxy>,
    own: Server,
    sink: web::Data<Sink>,
    settings: WatchSettings,
}

async fn tidy(sink: web::Data<Sink>) {
    let mut ticks = tokio::time::interval(TIDY_EVERY);
    loop {
        ticks.tick().await;
        sink.tidy();
    }
}

impl Watcher {
    /// Reads the profiles, binds the listeners and starts to pass requests on. Must be called inside an actix system.
    ///
    /// # Errors
    /// Returns an error if a profile cannot be used, an address is in use, the receipt key cannot be read, or the system provides too
    /// few file descriptors or threads.
    pub fn build(settings: &WatchSettings) -> Result<Self> {
        let shared = Shared::new(settings)?;
        let own_listener = bind(settings.metrics_listen, "--metrics-listen")?;
        // Each connection of a client may have one to the upstream.
        let connections = connection::allowed(2 * settings.max_connections, settings.worker_threads())? / 2;
        let own_address = own_listener.local_addr()?;
        let own = own::Routes::new(&shared, settings);
        let sink = own.sink();
        let (state, scrapes) = (Arc::clone(&shared.state), api::Scrapes::shared());
        let own =
            Connections::new(&state.metrics, Arc::default(), METRICS_CONNECTIONS, state.request_timeout)
                .serve(own_listener, 1, move |config| own.add(config, &scrapes))?;
        let to_observe = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("observe".into())
            .spawn(move || observer::run(&to_observe))
            .context("starting the observer's thread")?;
        let settings = WatchSettings { max_connections: connections.max(1), ..settings.clone() };
        let (mut address, mut proxy) = (None, None);
        if let Some(upstream) = &settings.upstream {
            let listener = bind(settings.listen, "--listen")?;
            address = Some(listener.local_addr()?);
            proxy = Some(Proxy::start(listener, upstream, &settings, &shared)?);
        }
        Ok(Self { address, own_address, shared, proxy, own, sink, settings })
    }

    /// Returns the address of the proxy, if there is an upstream.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Returns the address of the watcher's own routes.
    pub fn own_address(&self) -> SocketAddr {
        self.own_address
    }

    /// Passes requests on until SIGTERM or SIGINT, then waits for the drain time and finishes the requests in flight. A second signal
    /// ends the process immediately.
    ///
    /// # Errors
    /// Returns an error if the watcher's own server fails, or signal handlers cannot be installed.
    pub async fn run_until_signalled(self) -> Result<()> {
        let stops = signals::stops()?;
        self.run(stops).await
    }

    /// Passes requests on until `stop` resolves, then finishes the requests in flight.
    ///
    /// # Errors
    /// Returns an error if the watcher's own server fails.
    pub async fn run_until_stopped(self, stop: impl Future<Output = &'static str> + 'static) -> Result<()> {
        self.run(signals::once(stop)).await
    }

    async fn run(self, mut next_signal: impl AsyncFnMut() -> &'static str + 'static) -> Result<()> {
        self.log_start();
        let Self { shared, proxy, own, sink, settings, .. } = self;
        let upkeep = actix_web::rt::spawn(upkeep(Arc::clone(&shared.state)));
        let tidy = actix_web::rt::spawn(tidy(sink));
        let handle = own.handle();
        let interrupted = async move {
            let cause = next_signal().await;
            let drain = settings.drain;
            tracing::info!(cause, ?drain, "stopping; a second signal ends the process immediately");
            shared.state.stop_being_ready();
            let gracefully = async {
                tokio::time::sleep(drain).await;
                // Not a task of the runtime, which would wait for it after a second signal.
                let (sender, stopped) = oneshot::channel();
                std::thread::spawn(move || {
                    proxy.into_iter().for_each(Proxy::stop);
                    // Fails after a second signal, because the receiver is dropped then.
                    let _ = sender.send(());
                });
                let stopped = stopped.await;
                handle.stop(true).await;
                stopped.context("stopping the proxy")
            };
            tokio::select! {
                stopped = gracefully => stopped,
                cause = next_signal() => {
                    tracing::warn!(cause, "stopping immediately");
                    Ok(())
                }
            }
        };
        tokio::select! {
            served = own => served.context("the server of the watcher's own routes failed")?,
            stopped = interrupted => stopped?,
        }
        upkeep.abort();
        tidy.abort();
        tracing::info!("stopped");
        Ok(())
    }

    fn log_start(&self) {
        match self.address.zip(self.settings.upstream.as_ref()) {
            Some((address, upstream)) => {
                let upstream = upstream.authority();
                tracing::info!(%address, upstream, own = %self.own_address, "watching");
            }
            None => {
                let own = self.own_address;
                tracing::info!(%own, "there is no --upstream: only rows that are sent to this address are observed");
            }
        }
        for model in &self.shared.models {
            let card = model.reader.card();
            tracing::info!(model = card.name, version = card.version, "observes predictions of this model");
        }
        for name in repeated(self.shared.models.iter().map(|model| model.reader.card().name.as_str())) {
            tracing::warn!(
                model = name,
                "several profiles have this name, so they count as versions of one model, and ModelVersionMix fires after an hour; if these are different \
                 models, make their profiles again with a --name for each"
            );
        }
        if self.settings.allow_fault_injection {
            tracing::warn!("fault injection by headers is allowed: not for production");
        }
    }
}

/// Returns the names that occur more than once, each once.
fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut known = BTreeSet::new();
    names.filter(|&name| !known.insert(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::repeated;

    #[test]
    fn each_repeated_name_is_found_once() {
        let names = ["train", "iris", "train", "churn", "train"];
        assert_eq!(Vec::from_iter(repeated(names.into_iter())), ["train"]);
        assert!(repeated(names[1..4].iter().copied()).is_empty());
    }
}
