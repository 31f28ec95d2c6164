//! Defines the metrics of the service, and the events that change them.
//!
//! Layout:
//! - `families`: the declaration of every metric
//! - `labels`: closed sets of label values
//! - `model_metrics`: signals, outputs and feedback of one model
//! - `error_size`: which errors of predicted numbers are counted, and in which sums
//! - `page`: the pages of several recorders as one
//! - `route_metrics`: requests and durations of one route
//! - `watch_metrics`: what a watcher observed of one model
//! - `process`: the standard process metrics
//!
//! All series are created at the start with the value 0, because a counter that first appears with a value of 1000 has no rate. Handlers
//! report events and never use the name of a metric. What does not belong here: verdicts, which are queries over these counts.

mod error_size;
mod families;
mod labels;
mod model_metrics;
mod page;
mod process;
mod route_metrics;
mod watch_metrics;

pub use labels::{ConnectionDrop, FaultKind, FaultOutcome, MethodLabel, ReloadOutcome, WatchOutcome};
pub use model_metrics::ModelMetrics;
pub use route_metrics::RouteMetrics;
pub use watch_metrics::WatchMetrics;

use crate::{reason::Reason, route::Route};
use cli_meta::build_info;
use drift::FalseAlarmBudget;
use families::{
    BUILD_INFO, CONNECTIONS_DROPPED, CONNECTIONS_OPEN, FAULTS, FEEDBACK_LAG, FEEDBACK_REJECTED, IN_FLIGHT,
    LOAD_TIME, LOADED, REJECTIONS, RELOADS, WATCHED_UNKNOWN,
};
use metrics::{Counter, Gauge, Histogram, with_local_recorder};
use metrics_exporter_prometheus::PrometheusRecorder;
use model::ModelCard;
use page::Page;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// The metrics of the service. An event takes a few atomic additions.
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    /// The versions of models, each with the recorder of its series: a series cannot be removed from a recorder.
    models: Mutex<Vec<(String, Arc<PrometheusRecorder>)>>,
    loaded: Gauge,
    load_time: Gauge,
    feedback_rejections: Vec<Counter>,
    feedback_lag: Histogram,
    rejections: Vec<Counter>,
    faults: Vec<Counter>,
    in_flight: Gauge,
    connections: Gauge,
    connections_dropped: Vec<Counter>,
    reloads: Vec<Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers every series that does not depend on a model, with the value 0.
    pub fn new() -> Self {
        let recorder = Arc::new(metric_families::recorder(families::HISTOGRAMS));
        // The recorder is not the global one of the process, because there may be several services in one process.
        with_local_recorder(&recorder, || {
            families::describe();
            BUILD_INFO.with(build_info::LABEL_VALUES).set(1.0);
            Self {
                feedback_rejections: Reason::OF_FEEDBACK
                    .iter()
                    .map(|reason| FEEDBACK_REJECTED.with([reason.code()]))
                    .collect(),
                feedback_lag: FEEDBACK_LAG.only(),
                rejections: Reason::ALL.iter().map(|reason| REJECTIONS.with([reason.code()])).collect(),
                faults: labels::fault_labels().map(|labels| FAULTS.with(labels)).collect(),
                in_flight: IN_FLIGHT.only(),
                connections: CONNECTIONS_OPEN.only(),
                connections_dropped: ConnectionDrop::ALL
                    .iter()
                    .map(|reason| CONNECTIONS_DROPPED.with([reason.as_str()]))
                    .collect(),
                reloads: ReloadOutcome::ALL.iter().map(|outcome| RELOADS.with([outcome.as_str()])).collect(),
                loaded: LOADED.only(),
                load_time: LOAD_TIME.only(),
                models: Mutex::default(),
                recorder: Arc::clone(&recorder),
            }
        })
    }

    /// Registers every series of a model at 0 and returns its metrics. The budget sets the critical values that verdicts on drift
    /// use. The series of a version that is known continue.
    pub fn of_model(&self, card: &ModelCard, budget: &FalseAlarmBudget) -> ModelMetrics {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.loaded.set(1.0);
        self.load_time.set(now.as_secs_f64());
        let mut models = self.models();
        let known = models.iter().find(|(version, _)| *version == card.version);
        let recorder = known.map(|(_, recorder)| Arc::clone(recorder)).unwrap_or_else(|| {
            let recorder = Arc::new(metric_families::recorder(families::HISTOGRAMS));
            with_local_recorder(&recorder, families::describe);
            models.push((card.version.clone(), Arc::clone(&recorder)));
            recorder
        });
        with_local_recorder(&recorder, || ModelMetrics::new(card, budget))
    }

    /// Registers the series of what a watcher observes of a model that is registered already.
    pub fn of_watched(&self, card: &ModelCard) -> WatchMetrics {
        let models = self.models();
        let own = models.iter().find(|(version, _)| *version == card.version);
        let recorder = own.map_or(&self.recorder, |(_, recorder)| recorder);
        with_local_recorder(recorder, || WatchMetrics::new(card))
    }

    /// Registers the counter of requests for models that a watcher has no profile of.
    pub fn unknown_model(&self) -> Counter {
        with_local_recorder(&self.recorder, || WATCHED_UNKNOWN.only())
    }

    /// Removes the series of a model from the page.
    pub fn forget_model(&self, version: &str) {
        self.models().retain(|(known, _)| known != version);
    }

    fn models(&self) -> MutexGuard<'_, Vec<(String, Arc<PrometheusRecorder>)>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the recorder of the series that do not depend on a model, and those of the models.
    fn recorders(&self) -> Vec<Arc<PrometheusRecorder>> {
        let models = self.models();
        std::iter::once(&self.recorder).chain(models.iter().map(|(_, own)| own)).cloned().collect()
    }

    /// Counts accepted feedback by the seconds since the prediction.
    pub fn feedback_accepted(&self, lag_seconds: f64) {
        self.feedback_lag.record(lag_seconds);
    }

    /// Counts refused feedback for one prediction.
    pub fn feedback_rejected(&self, reason: Reason) {
        if let Some(at) = Reason::OF_FEEDBACK.iter().position(|&known| known == reason) {
            self.feedback_rejections[at].increment(1);
        }
    }

    /// Counts a refused request.
    pub fn rejected(&self, reason: Reason) {
        self.rejections[reason as usize].increment(1);
    }

    /// Counts a request with a fault header.
    pub fn fault(&self, kind: FaultKind, outcome: FaultOutcome) {
        self.faults[labels::fault_index(kind, outcome)].increment(1);
    }

    /// Counts a reload of the model file.
    pub fn reloaded(&self, outcome: ReloadOutcome) {
        self.reloads[outcome as usize].increment(1);
    }

    /// Returns the metrics of one route.
    pub fn of_route(&self, route: Route) -> RouteMetrics {
        RouteMetrics::new(Arc::clone(&self.recorder), route)
    }

    /// Counts a connection that the service closed.
    pub fn connection_dropped(&self, reason: ConnectionDrop) {
        self.connections_dropped[reason as usize].increment(1);
    }

    /// Sets the numbers of requests in flight and of open connections, which are counted elsewhere. Must be called before a page is
    /// rendered.
    pub fn set_load(&self, in_flight: usize, connections: usize) {
        self.in_flight.set(in_flight as f64);
        self.connections.set(connections as f64);
    }

    /// Returns the page in the Prometheus text format. It clones every distribution, so it must not run on a worker.
    pub fn render(&self) -> String {
        let mut page = Page::default();
        self.recorders().iter().for_each(|recorder| page.add(&recorder.handle().render()));
        // The series of a former model has the value 0, and is not shown.
        let former = |line: &&str| line.starts_with("model_info{") && line.trim_end().ends_with(" 0");
        let page: String = page.text().split_inclusive('\n').filter(|line| !former(line)).collect();
        page + &process::render()
    }

    /// Adds the samples of the histograms to their buckets. Without this or a scrape, samples accumulate in memory.
    pub fn upkeep(&self) {
        self.recorders().iter().for_each(|recorder| recorder.handle().run_upkeep());
    }
}

/// Returns the number of series on a page.
pub fn series_count(page: &str) -> usize {
    page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Predictor, TrainOptions, iris, train};

    fn value(page: &str, series: &str) -> f64 {
        let line = page.lines().find(|line| line.starts_with(series));
        let line = line.unwrap_or_else(|| panic!("{series} is missing"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    #[test]
    fn every_series_exists_from_the_start() {
        let file = train(&iris::table(), &TrainOptions::new("iris")).unwrap();
        let metrics = Metrics::new();
        metrics.of_model(&file.card, &FalseAlarmBudget::default());
        let predict = metrics.of_route(Route::Predict);
        let page = metrics.render();
        for series in [
            "inference_requests_total{method=\"POST\",endpoint=\"/predict\",status=\"200\"} 0",
            "inference_duration_seconds_count{method=\"POST\",endpoint=\"/predict\"} 0",
            "inference_rejections_total{reason=\"wrong_feature_count\"} 0",
            "model_loaded 1",
        ] {
            assert!(page.lines().any(|line| line == series), "{series}\n{page}");
        }
        let model = format!("model=\"iris\",version=\"{}\"", file.card.version);
        assert_eq!(value(&page, &format!("prediction_output_total{{{model},class=\"virginica\"}}")), 0.0);
        let signals = &file.card.reference.signals;
        let bins: usize = signals.iter().map(|signal| signal.bins.len()).sum();
        assert_eq!(page.lines().filter(|line| line.starts_with("signal_bin_total{")).count(), bins);
        assert_eq!(
            page.lines().filter(|line| line.starts_with("signal_critical_chi2{")).count(),
            signals.len()
        );
        let before = series_count(&page);
        predict.answered(MethodLabel::Post, 200, 0.001);
        assert_eq!(series_count(&metrics.render()), before);
    }

    /// The rules compare feedback with the recall of each class, so the rows of all classes must add up to those of the reference.
    #[test]
    fn the_recall_of_each_class_is_published() {
        let card = train(&iris::table(), &TrainOptions::new("iris")).unwrap().card;
        let metrics = Metrics::new();
        metrics.of_model(&card, &FalseAlarmBudget::default());
        let page = metrics.render();
        let (mut rows, mut recognised) = (0.0, 0.0);
        for (class, score) in card.classes.iter().zip(&card.training.class_scores) {
            let labels = format!("{{model=\"iris\",version=\"{}\",class=\"{class}\"}}", card.version);
            let recall = value(&page, &format!("model_reference_recall{labels}"));
            let of_class = value(&page, &format!("model_reference_class_rows{labels}"));
            assert_eq!((recall, of_class), (score.recall, score.rows as f64), "{class}");
            rows += of_class;
            recognised += recall * of_class;
        }
        assert_eq!(rows, value(&page, "signal_reference_rows"));
        assert!((recognised / rows - value(&page, "model_reference_accuracy")).abs() < 1e-9);
    }

    #[test]
    fn a_row_is_counted_once_in_every_signal() {
        let file = train(&iris::table(), &TrainOptions::new("iris")).unwrap();
        let metrics = Metrics::new();
        let of_model = metrics.of_model(&file.card, &FalseAlarmBudget::default());
        let row = [9.0, 5.0, 8.0, 4.0].map(Some);
        of_model.observed(&row);
        of_model.predicted(&Predictor::built_in(&file).unwrap().predict_row(&row).unwrap());
        let page = metrics.render();
        let version = &file.card.version;
        for signal in ["sepal_length", "sepal_width", "petal_length", "petal_width", "distance"] {
            let series = format!(
                "signal_bin_total{{model=\"iris\",version=\"{version}\",signal=\"{signal}\",bin=\"above\"}}"
            );
            assert_eq!(value(&page, &series), 1.0, "{series}");
        }
        let counted: f64 = page
            .lines()
            .filter(|line| line.starts_with("signal_bin_total{"))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum();
        assert_eq!(counted, 7.0);
        assert_eq!(value(&page, "prediction_confidence_count"), 1.0);
    }

    #[test]
    fn the_series_of_a_removed_model_disappear_and_those_of_others_continue() {
        let mut card = train(&iris::table(), &TrainOptions::new("iris")).unwrap().card;
        let metrics = Metrics::new();
        let mut of_version = |version: &str| {
            card.version = version.to_owned();
            metrics.of_model(&card, &FalseAlarmBudget::default())
        };
        let row = [9.0, 5.0, 8.0, 4.0].map(Some);
        let one = of_version("one");
        one.observed(&row);
        let series = series_count(&metrics.render());
        of_version("two").observed(&row);
        // A former model is served again.
        of_version("one").observed(&row);
        let page = metrics.render();
        let above = |version: &str| {
            format!(
                "signal_bin_total{{model=\"iris\",version=\"{version}\",signal=\"sepal_width\",bin=\"above\"}}"
            )
        };
        assert_eq!((value(&page, &above("one")), value(&page, &above("two"))), (2.0, 1.0));
        let helps: Vec<&str> = page.lines().filter(|line| line.starts_with("# HELP ")).collect();
        assert_eq!(helps.len(), helps.iter().collect::<std::collections::BTreeSet<_>>().len());

        metrics.forget_model("two");
        let page = metrics.render();
        assert_eq!((series_count(&page), value(&page, &above("one"))), (series, 2.0));
        assert!(!page.contains("version=\"two\""), "{page}");
    }
}
