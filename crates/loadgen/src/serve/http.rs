//! An HTTP/1.1 listener with limits on the number of connections, on the time for the head of a request, and on the time in
//! which a client reads nothing of its answer. These also bound its memory.
//!
//! It uses hyper without a framework, so that all limits are in one place. hyper ignores offers to upgrade the connection, as
//! RFC 9110 permits (section 7.8). What does not belong here: the content of answers.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    io,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Sleep,
};

/// The most connections of one listener. A browser opens up to six, Prometheus one.
pub(super) const MOST_CONNECTIONS: usize = 32;

/// The limits of a listener and of its connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The most connections of the listener; further ones are closed at once.
    connections: usize,
    /// How long a request's head may take, and how long a connection may be idle.
    head: Duration,
    /// How long a client may leave an answer unread.
    write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let (head, write) = (Duration::from_secs(10), Duration::from_secs(10));
        Self { connections: MOST_CONNECTIONS, head, write }
    }
}

/// The largest head of a request, and the most bytes of an answer that are buffered until the client reads them.
const LARGEST_BUFFER: usize = 64 << 10;

/// How long the listener waits if it cannot accept a connection, for example because there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long the end of a run waits for a client that does not read the rest of its answer.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The content security policy of answers that are not pages: they load nothing, and no page may frame them.
pub(super) const STRICTEST: &str = "default-src 'none'; frame-ancestors 'none'";

/// Returns an answer of this status, media type and text.
pub(super) fn text(status: u16, media_type: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    answer(status, media_type, STRICTEST, Full::new(text.into()).boxed_unsync())
}

/// Returns an answer with headers against type sniffing, framing, caching and referrers.
pub(super) fn answer(status: u16, media_type: &'static str, policy: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status.try_into().unwrap_or_default();
    let fixed: [(HeaderName, &'static str); 5] = [
        (hyper::header::CONTENT_TYPE, media_type),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::try_from(policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Serves `listener` until `stop` changes, then lets answers in progress end for a second.
pub(super) async fn serve<A, F>(
    listener: TcpListener,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
    answer: A,
) where
    A: Fn(Request<Incoming>) -> F + 'static,
    F: Future<Output = Response<Body>> + 'static,
{
    let answer = Rc::new(answer);
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stop.changed() => break,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (answer, stop) = (Rc::clone(&answer), stop.clone());
        connections.spawn_local(async move {
            let service = service_fn(|request| {
                let answered = answer(request);
                async { Ok::<_, Infallible>(answered.await) }
            });
            exchange(stream, limits, service, stop).await;
            drop(place);
        });
    }
    let ended = async { while connections.join_next().await.is_some() {} };
    // Connections that have not ended by then are closed.
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, ended).await;
}

/// Answers the requests of one connection. Errors are not reported, because they only affect the client.
async fn exchange<S>(stream: TcpStream, limits: Limits, service: S, mut stop: watch::Receiver<bool>)
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(LARGEST_BUFFER);
    let connection =
        http.serve_connection(TokioIo::new(Timed { stream, timeout: limits.write, stalled: None }), service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// A connection that fails if its client reads nothing for this long.
struct Timed {
    stream: TcpStream,
    timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    /// Returns the result of a write, or an error if the client has read nothing for too long.
    fn limit(&mut self, written: Poll<io::Result<usize>>, context: &mut Context) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timeout = self.timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context,
        buffer: &mut ReadBuf,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limit(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context,
        slices: &[io::IoSlice],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.limit(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use std::{
        io::{Read, Write},
        net::SocketAddr,
        sync::atomic::{AtomicUsize, Ordering},
        thread,
        time::Instant,
    };
    use tokio::task::LocalSet;

    const DEADLINE: Duration = Duration::from_secs(60);
    const CHUNK: usize = 256 << 10;
    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    /// The progress of a server's endless answers.
    #[derive(Default)]
    struct Progress {
        chunks: AtomicUsize,
        given_up: AtomicUsize,
    }

    struct Endless(Arc<Progress>);

    impl Drop for Endless {
        fn drop(&mut self) {
            self.0.given_up.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Returns a server with these limits; its answer to `/endless` never ends.
    fn start(limits: Limits) -> (SocketAddr, Arc<Progress>) {
        let progress = Arc::new(Progress::default());
        let shared = Arc::clone(&progress);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                let listener = TcpListener::from_std(listener).unwrap();
                let (_stop, stopped) = watch::channel(false);
                let answer = move |request: Request<Incoming>| {
                    if request.uri().path() != "/endless" {
                        return std::future::ready(text(200, "text/plain", "done"));
                    }
                    let chunks = stream::repeat(Bytes::from(vec![b'x'; CHUNK]));
                    let endless = Endless(Arc::clone(&shared));
                    let chunks = chunks.map(move |chunk| {
                        endless.0.chunks.fetch_add(1, Ordering::SeqCst);
                        Ok(Frame::data(chunk))
                    });
                    let body = BodyExt::boxed_unsync(StreamBody::new(chunks));
                    std::future::ready(super::answer(200, "text/plain", STRICTEST, body))
                };
                serve(listener, limits, stopped, answer).await;
            });
        });
        (address, progress)
    }

    fn client(address: SocketAddr) -> std::net::TcpStream {
        let client = std::net::TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client
    }

    /// Returns the first bytes that arrive, or nothing if the connection is closed.
    fn first(client: &mut std::net::TcpStream) -> String {
        let mut bytes = [0; 1024];
        match client.read(&mut bytes) {
            Ok(count) => String::from_utf8_lossy(&bytes[..count]).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => String::new(),
            Err(error) => panic!("{error}"),
        }
    }

    fn wait_until(what: &str, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < DEADLINE, "not within the time limit: {what}");
            thread::yield_now();
        }
    }

    #[test]
    fn a_connection_with_an_incomplete_head_is_closed() {
        let (address, _) = start(Limits { head: Duration::from_millis(100), ..Limits::default() });
        for head in [&b""[..], b"GET / HTTP/1.1\r\nHost: x\r\nA: "] {
            let mut client = client(address);
            client.write_all(head).unwrap();
            assert_eq!(first(&mut client), "");
        }
        // The connection is idle after an answer.
        let mut client = client(address);
        client.write_all(GET).unwrap();
        assert!(first(&mut client).starts_with("HTTP/1.1 200"));
        assert_eq!(first(&mut client), "");
    }

    #[test]
    fn the_connection_of_a_client_that_does_not_read_is_closed_with_bounded_memory() {
        let (address, progress) = start(Limits { write: Duration::from_millis(100), ..Limits::default() });
        let mut clients = [client(address), client(address)];
        for client in &mut clients {
            client.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        }
        wait_until("the answers are given up", || progress.given_up.load(Ordering::SeqCst) == 2);
        // The buffers of the operating system are included in this count.
        let drawn = progress.chunks.load(Ordering::SeqCst) * CHUNK;
        assert!(drawn < 64 << 20, "{drawn} bytes");
    }

    #[test]
    fn connections_are_limited_and_a_closed_one_makes_room_for_another() {
        let (address, _) = start(Limits { connections: 2, ..Limits::default() });
        let mut held = [client(address), client(address)];
        for client in &mut held {
            client.write_all(GET).unwrap();
            assert!(first(client).starts_with("HTTP/1.1 200"));
        }
        let mut third = client(address);
        // The connection may be closed before these bytes arrive.
        let _ = third.write_all(GET);
        assert_eq!(first(&mut third), "");
        drop(held);
        wait_until("there is room", || {
            let mut client = client(address);
            client.write_all(GET).is_ok() && first(&mut client).starts_with("HTTP/1.1 200")
        });
    }

    #[test]
    fn a_request_that_offers_an_upgrade_is_answered_and_the_connection_stays_open() {
        let (address, _) = start(Limits::default());
        let mut client = client(address);
        for offer in [
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
            "Connection: upgrade",
            "Connection: keep-alive, upgrade\r\nUpgrade: websocket",
            "Upgrade: TLS/1.2",
            "Accept: */*",
        ] {
            write!(client, "GET / HTTP/1.1\r\nHost: x\r\n{offer}\r\n\r\n").unwrap();
            let mut answer = String::new();
            while !answer.ends_with("done") {
                let more = first(&mut client);
                assert!(!more.is_empty(), "closed after {offer}: {answer}");
                answer += &more;
            }
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(!answer.to_lowercase().contains("upgrade"), "{answer}");
        }
    }
}
