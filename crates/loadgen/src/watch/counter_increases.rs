//! The increases of the service's counters in a phase, and the vital signs that follow from them.

use super::snapshot::{Counter, Snapshot};
use crate::scenario::Vital;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Sums of increases between consecutive readings.
///
/// Added up reading by reading, because a counter that falls was reset (the service restarted): it then counts from
/// 0, as in Prometheus' `increase()`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CounterIncreases {
    /// By how much each counter rose.
    pub increases: BTreeMap<Counter, f64>,
    /// The time between the readings.
    pub covered: Duration,
}

/// The service's vital signs over one phase, by its own counters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Vitals {
    /// Requests answered per second; `None` without two readings.
    pub throughput: Option<f64>,
    /// 95th percentile of the time the service took, in seconds; `None` without requests.
    pub latency_p95: Option<f64>,
    /// Share of 4xx answers; `None` without requests.
    pub client_error_ratio: Option<f64>,
    /// Share of 5xx answers; `None` without requests.
    pub server_error_ratio: Option<f64>,
    /// Share of each class among the predictions; empty without predictions.
    pub class_shares: BTreeMap<String, f64>,
    /// Requests answered: what the ratios and the percentile rest on.
    pub requests: f64,
    /// Predictions made: what the shares rest on.
    pub predictions: f64,
}

impl CounterIncreases {
    /// Adds what happened between two readings.
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
        // Not `sum`: that of nothing is -0.0, which reads oddly.
        self.increases.iter().filter_map(of_status).fold(0.0, |sum, increase| sum + increase)
    }

    /// Predictions of each class.
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

/// Prometheus' `histogram_quantile`: linear within the bucket, the last finite bound beyond it.
///
/// Buckets are cumulative counts by ascending upper bound, the last of them infinite. `None` when they are none, or
/// empty.
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
    /// Returns one of them; class shares by `class`.
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
        Snapshot::new(&parse(page).unwrap(), &Routes::predict())
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
    fn vitals_come_from_increases() {
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
    fn a_restart_loses_nothing_that_was_read() {
        let mut increases = CounterIncreases::default();
        let second = Duration::from_secs(1);
        increases.add(&requests(100, 0, 0), &requests(130, 0, 0), second);
        increases.add(&requests(130, 0, 0), &requests(20, 0, 0), second);
        increases.add(&requests(20, 0, 0), &requests(25, 0, 0), second);
        assert_eq!(increases.increases[&Counter::Requests { status: 200 }], 55.0);
    }

    #[test]
    fn no_requests_are_no_ratios() {
        let mut increases = CounterIncreases::default();
        assert_eq!(increases.vitals(), Vitals::default());
        increases.add(&requests(5, 0, 0), &requests(5, 0, 0), Duration::from_secs(1));
        let vitals = increases.vitals();
        assert_eq!((vitals.throughput, vitals.server_error_ratio), (Some(0.0), None));
        assert!(vitals.requests.is_sign_positive());
        assert!(vitals.class_shares.is_empty());
    }

    #[test]
    fn quantiles_are_prometheus_own() {
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
