//! Writes traffic of the detection part to files, so that other detectors can be compared with this project's on the same
//! rows.
//!
//! Each trial has one file with the rows before the onset, and for each drift one with the rows after it. Further files have
//! steady traffic. The columns are the seconds since the onset (or the start), and then the value of every signal; a missing
//! value is an empty cell.

use crate::{
    Settings,
    cases::{Case, Drift, drifts},
    detection::Detection,
    ground_truth::GroundTruth,
    jobs::Workers,
    monitor::Monitor,
    trial::WarmModel,
};
use anyhow::{Context, Result, anyhow};
use cli_io::output_file::OutputFile;
use driftsim::Row;
use serde::Serialize;
use std::{io::Write, path::Path};

/// The name of the file that lists the other files.
const INDEX: &str = "index.json";

/// The most trials that are written.
const TRIALS: usize = 20;

/// Seconds of steady traffic before an onset: 10,000 rows at 50 a second.
const BEFORE: f64 = 200.0;

/// Seconds of drift after an onset.
const AFTER: f64 = 300.0;

/// The number of steady streams, each of another reference, and their length in seconds.
const STEADY: usize = 4;
const STEADY_SECONDS: f64 = 3600.0;

#[derive(Serialize)]
struct Index {
    seed: u64,
    rate: f64,
    signals: Vec<String>,
    seconds_before: f64,
    seconds_after: f64,
    steady_seconds: f64,
    steady: Vec<String>,
    trials: Vec<TrialFiles>,
}

#[derive(Serialize)]
struct TrialFiles {
    before: String,
    drifts: Vec<DriftFile>,
}

#[derive(Serialize)]
struct DriftFile {
    drift: String,
    about: String,
    file: String,
    /// Seconds until this project's verdict; `None` if the stream ends before it.
    noticed: Option<f64>,
}

/// Creates the folder and checks that files can be written there, so that a long run does not fail at its end.
///
/// # Errors
/// If the folder cannot be created or written to.
pub(crate) fn prepare(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| {
        anyhow!("--streams {}: the folder cannot be created: {error}; name another one", folder.display())
    })?;
    OutputFile::new("--streams", &folder.join(INDEX)).map(drop)
}

/// Writes the first trials of a detection, with the slowest case of each kind of drift. The folder is the one that
/// [`prepare`] created.
///
/// # Errors
/// If a file cannot be written there.
pub(crate) fn write(
    folder: &Path,
    settings: &Settings,
    truth: &GroundTruth,
    detection: &Detection,
    warm: &[WarmModel],
    workers: Workers,
) -> Result<()> {
    let drifts = drifts(truth)?;
    let slowest = slowest(&drifts, detection);
    let warm_up = settings.warm_up.as_secs();
    let trials: Vec<TrialFiles> = workers.map("streams", detection.trials.min(TRIALS), |number| {
        let warm = &warm[number % warm.len()];
        let trial = warm.trial(truth, warm_up, number as u64)?;
        let before = format!("trial-{number:02}-before.csv");
        let onset = trial.onset();
        trial_rows(folder, &before, &warm.monitor, None, onset, |seen| {
            trial.steady(truth).until(onset, |time, row| {
                if time >= onset - BEFORE {
                    seen(time, row);
                }
            });
        })?;
        let drifts = slowest
            .iter()
            .enumerate()
            .map(|(at, (drift, case, each))| {
                let file = format!("trial-{number:02}-drift-{at}.csv");
                trial_rows(folder, &file, &warm.monitor, case.stuck, onset, |seen| {
                    trial.drifted(case).until(onset + AFTER, |time, row| seen(time, row));
                })?;
                Ok(DriftFile {
                    drift: drift.name.to_owned(),
                    about: case.about.clone(),
                    file,
                    noticed: each[number].filter(|&after| after <= AFTER),
                })
            })
            .collect::<Result<_>>()?;
        Ok(TrialFiles { before, drifts })
    })?;
    let steady = warm.iter().take(STEADY).enumerate().map(|(at, warm)| {
        let file = format!("steady-{at}.csv");
        trial_rows(folder, &file, &warm.monitor, None, 0.0, |seen| {
            warm.steady(truth).until(STEADY_SECONDS, |time, row| seen(time, row));
        })?;
        Ok(file)
    });
    let index = Index {
        seed: settings.seed,
        rate: detection.rate,
        signals: warm.first().map_or_else(Vec::new, |warm| {
            warm.monitor.signals.iter().map(|signal| signal.name.clone()).collect()
        }),
        seconds_before: BEFORE,
        seconds_after: AFTER,
        steady_seconds: STEADY_SECONDS,
        steady: steady.collect::<Result<_>>()?,
        trials,
    };
    let text = serde_json::to_string_pretty(&index).context("--streams: cannot write the index")?;
    OutputFile::new("--streams", &folder.join(INDEX))?.write(text.as_bytes())
}

/// Returns the slowest case of each kind of drift, with its seconds until a verdict in each trial.
fn slowest<'a>(
    drifts: &'a [Drift],
    detection: &'a Detection,
) -> Vec<(&'a Drift, &'a Case, &'a [Option<f64>])> {
    let pairs = drifts.iter().zip(&detection.drifts).filter_map(|(drift, detected)| {
        let slowest = detected.slowest(|case| case.verdict)?;
        let case = drift.cases.iter().find(|case| case.about == slowest.about)?;
        Some((drift, case, slowest.each.as_slice()))
    });
    pairs.collect()
}

/// Writes the rows that `rows` passes to its argument. Rows that the service would not answer are left out.
fn trial_rows(
    folder: &Path,
    name: &str,
    monitor: &Monitor,
    stuck: Option<usize>,
    start: f64,
    rows: impl FnOnce(&mut dyn FnMut(f64, &Row)),
) -> Result<()> {
    let file = OutputFile::new("--streams", &folder.join(name))?;
    let names: Vec<&str> = monitor.signals.iter().map(|signal| signal.name.as_str()).collect();
    // The text is kept in memory: the longest stream, an hour of rows, has some megabytes.
    let mut text = format!("seconds,{}\n", names.join(",")).into_bytes();
    let mut result = Ok(());
    rows(&mut |time, row| {
        if result.is_ok() {
            result = write_row(&mut text, time - start, row, monitor, stuck);
        }
    });
    result.with_context(|| format!("--streams: cannot write {name}"))?;
    file.write(&text)
}

fn write_row(
    out: &mut impl Write,
    time: f64,
    row: &Row,
    monitor: &Monitor,
    stuck: Option<usize>,
) -> std::io::Result<()> {
    let Some(outputs) = monitor.outputs(row, stuck) else { return Ok(()) };
    write!(out, "{time:.4}")?;
    for value in row.values.iter().copied().chain(outputs.map(Some)) {
        match value {
            Some(value) => write!(out, ",{value}")?,
            None => write!(out, ",")?,
        }
    }
    writeln!(out)
}
