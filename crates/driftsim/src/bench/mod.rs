//! How soon each drift is noticed, and how often noise is: a simulation of the service, the recording rules and the
//! alerts, on rows of which the truth is known.
//!
//! Layout:
//! - `settings`: what is asked for
//! - `law`: where rows come from, and the references drawn from it; `traffic`: rows as they arrive
//! - `monitor`: rows counted as the service does, judged as the rules do; `timeline`: scrapes, windows, judgements
//! - `false_alarms`, `null`: steady traffic; `power`: the smallest drift that is said to be detectable
//! - `cases`, `trial`, `detection`: traffic that drifts
//! - `streams`: the same traffic in files, for other detectors
//! - [`report`], `tables`: the figures, and how they are printed
//! - `parallel`, `seed`: the same figures on any number of threads
//!
//! Every row is drawn, scored and counted one by one. What is simplified: scrapes and judgements never come late or
//! fail, there is one replica that never restarts, and Prometheus' extrapolation to the edges of a window is left out.

mod cases;
mod detection;
mod false_alarms;
mod law;
mod monitor;
mod null;
mod parallel;
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
use law::Law;
use model::ModelCard;
use parallel::Workers;

/// Runs what the settings ask for, on the law that a model card describes. Says on stderr how far it is.
///
/// # Errors
/// When the settings contradict each other, no model can be trained on rows of the law, or streams can't be written.
pub fn run(settings: &Settings, card: &ModelCard) -> Result<Report> {
    settings.check()?;
    if let Some(folder) = &settings.streams {
        streams::prepare(folder)?;
    }
    let law = Law::new(card)?;
    let workers = Workers { threads: settings.threads(), quiet: settings.quiet };
    let mut report = Report::new(settings, card);
    if settings.has(Part::FalseAlarms) {
        report.false_alarms = Some(false_alarms::run(settings, &law, workers)?);
    }
    if settings.has(Part::Null) {
        report.null = Some(null::run(settings, &law, workers)?);
    }
    if settings.has(Part::Detection) {
        let plan = Plan::of_detection(settings);
        let (detection, warm) = detection::run(settings, &law, workers, plan)?;
        if let Some(folder) = &settings.streams {
            streams::write(folder, settings, &law, &detection, &warm, workers)?;
        }
        report.detection = Some(detection);
    }
    if settings.has(Part::Windows) {
        let plans = settings.window_rates.iter().map(|&rate| Plan::of_windows(settings, rate));
        let each = plans.map(|plan| Ok(detection::run(settings, &law, workers, plan)?.0));
        report.windows = Some(each.collect::<Result<_>>()?);
    }
    Ok(report)
}
