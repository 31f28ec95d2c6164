//! Traffic of the detection part in files, so that other detectors can be held against ours on the same rows.
//!
//! One file holds the rows before the onset of a trial, one a drift those after it, and a few hold steady traffic.
//! Columns: seconds since the onset (or the start), then the value of every signal; a missing value is an empty cell.

use crate::{
    Settings,
    cases::{Case, Drift, drifts},
    detection::Detection,
    ground_truth::GroundTruth,
    jobs::Workers,
    monitor::Monitor,
    trial::Warm,
};
use anyhow::{Context, Result, anyhow};
use cli_io::output_file::OutputFile;
use driftsim::Row;
use serde::Serialize;
use std::{io::Write, path::Path};

/// The file that lists the others.
const INDEX: &str = "index.json";

/// Trials that are written.
const TRIALS: usize = 20;

/// Seconds of steady traffic before an onset: 10,000 rows at 50 a second.
const BEFORE: f64 = 200.0;

/// Seconds of drift after it.
const AFTER: f64 = 300.0;

/// Steady streams of their own, each from another reference, and their length in seconds.
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
    /// Seconds until this project's own verdict; `None` if that took longer than the stream.
    noticed: Option<f64>,
}

/// Makes the folder and checks that files can be written there: a long run should not end in one where they cannot.
///
/// # Errors
/// When the folder can't be made or written to.
pub(crate) fn prepare(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| {
        anyhow!("--streams {}: cannot make the folder: {error}; name another one", folder.display())
    })?;
    OutputFile::new("--streams", &folder.join(INDEX)).map(drop)
}

/// Writes the first trials of a detection, of each kind of drift the case that took longest.
///
/// # Errors
/// When a file can't be written in the folder, which [`prepare`] made.
pub(crate) fn write(
    folder: &Path,
    settings: &Settings,
    truth: &GroundTruth,
    detection: &Detection,
    warm: &[Warm],
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

/// Of each kind of drift the case that takes longest, and its seconds until a verdict in each trial.
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

/// Returns a file of the rows that `rows` hands on. Rows that the service would not answer are left out.
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
    // The longest stream, an hour of rows, takes some megabytes.
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
