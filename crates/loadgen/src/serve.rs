//! What a run shows over HTTP while it lasts: the live page and its own metrics, in a thread of their own.
//!
//! The page is drawn here, and only when somebody looks: [`Publisher::is_wanted`] says so, at most once a second, and the
//! thread that follows the run then hands over its state. Threads that send requests have no part in it.

use crate::{
    metrics::Metrics,
    page::{Page, SCRIPT, document, fragment},
};
use actix_web::{
    App, HttpResponse, HttpServer,
    dev::Server,
    http::header::{CACHE_CONTROL, ContentType},
    web::{self, Bytes, Data},
};
use anyhow::{Context, anyhow};
use futures_util::stream;
use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::sync::{oneshot, watch};

/// Between two states of the page.
const EVERY: Duration = Duration::from_secs(1);

/// How long the end of a run waits for a browser that does not take the last state off it, in seconds.
const PATIENCE: u64 = 1;

/// The addresses of a run's servers, taken before it starts.
pub struct Listeners {
    page: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl Listeners {
    /// Takes the addresses that there are.
    ///
    /// # Errors
    /// When one belongs to somebody else; the message names the flag that it was given by, and the remedy.
    pub fn bind(page: Option<SocketAddr>, metrics: Option<SocketAddr>) -> anyhow::Result<Self> {
        let bind = |flag: &str, address: SocketAddr| {
            TcpListener::bind(address).with_context(|| {
                format!(
                    "{flag} {address}: cannot listen there; name another address, with port 0 for a free one"
                )
            })
        };
        Ok(Self {
            page: page.map(|address| bind("--dashboard", address)).transpose()?,
            metrics: metrics.map(|address| bind("--metrics-listen", address)).transpose()?,
        })
    }

    /// Says where: port 0 became whichever was free.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn announce(&self) -> std::io::Result<()> {
        if let Some(page) = &self.page {
            eprintln!("live page: http://{}/ until the run ends; --report FILE keeps it", page.local_addr()?);
        }
        if let Some(metrics) = &self.metrics {
            eprintln!("own metrics: http://{}/metrics until the run ends", metrics.local_addr()?);
        }
        Ok(())
    }
}

/// The servers of a run. They end when it is dropped.
pub struct Servers {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Hands states of the run to the live page.
pub struct Publisher {
    wanted: Arc<AtomicBool>,
    pages: watch::Sender<Option<Arc<Page>>>,
    last: Option<Instant>,
}

impl Publisher {
    /// Whether somebody waits for a state, and the last one is a second old.
    pub fn is_wanted(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= EVERY);
        due && self.wanted.swap(false, Ordering::Relaxed)
    }

    /// Hands over a state.
    pub fn publish(&mut self, page: Page) {
        self.last = Some(Instant::now());
        self.pages.send_replace(Some(Arc::new(page)));
    }
}

/// The server's end of it.
struct Live {
    wanted: Arc<AtomicBool>,
    pages: watch::Receiver<Option<Arc<Page>>>,
    /// The last state drawn, for all who look at it.
    drawn: Mutex<Option<(Arc<Page>, Bytes)>>,
}

impl Live {
    /// The next state of the run, or its last; `None` when the run broke off before there was one.
    async fn next(&self) -> Option<Arc<Page>> {
        let mut pages = self.pages.clone();
        let known = pages.borrow_and_update().clone();
        if known.as_ref().is_some_and(|page| page.is_over()) {
            return known;
        }
        self.wanted.store(true, Ordering::Relaxed);
        pages.changed().await.ok()?;
        pages.borrow().clone()
    }

    fn draw(&self, page: &Arc<Page>) -> Bytes {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        match &*drawn {
            Some((known, html)) if Arc::ptr_eq(known, page) => html.clone(),
            _ => {
                let html = Bytes::from(fragment(page) + "\0");
                *drawn = Some((Arc::clone(page), html.clone()));
                html
            }
        }
    }
}

impl Servers {
    /// Starts what there is a listener for; the publisher is there if the page is.
    ///
    /// # Errors
    /// When the system gives no thread, or the listeners are of no use.
    pub fn start(listeners: Listeners, metrics: Arc<Metrics>) -> anyhow::Result<(Self, Option<Publisher>)> {
        let Listeners { page, metrics: metrics_listener } = listeners;
        let wanted = Arc::new(AtomicBool::new(false));
        let (sender, pages) = watch::channel(None);
        let publisher =
            page.is_some().then(|| Publisher { wanted: Arc::clone(&wanted), pages: sender, last: None });
        let (stop, stopped) = oneshot::channel();
        let (told, tell) = std::sync::mpsc::channel();
        let live = Data::new(Live { wanted, pages, drawn: Mutex::default() });
        let serve = async move {
            let page = page.map(|listener| page_server(listener, live));
            let metrics = metrics_listener.map(|listener| metrics_server(listener, metrics));
            let servers = page.into_iter().chain(metrics);
            let servers = match servers.collect::<std::io::Result<Vec<Server>>>() {
                Ok(servers) => servers,
                Err(error) => return drop(told.send(Err(error))),
            };
            let handles: Vec<_> = servers.iter().map(Server::handle).collect();
            let running: Vec<_> = servers.into_iter().map(actix_web::rt::spawn).collect();
            drop(told.send(Ok(())));
            // It resolves when the run is over, or is gone.
            let _ = stopped.await;
            for handle in handles {
                handle.stop(true).await;
            }
            for server in running {
                // Nobody is left to be told of a server that broke after the last page.
                let _ = server.await;
            }
        };
        let run = move || actix_web::rt::System::new().block_on(serve);
        let thread = thread::Builder::new().name("http".into()).spawn(run)?;
        tell.recv().map_err(|_| anyhow!("the thread that serves the live page and metrics ended"))??;
        Ok((Self { stop: Some(stop), thread: Some(thread) }, publisher))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // A thread that has ended needs no telling.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the thread that served the live page and metrics panicked");
        }
    }
}

fn page_server(listener: TcpListener, live: Data<Live>) -> std::io::Result<Server> {
    let app = move || {
        App::new()
            .app_data(live.clone())
            .route("/", web::get().to(whole))
            .route("/stream", web::get().to(states))
            .route("/live.js", web::get().to(script))
    };
    Ok(HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(PATIENCE).listen(listener)?.run())
}

fn metrics_server(listener: TcpListener, metrics: Arc<Metrics>) -> std::io::Result<Server> {
    let metrics = Data::from(metrics);
    let app = move || App::new().app_data(metrics.clone()).route("/metrics", web::get().to(own_metrics));
    Ok(HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(PATIENCE).listen(listener)?.run())
}

async fn whole(live: Data<Live>) -> HttpResponse {
    match live.next().await {
        Some(page) => HttpResponse::Ok()
            .content_type(ContentType::html())
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(document(&page, true)),
        None => HttpResponse::ServiceUnavailable().body("the run broke off\n"),
    }
}

/// One state after the other, up to the last of the run.
async fn states(live: Data<Live>) -> HttpResponse {
    let states = stream::unfold(Some(live), async |live| {
        let live = live?;
        let page = live.next().await?;
        let html = live.draw(&page);
        Some((Ok::<_, Infallible>(html), (!page.is_over()).then_some(live)))
    });
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(states)
}

async fn script() -> HttpResponse {
    HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(SCRIPT)
}

async fn own_metrics(metrics: Data<Metrics>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(metrics.render())
}
