//! Every metric of the service: its name, its help text, its labels, and the event that moves it.
//!
//! All handles are made at start, so that each series exists at 0: a counter first seen at 1000 has no rate. Handlers
//! report events and never see a name. What does not belong here: judging; that is for queries over the counts.

mod endpoint;
mod labels;

pub use endpoint::EndpointMetrics;
pub use labels::{Endpoint, FaultKind, FaultOutcome, MethodLabel};

use crate::{api::Reason, connection::Dropped, process, receipt::Receipt};
use drift::{Bins, FalseAlarmBudget, SignalReference};
use metrics::{
    Counter, Gauge, Histogram, Label, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram, with_local_recorder,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use model::{ModelCard, Prediction};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

const REQUESTS: &str = "inference_requests_total";
const DURATION: &str = "inference_duration_seconds";
const IN_FLIGHT: &str = "inference_requests_in_flight";
const CONNECTIONS_OPEN: &str = "inference_connections_open";
const CONNECTIONS_DROPPED: &str = "inference_connections_dropped_total";
const REJECTIONS: &str = "inference_rejections_total";
const FAULTS: &str = "inference_faults_total";
const OUTPUT: &str = "prediction_output_total";
const CONFIDENCE: &str = "prediction_confidence";
const FEEDBACK: &str = "feedback_total";
const FEEDBACK_REJECTED: &str = "feedback_rejected_total";
const FEEDBACK_LAG: &str = "feedback_lag_seconds";
const FEEDBACK_CONFIDENCE: &str = "feedback_confidence";
const SIGNAL_BINS: &str = "signal_bin_total";
const SIGNAL_EXPECTED: &str = "signal_bin_expected_ratio";
const SIGNAL_ROWS: &str = "signal_reference_rows";
const SIGNAL_CRITICAL: &str = "signal_critical_chi2";
const SIGNAL_FREEDOM: &str = "signal_degrees_of_freedom";
const REFERENCE_ACCURACY: &str = "model_reference_accuracy";
const REFERENCE_CONFIDENCE: &str = "model_reference_confidence";
const LOADED: &str = "model_loaded";
const INFO: &str = "model_info";
const LOAD_TIME: &str = "model_load_timestamp_seconds";

/// A prediction takes tens of microseconds, so the buckets begin well below 1 ms; 0.25 s is the latency objective of
/// the alert rules and must stay a boundary.
const DURATION_BUCKETS: [f64; 18] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15,
    0.25, 0.5, 1.0, 2.5, 5.0,
];

/// Dense near 1, where a sound classifier spends its time.
const CONFIDENCE_BUCKETS: [f64; 10] = [0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999];

/// From a label given at once to one that takes a month: the oldest that is accepted.
const LAG_BUCKETS: [f64; 10] =
    [1.0, 10.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0, 259_200.0, 604_800.0, 2_592_000.0];

/// The service's metrics. Cheap to report to: an event is a few atomic additions.
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    features: Vec<SignalCounters>,
    prediction: SignalCounters,
    confidence: SignalCounters,
    distance: SignalCounters,
    outputs: Vec<Counter>,
    confidences: Histogram,
    /// Row by row: predicted class, then actual class.
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

/// The bins of one signal, and a counter for each.
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
    /// Registers every series of a model, at 0; drift will be judged within this budget of false alarms.
    pub fn new(card: &ModelCard, budget: &FalseAlarmBudget) -> Self {
        let recorder = Arc::new(build_recorder());
        // A recorder of its own, not the process's global one: several services can live in one process.
        with_local_recorder(&recorder, || {
            describe();
            register_model(card);
            let signals = &card.reference.signals;
            let mut counters: Vec<_> =
                signals.iter().map(|signal| register_signal(card, signal, budget)).collect();
            let mut last =
                || counters.pop().unwrap_or_else(|| unreachable!("a checked card has every signal"));
            let (distance, confidence, prediction) = (last(), last(), last());
            Self {
                features: counters,
                prediction,
                confidence,
                distance,
                outputs: card
                    .classes
                    .iter()
                    .map(|class| counter!(OUTPUT, "class" => class.clone()))
                    .collect(),
                confidences: histogram!(CONFIDENCE),
                feedback: card
                    .classes
                    .iter()
                    .flat_map(|predicted| card.classes.iter().map(move |actual| (predicted, actual)))
                    .map(|(predicted, actual)| {
                        counter!(FEEDBACK, "predicted" => predicted.clone(), "actual" => actual.clone())
                    })
                    .collect(),
                feedback_rejections: Reason::OF_FEEDBACK
                    .iter()
                    .map(|reason| counter!(FEEDBACK_REJECTED, "reason" => reason.code()))
                    .collect(),
                feedback_lag: histogram!(FEEDBACK_LAG),
                feedback_confidence: histogram!(FEEDBACK_CONFIDENCE, "version" => card.version.clone()),
                rejections: Reason::ALL
                    .iter()
                    .map(|reason| counter!(REJECTIONS, "reason" => reason.code()))
                    .collect(),
                faults: labels::fault_labels()
                    .map(|(kind, outcome)| counter!(FAULTS, "fault" => kind, "outcome" => outcome))
                    .collect(),
                in_flight: gauge!(IN_FLIGHT),
                connections: gauge!(CONNECTIONS_OPEN),
                connections_dropped: Dropped::ALL
                    .iter()
                    .map(|why| counter!(CONNECTIONS_DROPPED, "reason" => why.label()))
                    .collect(),
                recorder: Arc::clone(&recorder),
            }
        })
    }

    /// A well-shaped row arrived, one value a feature: its values are counted, whatever becomes of it.
    pub fn observed(&self, row: &[Option<f64>]) {
        for (signal, &value) in self.features.iter().zip(row) {
            signal.count(value);
        }
    }

    /// The model answered.
    pub fn predicted(&self, prediction: &Prediction) {
        self.outputs[prediction.class].increment(1);
        self.confidences.record(prediction.confidence);
        self.prediction.count(Some(prediction.class as f64));
        self.confidence.count(Some(prediction.confidence));
        self.distance.count(Some(prediction.distance));
    }

    /// A prediction turned out to be right or wrong, so many seconds after it was made. The class by position.
    pub fn feedback_accepted(&self, receipt: &Receipt, actual: usize, lag_seconds: f64) {
        self.feedback[receipt.class * self.outputs.len() + actual].increment(1);
        self.feedback_confidence.record(receipt.confidence);
        self.feedback_lag.record(lag_seconds);
    }

    /// Feedback about one prediction was refused.
    pub fn feedback_rejected(&self, reason: Reason) {
        if let Some(at) = Reason::OF_FEEDBACK.iter().position(|&known| known == reason) {
            self.feedback_rejections[at].increment(1);
        }
    }

    /// A request was refused.
    pub fn rejected(&self, reason: Reason) {
        self.rejections[reason as usize].increment(1);
    }

    /// A request carried a fault header.
    pub fn fault(&self, kind: FaultKind, outcome: FaultOutcome) {
        self.faults[labels::fault_index(kind, outcome)].increment(1);
    }

    /// The metrics of one route.
    pub fn endpoint(&self, endpoint: Endpoint) -> EndpointMetrics {
        EndpointMetrics::new(Arc::clone(&self.recorder), endpoint)
    }

    /// The service closed a connection.
    pub fn connection_dropped(&self, why: Dropped) {
        self.connections_dropped[why as usize].increment(1);
    }

    /// Sets the numbers of requests being worked on and of open connections: they are kept elsewhere, and published
    /// when asked for.
    pub fn set_load(&self, in_flight: usize, connections: usize) {
        self.in_flight.set(in_flight as f64);
        self.connections.set(connections as f64);
    }

    /// The page in the Prometheus text format. It clones every distribution: call it off the request path.
    pub fn render(&self) -> String {
        self.recorder.handle().render() + &process::render()
    }

    /// Folds the samples of the histograms into their buckets; without it, or a scrape, they pile up.
    pub fn upkeep(&self) {
        self.recorder.handle().run_upkeep();
    }
}

/// How many series a page holds.
pub fn series_count(page: &str) -> usize {
    page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count()
}

fn build_recorder() -> PrometheusRecorder {
    let buckets = [
        (DURATION, DURATION_BUCKETS.as_slice()),
        (CONFIDENCE, CONFIDENCE_BUCKETS.as_slice()),
        (FEEDBACK_CONFIDENCE, CONFIDENCE_BUCKETS.as_slice()),
        (FEEDBACK_LAG, LAG_BUCKETS.as_slice()),
    ];
    let builder = buckets.into_iter().fold(PrometheusBuilder::new(), |builder, (name, bounds)| {
        let Ok(builder) = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds) else {
            unreachable!("the list of buckets is not empty")
        };
        builder
    });
    builder.build_recorder()
}

fn describe() {
    describe_counter!(REQUESTS, "HTTP requests answered, by route pattern and status.");
    describe_histogram!(DURATION, "Time from a request's head to its answer, in seconds.");
    describe_gauge!(IN_FLIGHT, "Requests for predictions and feedback being worked on or sent.");
    describe_gauge!(CONNECTIONS_OPEN, "Connections of the main listener that are open.");
    describe_counter!(CONNECTIONS_DROPPED, "Connections that the service closed, by reason.");
    describe_counter!(REJECTIONS, "Requests refused, by error code.");
    describe_counter!(FAULTS, "Requests that asked for a fault, by what came of it.");
    describe_counter!(OUTPUT, "Predictions, by predicted class.");
    describe_histogram!(CONFIDENCE, "Probability of the predicted class.");
    describe_counter!(FEEDBACK, "Accepted feedback, by predicted and actual class: a confusion matrix.");
    describe_counter!(FEEDBACK_REJECTED, "Feedback refused, by reason.");
    describe_histogram!(FEEDBACK_LAG, "Time from a prediction to the feedback about it, in seconds.");
    describe_histogram!(
        FEEDBACK_CONFIDENCE,
        "Confidence of the predictions that feedback was accepted about."
    );
    describe_counter!(SIGNAL_BINS, "Rows seen, by signal and bin of the reference.");
    describe_gauge!(SIGNAL_EXPECTED, "Share of rows that the reference leads to expect in a bin.");
    describe_gauge!(SIGNAL_ROWS, "Rows of the reference.");
    describe_gauge!(
        SIGNAL_CRITICAL,
        "Chi-squared quantile, or more for rare bins, that pays for the budget of false alarms."
    );
    describe_gauge!(SIGNAL_FREEDOM, "Degrees of freedom of that quantile.");
    describe_gauge!(
        REFERENCE_ACCURACY,
        "Share of reference rows correctly classified by weights that had not seen them."
    );
    describe_gauge!(REFERENCE_CONFIDENCE, "Mean confidence in those classifications.");
    describe_gauge!(LOADED, "1 when a model is loaded.");
    describe_gauge!(INFO, "The model being served; always 1.");
    describe_gauge!(LOAD_TIME, "When the model was loaded, Unix time.");
}

fn register_model(card: &ModelCard) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    gauge!(LOADED).set(1.0);
    gauge!(INFO, "model" => card.name.clone(), "version" => card.version.clone()).set(1.0);
    gauge!(LOAD_TIME).set(now.as_secs_f64());
    let reference = &card.reference;
    for (name, value) in [
        (SIGNAL_ROWS, reference.rows as f64),
        (REFERENCE_ACCURACY, reference.accuracy),
        (REFERENCE_CONFIDENCE, reference.confidence),
    ] {
        gauge!(name, "version" => card.version.clone()).set(value);
    }
}

fn register_signal(card: &ModelCard, signal: &SignalReference, budget: &FalseAlarmBudget) -> SignalCounters {
    let of_signal =
        vec![Label::new("version", card.version.clone()), Label::new("signal", signal.name.clone())];
    let signals = card.reference.signals.len();
    gauge!(SIGNAL_CRITICAL, of_signal.clone()).set(signal.critical_chi2(budget.alpha(signals)));
    gauge!(SIGNAL_FREEDOM, of_signal.clone()).set(signal.degrees_of_freedom() as f64);
    let counters = signal.bins.labels().into_iter().zip(&signal.expected).map(|(bin, &expected)| {
        let mut labels = of_signal.clone();
        labels.push(Label::new("bin", bin));
        gauge!(SIGNAL_EXPECTED, labels.clone()).set(expected);
        counter!(SIGNAL_BINS, labels)
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
        let predict = metrics.endpoint(Endpoint::Predict);
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
