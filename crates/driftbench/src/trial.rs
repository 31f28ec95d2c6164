//! Simulates one onset of drift until it is detected.

use crate::{
    cases::Case,
    false_alarms::JUDGEMENTS_TO_ALERT,
    ground_truth::GroundTruth,
    monitor::Monitor,
    seed::derive,
    timeline::{BEAT, Span, Timeline},
    traffic::Traffic,
};
use anyhow::Result;
use drift::Verdict;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The seconds of steady traffic that each trial generates for itself, or the whole warm-up if that is shorter. All trials of
/// a reference share the traffic before that, which only the longest windows still contain.
const OWN: u64 = 3600;

/// The period of scrapes and minutes, in seconds.
const CYCLE: f64 = 60.0;

/// A model after its warm-up with steady traffic.
#[derive(Debug, Clone)]
pub(crate) struct WarmModel {
    pub(crate) monitor: Monitor,
    timeline: Timeline,
    seed: u64,
    rate: f64,
}

/// The state of a warmed-up model just before an onset of drift.
#[derive(Debug, Clone)]
pub(crate) struct Trial<'a> {
    warm: &'a WarmModel,
    timeline: Timeline,
    /// The counts of each bin since the last scrape before the onset.
    increase: Vec<u64>,
    /// The number of the last scrape before the onset.
    beat: u64,
    /// The time of the onset, in seconds.
    onset: f64,
    /// The seconds from a scrape to its judgement.
    delay: f64,
    seed: u64,
}

/// The window and signal of the first verdict, and the seconds from the onset to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FirstVerdict {
    pub(crate) after: f64,
    pub(crate) span: Span,
    pub(crate) signal: usize,
}

/// The result of one drift in one trial.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Outcome {
    /// The first verdict of a window in use.
    pub(crate) verdict: Option<FirstVerdict>,
    /// Seconds until the first alert of a window in use.
    pub(crate) alert: Option<f64>,
    /// Seconds until the first verdict of each window.
    pub(crate) each: Vec<Option<f64>>,
    /// Whether a signal was drifting before the onset, in a window in use. Its verdicts do not count until it has been steady.
    pub(crate) alarmed_before: bool,
}

/// When a trial ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until {
    /// The trial ends after this many seconds at the latest.
    pub(crate) cap: u64,
    /// Whether the trial goes on until every window has a verdict.
    pub(crate) every_window: bool,
}

impl WarmModel {
    /// Trains a model, and simulates `seconds` seconds of steady traffic, except for the part that each trial generates itself.
    pub(crate) fn new(
        truth: &GroundTruth,
        rate: f64,
        seconds: u64,
        spans: &[Span],
        seed: u64,
    ) -> Result<Self> {
        let monitor = truth.train(derive(seed, &[0]))?.monitor;
        let mut warm = Self { timeline: Timeline::new(&monitor, spans), monitor, seed, rate };
        let traffic = Traffic::new(&truth.steady, rate, 0.0, derive(seed, &[1]));
        let beats = seconds.saturating_sub(OWN) / BEAT;
        pass(&warm.monitor, &mut warm.timeline, traffic, beats)?;
        Ok(warm)
    }

    /// Returns steady traffic that differs from that of all trials.
    pub(crate) fn steady(&self, truth: &GroundTruth) -> Traffic {
        Traffic::new(&truth.steady, self.rate, 0.0, derive(self.seed, &[4]))
    }

    /// Simulates the steady traffic of one trial up to the onset, a random moment of the period of scrapes and minutes.
    pub(crate) fn trial(&self, truth: &GroundTruth, warm_up: u64, number: u64) -> Result<Trial<'_>> {
        let seed = derive(self.seed, &[2, number]);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let beats = warm_up.min(OWN) / BEAT;
        let onset = (beats * BEAT) as f64 + CYCLE * rng.random::<f64>();
        let delay = BEAT as f64 * rng.random::<f64>();
        let last = (onset / BEAT as f64) as u64;

        let mut timeline = self.timeline.clone();
        let traffic = Traffic::new(&truth.steady, self.rate, 0.0, seed);
        let mut traffic = pass(&self.monitor, &mut timeline, traffic, last)?;
        let mut increase = vec![0; self.monitor.bins()];
        traffic.until(onset, |_, row| {
            self.monitor.count(row, None, &mut increase);
        });
        Ok(Trial { warm: self, timeline, increase, beat: last, onset, delay, seed })
    }
}

/// Simulates `beats` beats, and returns the traffic that follows them.
fn pass(monitor: &Monitor, timeline: &mut Timeline, mut traffic: Traffic, beats: u64) -> Result<Traffic> {
    let mut increase = vec![0; monitor.bins()];
    for beat in 1..=beats {
        increase.fill(0);
        traffic.until((beat * BEAT) as f64, |_, row| {
            monitor.count(row, None, &mut increase);
        });
        timeline.beat(monitor, &increase)?;
    }
    Ok(traffic)
}

impl Trial<'_> {
    /// Returns the time of the onset, in seconds.
    pub(crate) fn onset(&self) -> f64 {
        self.onset
    }

    /// Returns the trial's traffic before the onset.
    pub(crate) fn steady(&self, truth: &GroundTruth) -> Traffic {
        Traffic::new(&truth.steady, self.warm.rate, 0.0, self.seed)
    }

    /// Returns the trial's traffic after the onset. All drifts use the same random numbers.
    pub(crate) fn drifted(&self, case: &Case) -> Traffic {
        Traffic::new(&case.rows, self.warm.rate, self.onset, derive(self.seed, &[3]))
    }

    /// Simulates a drift from the onset on until it is detected. `in_use` marks the windows of the shipped rules.
    pub(crate) fn run(&self, case: &Case, in_use: &[bool], until: Until) -> Result<Outcome> {
        let monitor = &self.warm.monitor;
        let mut timeline = self.timeline.clone();
        let mut increase = self.increase.clone();
        let mut traffic = self.drifted(case);
        let drifting = |verdict| verdict == Verdict::Drifting;
        let mut stale: Vec<Vec<bool>> = timeline
            .windows
            .iter()
            .map(|window| window.states.iter().map(|state| drifting(state.verdict)).collect())
            .collect();
        let alarmed_before = stale.iter().zip(in_use).any(|(signals, &used)| used && signals.contains(&true));
        let mut outcome =
            Outcome { each: vec![None; timeline.windows.len()], alarmed_before, ..Outcome::default() };
        for beat in self.beat + 1.. {
            let scrape = (beat * BEAT) as f64;
            let after = scrape + self.delay - self.onset;
            if after > until.cap as f64 {
                break;
            }
            traffic.until(scrape, |_, row| {
                monitor.count(row, case.stuck, &mut increase);
            });
            timeline.beat(monitor, &increase)?;
            increase.fill(0);
            // If several signals and windows begin to drift at once, the one furthest beyond its limit is reported.
            let mut furthest = 0.0;
            for (at, window) in timeline.windows.iter().enumerate() {
                for (signal, state) in window.states.iter().enumerate() {
                    stale[at][signal] &= drifting(state.verdict);
                    if !drifting(state.verdict) || stale[at][signal] {
                        continue;
                    }
                    outcome.each[at].get_or_insert(after);
                    if !in_use[at] {
                        continue;
                    }
                    let first = outcome.verdict.as_ref().is_none_or(|noticed| noticed.after == after);
                    if first && state.psi / state.limit > furthest {
                        furthest = state.psi / state.limit;
                        outcome.verdict = Some(FirstVerdict { after, span: window.span, signal });
                    }
                    if state.in_a_row >= JUDGEMENTS_TO_ALERT {
                        outcome.alert.get_or_insert(after);
                    }
                }
            }
            let every_window = !until.every_window || outcome.each.iter().all(Option::is_some);
            if outcome.alert.is_some() && every_window {
                break;
            }
        }
        Ok(outcome)
    }
}
