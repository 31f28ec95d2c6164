//! Measures how often chance exceeds the limits, which should be: PSI > (1/N + 1/M)·χ²(1 − α) in a share α of windows.
//!
//! The limit of a verdict has a floor besides, the smallest PSI that matters; it is left out here. In a long window
//! the reference's own noise decides, and it is the same in every window, so the number of windows says little: it takes
//! many references. Each has a window of fresh rows here, of several lengths.
//!
//! On the same references, a drift of the smallest size that a verdict calls detectable is made and judged.

use crate::{
    Settings,
    ground_truth::GroundTruth,
    jobs::Workers,
    monitor::{LEVELS, Monitor},
    power::drifted,
    seed::derive,
};
use anyhow::Result;
use drift::{MIN_ROWS, Verdict};
use driftsim::{Row, RowSource};
use serde::Serialize;

/// What this part's seeds have in common.
const PART: u64 = 2;

/// Rows in a window: as few as give a verdict, a few seconds and half a minute at 50 a second, and so many that the
/// window's own noise is gone next to that of a small reference.
pub const WINDOWS: [u64; 4] = [60, 300, 1500, 30_000];

/// Rows that show what the ground truth is in a model's bins: shares of 1 in 10 are then known to 1 %.
const TRUTH_ROWS: u64 = 100_000;

/// Compares the PSI of a window of `rows` rows with the limit at each probability of a false alarm in [`LEVELS`], and returns for each
/// whether it is exceeded; `None` if the rows are too few.
pub(crate) fn exceeded(
    monitor: &Monitor,
    signal: usize,
    rows: u64,
    psi: f64,
) -> Option<[bool; LEVELS.len()]> {
    let noise = 1.0 / monitor.reference_rows() as f64 + 1.0 / rows as f64;
    (rows >= MIN_ROWS).then(|| monitor.signals[signal].levels.map(|critical| psi > noise * critical))
}

/// Windows of one length, one from each of many references.
#[derive(Debug, Clone, Serialize)]
pub struct NullWindows {
    /// Rows in a window.
    pub rows: u64,
    /// References, each with a window of its own.
    pub references: u64,
    /// References times signals.
    pub judged: u64,
    /// How many exceed the limit of each level.
    pub exceeding: Vec<u64>,
    /// How many are drifting by the limit in use.
    pub drifting: u64,
    /// References with any signal drifting.
    pub references_drifting: u64,
    /// Signals for which a drift of the smallest detectable size was made.
    pub drifted: u64,
    /// How many of those were noticed.
    pub noticed: u64,
}

/// Returns one window of each length on each of many references.
pub(crate) fn run(settings: &Settings, truth: &GroundTruth, workers: Workers) -> Result<Vec<NullWindows>> {
    let parts = workers.map("fresh references", settings.null_references, |reference| {
        one(truth, derive(settings.seed, &[PART, reference as u64]))
    })?;
    let mut totals: Vec<NullWindows> = WINDOWS.iter().map(|&rows| NullWindows::empty(rows)).collect();
    for part in parts {
        for (total, part) in totals.iter_mut().zip(part) {
            total.add(&part);
        }
    }
    Ok(totals)
}

fn one(truth: &GroundTruth, seed: u64) -> Result<Vec<NullWindows>> {
    let monitor = truth.train(derive(seed, &[0]))?.monitor;
    let mut source = truth.steady.reseeded(derive(seed, &[1]));
    let mut row = Row { values: Vec::new(), class: None, number: None, drifted: false };
    // What the ground truth is in this model's bins; no window of those that are judged is part of it.
    let truth = counted(&monitor, &mut source, &mut row, TRUTH_ROWS);
    WINDOWS
        .iter()
        .map(|&rows| {
            let counts = counted(&monitor, &mut source, &mut row, rows);
            let mut window = NullWindows { references: 1, ..NullWindows::empty(rows) };
            for signal in 0..monitor.signals.len() {
                let judgement = monitor.judge(signal, &counts)?;
                let seen = judgement.psi.rows;
                if let Some(exceeds) = exceeded(&monitor, signal, seen, judgement.psi.value) {
                    window.judged += 1;
                    window.exceeding.iter_mut().zip(exceeds).for_each(|(sum, more)| *sum += u64::from(more));
                }
                window.drifting += u64::from(judgement.verdict == Verdict::Drifting);

                let size = judgement.detectable_psi(monitor.signals[signal].degrees_of_freedom);
                let bins = monitor.range(signal);
                let seed = derive(seed, &[2, rows, signal as u64]);
                if let Some(drifted) = drifted(&truth[bins.clone()], size, seen, seed) {
                    let mut all = vec![0; monitor.bins()];
                    all[bins].copy_from_slice(&drifted);
                    window.drifted += 1;
                    window.noticed += u64::from(monitor.judge(signal, &all)?.verdict == Verdict::Drifting);
                }
            }
            window.references_drifting = u64::from(window.drifting > 0);
            Ok(window)
        })
        .collect()
}

fn counted(monitor: &Monitor, source: &mut RowSource, row: &mut Row, rows: u64) -> Vec<u64> {
    let mut counts = vec![0; monitor.bins()];
    for _ in 0..rows {
        source.fill(row);
        monitor.count(row, None, &mut counts);
    }
    counts
}

impl NullWindows {
    fn empty(rows: u64) -> Self {
        let exceeding = vec![0; LEVELS.len()];
        Self {
            rows,
            references: 0,
            judged: 0,
            exceeding,
            drifting: 0,
            references_drifting: 0,
            drifted: 0,
            noticed: 0,
        }
    }

    fn add(&mut self, part: &Self) {
        self.references += part.references;
        self.judged += part.judged;
        self.drifting += part.drifting;
        self.references_drifting += part.references_drifting;
        self.drifted += part.drifted;
        self.noticed += part.noticed;
        self.exceeding.iter_mut().zip(&part.exceeding).for_each(|(sum, more)| *sum += more);
    }
}
