//! Counts and times of one route.

use super::{DURATION, Endpoint, MethodLabel, REQUESTS};
use metrics::{Counter, Histogram, counter, histogram, with_local_recorder};
use metrics_exporter_prometheus::PrometheusRecorder;
use std::sync::{Arc, Mutex, PoisonError};

/// The request counters and durations of one route.
pub struct EndpointMetrics {
    recorder: Arc<PrometheusRecorder>,
    endpoint: Endpoint,
    usual: Vec<Answered>,
    /// Answers that are not expected of this route, such as a PUT: made when first seen, bounded by methods × statuses.
    unusual: Mutex<Vec<Answered>>,
}

/// Handles of one kind of answer.
struct Answered {
    method: MethodLabel,
    status: u16,
    requests: Counter,
    durations: Histogram,
}

impl Answered {
    fn new(recorder: &PrometheusRecorder, endpoint: Endpoint, method: MethodLabel, status: u16) -> Self {
        let (path, verb) = (endpoint.pattern(), method.as_str());
        with_local_recorder(recorder, || Self {
            method,
            status,
            requests: counter!(REQUESTS, "method" => verb, "endpoint" => path, "status" => status.to_string()),
            durations: histogram!(DURATION, "method" => verb, "endpoint" => path),
        })
    }

    fn is(&self, method: MethodLabel, status: u16) -> bool {
        self.method == method && self.status == status
    }

    fn record(&self, seconds: f64) {
        self.requests.increment(1);
        self.durations.record(seconds);
    }
}

impl EndpointMetrics {
    pub(super) fn new(recorder: Arc<PrometheusRecorder>, endpoint: Endpoint) -> Self {
        let usual = endpoint
            .usual_answers()
            .iter()
            .flat_map(|(method, statuses)| statuses.iter().map(|&status| (*method, status)))
            .map(|(method, status)| Answered::new(&recorder, endpoint, method, status))
            .collect();
        Self { recorder, endpoint, usual, unusual: Mutex::default() }
    }

    /// A request was answered after so many seconds.
    pub fn answered(&self, method: MethodLabel, status: u16, seconds: f64) {
        if let Some(answered) = self.usual.iter().find(|known| known.is(method, status)) {
            return answered.record(seconds);
        }
        let mut unusual = self.unusual.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answered) = unusual.iter().find(|known| known.is(method, status)) {
            return answered.record(seconds);
        }
        let answered = Answered::new(&self.recorder, self.endpoint, method, status);
        answered.record(seconds);
        unusual.push(answered);
    }
}
