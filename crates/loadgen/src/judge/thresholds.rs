//! Thresholds on what the client saw. Without samples a threshold fails: nothing was shown to be good.

use super::Verdict;
use crate::{
    engine::{PhaseRecord, Times},
    scenario::{Aggregate, Metric, Threshold},
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What came of a threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdOutcome {
    /// The phase; `None` for the whole run.
    pub phase: Option<String>,
    /// The metric's name.
    pub metric: Cow<'static, str>,
    /// As the scenario has it.
    pub expression: String,
    /// What was measured, times in seconds; `None` without samples.
    pub value: Option<f64>,
    /// Whether it holds.
    pub verdict: Verdict,
    /// Whether the value is a time.
    #[serde(skip)]
    pub is_time: bool,
}

/// Holds `threshold`, called so after `phase`, against the record it is about.
pub fn judge(threshold: &Threshold, phase: Option<String>, record: &PhaseRecord) -> ThresholdOutcome {
    let value = value(threshold, record);
    let holds = value.is_some_and(|value| threshold.comparison.holds(value, threshold.limit));
    ThresholdOutcome {
        phase,
        metric: threshold.metric.name().into(),
        expression: threshold.expression.clone(),
        value,
        verdict: Verdict::of(holds),
        is_time: threshold.metric.is_time(),
    }
}

fn value(threshold: &Threshold, record: &PhaseRecord) -> Option<f64> {
    let totals = &record.totals;
    let count = |part: u64, whole: u64| match threshold.aggregate {
        _ if whole == 0 => None,
        Aggregate::Count => Some(part as f64),
        _ => Some(part as f64 / whole as f64),
    };
    match threshold.metric {
        Metric::ResponseTime => time(threshold.aggregate, &record.response),
        Metric::ServiceTime => time(threshold.aggregate, &record.service),
        Metric::SendLag => time(threshold.aggregate, &record.lag),
        Metric::UnexpectedRate => count(totals.not_as_expected(), totals.settled()),
        Metric::Failed => count(totals.failed, totals.settled()),
        Metric::TimedOut => count(totals.timed_out, totals.settled()),
        Metric::Dropped => count(totals.dropped, totals.offered),
    }
}

fn time(aggregate: Aggregate, times: &Times) -> Option<f64> {
    match aggregate {
        Aggregate::Quantile(quantile) => times.quantile(quantile),
        Aggregate::Mean => times.mean(),
        Aggregate::Max => times.max(),
        // Refused when the scenario was read.
        Aggregate::Count | Aggregate::Rate => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{DropReason, Ending, Failure, Timing};
    use std::time::Duration;

    fn verdict(metric: Metric, expression: &str, record: &PhaseRecord) -> Verdict {
        judge(&Threshold::parse(None, metric, expression).unwrap(), None, record).verdict
    }

    fn record() -> PhaseRecord {
        let mut record = PhaseRecord::default();
        for ms in 1..=100 {
            let time = Duration::from_millis(ms);
            let status = if ms == 100 { 500 } else { 200 };
            record.totals.offered += 1;
            record.ended(
                Ending::Completed { status, expected: status == 200 },
                Timing { response: time, service: time / 2, lag: None },
            );
        }
        record
    }

    #[test]
    fn figures_are_held_against_limits() {
        let mut record = record();
        assert_eq!(verdict(Metric::ResponseTime, "p(50)<51ms", &record), Verdict::Passed);
        assert_eq!(verdict(Metric::ResponseTime, "p(99)<98ms", &record), Verdict::Failed);
        assert_eq!(verdict(Metric::ServiceTime, "max<=51ms", &record), Verdict::Passed);
        assert_eq!(verdict(Metric::UnexpectedRate, "rate<=0.01", &record), Verdict::Passed);
        assert_eq!(verdict(Metric::UnexpectedRate, "count==1", &record), Verdict::Passed);
        record.ended(
            Ending::Failed(Failure::Connect),
            Timing { response: Duration::ZERO, service: Duration::ZERO, lag: None },
        );
        assert_eq!(verdict(Metric::UnexpectedRate, "rate<=0.01", &record), Verdict::Failed);
        record.dropped(DropReason::InFlightLimit);
        assert_eq!(verdict(Metric::Dropped, "count==0", &record), Verdict::Failed);
    }

    #[test]
    fn nothing_measured_is_nothing_shown() {
        let nothing = PhaseRecord::default();
        assert_eq!(verdict(Metric::ResponseTime, "p(99)<1h", &nothing), Verdict::Failed);
        assert_eq!(verdict(Metric::UnexpectedRate, "rate<1", &nothing), Verdict::Failed);
        assert_eq!(verdict(Metric::Dropped, "count==0", &nothing), Verdict::Failed);
        // A closed loop has no send lag.
        assert_eq!(verdict(Metric::SendLag, "p(99)<1h", &record()), Verdict::Failed);
    }
}
