//! Defines the state that all handlers share.

use super::{docs, large};
use crate::{
    Settings,
    arrivals::Arrivals,
    column_changes::ColumnChanges,
    memory::WorstCase,
    metrics::{Metrics, ReloadOutcome},
    permits::{Permit, Permits},
    reason::Reason,
    receipt::{FeedbackGiven, Receipts},
    refusal::Refusal,
    served::{Described, LoadedModel, Served},
};
use anyhow::{Context, Result};
use arc_swap::{ArcSwap, Guard};
use sha2::{Digest, Sha256};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use utoipa_swagger_ui::Config;

/// The number of former models for which feedback is accepted, which is enough for a month of daily retraining.
const FORMER: usize = 32;

/// The state that all handlers share.
pub struct State {
    served: ArcSwap<Served>,
    /// Other models for which feedback is accepted: the former ones, the latest first, or those that a watcher observes.
    former: Mutex<VecDeque<Arc<Described>>>,
    /// Locked while a new model is read, so that two reloads cannot run at the same time.
    reloading: Mutex<()>,
    settings: Settings,
    /// The hash of the administrators' token, if there is one.
    pub(super) admin_token: Option<[u8; 32]>,
    /// The metrics that do not depend on the model.
    pub metrics: Arc<Metrics>,
    /// Permits for requests for predictions and feedback. A request holds its permit until the answer is in the connection's buffer.
    pub in_flight: Permits,
    /// Permits for the large requests among them.
    pub large: Permits,
    /// Permits for large requests that are computing.
    pub cores: Permits,
    /// Permits for the bodies of waiting large requests, in units of `large::UNIT`.
    pub queued: Permits,
    /// The limit on arriving bodies.
    pub arrivals: Arrivals,
    /// The number of requests for predictions that a watcher is passing on.
    pub proxied: AtomicUsize,
    /// The number of open connections of the main listener.
    pub connections: Arc<AtomicUsize>,
    /// Issues and verifies prediction ids.
    pub receipts: Receipts,
    /// The predictions for which feedback was accepted.
    pub feedback_given: FeedbackGiven,
    /// The request timeout.
    pub request_timeout: Duration,
    /// The largest body, in bytes.
    pub body_limit: usize,
    /// Whether the faults that headers ask for are injected.
    pub allow_fault_injection: bool,
    /// Whether feedback may have ids of the client's own.
    pub(crate) own_ids: OwnIds,
    pub(super) docs: Arc<Config<'static>>,
    ready: AtomicBool,
}

/// Whether feedback may have ids of the client's own.
#[derive(Default)]
pub(crate) enum OwnIds {
    /// No: all ids are issued here.
    #[default]
    Unsupported,
    /// No, but a flag of the watcher allows them.
    Refused,
    /// Yes.
    Accepted(VersionOf),
}

/// Returns the version of the model of a name, or of the only model.
pub(crate) type VersionOf = Box<dyn Fn(Option<&str>) -> Option<String> + Send + Sync>;

impl OwnIds {
    /// Returns whether feedback may have ids of the client's own.
    pub(super) fn are_accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }

    /// Returns the end of an error message about an id or a field that feedback with issued ids does not have.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Unsupported => "",
            Self::Refused => {
                "; for an id of your own, with the predicted class or number in \"prediction\", start the watcher with --own-ids"
            }
            Self::Accepted(_) => {
                "; for an id of your own, add the predicted class or number as \"prediction\""
            }
        }
    }
}

/// What came of reading the model files again.
pub struct Reload {
    /// Whether another model is served.
    pub outcome: ReloadOutcome,
    /// The model that is served.
    pub served: Arc<Described>,
    /// How its columns differ from those of the model before.
    pub columns: ColumnChanges,
}

impl State {
    /// Prepares the state for a model.
    ///
    /// # Errors
    /// Returns an error if the receipt key cannot be read, or if the system provides no random bytes.
    pub fn new(settings: &Settings, model: LoadedModel) -> Result<Self> {
        let mut serial = [0; 8];
        getrandom::fill(&mut serial).context("the system provides no random bytes for prediction ids")?;
        let metrics = Arc::new(Metrics::new());
        Ok(Self {
            served: ArcSwap::from_pointee(Served::new(settings, &metrics, model)?),
            former: Mutex::default(),
            reloading: Mutex::default(),
            settings: settings.clone(),
            admin_token: settings.admin_token()?.map(|token| Sha256::digest(token).into()),
            metrics,
            in_flight: Permits::new(settings.max_in_flight),
            large: Permits::new(settings.max_large_in_flight),
            // Half of the cores are used, so that the others stay available to the workers.
            cores: Permits::new((std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1)),
            queued: Permits::new(WorstCase::bodies(settings).div_ceil(large::UNIT)),
            arrivals: Arrivals::new(WorstCase::bodies(settings)),
            proxied: AtomicUsize::default(),
            connections: Arc::default(),
            receipts: Receipts::new(&settings.receipt_key()?, u64::from_be_bytes(serial)),
            feedback_given: FeedbackGiven::default(),
            request_timeout: settings.request_timeout,
            body_limit: settings.body_limit,
            allow_fault_injection: settings.allow_fault_injection,
            own_ids: OwnIds::default(),
            docs: docs::page_config(),
            ready: AtomicBool::new(true),
        })
    }

    /// Returns the model that is served. A request calls this once, so that one model predicts all of its rows.
    pub fn served(&self) -> Guard<Arc<Served>> {
        self.served.load()
    }

    /// Returns the model of this version, if the process serves it or is known to have served it.
    pub fn of_version(&self, version: &str) -> Option<Arc<Described>> {
        let current = self.served.load();
        if current.card.version == version {
            return Some(Arc::clone(&current.described));
        }
        let former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        former.iter().find(|model| model.card.version == version).cloned()
    }

    /// Accepts feedback about a further model, which a watcher observes.
    ///
    /// # Errors
    /// Returns the errors of [`Served::new`].
    pub(crate) fn also_accept_feedback_of(&self, model: LoadedModel) -> Result<()> {
        let described = Served::new(&self.settings, &self.metrics, model)?.described;
        self.former.lock().unwrap_or_else(PoisonError::into_inner).push_back(described);
        Ok(())
    }

    /// Returns the model of a name, or the only model without one, if feedback may have ids of the client's own.
    pub(super) fn named(&self, name: Option<&str>) -> Option<Arc<Described>> {
        let OwnIds::Accepted(version) = &self.own_ids else { return None };
        self.of_version(&version(name)?)
    }

    /// Reads the model files again and serves the new model, if there is a new one. It blocks until the model is loaded. Requests are
    /// answered in the meantime, each by one model.
    ///
    /// # Errors
    /// If the files cannot be used; the old model is then still served.
    pub fn reload(&self) -> Result<Reload> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let read = LoadedModel::load(&self.settings);
        let reload = read.and_then(|model| self.serve(model));
        match &reload {
            Ok(Reload { outcome, served, columns }) => {
                self.metrics.reloaded(*outcome);
                let (outcome, card) = (outcome.as_str(), &served.card);
                if columns.is_empty() {
                    tracing::info!(outcome, model = card.name, version = card.version, "reloaded");
                } else {
                    tracing::warn!(
                        outcome,
                        model = card.name,
                        version = card.version,
                        %columns,
                        "reloaded a model with other columns: requests with the former ones may be refused or misread"
                    );
                }
            }
            Err(error) => {
                self.metrics.reloaded(ReloadOutcome::Failed);
                tracing::error!(
                    version = self.served().card.version,
                    error = format!("{error:#}"),
                    "the new model cannot be served; the old one still is"
                );
            }
        }
        reload
    }

    fn serve(&self, model: LoadedModel) -> Result<Reload> {
        let old = Arc::clone(&self.served.load().described);
        if model.card.version == old.card.version {
            let columns = ColumnChanges::default();
            return Ok(Reload { outcome: ReloadOutcome::Unchanged, served: old, columns });
        }
        // If a former model is served again, its counters continue, because its series are the same.
        let new = Served::new(&self.settings, &self.metrics, model)?;
        let served = Arc::clone(&new.described);
        let columns = ColumnChanges::between(&old.card, &served.card);
        // Listed before the swap, so that feedback about it is accepted at every moment.
        {
            let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
            former.retain(|model| model.card.version != served.card.version);
            former.push_front(Arc::clone(&old));
            let kept = FORMER.min(former.len());
            for oldest in former.split_off(kept) {
                self.metrics.forget_model(&oldest.card.version);
            }
        }
        self.served.store(Arc::new(new));
        old.metrics.retire();
        Ok(Reload { outcome: ReloadOutcome::Changed, served, columns })
    }

    /// Returns a permit for a request.
    ///
    /// # Errors
    /// Returns an error if all permits are taken.
    pub(super) fn admit(&self) -> Result<Permit, Refusal> {
        let overloaded =
            || Refusal::new(Reason::Overloaded, "too many concurrent requests; try again shortly");
        self.in_flight.try_acquire().ok_or_else(overloaded)
    }

    /// Returns whether `/readyz` answers 200. Requests are answered in either case.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Makes `/readyz` answer 503, so that load balancers stop sending requests.
    pub fn stop_being_ready(&self) {
        self.ready.store(false, Ordering::Relaxed);
    }
}
