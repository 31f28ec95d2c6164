//! What the handlers share: made once, never changed but for counts.

use super::docs::Docs;
use crate::{
    Settings,
    in_flight::InFlight,
    metrics::Metrics,
    receipt::{Receipts, Seen},
};
use actix_web::web::Bytes;
use anyhow::{Context, Result};
use model::{Classifier, ModelCard, ModelFile};
use std::{
    sync::atomic::{AtomicBool, Ordering},
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
    pub metrics: Metrics,
    /// Predictions being worked on.
    pub in_flight: InFlight,
    /// What signs prediction ids.
    pub receipts: Receipts,
    /// Predictions that feedback was given about.
    pub seen: Seen,
    /// Longest a prediction may take.
    pub request_timeout: Duration,
    /// Largest body, in bytes.
    pub body_limit: usize,
    /// Whether fault headers are obeyed.
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
            metrics: Metrics::new(&file.card, &settings.false_alarm_budget()),
            in_flight: InFlight::new(settings.max_in_flight),
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

    /// Whether new work should be sent here.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Asks load balancers to look elsewhere.
    pub fn stop_being_ready(&self) {
        self.ready.store(false, Ordering::Relaxed);
    }
}
