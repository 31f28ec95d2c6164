//! Reaches the verdict on a whole run.

use super::{Verdict, expectations::ExpectationOutcome, thresholds::ThresholdOutcome};
use crate::engine::Totals;
use driftsim::counted::counted;
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
    /// The run was stopped before its end.
    Interrupted,
}

/// The numbers of missed thresholds and expectations. They do not affect the verdict on an interrupted or invalid run, but they
/// are reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// The missed thresholds.
    pub thresholds: usize,
    /// The missed expectations.
    pub expectations: usize,
}

impl Missed {
    /// Counts the missed thresholds and expectations.
    pub fn count(thresholds: &[ThresholdOutcome], expectations: &[ExpectationOutcome]) -> Self {
        Self {
            thresholds: thresholds.iter().filter(|outcome| outcome.verdict.is_missed()).count(),
            expectations: expectations.iter().filter(|outcome| outcome.verdict.is_missed()).count(),
        }
    }

    /// Returns whether nothing was missed.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// Returns the numbers as text. A kind that the scenario does not have is left out.
pub fn missed_in_words(
    missed: Missed,
    thresholds: &[ThresholdOutcome],
    expectations: &[ExpectationOutcome],
) -> String {
    let kinds = [
        (missed.thresholds, thresholds.len(), "thresholds"),
        (missed.expectations, expectations.len(), "expectations"),
    ];
    let kinds = kinds.iter().filter(|(_, all, _)| *all > 0);
    let counts: Vec<String> = kinds.map(|(missed, all, kind)| format!("{missed} of {all} {kind}")).collect();
    format!("{} missed", counts.join(" and "))
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
        return (RunVerdict::Failed, Some("none of the scenario's expectations could be checked".into()));
    }
    if missed.is_none() && totals.settled() > 0 && totals.completed == 0 {
        return (
            RunVerdict::Failed,
            Some(format!("{} without a single answer", counted(totals.settled(), "request", "requests"))),
        );
    }
    if missed.is_none() {
        return (RunVerdict::Passed, None);
    }
    (RunVerdict::Failed, Some(missed_in_words(missed, thresholds, expectations)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_thresholds_and_expectations_are_counted() {
        let threshold = |verdict| ThresholdOutcome {
            phase: None,
            metric: "failed".into(),
            expression: "count==0".into(),
            value: None,
            verdict,
            is_time: false,
        };
        let expectation = |verdict| ExpectationOutcome {
            kind: "signal".into(),
            phase: None,
            expected: String::new(),
            verdict,
            detail: String::new(),
            after: None,
            resolved_after: None,
            notified_after: None,
            calm: false,
        };
        let reason = |thresholds: &[Verdict], expectations: &[Verdict]| {
            let thresholds: Vec<_> = thresholds.iter().map(|&verdict| threshold(verdict)).collect();
            let expectations: Vec<_> = expectations.iter().map(|&verdict| expectation(verdict)).collect();
            run_verdict(false, None, &Totals::default(), &thresholds, &expectations).1.unwrap()
        };
        use Verdict::{Failed, Passed};
        assert_eq!(reason(&[], &[Failed, Passed]), "1 of 2 expectations missed");
        assert_eq!(reason(&[Failed], &[]), "1 of 1 thresholds missed");
        assert_eq!(reason(&[Passed], &[Failed]), "0 of 1 thresholds and 1 of 1 expectations missed");
    }
}
