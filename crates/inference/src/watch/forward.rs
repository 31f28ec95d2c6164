//! Passes one request on to the upstream and its answer back.

use super::{
    OpenConnection, Shared,
    exchange::{Exchange, Prediction},
    headers::{self, BodyHeaders},
    relay::{self, Relay},
    target::Target,
    tunnel,
    upstream::{Connections, Lease},
};
use crate::{
    faults::{self, Faults},
    metrics::{MethodLabel, WatchOutcome},
    reason::Reason,
    receipt::Predicted,
    refusal::Refusal,
    route::Route,
};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, Version,
    body::{Body, Bytes, Incoming},
    header::{
        CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
    },
};
use hyper_util::rt::TokioIo;
use std::{cell::RefCell, fmt::Write, io, rc::Rc, sync::Arc, time::SystemTime};
use tokio::{task::spawn_local, time::sleep};

/// The largest body that is read before it is passed on, in bytes. Most requests for predictions and their answers are smaller. They
/// usually arrive together with their head, so this does not delay them.
const SMALL: u64 = 16 << 10;

/// The header with the prediction ids of an answer, separated by commas, one per row.
const PREDICTION_ID: HeaderName = HeaderName::from_static("x-prediction-id");

/// What the connections of one worker share.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) connections: Rc<Connections>,
}

/// An answer of the watcher's own.
struct Refused {
    refusal: Refusal,
    status: u16,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { status: refusal.reason.status().as_u16(), refusal }
    }
}

/// A request on its way.
struct Passing {
    exchange: Box<Exchange>,
    target: Option<Target>,
}

impl Worker {
    /// Returns the answer of the upstream, or a refusal of the watcher's own.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Relay> {
        let method = MethodLabel::of(request.method().as_str());
        let is_post = request.method() == Method::POST;
        let target = is_post.then(|| self.shared.targets.find(request.uri().path())).flatten();
        let route = target.map_or(Route::Unmatched, |target| target.route);
        let mut passing = Passing { exchange: Exchange::new(&self.shared, route, method), target };
        match self.pass(request, &mut passing).await {
            Ok((response, lease)) => response.map(|body| body.ending(passing.exchange, lease)),
            Err(refused) => {
                let refusal = &refused.refusal;
                self.shared.state.metrics.rejected(refusal.reason);
                if let Some(Target { model: Some(model), .. }) = target {
                    // Counted here, as nothing can be observed of it.
                    passing.exchange.observes_nothing();
                    self.shared.outcome(model, outcome_of(refusal.reason));
                }
                tracing::debug!(reason = refusal.reason.code(), message = refusal.message, "not passed on");
                self.shared.notices.not_passed_on(refusal, self.connections.authority());
                refused.answer(passing.exchange)
            }
        }
    }

    async fn pass(
        &self,
        mut request: Request<Incoming>,
        passing: &mut Passing,
    ) -> Result<(Response<Relay>, Option<Lease>), Refused> {
        // The model of a prediction that can be observed.
        let observed = passing.target.and_then(|target| Some((target, target.model?)));
        if passing.target.is_some() && observed.is_none() {
            self.shared.unknown_model.increment(1);
            self.shared.notices.unknown_model(request.uri().path());
        }
        // A path that may be one for predictions, although it is not known as such.
        let may_predict = self.shared.notices.names_other_paths()
            && request.method() == Method::POST
            && passing.target.is_none()
            && request.headers().get(CONTENT_TYPE).is_none_or(|_| headers::is_json(request.headers()));
        let path = may_predict.then(|| request.uri().path().to_owned());
        let copy = || Rc::new(RefCell::new(self.shared.new_copy()));
        let copies = observed.map(|_| (copy(), copy()));
        if let Some(((target, model), (request_copy, answer))) = observed.zip(copies.clone()) {
            // From here on it is counted in one outcome, also if the client closes the connection.
            passing.exchange.observes(Prediction {
                model,
                protocol: target.protocol,
                request: request_copy,
                request_headers: BodyHeaders::of(request.headers()),
                answer,
                answer_headers: BodyHeaders::default(),
                outputs: None,
            });
        }
        if request.method() == Method::CONNECT {
            let message =
                "the watcher does not support CONNECT; send requests to the model server's own paths";
            return Err(Refusal::new(Reason::MethodNotAllowed, message).into());
        }
        self.inject_faults(request.headers()).await?;
        if let Some(coding) = headers::unknown_coding(request.headers()) {
            let message = format!("expected no transfer coding other than chunked, got {coding}");
            return Err(Refusal::new(Reason::UnsupportedEncoding, message).into());
        }
        let upgrade = headers::upgrade(request.headers());
        let client = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
        let (parts, body) = self.to_upstream(request, upgrade)?;
        let limit = self.shared.upstream_timeout;
        // A prediction changes nothing at the server, so it can be repeated like a request of a safe method.
        let is_repeatable = passing.target.is_some() || parts.method.is_safe();
        let is_small = is_repeatable
            && body.size_hint().exact().is_some_and(|size| size <= SMALL)
            && !parts.headers.contains_key(EXPECT);
        let (body, whole) = if is_small {
            let whole = relay::read(body, limit).await.map_err(|error| relay::unread(&error))?;
            if let Some((copy, _)) = &copies {
                copy.borrow_mut().add(&whole);
            }
            (Relay::whole(whole.clone()), Some(whole))
        } else {
            if let Some(((copy, _), length)) = copies.as_ref().zip(body.size_hint().exact()) {
                copy.borrow_mut().expect(length);
            }
            let body = Relay::arriving(body, limit);
            (copies.iter().fold(body, |body, (copy, _)| body.copied(Rc::clone(copy))), None)
        };
        let again = whole.map(|whole| {
            let parts = parts.clone();
            move || Request::from_parts(parts.clone(), Relay::whole(whole.clone()))
        });
        let request = Request::from_parts(parts, body);
        let (mut response, lease) = self.connections.send(request, again).await?;

        let status = response.status();
        passing.exchange.answers(status.as_u16());
        if let Some(path) = path.filter(|_| status.is_success() && headers::is_json(response.headers())) {
            self.shared.notices.other_path(&path);
        }
        // The version of this connection, not of that to the upstream (RFC 9112, section 2.3).
        *response.version_mut() = Version::HTTP_11;
        if let Some(coding) = headers::unknown_coding(response.headers()) {
            let message = format!("the model server's answer has the transfer coding {coding}");
            return Err(Refusal::new(Reason::UpstreamBroken, message).into());
        }
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok((self.switch(response, client), None));
        }
        let answer_headers = BodyHeaders::of(response.headers());
        headers::remove_those_of_the_connection(response.headers_mut(), None);
        if !self.shared.state.is_ready() {
            // The client then opens another connection for its next request, which may reach another replica.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let Some((_, answer)) = copies else {
            return Ok((response.map(|body| Relay::arriving(body, limit)), Some(lease)));
        };
        if let Some(prediction) = passing.exchange.prediction() {
            prediction.answer_headers = answer_headers;
        }
        self.answered(response, lease, passing, answer).await
    }

    /// Passes on the answer to a request for predictions.
    async fn answered(
        &self,
        response: Response<Incoming>,
        lease: Lease,
        passing: &mut Passing,
        copy: relay::SharedCopy,
    ) -> Result<(Response<Relay>, Option<Lease>), Refused> {
        let limit = self.shared.upstream_timeout;
        let size = response.body().size_hint().exact();
        let may_be_small = match size {
            Some(size) => size <= SMALL,
            // A client can parse JSON only when it is complete, unlike a stream of events.
            None => headers::is_json(response.headers()),
        };
        if !may_be_small || !response.status().is_success() || self.shared.prediction_ids == 0 {
            if let Some(prediction) = passing.exchange.prediction() {
                prediction.expect_answer(size);
            }
            return Ok((response.map(|body| Relay::arriving(body, limit).copied(copy)), Some(lease)));
        }
        let (mut parts, body) = response.into_parts();
        let broke_off = |error: io::Error| {
            let reason = match error.kind() {
                io::ErrorKind::TimedOut => Reason::UpstreamTimeout,
                _ => Reason::UpstreamBroken,
            };
            Refusal::new(reason, format!("the model server's answer broke off: {error}"))
        };
        let (whole, body) = if size.is_some() {
            let whole = relay::read(body, limit).await.map_err(broke_off)?;
            (whole.clone(), Relay::whole(whole))
        } else {
            match relay::read_small(body, limit, SMALL as usize).await.map_err(broke_off)? {
                (Some(whole), body) => (whole, body),
                (None, body) => {
                    if let Some(prediction) = passing.exchange.prediction() {
                        prediction.expect_answer(None);
                    }
                    return Ok((Response::from_parts(parts, body.copied(copy)), Some(lease)));
                }
            }
        };
        copy.borrow_mut().add(&whole);
        if let Some(prediction) = passing.exchange.prediction() {
            let outputs = self.shared.read_answer(prediction, &whole);
            // Many outputs take more memory than their text, so they are read again by the observer.
            prediction.outputs = outputs
                .filter(|own| own.len() <= self.shared.prediction_ids && copy.borrow().bytes().is_ok());
            if let Some(ids) = self.prediction_ids(prediction)
                && !parts.headers.contains_key(PREDICTION_ID)
            {
                parts.headers.insert(PREDICTION_ID, ids);
            }
        }
        Ok((Response::from_parts(parts, body), Some(lease)))
    }

    /// Returns the prediction ids of an answer, if it could be read and has few rows.
    fn prediction_ids(&self, prediction: &Prediction) -> Option<HeaderValue> {
        let outputs = prediction.outputs.as_ref()?;
        if outputs.is_empty() {
            return None;
        }
        let (now, version) = (SystemTime::now(), self.shared.models[prediction.model].version);
        let mut ids = String::new();
        for output in outputs {
            let id = self.shared.state.receipts.issue(now, Predicted::from(output), version);
            let separator = if ids.is_empty() { "" } else { "," };
            // Writing to a string cannot fail.
            let _ = write!(ids, "{separator}{}", &*id);
        }
        HeaderValue::try_from(ids).ok()
    }

    async fn inject_faults(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let shared = &self.shared;
        let header = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
        let faults = Faults::from_headers(header, shared.state.allow_fault_injection, &shared.state.metrics)?;
        if let Some(delay) = faults.delay {
            if delay > shared.upstream_timeout {
                sleep(shared.upstream_timeout).await;
                let message = "the injected delay exceeds the time limit of the upstream";
                return Err(Refusal::new(Reason::TooSlow, message).into());
            }
            sleep(delay).await;
        }
        match faults.abort {
            Some(status) => Err(Refused { refusal: faults::injected(), status: status.as_u16() }),
            None => Ok(()),
        }
    }

    /// Returns the request as it is sent to the upstream.
    fn to_upstream(
        &self,
        request: Request<Incoming>,
        upgrade: Option<HeaderValue>,
    ) -> Result<(hyper::http::request::Parts, Incoming), Refusal> {
        let (mut parts, body) = request.into_parts();
        headers::remove_those_of_the_connection(&mut parts.headers, upgrade);
        // A request target with an authority becomes one without, and its authority the host (RFC 9112, section 3.2.2).
        if let Some(authority) = parts.uri.authority() {
            let host = HeaderValue::try_from(authority.as_str());
            parts.headers.insert(HOST, host.map_err(Refusal::internal)?);
            let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
            // The path may be empty, also before a query.
            let slash = if path.starts_with('/') { "" } else { "/" };
            parts.uri = format!("{slash}{path}").parse::<Uri>().map_err(Refusal::internal)?;
        }
        parts.headers.entry(HOST).or_insert_with(|| self.shared.upstream_host.clone());
        // The length of other bodies is in a header, or they have none.
        if !body.is_end_stream() && body.size_hint().exact().is_none() {
            parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        parts.version = Version::HTTP_11;
        Ok((parts, body))
    }

    /// Connects both sides after an upgrade, which HTTP has no part in.
    fn switch(
        &self,
        mut response: Response<Incoming>,
        client: Option<hyper::upgrade::OnUpgrade>,
    ) -> Response<Relay> {
        let upstream = hyper::upgrade::on(&mut response);
        let protocol = headers::upgrade(response.headers());
        headers::remove_those_of_the_connection(response.headers_mut(), protocol);
        if let Some(client) = client {
            // The listener stops counting the client's connection at an upgrade, so it is counted here.
            let (open, idle) = (OpenConnection::new(&self.shared), self.shared.tunnel_idle);
            spawn_local(async move {
                let _open = open;
                let (Ok(client), Ok(upstream)) = (client.await, upstream.await) else { return };
                // Either side may close the connection at any time.
                if let Err(error) = tunnel::connect(TokioIo::new(client), TokioIo::new(upstream), idle).await
                {
                    tracing::debug!(%error, "an upgraded connection ended");
                }
            });
        }
        response.map(|_| Relay::whole(Bytes::new()))
    }
}

/// Returns how a prediction that was not answered by the upstream is counted.
fn outcome_of(reason: Reason) -> WatchOutcome {
    match reason {
        Reason::BodyUnreadable | Reason::BodyTimeout => WatchOutcome::Aborted,
        Reason::FaultInjected | Reason::TooSlow | Reason::BadFaultHeader => WatchOutcome::FaultInjected,
        _ => WatchOutcome::UpstreamError,
    }
}

impl Refused {
    /// Returns the answer. The code in its body tells it from an answer of the upstream.
    fn answer(self, mut exchange: Box<Exchange>) -> Response<Relay> {
        exchange.answers(self.status);
        let route = exchange.route();
        let body =
            Bytes::from(if route.is_oip() { self.refusal.to_text_json() } else { self.refusal.to_json() });
        let length = HeaderValue::from(body.len());
        let mut response = Response::new(Relay::whole(body).ending(exchange, None));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, length);
        if matches!(self.refusal.reason, Reason::BodyUnreadable | Reason::BodyTimeout) {
            // The rest of the body is not read.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
