//! Reads counters and references from the service's `/metrics`.
//!
//! This is the only module that uses the names of the service's metrics.

use super::{Routes, text_format::Sample};
use std::{cmp::Ordering, collections::BTreeMap};

/// A counter of the service. It is the sum over all labels that are not fields here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// `inference_requests_total`
    Requests {
        /// The HTTP status.
        status: u16,
    },
    /// `inference_duration_seconds_bucket`
    DurationBucket {
        /// The upper bound of the bucket, in seconds.
        le: Bound,
    },
    /// `inference_duration_seconds_sum`
    DurationSum,
    /// `process_cpu_seconds_total`
    CpuSeconds,
    /// `prediction_output_total`
    Output {
        /// The name of the class.
        class: String,
    },
    /// `signal_bin_total`
    SignalBin {
        /// The version of the model.
        version: String,
        /// The name of the signal.
        signal: String,
        /// The name of the bin.
        bin: String,
    },
}

/// The upper bound of a bucket, which may be infinite but not NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound(pub f64);

impl Eq for Bound {}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The reference of one signal of a model version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expected {
    /// `signal_bin_expected_ratio` by bin.
    pub ratios: BTreeMap<String, f64>,
    /// `signal_critical_chi2`
    pub critical_chi2: Option<f64>,
    /// `signal_reference_rows` of the version.
    pub rows: Option<u64>,
}

/// A version of the model, and the name of a signal.
pub type SignalKey = (String, String);

/// One reading of `/metrics`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// The counters, summed over all other labels.
    pub counters: BTreeMap<Counter, f64>,
    /// References by version and signal.
    pub expected: BTreeMap<SignalKey, Expected>,
    /// `process_resident_memory_bytes`
    pub resident_memory: Option<f64>,
}

impl Snapshot {
    /// Reads the relevant samples of a page. Of the metrics of requests, only those of `routes` count. If the page has samples of
    /// `model`, those of other models do not count.
    pub fn new(samples: &[Sample], routes: &Routes, model: Option<&str>) -> Self {
        let mut snapshot = Self::default();
        let mut rows: BTreeMap<String, u64> = BTreeMap::new();
        let model = model.filter(|model| samples.iter().any(|sample| sample.label("model") == *model));
        let is_other =
            |sample: &&Sample| model.is_some_and(|model| ![model, ""].contains(&sample.label("model")));
        for sample in samples.iter().filter(|sample| !is_other(sample)) {
            let key = || (sample.label("version").to_owned(), sample.label("signal").to_owned());
            match sample.name.as_str() {
                "signal_bin_expected_ratio" => {
                    let expected = snapshot.expected.entry(key()).or_default();
                    expected.ratios.insert(sample.label("bin").to_owned(), sample.value);
                }
                "signal_critical_chi2" => {
                    snapshot.expected.entry(key()).or_default().critical_chi2 = Some(sample.value);
                }
                "process_resident_memory_bytes" => snapshot.resident_memory = Some(sample.value),
                "signal_reference_rows" => {
                    rows.insert(sample.label("version").to_owned(), sample.value as u64);
                }
                _ => {
                    if let Some(counter) = counter(sample, routes) {
                        *snapshot.counters.entry(counter).or_default() += sample.value;
                    }
                }
            }
        }
        for ((version, _), expected) in &mut snapshot.expected {
            expected.rows = rows.get(version).copied();
        }
        snapshot
    }
}

fn counter(sample: &Sample, routes: &Routes) -> Option<Counter> {
    let label = |name| sample.label(name).to_owned();
    let played = || routes.called(sample.label("endpoint"));
    match sample.name.as_str() {
        "inference_requests_total" if played() => {
            Some(Counter::Requests { status: sample.label("status").parse().ok()? })
        }
        "inference_duration_seconds_bucket" if played() => {
            let le: f64 = sample.label("le").parse().ok()?;
            (!le.is_nan()).then_some(Counter::DurationBucket { le: Bound(le) })
        }
        "inference_duration_seconds_sum" if played() => Some(Counter::DurationSum),
        "process_cpu_seconds_total" => Some(Counter::CpuSeconds),
        "prediction_output_total" => Some(Counter::Output { class: label("class") }),
        "signal_bin_total" => {
            Some(Counter::SignalBin { version: label("version"), signal: label("signal"), bin: label("bin") })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::text_format::parse;

    #[test]
    fn counters_are_summed_over_other_labels_and_other_routes_are_left_out() {
        let page = r#"
inference_requests_total{method="POST",endpoint="/predict",status="200"} 5
inference_requests_total{method="PUT",endpoint="/predict",status="200"} 2
inference_requests_total{method="GET",endpoint="/metrics",status="200"} 90
inference_duration_seconds_bucket{method="POST",endpoint="/predict",le="+Inf"} 7
prediction_output_total{class="setosa"} 5
signal_reference_rows{version="v1"} 147
signal_bin_expected_ratio{version="v1",signal="a",bin="q1 [1, 2)"} 0.5
signal_critical_chi2{version="v1",signal="a"} 30.5
signal_bin_total{version="v1",signal="a",bin="q1 [1, 2)"} 4
"#;
        let snapshot = Snapshot::new(&parse(page).unwrap(), &Routes::predict(), None);
        assert_eq!(snapshot.counters.len(), 4);
        assert_eq!(snapshot.counters[&Counter::Requests { status: 200 }], 7.0);
        let expected = &snapshot.expected[&("v1".to_owned(), "a".to_owned())];
        assert_eq!(
            (expected.rows, expected.critical_chi2, expected.ratios["q1 [1, 2)"]),
            (Some(147), Some(30.5), 0.5)
        );
    }

    #[test]
    fn samples_of_other_models_are_left_out_if_the_page_has_the_model() {
        let page = r#"
inference_requests_total{endpoint="/predict",status="200"} 9
prediction_output_total{model="iris",class="setosa"} 5
prediction_output_total{model="telco",class="setosa"} 2
"#;
        let outputs = |model| {
            let snapshot = Snapshot::new(&parse(page).unwrap(), &Routes::predict(), model);
            assert_eq!(snapshot.counters[&Counter::Requests { status: 200 }], 9.0);
            snapshot.counters[&Counter::Output { class: "setosa".into() }]
        };
        assert_eq!((outputs(Some("iris")), outputs(Some("telco"))), (5.0, 2.0));
        assert_eq!((outputs(None), outputs(Some("renamed"))), (7.0, 7.0));
    }
}
