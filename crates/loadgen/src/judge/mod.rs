//! Whether it went well: what the client saw against thresholds, what monitoring saw against expectations, and whether
//! the generator itself kept up. Pure functions of what was recorded.

pub mod expectations;
pub mod thresholds;
pub mod validity;

use crate::{engine::PhaseRecord, scenario::Threshold};
use serde::{Deserialize, Serialize};
use thresholds::ThresholdOutcome;

/// What the client measured. Lists are the phases', in their order.
pub struct Measured<'a> {
    /// What the phases are called.
    pub names: &'a [String],
    /// What came of their requests.
    pub records: &'a [&'a PhaseRecord],
    /// The same of the whole run.
    pub whole: &'a PhaseRecord,
    /// Which were closed loops in which the generator itself had no time left.
    pub saturated: &'a [bool],
}

impl Measured<'_> {
    /// Holds each threshold against the record that it is about, and says whether one was missed by the generator's own doing.
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

/// The word on a threshold, an expectation or a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As demanded.
    Passed,
    /// Not as demanded, or nothing to tell it by.
    Failed,
    /// It was not checked, which never counts as passed.
    NotChecked,
}

impl Verdict {
    /// Passed if so, failed otherwise.
    pub fn of(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }

    /// One word for many: failed if any is, passed if at least one is, not checked otherwise.
    pub fn of_all(verdicts: impl IntoIterator<Item = Self>) -> Self {
        verdicts.into_iter().fold(Self::NotChecked, |whole, verdict| match (whole, verdict) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Passed, _) | (_, Self::Passed) => Self::Passed,
            _ => Self::NotChecked,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{self, Failed, NotChecked, Passed};

    #[test]
    fn one_word_for_many() {
        assert_eq!(Verdict::of_all([]), NotChecked);
        assert_eq!(Verdict::of_all([NotChecked, Passed]), Passed);
        assert_eq!(Verdict::of_all([Passed, Failed, NotChecked]), Failed);
    }
}
