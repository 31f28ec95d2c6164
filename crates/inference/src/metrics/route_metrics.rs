//! Counts the requests of one route and their durations.

use super::{
    MethodLabel,
    families::{DURATION, REQUESTS},
};
use crate::route::Route;
use metrics::{Counter, Histogram, with_local_recorder};
use metrics_exporter_prometheus::PrometheusRecorder;
use std::sync::{Arc, Mutex, PoisonError};

/// The request counters and durations of one route.
pub struct RouteMetrics {
    recorder: Arc<PrometheusRecorder>,
    route: Route,
    usual: Vec<AnswerSeries>,
    /// Series of answers that are not expected of this route, such as to a PUT. They are created when the answers first occur. Their
    /// number is limited by the numbers of methods and statuses.
    unusual: Mutex<Vec<AnswerSeries>>,
}

/// The series for answers to one method with one status.
struct AnswerSeries {
    method: MethodLabel,
    status: u16,
    requests: Counter,
    durations: Histogram,
}

impl AnswerSeries {
    fn new(recorder: &PrometheusRecorder, route: Route, method: MethodLabel, status: u16) -> Self {
        let (endpoint, verb) = (route.pattern(), method.as_str());
        with_local_recorder(recorder, || Self {
            method,
            status,
            requests: REQUESTS.with([verb.to_owned(), endpoint.to_owned(), status.to_string()]),
            durations: DURATION.with([verb, endpoint]),
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

impl RouteMetrics {
    pub(super) fn new(recorder: Arc<PrometheusRecorder>, route: Route) -> Self {
        let usual = usual_answers(route)
            .iter()
            .flat_map(|(method, statuses)| statuses.iter().map(|&status| (*method, status)))
            .map(|(method, status)| AnswerSeries::new(&recorder, route, method, status))
            .collect();
        Self { recorder, route, usual, unusual: Mutex::default() }
    }

    /// Counts an answer that was sent `seconds` after the head of its request.
    pub fn answered(&self, method: MethodLabel, status: u16, seconds: f64) {
        if let Some(series) = self.usual.iter().find(|series| series.is(method, status)) {
            return series.record(seconds);
        }
        let mut unusual = self.unusual.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = unusual.iter().find(|series| series.is(method, status)) {
            return series.record(seconds);
        }
        let series = AnswerSeries::new(&self.recorder, self.route, method, status);
        series.record(seconds);
        unusual.push(series);
    }
}

/// Returns the statuses that are expected of a route, by method. Their series exist from the start.
fn usual_answers(route: Route) -> &'static [(MethodLabel, &'static [u16])] {
    match route {
        Route::Predict | Route::Invocations => {
            &[(MethodLabel::Post, &[200, 400, 408, 413, 415, 422, 500, 503, 504])]
        }
        Route::OipInfer | Route::OipVersionInfer | Route::V1Predict => {
            &[(MethodLabel::Post, &[200, 400, 404, 408, 413, 415, 422, 500, 503, 504])]
        }
        Route::Feedback => &[(MethodLabel::Post, &[202, 400, 408, 413, 415, 422, 500, 503])],
        Route::Observe | Route::CloudEvents => {
            &[(MethodLabel::Post, &[202, 400, 408, 413, 415, 422, 500, 503])]
        }
        Route::Reload => &[(MethodLabel::Post, &[200, 401, 409])],
        Route::OipModel | Route::OipVersion => &[(MethodLabel::Get, &[200, 404])],
        Route::OipModelReady | Route::OipVersionReady => &[(MethodLabel::Get, &[200, 404, 503])],
        Route::OipServer | Route::OipLive => &[(MethodLabel::Get, &[200])],
        Route::Readyz | Route::OipReady => &[(MethodLabel::Get, &[200, 503])],
        Route::DocsFile => &[(MethodLabel::Get, &[200, 404])],
        Route::Docs => &[(MethodLabel::Get, &[308])],
        // If a request cannot be parsed, its method is not known.
        Route::Unmatched => &[(MethodLabel::Get, &[404]), (MethodLabel::Other, &[400, 408, 431])],
        Route::Metrics => &[(MethodLabel::Get, &[200, 500, 503])],
        Route::Model | Route::Healthz | Route::OpenApi => &[(MethodLabel::Get, &[200, 500])],
    }
}
