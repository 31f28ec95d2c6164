//! Whether it went well: what the client saw against thresholds, what monitoring saw against expectations, and whether
//! the generator itself kept up. Pure functions of what was recorded.

pub mod expectations;
pub mod thresholds;
pub mod validity;

use serde::{Deserialize, Serialize};

/// The word on a threshold, an expectation or a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As demanded.
    Passed,
    /// Not as demanded, or nothing to tell it by.
    Failed,
    /// Nobody looked; never as good as passed.
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
