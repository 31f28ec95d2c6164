//! Adds up the increases of the service's counters in a phase, and computes the vital signs from them.

use super::snapshot::{Counter, Snapshot};
use crate::scenario::Vital;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Sums of increases between consecutive readings.
///
/// They are added up reading by reading, because a counter that falls was reset when the service restarted. It then counts
/// from 0, as in Prometheus' `increase()`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CounterIncreases {
    /// The increase of each counter.
    pub increases: BTreeMap<Counter, f64>,
    /// The time between the readings.
    pub covered: Duration,
}

/// The service's vital signs over one phase, from its own counters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Vitals {
    /// Requests answered per second; `None` without two readings.
    pub throughput: Option<f64>,
    /// The 95th percentile of the service's response time, in seconds; `None` without requests.
    pub latency_p95: Option<f64>,
    /// The share of 4xx answers; `None` without requests.
    pub client_error_ratio: Option<f64>,
    /// The share of 5xx answers; `None` without requests.
    pub server_error_ratio: Option<f64>,
    /// The share of each class among the predictions; empty without predictions.
    pub class_shares: BTreeMap<String, f64>,
    /// The answered requests, which the ratios and the percentile are computed from.
    pub requests: f64,
    /// The predictions, which the shares are computed from.
    pub predictions: f64,
}

impl CounterIncreases {
    /// Adds the increases between two readings.
    pub fn add(&mut self, before: &Snapshot, after: &Snapshot, time: Duration) {
        self.covered += time;
        for (counter, &value) in &after.counters {
            let earlier = before.counters.get(counter).copied().unwrap_or(0.0);
            let increase = if value < earlier { value } else { value - earlier };
            *self.increases.entry(counter.clone()).or_default() += increase;
        }
    }

    /// Returns the vital signs.
    pub fn vitals(&self) -> Vitals {
        let requests = self.requests(|_| true);
        let ratio = |part: f64| (requests > 0.0).then(|| part / requests);
        let seconds = self.covered.as_secs_f64();
        Vitals {
            throughput: (seconds > 0.0).then(|| requests / seconds),
            latency_p95: self.latency(0.95),
            client_error_ratio: ratio(self.requests(|status| (400..500).contains(&status))),
            server_error_ratio: ratio(self.requests(|status| (500..600).contains(&status))),
            class_shares: self.class_shares(),
            requests,
            predictions: self.predictions().fold(0.0, |sum, (_, count)| sum + count),
        }
    }

    fn requests(&self, wanted: impl Fn(u16) -> bool) -> f64 {
        let of_status = |(counter, increase): (&Counter, &f64)| match counter {
            Counter::Requests { status } if wanted(*status) => Some(*increase),
            _ => None,
        };
        // `fold` is used because `sum` of no items is -0.0.
        self.increases.iter().filter_map(of_status).fold(0.0, |sum, increase| sum + increase)
    }

    /// Returns the number of predictions of each class.
    fn predictions(&self) -> impl Iterator<Item = (&String, f64)> {
        self.increases.iter().filter_map(|(counter, &increase)| match counter {
            Counter::Output { class } => Some((class, increase)),
            _ => None,
        })
    }

    fn class_shares(&self) -> BTreeMap<String, f64> {
        let total: f64 = self.predictions().map(|(_, count)| count).sum();
        let share = |(class, count): (&String, f64)| (class.clone(), count / total);
        if total == 0.0 { BTreeMap::new() } else { self.predictions().map(share).collect() }
    }

    fn latency(&self, quantile: f64) -> Option<f64> {
        let buckets: Vec<(f64, f64)> = self
            .increases
            .iter()
            .filter_map(|(counter, &increase)| match counter {
                Counter::DurationBucket { le } => Some((le.0, increase)),
                _ => None,
            })
            .collect();
        histogram_quantile(quantile, &buckets)
    }
}

/// Returns a quantile as Prometheus' `histogram_quantile` does: by linear interpolation within the bucket, or the last finite
/// bound if the quantile is in the infinite bucket.
///
/// `buckets` are cumulative counts by ascending upper bound, the last of which is infinite. Returns `None` if there are no
/// buckets or no counts.
pub fn histogram_quantile(quantile: f64, buckets: &[(f64, f64)]) -> Option<f64> {
    let &(last, total) = buckets.last()?;
    if total <= 0.0 || last != f64::INFINITY {
        return None;
    }
    let rank = quantile * total;
    let at = buckets.iter().position(|&(_, count)| count >= rank)?;
    let (lower, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    let (upper, count) = buckets[at];
    if upper == f64::INFINITY {
        return (at > 0).then_some(lower);
    }
    Some(lower + (upper - lower) * (rank - below) / (count - below))
}

impl Vitals {
    /// Returns one vital sign; `class` selects the class of a class share.
    pub fn get(&self, vital: Vital, class: Option<&str>) -> Option<f64> {
        match vital {
            Vital::Throughput => self.throughput,
            Vital::LatencyP95 => self.latency_p95,
            Vital::ClientErrorRatio => self.client_error_ratio,
            Vital::ServerErrorRatio => self.server_error_ratio,
            Vital::ClassShare => self.class_shares.get(class?).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{Routes, snapshot::Bound, text_format::parse};

    fn snapshot(page: &str) -> Snapshot {
        Snapshot::new(&parse(page).unwrap(), &Routes::predict(), None)
    }

    fn requests(ok: u64, bad: u64, broken: u64) -> Snapshot {
        snapshot(&format!(
            "inference_requests_total{{endpoint=\"/predict\",status=\"200\"}} {ok}\n\
             inference_requests_total{{endpoint=\"/predict\",status=\"422\"}} {bad}\n\
             inference_requests_total{{endpoint=\"/predict\",status=\"503\"}} {broken}\n\
             prediction_output_total{{class=\"a\"}} {ok}\n\
             prediction_output_total{{class=\"b\"}} {ok}\n"
        ))
    }

    #[test]
    fn vital_signs_are_computed_from_increases() {
        let mut increases = CounterIncreases::default();
        increases.add(&requests(100, 50, 7), &requests(160, 80, 17), Duration::from_secs(10));
        let vitals = increases.vitals();
        assert_eq!(vitals.throughput, Some(10.0));
        assert_eq!(vitals.client_error_ratio, Some(0.3));
        assert_eq!(vitals.server_error_ratio, Some(0.1));
        assert_eq!(vitals.get(Vital::ClassShare, Some("a")), Some(0.5));
        assert_eq!(vitals.latency_p95, None);
    }

    #[test]
    fn increases_before_a_restart_are_kept() {
        let mut increases = CounterIncreases::default();
        let second = Duration::from_secs(1);
        increases.add(&requests(100, 0, 0), &requests(130, 0, 0), second);
        increases.add(&requests(130, 0, 0), &requests(20, 0, 0), second);
        increases.add(&requests(20, 0, 0), &requests(25, 0, 0), second);
        assert_eq!(increases.increases[&Counter::Requests { status: 200 }], 55.0);
    }

    #[test]
    fn without_requests_there_are_no_ratios() {
        let mut increases = CounterIncreases::default();
        assert_eq!(increases.vitals(), Vitals::default());
        increases.add(&requests(5, 0, 0), &requests(5, 0, 0), Duration::from_secs(1));
        let vitals = increases.vitals();
        assert_eq!((vitals.throughput, vitals.server_error_ratio), (Some(0.0), None));
        assert!(vitals.requests.is_sign_positive());
        assert!(vitals.class_shares.is_empty());
    }

    #[test]
    fn quantiles_equal_those_of_prometheus() {
        // promtool: histogram_quantile(q, {le="0.1"} 50, {le="0.2"} 90, {le="+Inf"} 100)
        let buckets = [(0.1, 50.0), (0.2, 90.0), (f64::INFINITY, 100.0)];
        assert_eq!(histogram_quantile(0.25, &buckets), Some(0.05));
        assert!((histogram_quantile(0.7, &buckets).unwrap() - 0.15).abs() < 1e-12);
        assert_eq!(histogram_quantile(0.95, &buckets), Some(0.2));
        assert_eq!(histogram_quantile(0.95, &[]), None);
        assert_eq!(histogram_quantile(0.95, &[(0.1, 0.0), (f64::INFINITY, 0.0)]), None);
        assert!(Bound(0.5) < Bound(f64::INFINITY));
    }
}
