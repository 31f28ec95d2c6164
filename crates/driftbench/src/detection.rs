//! Measures how soon drift is detected. Each drift begins at many moments ("onsets"), each in a trial of its own.

use crate::{
    Settings,
    cases::{Drift, drifts},
    ground_truth::GroundTruth,
    jobs::Workers,
    seed::derive,
    trial::{Outcome, Until, WarmModel},
};
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// The first step of the seed paths of this part.
const PART: u64 = 3;

/// The number of trials, their traffic and their length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rate: f64,
    pub(crate) trials: usize,
    pub(crate) until: Until,
}

impl Plan {
    pub(crate) fn of_detection(settings: &Settings) -> Self {
        let until = Until { cap: settings.cap.as_secs(), every_window: false };
        Self { rate: settings.rate, trials: settings.trials, until }
    }

    pub(crate) fn of_windows(settings: &Settings, rate: f64) -> Self {
        let until = Until { cap: settings.window_cap.as_secs(), every_window: true };
        Self { rate, trials: settings.window_trials, until }
    }
}

/// The results of all drifts at one rate.
#[derive(Debug, Clone, Serialize)]
pub struct Detection {
    /// Rows per second.
    pub rate: f64,
    /// The number of trials per case.
    pub trials: usize,
    /// References, among which the trials are divided.
    pub references: usize,
    /// Seconds without a verdict after which a drift counts as missed.
    pub cap: u64,
    /// Trials in which a signal was drifting before the onset.
    pub alarmed_before: usize,
    /// One element per kind of drift.
    pub drifts: Vec<DetectedDrift>,
}

/// The results of one kind of drift.
#[derive(Debug, Clone, Serialize)]
pub struct DetectedDrift {
    /// The name of this kind of drift.
    pub drift: String,
    /// The target for the median time until a verdict, in seconds.
    pub target: Option<f64>,
    /// One element per feature or class that can drift in this way.
    pub cases: Vec<DetectedCase>,
}

/// The results of one drift over all trials.
#[derive(Debug, Clone, Serialize)]
pub struct DetectedCase {
    /// The feature or class that drifts; empty if the drift is not of a single one.
    pub about: String,
    /// The time until the first verdict of a window in use.
    pub verdict: DetectionDelays,
    /// The time until the first alert of a window in use.
    pub alert: DetectionDelays,
    /// The window and signal of the first verdict, and in how many trials; the most frequent pair first.
    pub noticed_by: Vec<(String, String, usize)>,
    /// The time until the first verdict of each window, whether it is in use or not.
    pub windows: Vec<(String, DetectionDelays)>,
    /// Seconds until the verdict in each trial; `None` where the drift was missed.
    pub each: Vec<Option<f64>>,
}

/// The delays of detection over all trials, in seconds. A missed drift counts as longer than any other delay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DetectionDelays {
    /// `None` if at least half of the trials missed the drift.
    pub median: Option<f64>,
    /// `None` if more than a tenth of the trials missed the drift.
    pub p90: Option<f64>,
    /// Trials that missed the drift.
    pub missed: usize,
}

impl DetectionDelays {
    fn of(times: impl Iterator<Item = Option<f64>>) -> Self {
        let mut sorted: Vec<f64> = times.map(|time| time.unwrap_or(f64::INFINITY)).collect();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let known = |time: f64| time.is_finite().then_some(time);
        let at = |rank: usize| sorted.get(rank).copied().unwrap_or(f64::INFINITY);
        Self {
            median: known((at(count.saturating_sub(1) / 2) + at(count / 2)) / 2.0),
            p90: known(at((count * 9).div_ceil(10).saturating_sub(1))),
            missed: sorted.iter().filter(|time| time.is_infinite()).count(),
        }
    }

    /// Returns a sort key: a later detection has a greater one, and a missed drift the greatest.
    fn rank(&self) -> (f64, f64) {
        (self.median.unwrap_or(f64::INFINITY), self.p90.unwrap_or(f64::INFINITY))
    }
}

impl DetectedDrift {
    /// Returns the case with the longest delays, where `of` selects which delays of a case are compared.
    pub fn slowest(&self, of: impl Fn(&DetectedCase) -> DetectionDelays) -> Option<&DetectedCase> {
        // `max_by` returns the last of equal cases, so the order is reversed to get the first.
        self.cases.iter().rev().max_by(|a, b| {
            let (a, b) = (of(a).rank(), of(b).rank());
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
        })
    }
}

/// Runs all trials of every drift. Also returns the warmed-up models.
pub(crate) fn run(
    settings: &Settings,
    truth: &GroundTruth,
    workers: Workers,
    plan: Plan,
) -> Result<(Detection, Vec<WarmModel>)> {
    let drifts = drifts(truth)?;
    let spans = settings.spans();
    let in_use: Vec<bool> = spans.iter().map(|&span| settings.in_use(span)).collect();
    let references = settings.references.min(plan.trials);
    let warm_up = settings.warm_up.as_secs();
    let named = |what: &str| format!("{what} at {}/s", plan.rate);
    let warm = workers.map(&named("warming up"), references, |reference| {
        let seed = derive(settings.seed, &[PART, plan.rate.to_bits(), reference as u64]);
        WarmModel::new(truth, plan.rate, warm_up, &spans, seed)
    })?;
    let trials: Vec<Vec<Outcome>> = workers.map(&named("drifts"), plan.trials, |number| {
        let trial = warm[number % references].trial(truth, warm_up, number as u64)?;
        let cases = drifts.iter().flat_map(|drift| &drift.cases);
        cases.map(|case| trial.run(case, &in_use, plan.until)).collect()
    })?;
    let labels: Vec<String> = spans.iter().map(|span| span.label()).collect();
    let signals: Vec<&str> =
        warm.first().map_or_else(Vec::new, |w| w.monitor.signals.iter().map(|s| s.name.as_str()).collect());
    let detection = Detection {
        rate: plan.rate,
        trials: plan.trials,
        references,
        cap: plan.until.cap,
        alarmed_before: trials.iter().filter(|outcomes| outcomes.iter().any(|o| o.alarmed_before)).count(),
        drifts: summary(&drifts, &trials, &labels, &signals),
    };
    Ok((detection, warm))
}

fn summary(
    drifts: &[Drift],
    trials: &[Vec<Outcome>],
    labels: &[String],
    signals: &[&str],
) -> Vec<DetectedDrift> {
    let mut case_at = 0..;
    drifts
        .iter()
        .map(|drift| DetectedDrift {
            drift: drift.name.to_owned(),
            target: drift.target,
            cases: drift
                .cases
                .iter()
                .zip(case_at.by_ref())
                .map(|(case, at)| {
                    detected(
                        &case.about,
                        trials.iter().map(|outcomes| &outcomes[at]).collect(),
                        labels,
                        signals,
                    )
                })
                .collect(),
        })
        .collect()
}

fn detected(about: &str, outcomes: Vec<&Outcome>, labels: &[String], signals: &[&str]) -> DetectedCase {
    let mut by: BTreeMap<(u64, String, usize), usize> = BTreeMap::new();
    for noticed in outcomes.iter().filter_map(|outcome| outcome.verdict.as_ref()) {
        *by.entry((noticed.span.seconds(), noticed.span.label(), noticed.signal)).or_default() += 1;
    }
    let mut noticed_by: Vec<(String, String, usize)> = by
        .into_iter()
        .map(|((_, window, signal), count)| (window, signals[signal].to_owned(), count))
        .collect();
    noticed_by.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
    let verdict = |outcome: &&Outcome| outcome.verdict.as_ref().map(|noticed| noticed.after);
    DetectedCase {
        about: about.to_owned(),
        verdict: DetectionDelays::of(outcomes.iter().map(verdict)),
        alert: DetectionDelays::of(outcomes.iter().map(|outcome| outcome.alert)),
        noticed_by,
        windows: labels
            .iter()
            .enumerate()
            .map(|(at, label)| {
                (label.clone(), DetectionDelays::of(outcomes.iter().map(|outcome| outcome.each[at])))
            })
            .collect(),
        each: outcomes.iter().map(verdict).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_drift_counts_as_the_longest_delay() {
        let times = |times: &[Option<f64>]| DetectionDelays::of(times.iter().copied());
        let four = times(&[Some(4.0), None, Some(1.0), Some(2.0)]);
        assert_eq!(four, DetectionDelays { median: Some(3.0), p90: None, missed: 1 });
        let ten: Vec<Option<f64>> = (1..10).map(|i| Some(f64::from(i))).chain([None]).collect();
        assert_eq!(times(&ten), DetectionDelays { median: Some(5.5), p90: Some(9.0), missed: 1 });
        assert_eq!(times(&[Some(1.0), None]).median, None);
        assert_eq!(times(&[None, Some(1.0), Some(7.0)]).median, Some(7.0));
    }

    #[test]
    fn the_slowest_case_is_the_first_one_with_the_greatest_median() {
        let case = |about: &str, times: &[Option<f64>]| DetectedCase {
            about: about.to_owned(),
            verdict: DetectionDelays::of(times.iter().copied()),
            alert: DetectionDelays::of(times.iter().copied()),
            noticed_by: Vec::new(),
            windows: Vec::new(),
            each: times.to_vec(),
        };
        let cases = vec![
            case("a", &[Some(9.0); 3]),
            case("b", &[Some(1.0), None, None]),
            case("c", &[None; 3]),
            case("d", &[Some(9.0); 3]),
        ];
        let drift = |cases| DetectedDrift { drift: String::new(), target: None, cases };
        let slowest = |cases| drift(cases).slowest(|case| case.verdict).map(|case| case.about.clone());
        assert_eq!(slowest(cases.clone()).as_deref(), Some("b"));
        assert_eq!(slowest(vec![cases[0].clone(), cases[3].clone()]).as_deref(), Some("a"));
    }
}
