//! The last word on a run, and what else its reader must know.

use super::{Monitoring, PhaseReport, Report, drills};
use crate::{
    engine::Totals,
    judge::{
        Verdict,
        expectations::{ExpectationOutcome, Seen},
        thresholds::ThresholdOutcome,
    },
    scenario::Metric,
};
use serde::{Deserialize, Serialize};

/// The last word on a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunVerdict {
    /// Every threshold holds and no expectation was missed.
    Passed,
    /// A threshold or an expectation was missed.
    Failed,
    /// The generator could not keep up: the figures are not the target's.
    Invalid,
    /// Stopped before its end.
    Interrupted,
}

/// How many thresholds and expectations were missed. They do not decide the verdict on an interrupted or invalid run, and
/// are shown all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// Thresholds.
    pub thresholds: usize,
    /// Expectations.
    pub expectations: usize,
}

impl Missed {
    /// Counts them.
    pub fn count(thresholds: &[ThresholdOutcome], expectations: &[ExpectationOutcome]) -> Self {
        Self {
            thresholds: thresholds.iter().filter(|outcome| outcome.verdict.is_missed()).count(),
            expectations: expectations.iter().filter(|outcome| outcome.verdict.is_missed()).count(),
        }
    }

    /// Whether there are none.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

impl Report {
    /// Why the verdict is what it is, and what was missed besides; `None` when all was as it should be.
    pub fn full_reason(&self) -> Option<String> {
        let reason = self.reason.as_ref()?;
        match self.verdict {
            RunVerdict::Invalid | RunVerdict::Interrupted if !self.missed.is_none() => Some(format!(
                "{reason}; besides, {}",
                in_words(self.missed, &self.thresholds, &self.expectations)
            )),
            _ => Some(reason.clone()),
        }
    }
}

fn in_words(missed: Missed, thresholds: &[ThresholdOutcome], expectations: &[ExpectationOutcome]) -> String {
    format!(
        "{} of {} thresholds and {} of {} expectations missed",
        missed.thresholds,
        thresholds.len(),
        missed.expectations,
        expectations.len()
    )
}

/// The last word, and why. An interrupted run is neither good nor bad; an invalid one neither.
pub fn verdict(
    interrupted: bool,
    invalid: Option<String>,
    totals: &Totals,
    thresholds: &[ThresholdOutcome],
    expectations: &[ExpectationOutcome],
) -> (RunVerdict, Option<String>) {
    if interrupted {
        return (RunVerdict::Interrupted, Some("stopped before its end".into()));
    }
    if invalid.is_some() {
        return (RunVerdict::Invalid, invalid);
    }
    let missed = Missed::count(thresholds, expectations);
    let verdicts = || {
        let thresholds = thresholds.iter().map(|outcome| outcome.verdict);
        thresholds.chain(expectations.iter().map(|outcome| outcome.verdict))
    };
    if verdicts().count() > 0 && verdicts().all(|verdict| verdict == Verdict::NotChecked) {
        return (RunVerdict::Failed, Some("nothing of what the scenario expects could be checked".into()));
    }
    if missed.is_none() && totals.settled() > 0 && totals.completed == 0 {
        return (RunVerdict::Failed, Some(format!("not one of {} requests was answered", totals.settled())));
    }
    if missed.is_none() {
        return (RunVerdict::Passed, None);
    }
    (RunVerdict::Failed, Some(in_words(missed, thresholds, expectations)))
}

/// What else a reader must know.
pub(super) fn warnings(phases: &[PhaseReport], thresholds: &[ThresholdOutcome], seen: &Seen) -> Vec<String> {
    let mut warnings = Vec::new();
    if thresholds.is_empty() {
        warnings.push("the scenario has no thresholds: what the client saw was not judged".to_owned());
    }
    let looked_at = |outcome: &ThresholdOutcome| {
        [Metric::UnexpectedRate, Metric::Failed, Metric::TimedOut]
            .map(Metric::name)
            .contains(&outcome.metric.as_ref())
    };
    let unanswered: u64 = phases.iter().map(|phase| phase.totals.failed + phase.totals.timed_out).sum();
    if unanswered > 0 && !thresholds.iter().any(looked_at) {
        warnings.push(format!(
            "{unanswered} requests had no answer, and no threshold looks at that: add one on unexpected_rate"
        ));
    }
    for phase in phases.iter().filter(|phase| phase.saturated()) {
        let busy = phase.generator_busy.unwrap_or_default() * 100.0;
        warnings.push(format!(
            "{}: the generator's own threads were busy {busy:.0} % of the time, so the rate is what this machine can ask, not \
             what the target can answer, and times are upper bounds; use more cores, or more machines with --shard",
            phase.name
        ));
    }
    for phase in phases {
        let Monitoring { readings, failed_readings, last_error, .. } = &phase.monitoring;
        if let Some(error) = last_error {
            let all = readings + failed_readings;
            warnings.push(format!(
                "{}: {failed_readings} of {all} readings of /metrics failed: {error}",
                phase.name
            ));
        }
    }
    warnings.extend(seen.prometheus.into_iter().flat_map(drills::warnings));
    warnings
}
