//! Measures how soon each drift is detected and how often there is a false alarm. It simulates the service, the recording
//! rules and the alerts on generated rows.
//!
//! Layout:
//! - [`cli`], `settings`: the command line and its flags
//! - `ground_truth`: the distribution of all rows, and the references drawn from it; `traffic`: rows with their arrival times
//! - `monitor`: counts rows as the service does, and judges them as the rules do; `timeline`: scrapes, windows, judgements
//! - `false_alarms`, `null`: steady traffic; `power`: the smallest drift that is called detectable
//! - `cases`, `trial`, `detection`: traffic that drifts
//! - `streams`: writes the same traffic to files, for other detectors
//! - [`report`], `tables`: the figures, and the tables that are printed
//! - `jobs`, `seed`: threads and seeds, such that the figures do not depend on the number of threads
//!
//! Every row is drawn, scored and counted one by one. The simulation is simpler than reality in three points: scrapes and
//! judgements are never late and never fail, there is one replica that never restarts, and Prometheus' extrapolation to the
//! edges of a window is left out.

mod cases;
pub mod cli;
mod detection;
mod false_alarms;
mod ground_truth;
mod jobs;
mod monitor;
mod null;
mod power;
pub mod report;
mod seed;
mod settings;
mod streams;
mod tables;
mod timeline;
mod traffic;
mod trial;

pub use report::Report;
pub use settings::{Part, Settings};

use anyhow::Result;
use detection::Plan;
use ground_truth::GroundTruth;
use jobs::Workers;
use model::ModelCard;

/// Runs the requested parts of the benchmark on rows with the distributions of a model card. Writes its progress to stderr.
///
/// # Errors
/// If the settings contradict each other, if no model can be trained on the drawn rows, or if streams cannot be written.
pub fn run(settings: &Settings, card: &ModelCard) -> Result<Report> {
    settings.check()?;
    if let Some(folder) = &settings.streams {
        streams::prepare(folder)?;
    }
    let truth = GroundTruth::new(card)?;
    let workers = Workers { threads: settings.threads(), quiet: settings.quiet };
    let mut report = Report::new(settings, card);
    if settings.has(Part::FalseAlarms) {
        report.false_alarms = Some(false_alarms::run(settings, &truth, workers)?);
    }
    if settings.has(Part::Null) {
        report.null = Some(null::run(settings, &truth, workers)?);
    }
    if settings.has(Part::Detection) {
        let plan = Plan::of_detection(settings);
        let (detection, warm) = detection::run(settings, &truth, workers, plan)?;
        if let Some(folder) = &settings.streams {
            streams::write(folder, settings, &truth, &detection, &warm, workers)?;
        }
        report.detection = Some(detection);
    }
    if settings.has(Part::Windows) {
        let plans = settings.window_rates.iter().map(|&rate| Plan::of_windows(settings, rate));
        let each = plans.map(|plan| Ok(detection::run(settings, &truth, workers, plan)?.0));
        report.windows = Some(each.collect::<Result<_>>()?);
    }
    Ok(report)
}
