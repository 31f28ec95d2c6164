//! Defines the report with all figures of a benchmark, from which the tables and the JSON are made.

use crate::Settings;
use model::ModelCard;
use serde::Serialize;

pub use crate::{
    detection::{DetectedCase, DetectedDrift, Detection, DetectionDelays},
    false_alarms::{SteadyTraffic, SteadyWindow},
    monitor::LEVELS,
    null::{NullWindows, WINDOWS},
};

/// The figures of a benchmark, and the settings that they were measured with.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The seed of the benchmark.
    pub seed: u64,
    /// The name of the model whose distributions the rows follow.
    pub model: String,
    /// The version of that model.
    pub version: String,
    /// Rows per reference.
    pub reference_rows: u64,
    /// The number of signals.
    pub signals: usize,
    /// The windows that are judged, and whether the shipped rules have them.
    pub windows_watched: Vec<(String, bool)>,
    /// The levels α at which limits are checked.
    pub levels: Vec<f64>,
    /// The false alarms of steady traffic, one element per rate.
    pub false_alarms: Option<Vec<SteadyTraffic>>,
    /// How often chance exceeds the limits over many references, one element per length of window.
    pub null: Option<Vec<NullWindows>>,
    /// How soon drift is detected.
    pub detection: Option<Detection>,
    /// How soon each window detects drift, one element per rate.
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
