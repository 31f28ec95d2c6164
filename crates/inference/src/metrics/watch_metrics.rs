//! Counts the requests for predictions of one model that passed through the watcher.

use super::{families::WATCHED, labels::WatchOutcome};
use metrics::Counter;
use model::ModelCard;

/// The counters of one model, by outcome.
pub struct WatchMetrics([Counter; WatchOutcome::ALL.len()]);

impl WatchMetrics {
    pub(super) fn new(card: &ModelCard) -> Self {
        let of = |outcome: WatchOutcome| {
            WATCHED.with([card.name.clone(), card.version.clone(), outcome.as_str().to_owned()])
        };
        Self(WatchOutcome::ALL.map(of))
    }

    /// Counts a request.
    pub fn count(&self, outcome: WatchOutcome) {
        self.0[outcome as usize].increment(1);
    }
}
