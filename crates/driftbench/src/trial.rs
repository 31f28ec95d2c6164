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

/// Seconds of steady traffic of its own that each trial begins with, or all there is to warm up with if that is less.
/// Trials of one reference share the traffic before, which only the longest windows still hold.
const OWN: u64 = 3600;

/// The phases of scrapes and minutes repeat after so many seconds.
const CYCLE: f64 = 60.0;

/// A model under steady traffic, its windows filled.
#[derive(Debug, Clone)]
pub(crate) struct Warm {
    pub(crate) monitor: Monitor,
    timeline: Timeline,
    seed: u64,
    rate: f64,
}

/// A moment at which drift sets in.
#[derive(Debug, Clone)]
pub(crate) struct Trial<'a> {
    warm: &'a Warm,
    timeline: Timeline,
    /// Counted since the last scrape before the onset.
    increase: Vec<u64>,
    /// The last scrape before the onset, in beats.
    beat: u64,
    /// When drift sets in, in seconds.
    onset: f64,
    /// Seconds from a scrape to the judgement of it.
    delay: f64,
    seed: u64,
}

/// Which window and signal noticed, and after how many seconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Noticed {
    pub(crate) after: f64,
    pub(crate) span: Span,
    pub(crate) signal: usize,
}

/// How one drift fared.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Outcome {
    /// The first verdict of a window in use.
    pub(crate) verdict: Option<Noticed>,
    /// Seconds until the first alert of a window in use.
    pub(crate) alert: Option<f64>,
    /// Seconds until the first verdict of each window.
    pub(crate) each: Vec<Option<f64>>,
    /// Whether a window in use was drifting before the onset. What it says does not count until it has been steady.
    pub(crate) alarmed_before: bool,
}

/// When a trial is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until {
    /// After so many seconds at the latest.
    pub(crate) cap: u64,
    /// Not before every window has noticed.
    pub(crate) every_window: bool,
}

impl Warm {
    /// Trains a model, and lets so many seconds of steady traffic pass.
    pub(crate) fn up(
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

    /// Steady traffic that no trial has seen.
    pub(crate) fn steady(&self, truth: &GroundTruth) -> Traffic {
        Traffic::new(&truth.steady, self.rate, 0.0, derive(self.seed, &[4]))
    }

    /// Steady traffic of a trial's own, up to an onset at any moment of the cycle of scrapes and minutes.
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

/// So many beats of traffic, the first of which ends after one beat.
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
    /// Returns when drift sets in, in seconds.
    pub(crate) fn onset(&self) -> f64 {
        self.onset
    }

    /// Returns the rows before the onset, from the start of the trial's own traffic.
    pub(crate) fn steady(&self, truth: &GroundTruth) -> Traffic {
        Traffic::new(&truth.steady, self.warm.rate, 0.0, self.seed)
    }

    /// Returns the rows after the onset. Each drift is made of the same random numbers.
    pub(crate) fn drifted(&self, case: &Case) -> Traffic {
        Traffic::new(&case.rows, self.warm.rate, self.onset, derive(self.seed, &[3]))
    }

    /// Lets a drift set in, and watches. `in_use` marks the windows of the shipped rules.
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
            // Of several signals and windows at once, the one furthest beyond its limit is named.
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
                        outcome.verdict = Some(Noticed { after, span: window.span, signal });
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
