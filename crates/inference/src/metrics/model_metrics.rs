//! Defines the metrics of one model: its signals, its outputs, its feedback, and the expected values from its reference.

use super::error_size::{ErrorSizes, SIZES};
use super::families::{
    CONFIDENCE, FEEDBACK, FEEDBACK_CONFIDENCE, FEEDBACK_ERROR, FEEDBACK_FOURTH_POWER, FEEDBACK_SQUARED_ERROR,
    INFO, LOAD_TIME, LOADED, OUTPUT, REFERENCE_ABSOLUTE_ERROR, REFERENCE_ABSOLUTE_ERROR_SD,
    REFERENCE_ACCURACY, REFERENCE_BIAS, REFERENCE_CLASS_ROWS, REFERENCE_CONFIDENCE, REFERENCE_RECALL,
    REFERENCE_SQUARED_ERROR, SIGNAL_BINS, SIGNAL_CRITICAL, SIGNAL_EXPECTED, SIGNAL_FREEDOM, SIGNAL_ROWS,
};
use drift::{Bins, FalseAlarmBudget, SignalReference};
use metrics::{Counter, Gauge, Histogram};
use model::{BatchRows, ModelCard, Prediction};
use std::time::{SystemTime, UNIX_EPOCH};

/// The metrics of one model. An event takes a few atomic additions.
pub struct ModelMetrics {
    features: Vec<SignalCounters>,
    prediction: SignalCounters,
    confidence: Option<SignalCounters>,
    distance: SignalCounters,
    outputs: Vec<Counter>,
    confidences: Histogram,
    /// One counter per pair of classes: the predicted class selects the row, the actual class the column.
    feedback: Vec<Counter>,
    feedback_confidence: Option<Histogram>,
    errors: Option<ErrorHistograms>,
    info: Gauge,
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

    /// Counts many values, with one atomic addition per bin.
    fn count_all(&self, values: impl Iterator<Item = Option<f64>>) {
        let mut counts = vec![0; self.counters.len()];
        values.for_each(|value| counts[self.bins.index(value)] += 1);
        self.counters.iter().zip(counts).for_each(|(counter, count)| counter.increment(count));
    }
}

/// The errors of predicted numbers with accepted feedback. The mean absolute error, the root mean square error, the bias, and the
/// intervals of all three are computed from the sums of these histograms.
struct ErrorHistograms {
    sizes: ErrorSizes,
    over: Histogram,
    under: Histogram,
    /// One per size, as are the fourth powers.
    squared: [Histogram; SIZES.len()],
    fourth_power: [Histogram; SIZES.len()],
}

impl ModelMetrics {
    /// Registers every series of a model with the value 0 in the recorder of the current thread.
    pub(super) fn new(card: &ModelCard, budget: &FalseAlarmBudget) -> Self {
        let info = register_model(card);
        let signals = card.reference.by_role();
        let register = |signal| register_signal(card, signal, budget);
        let classes = || card.classes.iter().cloned();
        Self {
            features: signals.features.iter().map(register).collect(),
            prediction: register(signals.prediction),
            confidence: signals.confidence.map(register),
            distance: register(signals.distance),
            outputs: classes().map(|class| OUTPUT.with(labels(card, [class]))).collect(),
            confidences: CONFIDENCE.with(labels(card, [])),
            feedback: classes()
                .flat_map(|predicted| classes().map(move |actual| [predicted.clone(), actual]))
                .map(|pair| FEEDBACK.with(labels(card, pair)))
                .collect(),
            feedback_confidence: signals.confidence.map(|_| FEEDBACK_CONFIDENCE.with(labels(card, []))),
            errors: card.predicts_number().then(|| ErrorHistograms {
                over: FEEDBACK_ERROR.with(labels(card, ["over".to_owned()])),
                under: FEEDBACK_ERROR.with(labels(card, ["under".to_owned()])),
                sizes: ErrorSizes::of(card),
                squared: SIZES.map(|size| FEEDBACK_SQUARED_ERROR.with(labels(card, [size.to_owned()]))),
                fourth_power: SIZES.map(|size| FEEDBACK_FOURTH_POWER.with(labels(card, [size.to_owned()]))),
            }),
            info,
        }
    }

    /// Removes the model from those that are listed as served.
    pub fn retire(&self) {
        self.info.set(0.0);
    }

    /// Counts the values of a row, one per feature. Rows that are refused afterwards are counted, too.
    pub fn observed(&self, row: &[Option<f64>]) {
        for (signal, &value) in self.features.iter().zip(row) {
            signal.count(value);
        }
    }

    /// Counts the values of many rows, as [`ModelMetrics::observed`] each.
    pub fn observed_all(&self, rows: BatchRows<'_>) {
        if rows.len() == 1 {
            return self.observed(&rows[0]);
        }
        for (at, signal) in self.features.iter().enumerate() {
            signal.count_all(rows.iter().map(|row| row[at]));
        }
    }

    /// Counts a prediction.
    pub fn predicted(&self, prediction: &Prediction) {
        if let Some(class) = prediction.class() {
            self.outputs[class].increment(1);
        }
        self.prediction.count(Some(prediction.value()));
        if let (Some(signal), Some(confidence)) = (&self.confidence, prediction.confidence) {
            self.confidences.record(confidence);
            signal.count(Some(confidence));
        }
        self.distance.count(Some(prediction.distance));
    }

    /// Counts many predictions, as [`ModelMetrics::predicted`] each.
    pub fn predicted_all(&self, predictions: &[Prediction]) {
        if let [prediction] = predictions {
            return self.predicted(prediction);
        }
        let mut outputs = vec![0; self.outputs.len()];
        predictions.iter().filter_map(Prediction::class).for_each(|class| outputs[class] += 1);
        self.outputs.iter().zip(outputs).for_each(|(counter, count)| counter.increment(count));
        self.prediction.count_all(predictions.iter().map(|prediction| Some(prediction.value())));
        if let Some(signal) = &self.confidence {
            let confidences = || predictions.iter().filter_map(|prediction| prediction.confidence);
            confidences().for_each(|confidence| self.confidences.record(confidence));
            signal.count_all(confidences().map(Some));
        }
        self.distance.count_all(predictions.iter().map(|prediction| Some(prediction.distance)));
    }

    /// Counts accepted feedback for a predicted class by the positions of the predicted and of the actual class.
    pub fn class_feedback(&self, predicted: usize, confidence: Option<f64>, actual: usize) {
        self.feedback[predicted * self.outputs.len() + actual].increment(1);
        if let (Some(histogram), Some(confidence)) = (&self.feedback_confidence, confidence) {
            histogram.record(confidence);
        }
    }

    /// Returns the largest error of a number that is counted; 0 for a model that does not predict numbers.
    pub fn largest_error(&self) -> f64 {
        self.errors.as_ref().map_or(0.0, |errors| errors.sizes.largest)
    }

    /// Counts accepted feedback for a predicted number by its error, the predicted minus the actual number. Its absolute value must be at
    /// most [`ModelMetrics::largest_error`].
    pub fn number_feedback(&self, error: f64) {
        let Some(errors) = &self.errors else { return };
        let side = if error > 0.0 { &errors.over } else { &errors.under };
        side.record(error.abs());
        let size = errors.sizes.index(error);
        errors.squared[size].record(error.powi(2));
        errors.fourth_power[size].record(error.powi(4));
    }
}

/// Returns the label values of a series of a model: its name, its version, and those that come after them.
fn labels<const MORE: usize, const ALL: usize>(card: &ModelCard, more: [String; MORE]) -> [String; ALL] {
    const { assert!(ALL == MORE + 2) };
    let mut values = [card.name.clone(), card.version.clone()].into_iter().chain(more);
    std::array::from_fn(|_| values.next().unwrap_or_default())
}

/// Registers the description of a model and its reference, and returns the gauge that lists it as served.
fn register_model(card: &ModelCard) -> Gauge {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LOADED.only().set(1.0);
    let info = INFO.with(labels(card, []));
    info.set(1.0);
    LOAD_TIME.only().set(now.as_secs_f64());
    let reference = &card.reference;
    SIGNAL_ROWS.with(labels(card, [])).set(reference.rows as f64);
    let errors = reference.errors.as_ref();
    for (family, value) in [
        (REFERENCE_ACCURACY, reference.accuracy),
        (REFERENCE_CONFIDENCE, reference.confidence),
        (REFERENCE_ABSOLUTE_ERROR, errors.map(|errors| errors.mean_absolute)),
        (REFERENCE_ABSOLUTE_ERROR_SD, errors.map(|errors| errors.absolute_sd)),
        (REFERENCE_SQUARED_ERROR, errors.map(|errors| errors.root_mean_square)),
        (REFERENCE_BIAS, errors.map(|errors| errors.bias)),
    ] {
        if let Some(value) = value {
            family.with(labels(card, [])).set(value);
        }
    }
    for (class, score) in card.classes.iter().zip(&card.training.class_scores) {
        let of_class = || labels(card, [class.clone()]);
        REFERENCE_RECALL.with(of_class()).set(score.recall);
        REFERENCE_CLASS_ROWS.with(of_class()).set(score.rows as f64);
    }
    info
}

fn register_signal(card: &ModelCard, signal: &SignalReference, budget: &FalseAlarmBudget) -> SignalCounters {
    let of_signal = || labels(card, [signal.name.clone()]);
    let signals = card.reference.signals.len();
    SIGNAL_CRITICAL.with(of_signal()).set(signal.critical_chi2(budget.alpha(signals)));
    SIGNAL_FREEDOM.with(of_signal()).set(signal.degrees_of_freedom() as f64);
    let counters = signal.bins.labels().into_iter().zip(&signal.expected).map(|(bin, &expected)| {
        let of_bin = labels(card, [signal.name.clone(), bin]);
        SIGNAL_EXPECTED.with(of_bin.clone()).set(expected);
        SIGNAL_BINS.with(of_bin)
    });
    SignalCounters { bins: signal.bins.clone(), counters: counters.collect() }
}
