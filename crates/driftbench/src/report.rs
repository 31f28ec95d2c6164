//! All figures of a benchmark. The tables and the JSON are made from it.

use crate::Settings;
use model::ModelCard;
use serde::Serialize;

pub use crate::{
    detection::{DetectedCase, DetectedDrift, Detection, DetectionDelays},
    false_alarms::{SteadyTraffic, SteadyWindow},
    monitor::LEVELS,
    null::{NullWindows, WINDOWS},
};

/// Figures, and what they were asked for.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Seed of all of it.
    pub seed: u64,
    /// The model whose distributions the rows come from.
    pub model: String,
    /// Its version.
    pub version: String,
    /// Rows of each reference.
    pub reference_rows: u64,
    /// How many signals are judged.
    pub signals: usize,
    /// The windows that are watched, and whether the rules have them.
    pub windows_watched: Vec<(String, bool)>,
    /// Levels of chance that limits are checked at.
    pub levels: Vec<f64>,
    /// Steady traffic, one a rate.
    pub false_alarms: Option<Vec<SteadyTraffic>>,
    /// Chance over many references, one a length of window.
    pub null: Option<Vec<NullWindows>>,
    /// Traffic that drifts.
    pub detection: Option<Detection>,
    /// The same for each window on its own, one a rate.
    pub windows: Option<Vec<Detection>>,
}

impl Report {
    pub(crate) fn new(settings: &Settings, card: &ModelCard) -> Self {
        Self {
            seed: settings.seed,
            model: card.name.clone(),
            version: card.version.clone(),
            reference_rows: card.reference.rows,
            signals: card.reference.signals.len(),
            windows_watched: settings
                .spans()
                .into_iter()
                .map(|span| (span.label(), settings.in_use(span)))
                .collect(),
            levels: LEVELS.to_vec(),
            false_alarms: None,
            null: None,
            detection: None,
            windows: None,
        }
    }
}
