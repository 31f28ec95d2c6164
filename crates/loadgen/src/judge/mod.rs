//! Judges a run: thresholds on what the client measured, expectations on what monitoring detected, and whether the generator
//! kept up. Pure functions of what was recorded.

pub mod expectations;
mod run;
pub mod thresholds;
pub mod validity;

pub use run::{Missed, RunVerdict, missed_in_words, run_verdict};

use crate::{engine::PhaseRecord, scenario::Threshold};
use serde::{Deserialize, Serialize};
use thresholds::ThresholdOutcome;

/// What the client measured. Lists are the phases', in their order.
pub struct Measured<'a> {
    /// What the phases are called.
    pub names: &'a [String],
    /// The results of their requests.
    pub records: &'a [&'a PhaseRecord],
    /// The same of the whole run.
    pub whole: &'a PhaseRecord,
    /// Which were closed loops in which the generator itself had no time left.
    pub saturated: &'a [bool],
}

impl Measured<'_> {
    /// Judges each threshold, and returns whether one was missed through the generator's own doing.
    pub fn judge(&self, thresholds: &[Threshold]) -> (Vec<ThresholdOutcome>, bool) {
        let mut blamed = false;
        let outcomes = thresholds.iter().map(|threshold| {
            let record = threshold.phase.map_or(self.whole, |phase| self.records[phase]);
            let name = threshold.phase.map(|phase| self.names[phase].clone());
            let outcome = thresholds::judge(threshold, name, record);
            blamed |= outcome.verdict == Verdict::Failed
                && validity::blames_itself(threshold, record, self.saturated);
            outcome
        });
        (outcomes.collect(), blamed)
    }
}

/// The verdict on a threshold, an expectation or a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What was required happened.
    Passed,
    /// What was required did not happen.
    Failed,
    /// The observations do not suffice for a decision, which counts as missed: nothing shows that it happened.
    CannotTell,
    /// It was not checked, which never counts as passed.
    NotChecked,
}

impl Verdict {
    /// Returns `Passed` if `passed` holds, otherwise `Failed`.
    pub fn of(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }

    /// Returns the strictest of several verdicts: `Failed`, then `CannotTell`, then `Passed`, then `NotChecked`.
    pub fn of_all(verdicts: impl IntoIterator<Item = Self>) -> Self {
        verdicts.into_iter().max_by_key(|verdict| verdict.strictness()).unwrap_or(Self::NotChecked)
    }

    /// Returns whether the requirement counts as missed: it was checked, and nothing shows that it was met.
    pub fn is_missed(self) -> bool {
        matches!(self, Self::Failed | Self::CannotTell)
    }

    fn strictness(self) -> u8 {
        match self {
            Self::NotChecked => 0,
            Self::Passed => 1,
            Self::CannotTell => 2,
            Self::Failed => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{self, CannotTell, Failed, NotChecked, Passed};

    #[test]
    fn the_strictest_verdict_is_that_of_all() {
        assert_eq!(Verdict::of_all([]), NotChecked);
        assert_eq!(Verdict::of_all([NotChecked, Passed]), Passed);
        assert_eq!(Verdict::of_all([Passed, CannotTell, NotChecked]), CannotTell);
        assert_eq!(Verdict::of_all([Passed, Failed, CannotTell, NotChecked]), Failed);
    }
}
