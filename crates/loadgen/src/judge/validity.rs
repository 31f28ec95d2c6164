//! Checks whether the generator kept up. If it did not, its figures describe the generator and not the target.

use super::{Verdict, thresholds};
use crate::{
    engine::{Failure, PhaseRecord},
    scenario::{Assertion, Expectation, Metric, Threshold, Vital, VitalAssertion},
};
use driftsim::counted::counted;

/// The tolerated lateness in seconds: a few scheduler ticks of Linux (4 ms), for a machine that is shared with the target.
const TOLERATED_LAG: f64 = 0.010;

/// The tolerated lateness as a share of the reported response time, which includes it.
const TOLERATED_SHARE: f64 = 0.1;

/// The greatest share of requests that may be later than that. The highest reported percentile leaves out the same share.
const TOLERATED_LATE: f64 = 0.01;

/// The fewest late requests that make a run invalid. Fewer may be a short disturbance of the machine.
const FEWEST_LATE: u64 = 30;

/// If a thread of the generator ran or waited for a core for at least this share of a phase, it had almost no idle time, and the
/// measured figures may be limited by the generator instead of the target.
pub const SATURATED: f64 = 0.95;

/// The reason why a run is invalid if a limit was missed because of the generator.
pub const OWN_FAULT: &str = "a limit was missed because of the generator: it sent requests late while the target answered in \
time, or its threads had no CPU time left in a closed loop; lower the load, or use more cores or machines";

/// Returns why the figures of a phase describe the generator and not the target, if they do. `busy` is the share of the time in
/// which its busiest thread ran or waited for a core.
pub fn invalid(phase: &str, record: &PhaseRecord, busy: Option<f64>) -> Option<String> {
    if let Some(count) = record.failures.get(&Failure::OwnLimit) {
        return Some(format!(
            "{phase}: {} found no socket or port left on this machine; raise `ulimit -n`, lower the rate, or use more machines",
            counted(*count, "request", "requests")
        ));
    }
    let response = record.response.quantile(0.99).unwrap_or(0.0);
    let limit = TOLERATED_LAG.max(response * TOLERATED_SHARE);
    let (late, all) = (record.lag.count_above(limit), record.lag.count());
    (late >= FEWEST_LATE && late as f64 > all as f64 * TOLERATED_LATE).then(|| {
        let why = match busy {
            Some(busy) if busy >= SATURATED => ", because it had no CPU time left; lower the rate, or use more cores or machines",
            Some(_) => ", although its threads had CPU time left, so the machine was busy or paused for a while; repeat the run",
            None => "; lower the rate, or use more cores or machines",
        };
        format!(
            "{phase}: the generator could not keep up: {late} of {all} requests were sent more than {:.0} ms late{why}",
            limit * 1e3
        )
    })
}

/// Returns whether a threshold was missed because of the generator. `saturated` states for each phase whether it was a closed
/// loop in which the generator had no CPU time left.
///
/// In an open loop, this is the case if the target itself answered in time, and requests were sent late by more than a tenth of
/// the limit. In a closed loop of a saturated generator, answers wait until a thread has time to read them, so times are upper
/// bounds: a threshold that is met is certainly met, but one that is missed is undecided.
pub fn blames_itself(threshold: &Threshold, record: &PhaseRecord, saturated: &[bool]) -> bool {
    let of_time = threshold.metric.is_time() || threshold.metric == Metric::TimedOut;
    let saturated = match threshold.phase {
        Some(phase) => saturated[phase],
        None => saturated.contains(&true),
    };
    let same = |metric| thresholds::judge(&Threshold { metric, ..threshold.clone() }, None, record);
    // The send lag is that at the threshold's quantile, because lateness can affect p(99.9) but not p(99).
    let left_late = threshold.metric == Metric::ResponseTime
        && same(Metric::ServiceTime).verdict == Verdict::Passed
        && same(Metric::SendLag).value.is_some_and(|lag| lag > threshold.limit * TOLERATED_SHARE);
    left_late || (of_time && saturated)
}

/// Returns whether an expectation was missed because of the generator, which could not send as many requests as it expects.
pub fn expects_too_much(expectation: &Expectation, saturated: &[bool]) -> bool {
    let throughput = matches!(
        expectation.assertion,
        Assertion::Vital {
            vital: Vital::Throughput,
            assertion: VitalAssertion::RisesBy(_) | VitalAssertion::Exceeds(_),
            ..
        }
    );
    throughput && expectation.phase.is_some_and(|phase| saturated[phase])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Ending, Timing};
    use std::time::Duration;

    /// Returns the record of a thousand requests, `late` of which were sent `lag_ms` late.
    fn record(late: u64, lag_ms: u64, response_ms: u64) -> PhaseRecord {
        let mut record = PhaseRecord::default();
        let response = Duration::from_millis(response_ms);
        for request in 0..1000 {
            let lag = Duration::from_millis(if request < late { lag_ms } else { 0 });
            let timing = Timing { response, service: response - lag, lag: Some(lag) };
            record.ended(0, Ending::Completed { status: 200, expected: true }, timing);
        }
        record
    }

    #[test]
    fn tolerated_lateness_depends_on_the_response_time() {
        assert_eq!(invalid("a", &record(1000, 5, 6), None), None);
        assert_eq!(invalid("a", &record(1000, 50, 1000), None), None);
        assert!(
            invalid("a", &record(1000, 50, 60), Some(0.99))
                .unwrap()
                .contains("1000 of 1000 requests were sent more than 10 ms late, because it had no CPU")
        );
    }

    #[test]
    fn a_short_disturbance_is_tolerated() {
        assert_eq!(invalid("a", &record(29, 50, 60), None), None);
        assert!(invalid("a", &record(30, 50, 60), None).is_some());
        assert_eq!(invalid("a", &PhaseRecord::default(), None), None);
    }

    #[test]
    fn times_are_undecided_if_the_generator_is_saturated() {
        let judge = |metric, expression, phase, saturated: &[bool]| {
            let threshold = Threshold::parse(phase, metric, expression).unwrap();
            blames_itself(&threshold, &record(0, 0, 500), saturated)
        };
        assert!(judge(Metric::ResponseTime, "p(99)<100ms", Some(1), &[false, true]));
        assert!(judge(Metric::ServiceTime, "p(99)<100ms", None, &[false, true]));
        assert!(judge(Metric::TimedOut, "count==0", None, &[true]));
        assert!(!judge(Metric::ResponseTime, "p(99)<100ms", Some(0), &[false, true]));
        // A wrong status is a fault of the target, even if the generator is busy.
        assert!(!judge(Metric::UnexpectedRate, "rate<0.1", None, &[true]));
    }

    #[test]
    fn lateness_counts_at_the_quantile_of_the_threshold() {
        // Two of a thousand requests were sent 250 ms late; the target took 10 ms for each.
        let mut late = record(0, 0, 10);
        for _ in 0..2 {
            let [response, service] = [260, 10].map(Duration::from_millis);
            let timing = Timing { response, service, lag: Some(response - service) };
            late.ended(0, Ending::Completed { status: 200, expected: true }, timing);
        }
        let blames = |expression| {
            blames_itself(&Threshold::parse(None, Metric::ResponseTime, expression).unwrap(), &late, &[false])
        };
        assert!(blames("max<200ms") && blames("p(99.9)<200ms"));
        assert!(!blames("p(99)<5ms"), "the target itself is slower than that");
        // 5 ms of lateness are negligible for a limit of a second, but not for one of 12 ms.
        let late = record(1000, 5, 14);
        let threshold = |text| Threshold::parse(None, Metric::ResponseTime, text).unwrap();
        assert!(blames_itself(&threshold("p(99)<12ms"), &late, &[false]));
        assert!(!blames_itself(&threshold("p(99)<8ms"), &late, &[false]), "so is the target");
    }
}
