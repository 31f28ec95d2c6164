//! Measures how often steady traffic exceeds the limits by chance. PSI > (1/N + 1/M)·χ²(1 − α) should hold in a share α of
//! the windows.
//!
//! Verdicts also require PSI to be above the smallest value that matters, 0.1. That floor is left out here. In a long window
//! most of the noise is that of the reference, which is the same in every window. So many references are needed, not many
//! windows: here, each reference has one window of newly drawn rows of each length.
//!
//! For the same references, a drift of the smallest size that a verdict calls detectable is simulated and judged.

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

/// The first step of the seed paths of this part.
const PART: u64 = 2;

/// Rows per window: the fewest that give a verdict, 6 s and 30 s of traffic at 50 rows per second, and so many that the
/// window's own noise is negligible compared with that of a small reference.
pub const WINDOWS: [u64; 4] = [60, 300, 1500, 30_000];

/// Rows from which the true shares of a model's bins are estimated; a share of 0.1 is then known to 1 %.
const TRUTH_ROWS: u64 = 100_000;

/// Returns for each level in [`LEVELS`] whether the PSI of a window of `rows` rows exceeds the limit, or `None` if there are
/// too few rows for a verdict.
pub(crate) fn exceeded(
    monitor: &Monitor,
    signal: usize,
    rows: u64,
    psi: f64,
) -> Option<[bool; LEVELS.len()]> {
    let noise = 1.0 / monitor.reference_rows() as f64 + 1.0 / rows as f64;
    (rows >= MIN_ROWS).then(|| monitor.signals[signal].levels.map(|critical| psi > noise * critical))
}

/// The results of all windows of one length, one window per reference.
#[derive(Debug, Clone, Serialize)]
pub struct NullWindows {
    /// Rows per window.
    pub rows: u64,
    /// References, each with one window.
    pub references: u64,
    /// Judgements: references times signals.
    pub judged: u64,
    /// How many judgements exceed the limit of each level in [`LEVELS`].
    pub exceeding: Vec<u64>,
    /// How many judgements say "drifting" by the limit of the rules, floor included.
    pub drifting: u64,
    /// References with at least one drifting signal.
    pub references_drifting: u64,
    /// Judgements of a simulated drift of the smallest detectable size.
    pub drifted: u64,
    /// How many of those say "drifting".
    pub noticed: u64,
}

/// Judges one window of each length for each of many references.
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
    // An estimate of the true shares of this model's bins. The judged windows have other rows.
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
