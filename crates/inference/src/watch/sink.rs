//! Rows and predictions that are sent to the watcher instead of through it: `POST /observe`, and the events of KServe's logger.
//!
//! The logger sends a request and its answer as two [CloudEvents](https://github.com/cloudevents/spec) in binary mode, which have the
//! same id. The half that comes first waits for the other one.

use super::{Shared, WatchSettings, copy::Copy, headers::BodyHeaders, observer::Observation};
use crate::{
    api::{ApiError, body},
    foreign::Protocol,
    metrics::WatchOutcome,
    reason::Reason,
    receipt::FeedbackGiven,
    refusal::Refusal,
};
use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long the first half of an event waits for the second one.
const WAIT: Duration = Duration::from_secs(60);

/// The greatest number of halves that wait.
const MOST_WAITING: usize = 20_000;

/// The types of KServe's events.
const REQUEST: &str = "org.kubeflow.serving.inference.request";
const RESPONSE: &str = "org.kubeflow.serving.inference.response";

/// What the routes for sent rows share.
pub(super) struct Sink {
    shared: Arc<Shared>,
    protocol: Option<Protocol>,
    waiting: Mutex<Waiting>,
    /// The ids that were observed.
    observed: FeedbackGiven,
}

/// The halves that wait for the other one, by a hash of the model and the id, which may be long.
#[derive(Default)]
struct Waiting {
    halves: HashMap<u64, Half>,
    /// In the order of arrival. Keys whose other half came may still be listed.
    arrivals: VecDeque<(Instant, u64)>,
}

struct Half {
    model: usize,
    is_request: bool,
    body: Copy,
    headers: BodyHeaders,
    arrived: Instant,
}

impl Sink {
    pub(super) fn new(shared: &Arc<Shared>, settings: &WatchSettings) -> Self {
        Self {
            shared: Arc::clone(shared),
            protocol: settings.protocol,
            waiting: Mutex::default(),
            observed: FeedbackGiven::default(),
        }
    }

    /// Adds one half, and observes the prediction if the other half is there.
    fn add(&self, key: u64, half: Half) {
        let mut waiting = self.waiting();
        waiting.drop_late(half.arrived, &self.shared);
        let other = match waiting.halves.remove(&key) {
            Some(other) if other.is_request != half.is_request => other,
            former => {
                match former {
                    // The sender repeats an event that it did not get an answer to.
                    Some(former)
                        if former.body.bytes().is_ok() && former.body.bytes() == half.body.bytes() =>
                    {
                        waiting.halves.insert(key, former);
                        return;
                    }
                    // The id does not tell the requests apart.
                    Some(former) => self.shared.outcome(former.model, WatchOutcome::Unpaired),
                    None => {}
                }
                if waiting.halves.len() >= MOST_WAITING {
                    waiting.drop_oldest(&self.shared);
                }
                waiting.arrivals.push_back((half.arrived, key));
                waiting.halves.insert(key, half);
                return;
            }
        };
        drop(waiting);
        let (request, answer) = if half.is_request { (half, other) } else { (other, half) };
        let protocol = self.protocol.or_else(|| request.body.bytes().ok().and_then(protocol_of));
        self.shared.observe(Observation {
            model: request.model,
            // A body in none of the protocols is reported as one that cannot be read.
            protocol: protocol.unwrap_or(Protocol::OipV2),
            status: 200,
            request: request.body,
            request_headers: request.headers,
            answer: answer.body,
            answer_headers: answer.headers,
            outputs: None,
        });
    }
}

impl Sink {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the halves that waited too long. Must be called from time to time, also if no events arrive.
    pub(super) fn tidy(&self) {
        self.waiting().drop_late(Instant::now(), &self.shared);
    }
}

impl Waiting {
    /// Counts the halves that waited too long.
    fn drop_late(&mut self, now: Instant, shared: &Shared) {
        loop {
            match self.arrivals.front() {
                Some((arrived, key)) if !self.waits(*arrived, *key) => drop(self.arrivals.pop_front()),
                Some((arrived, _)) if now.saturating_duration_since(*arrived) > WAIT => {
                    self.drop_oldest(shared)
                }
                _ => return,
            }
        }
    }

    fn drop_oldest(&mut self, shared: &Shared) {
        while let Some((arrived, key)) = self.arrivals.pop_front() {
            if self.waits(arrived, key)
                && let Some(half) = self.halves.remove(&key)
            {
                return shared.outcome(half.model, WatchOutcome::Unpaired);
            }
        }
    }

    /// Returns whether the half that arrived then still waits, and not a later one with the same id.
    fn waits(&self, arrived: Instant, key: u64) -> bool {
        self.halves.get(&key).is_some_and(|half| half.arrived == arrived)
    }
}

/// Returns the hash of a model's position and an id.
fn hash(model: usize, id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (model, id).hash(&mut hasher);
    hasher.finish()
}

/// Returns the protocol of a request by the fields of its body.
fn protocol_of(body: &[u8]) -> Option<Protocol> {
    let fields: HashMap<String, &RawValue> = serde_json::from_slice(body).ok()?;
    let has = |name: &str| fields.contains_key(name);
    let is_list = |name: &str| fields.get(name).is_some_and(|value| value.get().starts_with('['));
    if has("dataframe_split") || has("dataframe_records") {
        Some(Protocol::Mlflow)
    } else if is_list("inputs") {
        Some(Protocol::OipV2)
    } else if has("instances") || has("inputs") {
        Some(Protocol::V1)
    } else {
        has("features").then_some(Protocol::Native)
    }
}

/// Handles an event of KServe's logger.
pub(super) async fn cloud_event(
    request: HttpRequest,
    payload: web::Payload,
    sink: web::Data<Sink>,
) -> Result<HttpResponse, ApiError> {
    let text = |name: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.map(str::trim).filter(|value| !value.is_empty())
    };
    let missing = |name: &'static str| {
        let message = format!(
            "expected a CloudEvent in binary mode, whose headers include {name}; KServe's logger sends it with the url of this \
             listener as its logger.url"
        );
        Refusal::new(Reason::MissingField, message).at(name)
    };
    let kind = text("ce-type").ok_or_else(|| missing("ce-type"))?;
    let id = text("ce-id").ok_or_else(|| missing("ce-id"))?.to_owned();
    let is_request = match kind {
        REQUEST => true,
        RESPONSE => false,
        other => {
            let message = format!("expected an event of type {REQUEST} or {RESPONSE}, got {other:?}");
            return Err(Refusal::new(Reason::WrongType, message).at("ce-type").into());
        }
    };
    let name = text("ce-inferenceservicename");
    let shared = &sink.shared;
    let Some(model) = shared.targets.model(name) else {
        shared.unknown_model.increment(1);
        let message = format!(
            "no profile matches the model {:?}; give one with --profile MODEL=FILE",
            name.unwrap_or_default()
        );
        return Err(Refusal::new(Reason::UnknownModel, message).at("ce-inferenceservicename").into());
    };
    let headers = BodyHeaders {
        content_type: text(header::CONTENT_TYPE.as_str()).map(str::to_owned),
        content_encoding: None,
        json_length: text(crate::rows::tensors::HEADER_LENGTH).and_then(|length| length.parse().ok()),
    };
    let body = body::receive(&request, payload, &shared.state).await;
    let body = body.inspect_err(|refusal| {
        let is_large = refusal.reason == Reason::BodyTooLarge;
        shared.outcome(model, if is_large { WatchOutcome::TooLarge } else { WatchOutcome::Aborted });
    })?;
    let mut copy = shared.new_copy();
    copy.add(&body);
    sink.add(hash(model, &id), Half { model, is_request, body: copy, headers, arrived: Instant::now() });
    Ok(HttpResponse::Accepted().finish())
}

/// The body of `POST /observe`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent<'a> {
    /// The name of the model as in --profile MODEL=FILE; needed if there are several.
    model: Option<String>,
    /// An id of the sender's. If the same id is sent again, it is not counted again.
    id: Option<String>,
    /// One row.
    #[serde(borrow)]
    features: Option<&'a RawValue>,
    /// Many rows.
    instances: Option<&'a RawValue>,
    /// The output for each row.
    predictions: &'a RawValue,
}

/// Handles rows and predictions that the sender observed itself.
pub(super) async fn observe(
    request: HttpRequest,
    payload: web::Payload,
    sink: web::Data<Sink>,
) -> Result<HttpResponse, ApiError> {
    let body = body::read(&request, payload, &sink.shared.state).await?;
    let counted = web::block(move || sink.count(&body)).await.map_err(Refusal::internal)?;
    let rows = counted?;
    Ok(HttpResponse::Accepted().json(serde_json::json!({ "observed": rows })))
}

impl Sink {
    /// Counts rows and predictions. Returns the number of rows; 0 if their id was counted before.
    fn count(&self, body: &[u8]) -> Result<usize, Refusal> {
        let sent: Sent<'_> = serde_json::from_slice(body).map_err(|error| {
            let message = format!(
                "expected {{\"instances\": [rows], \"predictions\": [outputs]}}, and optionally \"model\" and \"id\": {error}"
            );
            Refusal::new(Reason::MalformedJson, message)
        })?;
        let shared = &self.shared;
        let Some(at) = shared.targets.model(sent.model.as_deref()) else {
            shared.unknown_model.increment(1);
            let message = "no profile matches the model; name one of those given with --profile MODEL=FILE";
            return Err(Refusal::new(Reason::UnknownModel, message).at("model"));
        };
        let model = &shared.models[at];
        let counted = self.count_of(&sent, at);
        match &counted {
            // The same id was counted before.
            Ok(0) => {}
            Ok(_) => model.metrics.count(WatchOutcome::Observed),
            Err(refusal) if refusal.field.as_deref() == Some("predictions") => {
                model.metrics.count(WatchOutcome::UnknownShape);
            }
            Err(_) => model.metrics.count(WatchOutcome::NotReadable),
        }
        counted
    }

    fn count_of(&self, sent: &Sent<'_>, at: usize) -> Result<usize, Refusal> {
        let model = &self.shared.models[at];
        let request = match (sent.features, sent.instances) {
            (Some(row), None) => format!("{{\"features\":{row}}}"),
            (None, Some(rows)) => format!("{{\"instances\":{rows}}}"),
            _ => {
                let message = "expected either \"features\" for one row or \"instances\" for many";
                return Err(Refusal::new(Reason::MissingField, message).at("instances"));
            }
        };
        let rows = model.reader.rows(Protocol::Native, None, None, request.as_bytes())?;
        let wrong = |message: String| Refusal::new(Reason::WrongType, message).at("predictions");
        let answer = format!("{{\"predictions\":{}}}", sent.predictions);
        let outputs = model.reader.outputs(Protocol::Native, None, answer.as_bytes()).map_err(wrong)?;
        let count = rows.rows().len();
        if outputs.len() != count {
            return Err(wrong(format!("expected {count} outputs, one per row, got {}", outputs.len())));
        }
        let predictions = model.distances.predictions(rows.rows(), outputs);
        let predictions = predictions
            .map_err(|error| Refusal::new(Reason::NumberOutOfRange, error.to_string()).at("instances"))?;
        if sent.id.as_ref().is_some_and(|id| !self.observed.insert(hash(at, id))) {
            return Ok(0);
        }
        model.described.metrics.observed_all(rows.rows());
        model.described.metrics.predicted_all(&predictions);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_of_an_event_follows_from_its_fields() {
        for (body, protocol) in [
            (r#"{"inputs":[{"name":"a"}]}"#, Some(Protocol::OipV2)),
            (r#"{"instances":[[1]]}"#, Some(Protocol::V1)),
            (r#"{"inputs":{"a":[1]}}"#, Some(Protocol::V1)),
            (r#"{"dataframe_split":{}}"#, Some(Protocol::Mlflow)),
            (r#"{"features":[1]}"#, Some(Protocol::Native)),
            ("[]", None),
            ("{", None),
        ] {
            assert_eq!(protocol_of(body.as_bytes()), protocol, "{body}");
        }
    }
}
