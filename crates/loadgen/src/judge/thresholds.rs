//! Judges thresholds on the client's measurements. A threshold without samples fails, because nothing shows that it was met, unless
//! the run was interrupted.

use super::Verdict;
use crate::{
    engine::{DurationHistogram, PhaseRecord},
    scenario::{Aggregate, Metric, Threshold},
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The outcome of a threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdOutcome {
    /// The phase; `None` for the whole run.
    pub phase: Option<String>,
    /// The metric's name.
    pub metric: Cow<'static, str>,
    /// The text of the threshold in the scenario.
    pub expression: String,
    /// The measured value, times in seconds. It is `None` without samples, and infinite if the quantile is that of a request without
    /// an answer; both are `null` in JSON.
    pub value: Option<f64>,
    /// Whether the threshold was met.
    pub verdict: Verdict,
    /// Whether the value is a time.
    #[serde(skip)]
    pub is_time: bool,
}

/// Judges a threshold on a phase with this name, or on the whole run.
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
        Metric::ResponseTime => {
            time(threshold.aggregate, &record.response, totals.failed + totals.dropped, totals.timed_out)
        }
        Metric::ServiceTime => time(threshold.aggregate, &record.service, totals.failed, totals.timed_out),
        Metric::SendLag => time(threshold.aggregate, &record.lag, 0, 0),
        Metric::UnexpectedRate => count(totals.not_as_expected(), totals.settled()),
        Metric::Failed => count(totals.failed, totals.settled()),
        Metric::TimedOut => count(totals.timed_out, totals.settled()),
        Metric::Dropped => count(totals.dropped, totals.offered),
    }
}

/// Returns a figure of `times`, which include the `given_up` requests with the timeout as their time, but not the `unanswered`
/// ones.
///
/// A quantile is over all requests, and a request without an answer counts as slower than any with one. Otherwise a service that
/// answers only half of the requests, but quickly, would have a low 99th percentile.
fn time(aggregate: Aggregate, times: &DurationHistogram, unanswered: u64, given_up: u64) -> Option<f64> {
    match aggregate {
        Aggregate::Quantile(quantile) => {
            let (all, none) = (times.count() + unanswered, unanswered + given_up);
            let rank = (quantile * all as f64).ceil() as u64;
            match (all, times.count()) {
                (0, _) => None,
                (_, count) if none == 0 || count == 0 => times.quantile(quantile).or(Some(f64::INFINITY)),
                _ if rank > all - none => Some(f64::INFINITY),
                // Requests that were given up are among the slowest samples, so a rank among the samples is also the rank among all
                // requests.
                (_, count) => times.quantile((rank as f64 / count as f64).min(1.0)),
            }
        }
        Aggregate::Mean => times.mean(),
        Aggregate::Max => times.max(),
        // The parser of scenarios does not accept these combinations.
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
                0,
                Ending::Completed { status, expected: status == 200 },
                Timing { response: time, service: time / 2, lag: None },
            );
        }
        record
    }

    #[test]
    fn figures_are_compared_with_limits() {
        let mut record = record();
        assert_eq!(verdict(Metric::ResponseTime, "p(50)<51ms", &record), Verdict::Passed);
        assert_eq!(verdict(Metric::ResponseTime, "p(99)<98ms", &record), Verdict::Failed);
        assert_eq!(verdict(Metric::ServiceTime, "max<=51ms", &record), Verdict::Passed);
        assert_eq!(verdict(Metric::UnexpectedRate, "rate<=0.01", &record), Verdict::Passed);
        assert_eq!(verdict(Metric::UnexpectedRate, "count==1", &record), Verdict::Passed);
        record.ended(
            0,
            Ending::Failed(Failure::Connect),
            Timing { response: Duration::ZERO, service: Duration::ZERO, lag: None },
        );
        assert_eq!(verdict(Metric::UnexpectedRate, "rate<=0.01", &record), Verdict::Failed);
        record.dropped(0, DropReason::InFlightLimit);
        assert_eq!(verdict(Metric::Dropped, "count==0", &record), Verdict::Failed);
    }

    #[test]
    fn a_request_without_an_answer_is_slower_than_any_limit() {
        // A hundred answers take 1 to 100 ms.
        let with = |failed: u64, given_up: u64, dropped: u64| {
            let mut record = record();
            let timing = |ms| {
                let time = Duration::from_millis(ms);
                Timing { response: time, service: time, lag: None }
            };
            (0..failed).for_each(|_| record.ended(0, Ending::Failed(Failure::Connect), timing(0)));
            (0..given_up).for_each(|_| record.ended(0, Ending::TimedOut, timing(200)));
            (0..dropped).for_each(|_| record.dropped(0, DropReason::InFlightLimit));
            record
        };
        let judge = |record: &PhaseRecord, expression| verdict(Metric::ResponseTime, expression, record);
        assert_eq!(judge(&with(1, 0, 0), "p(99)<1h"), Verdict::Passed);
        assert_eq!(judge(&with(1, 0, 0), "p(99)<100ms"), Verdict::Failed);
        for missing in [with(2, 0, 0), with(0, 2, 0), with(0, 0, 2)] {
            assert_eq!(judge(&missing, "p(99)<1h"), Verdict::Failed);
            assert_eq!(judge(&missing, "p(98)<1h"), Verdict::Passed);
            assert_eq!(judge(&missing, "p(50)<53ms"), Verdict::Passed);
        }
        assert_eq!(judge(&with(100, 0, 0), "p(50)<101ms"), Verdict::Passed);
        // Requests that were never sent do not count for the service time.
        assert_eq!(verdict(Metric::ServiceTime, "p(99)<1h", &with(0, 0, 50)), Verdict::Passed);
        let mut nothing = PhaseRecord::default();
        nothing.dropped(0, DropReason::InFlightLimit);
        assert_eq!(judge(&nothing, "p(50)<1h"), Verdict::Failed);
    }

    #[test]
    fn a_threshold_without_samples_fails() {
        let nothing = PhaseRecord::default();
        assert_eq!(verdict(Metric::ResponseTime, "p(99)<1h", &nothing), Verdict::Failed);
        assert_eq!(verdict(Metric::UnexpectedRate, "rate<1", &nothing), Verdict::Failed);
        assert_eq!(verdict(Metric::Dropped, "count==0", &nothing), Verdict::Failed);
        // A closed loop has no send lag.
        assert_eq!(verdict(Metric::SendLag, "p(99)<1h", &record()), Verdict::Failed);
    }
}
