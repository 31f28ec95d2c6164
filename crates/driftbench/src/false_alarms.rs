//! Measures how often steady traffic raises a false alarm.
//!
//! The requested weeks of traffic are divided among references. Each begins with empty windows, as after a deployment, and
//! every judgement counts from the first one on. Windows that are not full yet vary most, so leaving them out would make the
//! figures too good.

use crate::{
    Settings,
    ground_truth::GroundTruth,
    jobs::Workers,
    monitor::{Counted, LEVELS},
    null::exceeded,
    seed::derive,
    settings::WEEK,
    timeline::{BEAT, Span, Timeline},
    traffic::Traffic,
};
use anyhow::Result;
use drift::Verdict;
use serde::Serialize;
use std::collections::BTreeMap;

/// The first step of the seed paths of this part.
const PART: u64 = 1;

/// An alert fires when a verdict holds at this many judgements in a row, which corresponds to `for: 5s` in the rules.
pub(crate) const JUDGEMENTS_TO_ALERT: u32 = 2;

/// The results of steady traffic at one rate.
#[derive(Debug, Clone, Serialize)]
pub struct SteadyTraffic {
    /// Rows per second.
    pub rate: f64,
    /// Seconds of traffic.
    pub seconds: u64,
    /// References, among which the time is divided.
    pub references: usize,
    /// References for which a signal was drifting at least once, in a window in use.
    pub references_alarmed: usize,
    /// How often a reference was drawn that no model could be trained on.
    pub training_failures: u64,
    /// Rows drawn.
    pub rows: u64,
    /// Rows that the service would have refused or answered with an error.
    pub rows_refused: u64,
    /// One element per window.
    pub windows: Vec<SteadyWindow>,
}

/// The results of one window over all signals.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SteadyWindow {
    /// The length of the window, such as `30s`.
    pub window: String,
    /// Whether the shipped rules have this window.
    pub in_use: bool,
    /// Judgements: one per signal and scrape.
    pub judgements: u64,
    /// Judgements of a full window.
    pub full: u64,
    /// Judgements that ended with "cannot tell".
    pub cannot_tell: u64,
    /// Judgements that ended with "drifting".
    pub drifting: u64,
    /// How often a signal began to drift.
    pub verdicts: u64,
    /// How often a signal drifted long enough to raise an alert.
    pub alerts: u64,
    /// Verdicts by signal, without the signals that have none.
    pub by_signal: BTreeMap<String, u64>,
    /// Windows that do not overlap and have enough rows for a verdict, summed over all signals.
    pub separate: u64,
    /// How many of those windows exceed the limit of each level in [`LEVELS`].
    pub exceeding: Vec<u64>,
}

impl SteadyTraffic {
    /// Returns the length of the traffic in weeks.
    pub fn weeks(&self) -> f64 {
        self.seconds as f64 / WEEK
    }

    /// Returns a count per week of traffic.
    pub fn per_week(&self, count: u64) -> f64 {
        count as f64 / self.weeks()
    }

    /// Returns the number of verdicts and of alerts over all windows in use.
    pub fn in_use(&self) -> (u64, u64) {
        let used = self.windows.iter().filter(|window| window.in_use);
        used.fold((0, 0), |(verdicts, alerts), w| (verdicts + w.verdicts, alerts + w.alerts))
    }
}

/// Simulates steady traffic at every requested rate.
pub(crate) fn run(settings: &Settings, truth: &GroundTruth, workers: Workers) -> Result<Vec<SteadyTraffic>> {
    // The longest jobs come first, so that the threads finish at about the same time.
    let mut rates: Vec<usize> = (0..settings.rates.len()).collect();
    rates.sort_by(|&a, &b| settings.rates[b].total_cmp(&settings.rates[a]));
    let jobs: Vec<(usize, usize)> = rates
        .into_iter()
        .flat_map(|rate| (0..settings.references).map(move |reference| (rate, reference)))
        .collect();
    let parts = workers.map("steady traffic", jobs.len(), |job| {
        let (rate, reference) = jobs[job];
        let seed = derive(settings.seed, &[PART, settings.rates[rate].to_bits(), reference as u64]);
        one(settings, truth, settings.rates[rate], seed)
    })?;
    let mut totals: Vec<Option<SteadyTraffic>> = vec![None; settings.rates.len()];
    for ((rate, _), part) in jobs.into_iter().zip(parts) {
        totals[rate] = Some(match totals[rate].take() {
            Some(total) => total.plus(part),
            None => part,
        });
    }
    Ok(totals.into_iter().flatten().collect())
}

/// Simulates the traffic of one reference.
fn one(settings: &Settings, truth: &GroundTruth, rate: f64, seed: u64) -> Result<SteadyTraffic> {
    let trained = truth.train(derive(seed, &[0]))?;
    let monitor = trained.monitor;
    let spans = settings.spans();
    let mut timeline = Timeline::new(&monitor, &spans);
    let mut traffic = Traffic::new(&truth.steady, rate, 0.0, derive(seed, &[1]));
    let mut windows: Vec<SteadyWindow> = spans
        .iter()
        .map(|&span| SteadyWindow {
            window: span.label(),
            in_use: settings.in_use(span),
            exceeding: vec![0; LEVELS.len()],
            ..SteadyWindow::default()
        })
        .collect();
    let mut increase = vec![0; monitor.bins()];
    let (mut rows, mut rows_refused) = (0, 0);
    let beats = settings.beats_per_reference();
    for beat in 1..=beats {
        increase.fill(0);
        traffic.until((beat * BEAT) as f64, |_, row| {
            rows += 1;
            rows_refused += u64::from(monitor.count(row, None, &mut increase) != Counted::Answered);
        });
        timeline.beat(&monitor, &increase)?;
        for (total, window) in windows.iter_mut().zip(&timeline.windows) {
            total.add(window, &monitor.signals);
            if is_separate(window.span, beat) {
                for (signal, state) in window.states.iter().enumerate() {
                    if let Some(exceeds) = exceeded(&monitor, signal, state.rows, state.psi) {
                        total.separate += 1;
                        total
                            .exceeding
                            .iter_mut()
                            .zip(exceeds)
                            .for_each(|(sum, more)| *sum += u64::from(more));
                    }
                }
            }
        }
    }
    Ok(SteadyTraffic {
        rate,
        seconds: beats * BEAT,
        references: 1,
        references_alarmed: usize::from(windows.iter().any(|w| w.in_use && w.verdicts > 0)),
        training_failures: trained.failures,
        rows,
        rows_refused,
        windows,
    })
}

/// Returns whether the window that ends at this beat follows directly on the one counted before it, so that they share no row.
fn is_separate(span: Span, beat: u64) -> bool {
    beat.is_multiple_of(span.seconds() / BEAT)
}

impl SteadyWindow {
    fn add(&mut self, window: &super::timeline::Window, signals: &[super::monitor::Signal]) {
        for (state, signal) in window.states.iter().zip(signals) {
            self.judgements += 1;
            self.full += u64::from(window.is_full());
            match state.verdict {
                Verdict::Steady => {}
                Verdict::CannotTell { .. } => self.cannot_tell += 1,
                Verdict::Drifting => self.drifting += 1,
            }
            if state.in_a_row == 1 {
                self.verdicts += 1;
                *self.by_signal.entry(signal.name.clone()).or_default() += 1;
            }
            self.alerts += u64::from(state.in_a_row == JUDGEMENTS_TO_ALERT);
        }
    }

    fn plus(mut self, other: Self) -> Self {
        self.judgements += other.judgements;
        self.full += other.full;
        self.cannot_tell += other.cannot_tell;
        self.drifting += other.drifting;
        self.verdicts += other.verdicts;
        self.alerts += other.alerts;
        self.separate += other.separate;
        for (signal, count) in other.by_signal {
            *self.by_signal.entry(signal).or_default() += count;
        }
        self.exceeding.iter_mut().zip(other.exceeding).for_each(|(sum, more)| *sum += more);
        self
    }
}

impl SteadyTraffic {
    fn plus(self, other: Self) -> Self {
        Self {
            rate: self.rate,
            seconds: self.seconds + other.seconds,
            references: self.references + other.references,
            references_alarmed: self.references_alarmed + other.references_alarmed,
            training_failures: self.training_failures + other.training_failures,
            rows: self.rows + other.rows,
            rows_refused: self.rows_refused + other.rows_refused,
            windows: self.windows.into_iter().zip(other.windows).map(|(a, b)| a.plus(b)).collect(),
        }
    }
}
