//! Whether the generator kept up. If it did not, what it measured is its own trouble, not the target's.

use super::{Verdict, thresholds};
use crate::{
    engine::{Failure, PhaseRecord},
    scenario::{Metric, Threshold},
};

/// Lateness up to this is the system's, not ours: a few of Linux' 4 ms scheduler ticks on a machine that is shared
/// with the target.
const TOLERATED_LAG: f64 = 0.010;

/// Lateness is part of every response time. Up to a tenth of what is reported it does not change the story.
const TOLERATED_SHARE: f64 = 0.1;

/// At most this share of the requests may be later than that: the percentiles that are reported reach so far.
const TOLERATED_LATE: f64 = 0.01;

/// Fewer late requests are a hiccup of the machine, not a generator that cannot keep up.
const HICCUP: u64 = 30;

/// Why the run says more about the generator than about the target, if it does.
pub fn invalid(whole: &PhaseRecord) -> Option<String> {
    if let Some(count) = whole.failures.get(&Failure::OwnLimit) {
        return Some(format!(
            "{count} requests found no socket or port left on this machine; raise `ulimit -n`, lower the rate, or use \
             more machines"
        ));
    }
    let response = whole.response.quantile(0.99).unwrap_or(0.0);
    let limit = TOLERATED_LAG.max(response * TOLERATED_SHARE);
    let (late, all) = (whole.lag.count_above(limit), whole.lag.count());
    (late >= HICCUP && late as f64 > all as f64 * TOLERATED_LATE).then(|| {
        format!(
            "the generator could not keep up: {late} of {all} requests left more than {:.0} ms late; lower the rate \
             or give it more cores",
            limit * 1e3
        )
    })
}

/// Whether a response time above its limit is the generator's doing: the target itself answered in time, and requests left
/// later than is tolerated.
pub fn blames_itself(threshold: &Threshold, record: &PhaseRecord) -> bool {
    let service = Threshold { metric: Metric::ServiceTime, ..threshold.clone() };
    threshold.metric == Metric::ResponseTime
        && thresholds::judge(&service, None, record).verdict == Verdict::Passed
        && record.lag.quantile(0.99).is_some_and(|lag| lag > TOLERATED_LAG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Ending, Timing};
    use std::time::Duration;

    /// A thousand requests, `late` of which left `lag_ms` late.
    fn record(late: u64, lag_ms: u64, response_ms: u64) -> PhaseRecord {
        let mut record = PhaseRecord::default();
        let response = Duration::from_millis(response_ms);
        for request in 0..1000 {
            let lag = Duration::from_millis(if request < late { lag_ms } else { 0 });
            let timing = Timing { response, service: response - lag, lag: Some(lag) };
            record.ended(Ending::Completed { status: 200, expected: true }, timing);
        }
        record
    }

    #[test]
    fn lateness_is_held_against_what_it_distorts() {
        assert_eq!(invalid(&record(1000, 5, 6)), None);
        assert_eq!(invalid(&record(1000, 50, 1000)), None);
        assert!(
            invalid(&record(1000, 50, 60))
                .unwrap()
                .contains("1000 of 1000 requests left more than 10 ms late")
        );
    }

    #[test]
    fn a_hiccup_is_not_held_against_it() {
        assert_eq!(invalid(&record(29, 50, 60)), None);
        assert!(invalid(&record(30, 50, 60)).is_some());
        assert_eq!(invalid(&PhaseRecord::default()), None);
    }
}
