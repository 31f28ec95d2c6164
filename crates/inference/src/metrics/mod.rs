//! The service's metrics, and the events that change them.
//!
//! Layout:
//! - `families`: the declaration of every metric
//! - `labels`: closed sets of label values
//! - `route_metrics`: requests and durations of one route
//! - `process`: the standard process metrics
//!
//! All handles are made at start, so that each series exists at 0: a counter that first appears with a value of 1000 has no
//! rate. Handlers report events and never use a metric's name. What does not belong here: verdicts, which are queries over
//! these counts.

mod families;
mod labels;
mod process;
mod route_metrics;

pub use labels::{ConnectionDrop, FaultKind, FaultOutcome, MethodLabel};
pub use route_metrics::RouteMetrics;

use crate::{reason::Reason, receipt::Receipt, route::Route};
use drift::{Bins, FalseAlarmBudget, SignalReference};
use families::{
    CONFIDENCE, CONNECTIONS_DROPPED, CONNECTIONS_OPEN, FAULTS, FEEDBACK, FEEDBACK_CONFIDENCE, FEEDBACK_LAG,
    FEEDBACK_REJECTED, IN_FLIGHT, INFO, LOAD_TIME, LOADED, OUTPUT, REFERENCE_ACCURACY, REFERENCE_CLASS_ROWS,
    REFERENCE_CONFIDENCE, REFERENCE_RECALL, REJECTIONS, SIGNAL_BINS, SIGNAL_CRITICAL, SIGNAL_EXPECTED,
    SIGNAL_FREEDOM, SIGNAL_ROWS,
};
use metrics::{Counter, Gauge, Histogram, with_local_recorder};
use metrics_exporter_prometheus::PrometheusRecorder;
use model::{ModelCard, Prediction};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// The service's metrics. An event costs a few atomic additions.
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    features: Vec<SignalCounters>,
    prediction: SignalCounters,
    confidence: SignalCounters,
    distance: SignalCounters,
    outputs: Vec<Counter>,
    confidences: Histogram,
    /// One counter per pair of classes: the predicted class selects the row, the actual class the column.
    feedback: Vec<Counter>,
    feedback_rejections: Vec<Counter>,
    feedback_lag: Histogram,
    feedback_confidence: Histogram,
    rejections: Vec<Counter>,
    faults: Vec<Counter>,
    in_flight: Gauge,
    connections: Gauge,
    connections_dropped: Vec<Counter>,
}

/// The bins of one signal, and one counter per bin.
struct SignalCounters {
    bins: Bins,
    counters: Vec<Counter>,
}

impl SignalCounters {
    fn count(&self, value: Option<f64>) {
        self.counters[self.bins.index(value)].increment(1);
    }
}

impl Metrics {
    /// Registers every series of a model at 0. The budget sets the critical values that verdicts on drift use.
    pub fn new(card: &ModelCard, budget: &FalseAlarmBudget) -> Self {
        let recorder = Arc::new(metric_families::recorder(families::HISTOGRAMS));
        // A recorder of its own, not the process's global one: several services can live in one process.
        with_local_recorder(&recorder, || {
            families::describe();
            register_model(card);
            let signals = card.reference.by_role();
            let register = |signal| register_signal(card, signal, budget);
            let classes = || card.classes.iter().cloned();
            Self {
                features: signals.features.iter().map(register).collect(),
                prediction: register(signals.prediction),
                confidence: register(signals.confidence),
                distance: register(signals.distance),
                outputs: classes().map(|class| OUTPUT.with([class])).collect(),
                confidences: CONFIDENCE.only(),
                feedback: classes()
                    .flat_map(|predicted| classes().map(move |actual| [predicted.clone(), actual]))
                    .map(|labels| FEEDBACK.with(labels))
                    .collect(),
                feedback_rejections: Reason::OF_FEEDBACK
                    .iter()
                    .map(|reason| FEEDBACK_REJECTED.with([reason.code()]))
                    .collect(),
                feedback_lag: FEEDBACK_LAG.only(),
                feedback_confidence: FEEDBACK_CONFIDENCE.with([card.version.clone()]),
                rejections: Reason::ALL.iter().map(|reason| REJECTIONS.with([reason.code()])).collect(),
                faults: labels::fault_labels().map(|labels| FAULTS.with(labels)).collect(),
                in_flight: IN_FLIGHT.only(),
                connections: CONNECTIONS_OPEN.only(),
                connections_dropped: ConnectionDrop::ALL
                    .iter()
                    .map(|reason| CONNECTIONS_DROPPED.with([reason.as_str()]))
                    .collect(),
                recorder: Arc::clone(&recorder),
            }
        })
    }

    /// Counts the values of a row, one per feature, whether the row is then predicted or refused.
    pub fn observed(&self, row: &[Option<f64>]) {
        for (signal, &value) in self.features.iter().zip(row) {
            signal.count(value);
        }
    }

    /// Counts a prediction.
    pub fn predicted(&self, prediction: &Prediction) {
        self.outputs[prediction.class].increment(1);
        self.confidences.record(prediction.confidence);
        self.prediction.count(Some(prediction.class as f64));
        self.confidence.count(Some(prediction.confidence));
        self.distance.count(Some(prediction.distance));
    }

    /// Counts accepted feedback: the position of the actual class, and the seconds since the prediction.
    pub fn feedback_accepted(&self, receipt: &Receipt, actual: usize, lag_seconds: f64) {
        self.feedback[receipt.class * self.outputs.len() + actual].increment(1);
        self.feedback_confidence.record(receipt.confidence);
        self.feedback_lag.record(lag_seconds);
    }

    /// Counts refused feedback about one prediction.
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

    /// Returns the metrics of one route.
    pub fn of_route(&self, route: Route) -> RouteMetrics {
        RouteMetrics::new(Arc::clone(&self.recorder), route)
    }

    /// Counts a connection that the service closed.
    pub fn connection_dropped(&self, reason: ConnectionDrop) {
        self.connections_dropped[reason as usize].increment(1);
    }

    /// Sets the numbers of requests in flight and of open connections, which are kept elsewhere, before a page is
    /// rendered.
    pub fn set_load(&self, in_flight: usize, connections: usize) {
        self.in_flight.set(in_flight as f64);
        self.connections.set(connections as f64);
    }

    /// Returns the page in the Prometheus text format. It clones every distribution, so it must not run on a worker.
    pub fn render(&self) -> String {
        self.recorder.handle().render() + &process::render()
    }

    /// Adds the samples of the histograms to their buckets. Without this or a scrape, samples accumulate in memory.
    pub fn upkeep(&self) {
        self.recorder.handle().run_upkeep();
    }
}

/// Returns the number of series on a page.
pub fn series_count(page: &str) -> usize {
    page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count()
}

fn register_model(card: &ModelCard) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LOADED.only().set(1.0);
    INFO.with([card.name.clone(), card.version.clone()]).set(1.0);
    LOAD_TIME.only().set(now.as_secs_f64());
    let reference = &card.reference;
    for (family, value) in [
        (SIGNAL_ROWS, reference.rows as f64),
        (REFERENCE_ACCURACY, reference.accuracy),
        (REFERENCE_CONFIDENCE, reference.confidence),
    ] {
        family.with([card.version.clone()]).set(value);
    }
    for (class, score) in card.classes.iter().zip(&card.training.class_scores) {
        let of_class = || [card.version.clone(), class.clone()];
        REFERENCE_RECALL.with(of_class()).set(score.recall);
        REFERENCE_CLASS_ROWS.with(of_class()).set(score.rows as f64);
    }
}

fn register_signal(card: &ModelCard, signal: &SignalReference, budget: &FalseAlarmBudget) -> SignalCounters {
    let of_signal = || [card.version.clone(), signal.name.clone()];
    let signals = card.reference.signals.len();
    SIGNAL_CRITICAL.with(of_signal()).set(signal.critical_chi2(budget.alpha(signals)));
    SIGNAL_FREEDOM.with(of_signal()).set(signal.degrees_of_freedom() as f64);
    let counters = signal.bins.labels().into_iter().zip(&signal.expected).map(|(bin, &expected)| {
        let [version, name] = of_signal();
        let labels = [version, name, bin];
        SIGNAL_EXPECTED.with(labels.clone()).set(expected);
        SIGNAL_BINS.with(labels)
    });
    SignalCounters { bins: signal.bins.clone(), counters: counters.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Classifier, TrainOptions, iris, train};

    fn value(page: &str, series: &str) -> f64 {
        let line = page.lines().find(|line| line.starts_with(series));
        let line = line.unwrap_or_else(|| panic!("{series} is missing"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    #[test]
    fn every_series_is_there_from_the_start() {
        let file = train(&iris::table(), &TrainOptions::new("iris")).unwrap();
        let metrics = Metrics::new(&file.card, &FalseAlarmBudget::default());
        let predict = metrics.of_route(Route::Predict);
        let page = metrics.render();
        for series in [
            "inference_requests_total{method=\"POST\",endpoint=\"/predict\",status=\"200\"} 0",
            "inference_duration_seconds_count{method=\"POST\",endpoint=\"/predict\"} 0",
            "inference_rejections_total{reason=\"wrong_feature_count\"} 0",
            "prediction_output_total{class=\"virginica\"} 0",
            "model_loaded 1",
        ] {
            assert!(page.lines().any(|line| line == series), "{series}\n{page}");
        }
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

    /// What the rules hold feedback against: each class under its own name, with rows that add up to the reference.
    #[test]
    fn the_recall_of_each_class_is_published() {
        let card = train(&iris::table(), &TrainOptions::new("iris")).unwrap().card;
        let page = Metrics::new(&card, &FalseAlarmBudget::default()).render();
        let (mut rows, mut recognised) = (0.0, 0.0);
        for (class, score) in card.classes.iter().zip(&card.training.class_scores) {
            let labels = format!("{{version=\"{}\",class=\"{class}\"}}", card.version);
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
        let metrics = Metrics::new(&file.card, &FalseAlarmBudget::default());
        let row = [9.0, 5.0, 8.0, 4.0].map(Some);
        metrics.observed(&row);
        metrics.predicted(&Classifier::new(&file).predict(&row).unwrap());
        let page = metrics.render();
        let version = &file.card.version;
        for signal in ["sepal_length", "sepal_width", "petal_length", "petal_width", "distance"] {
            let series =
                format!("signal_bin_total{{version=\"{version}\",signal=\"{signal}\",bin=\"above\"}}");
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
}
