//! The state that all handlers share.

use super::{docs, large};
use crate::{
    Settings,
    arrivals::Arrivals,
    memory::WorstCase,
    metrics::Metrics,
    permits::{Permit, Permits},
    reason::Reason,
    receipt::{FeedbackGiven, Receipts},
    refusal::Refusal,
    served::{LoadedModel, Served},
};
use anyhow::{Context, Result};
use arc_swap::{ArcSwap, Guard};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use utoipa_swagger_ui::Config;

/// The state that all handlers share.
pub struct State {
    served: ArcSwap<Served>,
    /// The metrics that do not depend on the model.
    pub metrics: Arc<Metrics>,
    /// Permits for requests for predictions and feedback; one is held until the answer is in the connection's buffer.
    pub in_flight: Permits,
    /// Permits for the large requests among them.
    pub large: Permits,
    /// Permits for large requests that are computing.
    pub cores: Permits,
    /// Permits for the bodies of waiting large requests, in units of `large::UNIT`.
    pub queued: Permits,
    /// The limit on arriving bodies.
    pub arrivals: Arrivals,
    /// The number of open connections of the main listener.
    pub connections: Arc<AtomicUsize>,
    /// Issues and verifies prediction ids.
    pub receipts: Receipts,
    /// The predictions with feedback.
    pub feedback_given: FeedbackGiven,
    /// The request timeout.
    pub request_timeout: Duration,
    /// The largest body, in bytes.
    pub body_limit: usize,
    /// Whether fault headers are obeyed.
    pub allow_fault_injection: bool,
    pub(super) docs: Arc<Config<'static>>,
    ready: AtomicBool,
}

impl State {
    /// Prepares the state for a model.
    ///
    /// # Errors
    /// If the receipt key cannot be read, or the system provides no random bytes.
    pub fn new(settings: &Settings, model: LoadedModel) -> Result<Self> {
        let mut serial = [0; 8];
        getrandom::fill(&mut serial).context("no random bytes for prediction ids")?;
        let metrics = Arc::new(Metrics::new());
        Ok(Self {
            served: ArcSwap::from_pointee(Served::new(settings, &metrics, model)?),
            metrics,
            in_flight: Permits::new(settings.max_in_flight),
            large: Permits::new(settings.max_large_in_flight),
            // Half of the cores; the rest stay available to the workers.
            cores: Permits::new((std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1)),
            queued: Permits::new(WorstCase::bodies(settings).div_ceil(large::UNIT)),
            arrivals: Arrivals::new(WorstCase::bodies(settings)),
            connections: Arc::default(),
            receipts: Receipts::new(&settings.receipt_key()?, u64::from_be_bytes(serial)),
            feedback_given: FeedbackGiven::default(),
            request_timeout: settings.request_timeout,
            body_limit: settings.body_limit,
            allow_fault_injection: settings.allow_fault_injection,
            docs: docs::page_config(),
            ready: AtomicBool::new(true),
        })
    }

    /// Returns the model that is being served. A request takes it once, so that all of it is answered by one model.
    pub fn served(&self) -> Guard<Arc<Served>> {
        self.served.load()
    }

    /// Returns the model of this version, if the service serves it.
    pub fn served_version(&self, version: &str) -> Option<Arc<Served>> {
        let current = self.served.load();
        (current.card.version == version).then(|| Arc::clone(&current))
    }

    /// Returns a permit for a request.
    ///
    /// # Errors
    /// If all permits are taken.
    pub(super) fn admit(&self) -> Result<Permit, Refusal> {
        let overloaded =
            || Refusal::new(Reason::Overloaded, "too many requests at a time; try again shortly");
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
