//! What the handlers share: made once, never changed but for counts.

use super::{docs::Docs, large, limits::Limits};
use crate::{
    Settings,
    arrivals::Arrivals,
    in_flight::{InFlight, Place},
    memory::WorstCase,
    metrics::Metrics,
    reason::Reason,
    receipt::{Receipts, Seen},
    refusal::Refusal,
};
use actix_web::web::Bytes;
use anyhow::{Context, Result};
use model::{Classifier, ModelCard, ModelFile};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// A model being served.
pub struct State {
    /// What the model is.
    pub card: ModelCard,
    /// The same as JSON, written once.
    pub card_json: Bytes,
    /// What answers.
    pub classifier: Classifier,
    /// What counts.
    pub metrics: Arc<Metrics>,
    /// Requests for predictions and feedback being worked on or sent.
    pub in_flight: InFlight,
    /// The large ones among them.
    pub large: InFlight,
    /// Large requests that are computing.
    pub cores: InFlight,
    /// Bodies of large requests that wait for their turn, in units of `large::UNIT`.
    pub queued: InFlight,
    /// Bodies that are still arriving.
    pub arrivals: Arrivals,
    /// Open connections of the main listener.
    pub connections: Arc<AtomicUsize>,
    /// How much one request may ask for.
    pub limits: Limits,
    /// What signs prediction ids.
    pub receipts: Receipts,
    /// Predictions that feedback was given about.
    pub seen: Seen,
    /// Longest a prediction may take.
    pub request_timeout: Duration,
    /// Largest body, in bytes.
    pub body_limit: usize,
    /// Whether faults are injected as headers ask.
    pub allow_fault_injection: bool,
    pub(super) docs: Docs,
    ready: AtomicBool,
}

impl State {
    /// Prepares to serve a model.
    ///
    /// # Errors
    /// When the receipt key can't be had.
    pub fn new(settings: &Settings, file: ModelFile) -> Result<Self> {
        let mut serial = [0; 8];
        getrandom::fill(&mut serial).context("no random bytes for prediction ids")?;
        Ok(Self {
            card_json: serde_json::to_vec(&file.card)?.into(),
            classifier: Classifier::new(&file),
            metrics: Arc::new(Metrics::new(&file.card, &settings.false_alarm_budget())),
            in_flight: InFlight::new(settings.max_in_flight),
            large: InFlight::new(settings.max_large_in_flight),
            // Half of the cores; the rest stay available to the workers.
            cores: InFlight::new((std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1)),
            queued: InFlight::new(WorstCase::bodies(settings).div_ceil(large::UNIT)),
            arrivals: Arrivals::new(WorstCase::bodies(settings)),
            connections: Arc::default(),
            limits: Limits::new(settings, &file.card),
            receipts: Receipts::new(&settings.receipt_key()?, &file.card.version, u64::from_be_bytes(serial)),
            seen: Seen::default(),
            request_timeout: settings.request_timeout,
            body_limit: settings.body_limit,
            allow_fault_injection: settings.allow_fault_injection,
            docs: Docs::new(&file.card)?,
            ready: AtomicBool::new(true),
            card: file.card,
        })
    }

    /// Takes one of the places of requests in flight.
    ///
    /// # Errors
    /// When all are taken.
    pub(super) fn enter(&self) -> Result<Place, Refusal> {
        let overloaded =
            || Refusal::new(Reason::Overloaded, "too many requests at a time; try again shortly");
        self.in_flight.enter().ok_or_else(overloaded)
    }

    /// Whether new work should be sent here.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Asks load balancers to look elsewhere.
    pub fn stop_being_ready(&self) {
        self.ready.store(false, Ordering::Relaxed);
    }
}
