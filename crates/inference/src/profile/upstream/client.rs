//! Sends requests to a model server, one after the other, over a connection that stays open.

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Request, Uri,
    client::conn::http1::{SendRequest, handshake},
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER},
};
use hyper_util::rt::TokioIo;
use rustls::{CertificateError, ClientConfig, RootCertStore, pki_types::ServerName};
use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::Runtime,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;

/// The environment variable with a bearer token for the server.
const TOKEN: &str = "INFERENCE_UPSTREAM_TOKEN";

/// The most bytes of an answer that are read.
const LARGEST_ANSWER: usize = 64 << 20;

/// How often a request is sent that the server refuses as overloaded, and the longest wait before it is sent again. Such a request was
/// not processed, so repeating it is safe.
const ATTEMPTS: usize = 5;
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The address of a server, without the credentials for it.
#[derive(Clone)]
pub(super) struct Address {
    is_https: bool,
    host: String,
    port: u16,
    /// The path before those of the protocols, without a slash at its end.
    path: String,
    authorization: Option<HeaderValue>,
}

/// An answer of a server.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The server closed the connection instead of answering, as simple servers do if they fail on a request.
#[derive(Debug)]
pub(super) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server closed the connection without an answer")
    }
}

impl Error for Closed {}

/// A connection to a server.
pub(super) struct Client {
    address: Address,
    timeout: Duration,
    runtime: Arc<Runtime>,
    tls: Option<TlsConnector>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Address {
    /// Reads an address. Its `user:password@`, or the token in the environment, becomes a header.
    ///
    /// # Errors
    /// Returns an error without the credentials if it is not an address.
    pub(super) fn new(url: &str) -> Result<Self> {
        let bare = match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
            _ => url.to_owned(),
        };
        let uri: Uri =
            url.parse().map_err(|error| anyhow!("{bare}: {error}; write it like http://127.0.0.1:8080"))?;
        let is_https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => bail!("{bare}: must begin with http:// or https://"),
        };
        let authority = uri.authority().with_context(|| format!("{bare}: has no host"))?;
        let (basic, _) = authority.as_str().rsplit_once('@').unwrap_or_default();
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        ensure!(
            basic.is_empty() || token.is_none(),
            "{bare} has a user name, and environment variable {TOKEN} has a token; remove one of them"
        );
        let header = match token {
            Some(token) => Some(format!("Bearer {token}")),
            None if basic.is_empty() => None,
            None => Some(format!("Basic {}", BASE64_STANDARD.encode(percent_decoded(basic)))),
        };
        let authorization = header
            .map(|header| {
                let mut value = HeaderValue::try_from(header).map_err(|_| {
                    anyhow!("{bare}: the credentials have a character that is invalid in a header")
                })?;
                value.set_sensitive(true);
                anyhow::Ok(value)
            })
            .transpose()?;
        Ok(Self {
            is_https,
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
            path: uri.path().trim_end_matches('/').to_owned(),
            authorization,
        })
    }

    /// Returns the path of a request to this server.
    pub(super) fn below(&self, path: &str) -> String {
        format!("{}/{}", self.path, path.trim_start_matches('/'))
    }
}

/// Writes the address without credentials.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

impl Client {
    /// Creates a client without connecting. Each request, with its answer, may take as long as `timeout`.
    ///
    /// # Errors
    /// Returns an error if https is needed and the machine has no certificate authority to trust.
    pub(super) fn new(address: Address, timeout: Duration) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tls = address.is_https.then(tls).transpose()?;
        Ok(Self { address, timeout, runtime: Arc::new(runtime), tls, connection: None })
    }

    /// Closes the connection, so that the next request is sent over a new one.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Requests a path.
    ///
    /// # Errors
    /// Returns an error if there is no complete answer in time.
    pub(super) fn get(&mut self, path: &str) -> Result<Answer> {
        self.exchange("GET", path, Bytes::new())
    }

    /// Sends JSON to a path. If the server is overloaded, the request is sent again.
    ///
    /// # Errors
    /// Returns an error if there is no complete answer in time.
    pub(super) fn post(&mut self, path: &str, json: Vec<u8>) -> Result<Answer> {
        self.exchange("POST", path, json.into())
    }

    fn exchange(&mut self, method: &str, path: &str, body: Bytes) -> Result<Answer> {
        for attempt in 1.. {
            let limit = self.timeout;
            let runtime = Arc::clone(&self.runtime);
            let answer = runtime.block_on(async {
                timeout(limit, self.once(method, path, body.clone())).await.unwrap_or_else(|_| {
                    Err(anyhow!(
                        "no complete answer within {} (--upstream-timeout)",
                        humantime::format_duration(limit)
                    ))
                })
            });
            if answer.is_err() {
                self.connection = None;
            }
            let answer = answer?;
            if !matches!(answer.status, 429 | 503) || attempt == ATTEMPTS {
                return Ok(answer);
            }
            let seconds =
                answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            let wait = Duration::from_secs(seconds.unwrap_or(1)).min(LONGEST_WAIT);
            self.runtime.block_on(sleep(wait));
        }
        unreachable!("the last attempt returns")
    }

    async fn once(&mut self, method: &str, path: &str, body: Bytes) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).body(Full::new(body))?;
        let host = format!("{}:{}", self.address.host, self.address.port);
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::try_from(host)?);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if method == "POST" {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(authorization) = &self.address.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let response = loop {
            let kept = self.connection.take();
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(kept) => kept,
                None => self.connect().await?,
            };
            if connection.ready().await.is_err() && is_kept {
                continue;
            }
            match connection.try_send_request(request).await {
                Ok(response) => {
                    self.connection = Some(connection);
                    break response;
                }
                Err(mut error) => match error.take_message() {
                    // The server had closed the idle connection before a byte was sent, so the request is sent only once.
                    Some(unsent) if is_kept => request = unsent,
                    _ => return Err(plain(error.into_error())),
                },
            }
        };
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|error| {
            anyhow!("the answer has status {}, but its body cannot be read: {error}", parts.status.as_u16())
        })?;
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes() })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let host = self.address.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, self.address.port))
            .await
            .map_err(|error| anyhow!("cannot connect: {error}; is the server running?"))?;
        // A failure costs only latency.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return open(stream).await };
        let name = ServerName::try_from(host.to_owned())
            .with_context(|| format!("{host} is not a name that a certificate can be issued for"))?;
        open(tls.connect(name, stream).await.map_err(|error| insecure(&error))?).await
    }
}

async fn open(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(plain)?;
    // The task ends with the connection; its error is that of the request.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// Returns a hyper error with its innermost cause, which hyper's own message leaves out.
fn plain(error: hyper::Error) -> anyhow::Error {
    if error.is_parse() {
        return anyhow!("the answer is not HTTP; if the server uses TLS, give an https:// address");
    }
    if error.is_incomplete_message() || error.is_canceled() || is_disconnect(&error) {
        return Closed.into();
    }
    anyhow::Error::from(error).context("the request failed")
}

/// Returns whether the server closed the connection: with TCP's RST, or with TLS but without its closing message.
fn is_disconnect(error: &hyper::Error) -> bool {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|cause| {
        matches!(
            cause.kind(),
            ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof
        )
    })
}

/// Returns why a secure connection failed, with a remedy.
fn insecure(error: &std::io::Error) -> anyhow::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) => {
            anyhow!("the server does not speak TLS; if it uses plain HTTP, give an http:// address")
        }
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => anyhow!(
            "its certificate is signed by an unknown authority; name the file with the authority's certificate (PEM) in the environment \
             variable SSL_CERT_FILE"
        ),
        Some(rustls::Error::InvalidCertificate(problem)) => anyhow!("its certificate is invalid: {problem}"),
        _ => anyhow!("no secure connection: {error}; if the server uses plain HTTP, give an http:// address"),
    }
}

/// Returns the connector. It trusts the authorities in the file of `SSL_CERT_FILE`, or else those of the system.
fn tls() -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    let reasons: String = found.errors.iter().map(|error| format!(" ({error})")).collect();
    ensure!(
        !roots.is_empty(),
        "https:// needs a certificate authority to trust, and there is none{reasons}; install package ca-certificates, or name a file \
         with one (PEM) in the environment variable SSL_CERT_FILE"
    );
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Decodes `%40` and the like, which stand for special characters in a password.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match hex.filter(|_| byte == b'%') {
            Some(own) => {
                decoded.push(own);
                rest = &after[2..];
            }
            None => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    decoded
}
