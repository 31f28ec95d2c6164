//! `inference watch`: a proxy in front of a model server that it does not own. Requests and answers pass unchanged; rows and predictions
//! are read from copies of them and counted as in `inference serve`.
//!
//! Layout:
//! - [`args`]: the flags; `app`: starts and stops the two listeners
//! - `listener`: the clients' connections; `upstream`: the connections to the model server
//! - `forward`: passes one request on; `headers`, `relay`, `copy`: its header fields, its body, and the copy of its body
//! - `tunnel`: connects both sides after an upgrade
//! - `target`: recognises requests for predictions; `exchange`: counts a request when its answer has passed
//! - `queue`, `observer`: the copies that wait to be read, and the thread that reads them
//! - `notices`: log lines about requests that are not observed
//! - `own`: the watcher's own routes; `sink`: rows and answers that are sent to it instead of through it
//!
//! A request never waits for the observer; small answers are read before they pass, for their prediction ids. What is not observed is
//! counted by reason, so every request for a prediction is counted in exactly one outcome.

mod app;
pub mod args;
mod copy;
mod exchange;
mod forward;
mod headers;
mod listener;
mod notices;
mod observer;
mod own;
mod queue;
mod relay;
mod sink;
mod target;
mod tunnel;
mod upstream;

pub use app::Watcher;
pub use args::WatchSettings;

use crate::{
    LoadedModel, Settings, api,
    foreign::Reader,
    metrics::{MethodLabel, RouteMetrics, WatchMetrics, WatchOutcome},
    model_file::read_model_file,
    receipt::ModelVersion,
    route::Route,
    served::Described,
};
use anyhow::{Context, Result, ensure};
use args::{ProfileFor, Upstream};
use copy::{Budget, Copy};
use hyper::{body::Bytes, header::HeaderValue};
use metrics::Counter;
use model::{Batch, Distances, Engine, EngineError, Output};
use notices::Notices;
use observer::Observation;
use queue::Queue;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use target::Targets;

/// The greatest size of a decompressed answer that is read for prediction ids, in bytes.
const DECODED: usize = 64 << 10;

/// What all threads of the watcher share.
struct Shared {
    targets: Targets,
    models: Vec<WatchedModel>,
    /// The state of the watcher's own routes, which also holds the metrics.
    state: Arc<api::State>,
    routes: [RouteMetrics; 6],
    unknown_model: Counter,
    notices: Notices,
    queue: Queue,
    budget: Arc<Budget>,
    body_limit: usize,
    upstream_timeout: Duration,
    /// The time after which an upgraded connection is closed if nothing passes.
    tunnel_idle: Duration,
    /// The `Host` of requests that have none.
    upstream_host: HeaderValue,
    /// The greatest number of rows of an answer with prediction ids.
    prediction_ids: usize,
}

/// Counts a connection as open until it is dropped.
struct OpenConnection(Arc<Shared>);

impl OpenConnection {
    /// Counts a connection.
    fn new(shared: &Arc<Shared>) -> Self {
        shared.state.connections.fetch_add(1, Ordering::Relaxed);
        Self::counted(shared)
    }

    /// Takes over a connection that was counted when it was accepted.
    fn counted(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.state.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A model of the upstream.
struct WatchedModel {
    reader: Reader,
    described: Arc<Described>,
    distances: Distances,
    version: ModelVersion,
    metrics: WatchMetrics,
}

/// The engine of a model that another server runs.
#[derive(Debug)]
struct Elsewhere;

impl Engine for Elsewhere {
    fn score(&self, _: Batch) -> Result<Vec<Output>, EngineError> {
        Err(EngineError::Failed("the model is on another server".into()))
    }
}

/// The routes that requests through the proxy are counted under.
const PROXIED: [Route; 6] = [
    Route::Predict,
    Route::OipInfer,
    Route::OipVersionInfer,
    Route::V1Predict,
    Route::Invocations,
    Route::Unmatched,
];

impl Shared {
    /// Reads the profiles and prepares their metrics.
    fn new(settings: &WatchSettings) -> Result<Arc<Self>> {
        let own: Settings = settings.of_own_listener();
        for (at, profile) in settings.profiles.iter().enumerate() {
            ensure!(
                settings.profiles[..at].iter().all(|other| other.of != profile.of),
                "--profile {}: another profile is for the same requests; name the model or the path of each, as in churn={0}",
                profile.file.display()
            );
        }
        let (mut readers, mut models) = (Vec::<Reader>::new(), Vec::new());
        // For each reader, whether a profile is for more than one path.
        let mut is_for_more = Vec::<bool>::new();
        for profile in &settings.profiles {
            let file = read_model_file("--profile", &profile.file)?;
            let place = || format!("--profile {}", profile.file.display());
            let reader = Reader::new(&file).with_context(place)?;
            let is_path = matches!(profile.of, ProfileFor::Path(_));
            let same = readers.iter().position(|other| other.card().version == reader.card().version);
            if let Some(same) = same {
                // A server may predict with one model on several paths.
                ensure!(
                    is_path || !is_for_more[same],
                    "{}: the profile is given twice; give each model a profile of its own, or name the paths of one model, as in \
                     /score={}",
                    place(),
                    profile.file.display()
                );
                is_for_more[same] |= !is_path;
            } else {
                readers.push(reader);
                is_for_more.push(!is_path);
            }
            models.push(same.unwrap_or(readers.len() - 1));
        }
        let loaded =
            |reader: &Reader| LoadedModel { card: reader.card().clone(), engine: Arc::new(Elsewhere) };
        let (first, others) = readers.split_first().context("--profile: at least one profile is needed")?;
        let targets = Targets::new(&settings.profiles, &models, settings.protocol);
        let mut state = api::State::new(&own, loaded(first))?;
        state.own_ids = if settings.own_ids {
            let versions: Vec<String> = readers.iter().map(|reader| reader.card().version.clone()).collect();
            let targets = targets.clone();
            api::OwnIds::Accepted(Box::new(move |name| {
                targets.model(name).map(|model| versions[model].clone())
            }))
        } else {
            api::OwnIds::Refused
        };
        for other in others {
            state.also_accept_feedback_of(loaded(other))?;
        }
        let models = readers.into_iter().map(|reader| {
            let card = reader.card();
            let described = state.of_version(&card.version).context("the model was registered above")?;
            anyhow::Ok(WatchedModel {
                distances: Distances::new(&card.features, &card.reference.shape),
                version: ModelVersion::new(&card.version),
                metrics: state.metrics.of_watched(card),
                described,
                reader,
            })
        });
        let models = models.collect::<Result<_>>()?;
        let shared = Self {
            targets,
            models,
            routes: PROXIED.map(|route| state.metrics.of_route(route)),
            unknown_model: state.metrics.unknown_model(),
            state: Arc::new(state),
            notices: Notices::default(),
            queue: Queue::default(),
            budget: Budget::new(settings.copy_memory),
            body_limit: settings.body_limit,
            upstream_timeout: settings.upstream_timeout,
            tunnel_idle: settings.tunnel_idle,
            upstream_host: HeaderValue::try_from(
                settings.upstream.as_ref().map(Upstream::authority).unwrap_or_default(),
            )
            .context("--upstream: the host cannot be written in a header")?,
            prediction_ids: settings.prediction_ids.into(),
        };
        Ok(Arc::new(shared))
    }

    fn new_copy(&self) -> Copy {
        Copy::new(self.body_limit, &self.budget)
    }

    /// Counts an answer.
    fn answered(&self, route: Route, method: MethodLabel, status: u16, seconds: f64) {
        if let Some(at) = PROXIED.iter().position(|&known| known == route) {
            self.routes[at].answered(method, status, seconds);
        }
    }

    /// Counts a request for a prediction by its outcome.
    fn outcome(&self, model: usize, outcome: WatchOutcome) {
        self.models[model].metrics.count(outcome);
    }

    /// Hands an observation to the observer, unless too many are waiting.
    fn observe(&self, observation: Observation) {
        let model = observation.model;
        if self.queue.push(observation).is_err() {
            self.outcome(model, WatchOutcome::QueueFull);
        }
    }

    /// Returns the outputs of an answer, or `None` if it cannot be read; the observer then reports why.
    fn read_answer(&self, prediction: &exchange::Prediction, body: &Bytes) -> Option<Vec<Output>> {
        let headers = &prediction.answer_headers;
        let read = || {
            // On the thread of the proxy, so little is decompressed.
            let body = observer::decode(body, headers.content_encoding.as_deref(), DECODED).ok()?;
            let reader = &self.models[prediction.model].reader;
            reader.outputs(prediction.protocol, headers.json_length, &body).ok()
        };
        catch_unwind(AssertUnwindSafe(read)).ok().flatten()
    }
}
