//! The verdict on a whole run.

use super::{Verdict, expectations::ExpectationOutcome, thresholds::ThresholdOutcome};
use crate::engine::Totals;
use serde::{Deserialize, Serialize};

/// The verdict on a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunVerdict {
    /// Every threshold holds, and no expectation was missed.
    Passed,
    /// A threshold or an expectation was missed.
    Failed,
    /// The generator could not keep up, so the figures are not those of the target.
    #[default]
    Invalid,
    /// It was stopped before its end.
    Interrupted,
}

/// How many thresholds and expectations were missed. They do not decide the verdict on an interrupted or invalid run, but
/// they are reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// Thresholds.
    pub thresholds: usize,
    /// Expectations.
    pub expectations: usize,
}

impl Missed {
    /// Counts the missed ones.
    pub fn count(thresholds: &[ThresholdOutcome], expectations: &[ExpectationOutcome]) -> Self {
        Self {
            thresholds: thresholds.iter().filter(|outcome| outcome.verdict.is_missed()).count(),
            expectations: expectations.iter().filter(|outcome| outcome.verdict.is_missed()).count(),
        }
    }

    /// Returns whether none was missed.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// Returns how many thresholds and expectations were missed, as a phrase.
pub fn missed_in_words(
    missed: Missed,
    thresholds: &[ThresholdOutcome],
    expectations: &[ExpectationOutcome],
) -> String {
    format!(
        "{} of {} thresholds and {} of {} expectations missed",
        missed.thresholds,
        thresholds.len(),
        missed.expectations,
        expectations.len()
    )
}

/// Returns the verdict on a run, and the reason unless it passed.
pub fn run_verdict(
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
    (RunVerdict::Failed, Some(missed_in_words(missed, thresholds, expectations)))
}
