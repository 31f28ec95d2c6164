//! Serves the live page and the load generator's own metrics during a run, on a separate thread.
//!
//! This thread renders the page, and only while a browser shows it. [`Publisher::is_wanted`] then returns true once a second,
//! and the thread that follows the run passes on its state. Threads that send requests are not involved.

mod host;
mod http;

/// The most descriptors that the connections of both listeners use.
pub(crate) const MOST_DESCRIPTORS: u64 = 2 * http::MOST_CONNECTIONS as u64;

use crate::{
    metrics::Metrics,
    page::{Page, SCRIPT, document, fragment, policy},
};
use anyhow::Context;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Body, Limits, STRICTEST, answer, text};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::{
    Method, Request, Response,
    body::Frame,
    header::{ALLOW, HeaderValue},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::LocalSet};

/// The time between two states of the page.
const EVERY: Duration = Duration::from_secs(1);

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// The listeners of a run's servers, which are bound before it starts.
pub struct Listeners {
    page: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl Listeners {
    /// Binds the addresses that are given.
    ///
    /// # Errors
    /// If an address cannot be bound, for example because another program uses it; the message names the flag and a remedy.
    pub fn bind(page: Option<SocketAddr>, metrics: Option<SocketAddr>) -> anyhow::Result<Self> {
        let bind = |flag: &str, address: SocketAddr| {
            TcpListener::bind(address).with_context(|| {
                format!(
                    "{flag} {address}: cannot listen at this address; name another one, with port 0 for any free port"
                )
            })
        };
        Ok(Self {
            page: page.map(|address| bind("--dashboard", address)).transpose()?,
            metrics: metrics.map(|address| bind("--metrics-listen", address)).transpose()?,
        })
    }

    /// Prints the addresses, with the port that the system chose for port 0.
    ///
    /// # Errors
    /// If the system does not return the port.
    pub fn announce(&self) -> std::io::Result<()> {
        if let Some(page) = &self.page {
            let address = reachable(page.local_addr()?);
            eprintln!("live page: http://{address}/ until the run ends; --report FILE keeps it");
        }
        if let Some(metrics) = &self.metrics {
            let address = metrics.local_addr()?;
            if address.ip().is_unspecified() {
                // They are for a Prometheus on another machine or in another container, which has another name for this one.
                let port = address.port();
                eprintln!(
                    "own metrics: /metrics on port {port} of every address of this machine until the run ends"
                );
            } else {
                eprintln!("own metrics: http://{address}/metrics until the run ends");
            }
        }
        Ok(())
    }
}

/// Returns an address at which a browser on this machine reaches a listener. `0.0.0.0` and `::` stand for all addresses of the
/// machine, and not every system connects to them.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// The servers of a run, which stop when this value is dropped.
pub struct Servers {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Passes states of the run to the live page.
pub struct Publisher {
    wanted: Arc<AtomicBool>,
    pages: watch::Sender<Option<Arc<Page>>>,
    last: Option<Instant>,
}

impl Publisher {
    /// Returns whether a browser waits for a new state and the last one is at least a second old.
    pub fn is_wanted(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= EVERY);
        due && self.wanted.swap(false, Ordering::Relaxed)
    }

    /// Publishes a new state.
    pub fn publish(&mut self, page: Page) {
        self.last = Some(Instant::now());
        self.pages.send_replace(Some(Arc::new(page)));
    }
}

/// The server's end of the channel of states.
struct Live {
    wanted: Arc<AtomicBool>,
    pages: watch::Receiver<Option<Arc<Page>>>,
    /// The state that was rendered last, for all browsers.
    drawn: Mutex<Option<(Arc<Page>, Bytes)>>,
}

impl Live {
    /// Returns the next state of the run, or its last one; `None` if the run ended without one.
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
    /// Starts a server for each listener. The publisher is returned if there is a live page.
    ///
    /// # Errors
    /// If the system does not provide a thread or a runtime, or if the listeners cannot be used.
    pub fn start(listeners: Listeners, metrics: Arc<Metrics>) -> io::Result<(Self, Option<Publisher>)> {
        let wanted = Arc::new(AtomicBool::new(false));
        let (sender, pages) = watch::channel(None);
        let publisher = listeners.page.is_some().then(|| Publisher {
            wanted: Arc::clone(&wanted),
            pages: sender,
            last: None,
        });
        let (stop, stopped) = watch::channel(false);
        let live = Arc::new(Live { wanted, pages, drawn: Mutex::default() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = |listener: Option<TcpListener>| {
            let _runtime = runtime.enter();
            listener
                .map(|listener| {
                    listener.set_nonblocking(true)?;
                    tokio::net::TcpListener::from_std(listener)
                })
                .transpose()
        };
        let (page, own) = (listener(listeners.page)?, listener(listeners.metrics)?);
        let run = move || {
            LocalSet::new().block_on(&runtime, async {
                let page = async {
                    if let Some(listener) = page {
                        let answer = move |request| on_page(Arc::clone(&live), request);
                        http::serve(listener, Limits::default(), stopped.clone(), answer).await;
                    }
                };
                let own = async {
                    if let Some(listener) = own {
                        let answer = move |request| std::future::ready(on_metrics(&metrics, &request));
                        http::serve(listener, Limits::default(), stopped.clone(), answer).await;
                    }
                };
                tokio::join!(page, own);
            });
        };
        let thread = thread::Builder::new().name("http".into()).spawn(run)?;
        Ok((Self { stop, thread: Some(thread) }, publisher))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the thread that served the live page and metrics panicked");
        }
    }
}

async fn on_page<B>(live: Arc<Live>, request: Request<B>) -> Response<Body> {
    if !host::is_own(&request) {
        return text(
            421,
            PLAIN,
            "this host name is not served; open the live page by IP address or as localhost\n",
        );
    }
    match refused(&request, &["/", "/stream", "/live.js"]) {
        Some(refusal) => refusal,
        None => match request.uri().path() {
            "/" => whole(&live).await,
            "/live.js" => text(200, "text/javascript; charset=utf-8", SCRIPT),
            _ => states(live),
        },
    }
}

/// Answers requests for metrics. Any `Host` is accepted, because Prometheus uses the name in its configuration, and these
/// counters are not confidential.
fn on_metrics<B>(metrics: &Metrics, request: &Request<B>) -> Response<Body> {
    refused(request, &["/metrics"])
        .unwrap_or_else(|| text(200, "text/plain; version=0.0.4; charset=utf-8", metrics.render()))
}

/// Returns the error answer to a request, unless it is a GET of one of `paths`.
fn refused<B>(request: &Request<B>, paths: &[&str]) -> Option<Response<Body>> {
    if !paths.contains(&request.uri().path()) {
        return Some(text(404, PLAIN, format!("no such path; there is only {}\n", paths.join(", "))));
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = text(405, PLAIN, "only GET is answered\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(refusal);
    }
    None
}

async fn whole(live: &Live) -> Response<Body> {
    match live.next().await {
        Some(page) => {
            let body = Full::new(Bytes::from(document(&page, true))).boxed_unsync();
            // `frame-ancestors` has no effect in a `meta` element, so it is sent as a header.
            answer(200, HTML, &format!("{}; frame-ancestors 'none'", policy(true)), body)
        }
        None => text(503, PLAIN, "the run ended without a report\n"),
    }
}

/// Returns a stream of the run's states, up to the last one.
fn states(live: Arc<Live>) -> Response<Body> {
    let states = stream::unfold(Some(live), async |live| {
        let live = live?;
        let page = live.next().await?;
        let html = live.draw(&page);
        Some((html, (!page.is_over()).then_some(live)))
    });
    let frames = states.map(|html| Ok(Frame::data(html)));
    answer(200, HTML, STRICTEST, BodyExt::boxed_unsync(StreamBody::new(frames)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_address_of_the_live_page_can_be_opened() {
        for (listener, printed) in [
            ("0.0.0.0:5665", "127.0.0.1:5665"),
            ("[::]:5665", "[::1]:5665"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("192.0.2.7:80", "192.0.2.7:80"),
        ] {
            assert_eq!(reachable(listener.parse().unwrap()).to_string(), printed);
        }
    }
}
