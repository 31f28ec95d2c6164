//! Declares every metric of the service: its name, its help text, its type, its labels, and the buckets of a histogram.

use metrics::{Counter, Gauge, Histogram};
use metrics_process::collector::Metrics as Process;

/// The buckets of durations, in seconds. A prediction takes tens of microseconds, so they begin well below 1 ms. The alert rules count
/// requests slower than 0.25 s, so this must be a bucket boundary.
const DURATION_BUCKETS: &[f64] = &[
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15,
    0.25, 0.5, 1.0, 2.5, 5.0,
];

/// The buckets of confidences. They are narrow near 1, where most confidences of an accurate classifier are.
const CONFIDENCE_BUCKETS: &[f64] = &[0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999];

/// The buckets of the age of predictions with feedback, in seconds. They end at 30 days, the greatest age for which feedback is
/// accepted.
const LAG_BUCKETS: &[f64] =
    &[1.0, 10.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0, 259_200.0, 604_800.0, 2_592_000.0];

/// The buckets of absolute errors, in the unit of the predicted number. The unit is not known, so they cover many powers of ten.
const ERROR_BUCKETS: &[f64] = &[
    0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4,
    3e4, 1e5, 3e5, 1e6,
];

/// The bucket of histograms of which only the sum and the count are used. A histogram needs at least one bucket.
const ONE_BUCKET: &[f64] = &[1.0];

metric_families::families! { pub(super)
    REQUESTS: Counter = "inference_requests_total", ["method", "endpoint", "status"],
        "HTTP requests answered, by route pattern and status.";
    DURATION: Histogram = "inference_duration_seconds", ["method", "endpoint"],
        "Time from a request's head to its answer, in seconds.", DURATION_BUCKETS;
    IN_FLIGHT: Gauge = "inference_requests_in_flight", [],
        "Requests for predictions and feedback whose answer is not sent yet.";
    CONNECTIONS_OPEN: Gauge = "inference_connections_open", [],
        "Connections of the main listener that are open.";
    CONNECTIONS_DROPPED: Counter = "inference_connections_dropped_total", ["reason"],
        "Connections that the service closed, by reason.";
    REJECTIONS: Counter = "inference_rejections_total", ["reason"],
        "Requests refused, by error code.";
    FAULTS: Counter = "inference_faults_total", ["fault", "outcome"],
        "Requests that asked for a fault, by fault and outcome.";
    OUTPUT: Counter = "prediction_output_total", ["model", "version", "class"],
        "Predictions, by predicted class.";
    CONFIDENCE: Histogram = "prediction_confidence", ["model", "version"],
        "Probability of the predicted class.", CONFIDENCE_BUCKETS;
    FEEDBACK: Counter = "feedback_total", ["model", "version", "predicted", "actual"],
        "Accepted feedback, by predicted and actual class: a confusion matrix.";
    FEEDBACK_REJECTED: Counter = "feedback_rejected_total", ["reason"],
        "Feedback refused, by reason.";
    FEEDBACK_LAG: Histogram = "feedback_lag_seconds", [],
        "Time from a prediction to the feedback for it, in seconds.", LAG_BUCKETS;
    FEEDBACK_CONFIDENCE: Histogram = "feedback_confidence", ["model", "version"],
        "Confidence of the predictions with accepted feedback.", CONFIDENCE_BUCKETS;
    FEEDBACK_ERROR: Histogram = "feedback_absolute_error", ["model", "version", "sign"],
        "Absolute error of predicted numbers with accepted feedback, by sign: over or under.", ERROR_BUCKETS;
    FEEDBACK_SQUARED_ERROR: Histogram = "feedback_squared_error", ["model", "version", "size"],
        "Squared error of the same predictions, by the size of the error: usual or large.", ONE_BUCKET;
    FEEDBACK_FOURTH_POWER: Histogram = "feedback_error_fourth_power", ["model", "version", "size"],
        "Fourth power of the error of predicted numbers with accepted feedback, for the interval of the squared error.", ONE_BUCKET;
    SIGNAL_BINS: Counter = "signal_bin_total", ["model", "version", "signal", "bin"],
        "Rows observed, by signal and bin of the reference.";
    SIGNAL_EXPECTED: Gauge = "signal_bin_expected_ratio", ["model", "version", "signal", "bin"],
        "Expected share of rows in a bin, from the reference.";
    SIGNAL_ROWS: Gauge = "signal_reference_rows", ["model", "version"],
        "Number of rows in the reference.";
    SIGNAL_CRITICAL: Gauge = "signal_critical_chi2", ["model", "version", "signal"],
        "Critical value of chi-squared at the configured rate of false alarms; higher if a bin is rare.";
    SIGNAL_FREEDOM: Gauge = "signal_degrees_of_freedom", ["model", "version", "signal"],
        "Degrees of freedom of the chi-squared distribution.";
    REFERENCE_ACCURACY: Gauge = "model_reference_accuracy", ["model", "version"],
        "Accuracy on reference rows, by weights that were not fitted to them.";
    REFERENCE_CONFIDENCE: Gauge = "model_reference_confidence", ["model", "version"],
        "Mean confidence on reference rows, by weights that were not fitted to them.";
    REFERENCE_ABSOLUTE_ERROR: Gauge = "model_reference_mean_absolute_error", ["model", "version"],
        "Mean absolute error of predicted numbers on reference rows.";
    REFERENCE_ABSOLUTE_ERROR_SD: Gauge = "model_reference_absolute_error_sd", ["model", "version"],
        "Standard deviation of the absolute error on reference rows.";
    REFERENCE_SQUARED_ERROR: Gauge = "model_reference_root_mean_square_error", ["model", "version"],
        "Root mean square error on reference rows.";
    REFERENCE_BIAS: Gauge = "model_reference_bias", ["model", "version"],
        "Mean error on reference rows: predicted minus actual.";
    REFERENCE_RECALL: Gauge = "model_reference_recall", ["model", "version", "class"],
        "Share of the reference rows of a class that are predicted as this class, by weights that were not fitted to them.";
    REFERENCE_CLASS_ROWS: Gauge = "model_reference_class_rows", ["model", "version", "class"],
        "Number of reference rows of a class.";
    WATCHED: Counter = "watch_requests_total", ["model", "version", "outcome"],
        "Requests for predictions that passed through the watcher, by whether they were observed, or why not.";
    WATCHED_UNKNOWN: Counter = "watch_unknown_model_total", [],
        "Requests for predictions of models without a profile, which were not observed.";
    BUILD_INFO: Gauge = "inference_build_info", ["version", "commit", "target"],
        "Version, commit and target of the program; always 1.";
    LOADED: Gauge = "model_loaded", [],
        "1 when a model is loaded.";
    INFO: Gauge = "model_info", ["model", "version"],
        "The served model; always 1. Former models of the process are not listed.";
    RELOADS: Counter = "model_reloads_total", ["outcome"],
        "Reloads of the model file, by outcome: changed, unchanged or failed.";
    LOAD_TIME: Gauge = "model_load_timestamp_seconds", [],
        "Time at which the model was loaded, Unix time.";
}

/// The standard process metrics, by the names that the Prometheus project gives them.
pub(super) const PROCESS: [ProcessFamily; 8] = [
    ProcessFamily::counter("process_cpu_seconds_total", "User and system CPU time in seconds.", |process| {
        process.cpu_seconds_total
    }),
    ProcessFamily::gauge("process_resident_memory_bytes", "Resident memory.", |process| {
        whole(process.resident_memory_bytes)
    }),
    ProcessFamily::gauge("process_virtual_memory_bytes", "Virtual memory.", |process| {
        whole(process.virtual_memory_bytes)
    }),
    ProcessFamily::gauge("process_virtual_memory_max_bytes", "Limit on virtual memory.", |process| {
        whole(process.virtual_memory_max_bytes)
    }),
    ProcessFamily::gauge("process_open_fds", "Open file descriptors.", |process| whole(process.open_fds)),
    ProcessFamily::gauge("process_max_fds", "Limit on open file descriptors.", |process| {
        whole(process.max_fds)
    }),
    ProcessFamily::gauge("process_threads", "Threads.", |process| whole(process.threads)),
    ProcessFamily::gauge("process_start_time_seconds", "Start of the process, Unix time.", |process| {
        whole(process.start_time_seconds)
    }),
];

fn whole(value: Option<u64>) -> Option<f64> {
    value.map(|value| value as f64)
}

/// A metric of the process, which is read when a page is rendered.
pub(super) struct ProcessFamily {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) help: &'static str,
    /// Returns the value; `None` if the system does not provide it.
    pub(super) read: fn(&Process) -> Option<f64>,
}

impl ProcessFamily {
    const fn gauge(name: &'static str, help: &'static str, read: fn(&Process) -> Option<f64>) -> Self {
        Self { name, kind: "gauge", help, read }
    }

    const fn counter(name: &'static str, help: &'static str, read: fn(&Process) -> Option<f64>) -> Self {
        Self { name, kind: "counter", help, read }
    }
}
