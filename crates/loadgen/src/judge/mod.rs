//! Judges a run: thresholds on the client's measurements, expectations of what monitoring detects, and whether the generator
//! kept up. All functions depend only on the records of the run.

pub mod expectations;
mod run;
pub mod thresholds;
pub mod validity;

pub use run::{Missed, RunVerdict, missed_in_words, run_verdict};

use crate::{engine::PhaseRecord, scenario::Threshold};
use serde::{Deserialize, Serialize};
use thresholds::ThresholdOutcome;

/// The client's measurements. Each list has one element per phase, in the order of the phases.
pub struct Measured<'a> {
    /// The names of the phases.
    pub names: &'a [String],
    /// The results of the requests of each phase.
    pub records: &'a [&'a PhaseRecord],
    /// The results of the requests of the whole run.
    pub whole: &'a PhaseRecord,
    /// Whether each phase was a closed loop in which the generator itself had no CPU time left.
    pub saturated: &'a [bool],
}

impl Measured<'_> {
    /// Judges each threshold, and returns whether one was missed because of the generator.
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
    /// The requirement was met.
    Passed,
    /// The requirement was not met.
    Failed,
    /// The observations do not suffice for a decision. This counts as missed, because nothing shows that the requirement was met.
    CannotTell,
    /// The requirement was not checked, which never counts as passed.
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
    fn the_strictest_of_several_verdicts_counts() {
        assert_eq!(Verdict::of_all([]), NotChecked);
        assert_eq!(Verdict::of_all([NotChecked, Passed]), Passed);
        assert_eq!(Verdict::of_all([Passed, CannotTell, NotChecked]), CannotTell);
        assert_eq!(Verdict::of_all([Passed, Failed, CannotTell, NotChecked]), Failed);
    }
}
