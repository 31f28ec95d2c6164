//! Counts rows as the service does, and judges the counts as the recording rules do.

use drift::{Bins, DriftError, FalseAlarmBudget, Judgement, judge};
use driftsim::Row;
use model::{ModelFile, Predictor};
use std::ops::Range;

/// The levels α at which limits are checked: the probabilities of exceeding a limit by chance.
pub const LEVELS: [f64; 3] = [1e-2, 1e-3, 1e-4];

/// One signal of a model: a feature, the prediction, the confidence or the distance.
#[derive(Debug, Clone)]
pub(crate) struct Signal {
    pub(crate) name: String,
    pub(crate) degrees_of_freedom: usize,
    bins: Bins,
    expected: Vec<f64>,
    rows: u64,
    critical: f64,
    /// For each level in [`LEVELS`], the value that PSI / (1/N + 1/M) exceeds with that probability.
    pub(crate) levels: [f64; LEVELS.len()],
    /// The index of its first bin among the bins of all signals.
    first: usize,
}

/// Counts and judges the traffic of one model.
#[derive(Debug, Clone)]
pub(crate) struct Monitor {
    predictor: Predictor,
    /// The features in their order, then prediction, confidence and distance.
    pub(crate) signals: Vec<Signal>,
    /// For each feature, whether the service requires a value, because the reference has no missing ones.
    required: Vec<bool>,
}

/// How a row was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// The row counts in every signal.
    Answered,
    /// The row counts in the features only, because its numbers overflow and the service answers with an error.
    TooLarge,
    /// The row counts in the features only, because a required value is missing and the service refuses it.
    Refused,
}

/// The class, confidence and distance of a row, which are the values of the last three signals.
pub(crate) type Outputs = [f64; 3];

impl Monitor {
    /// Creates the monitor of a model file. Each signal is judged by the limit of the default budget of false alarms.
    pub(crate) fn new(file: &ModelFile) -> Self {
        let references = &file.card.reference.signals;
        let budget = FalseAlarmBudget::default();
        let mut first = 0;
        let signals = references.iter().map(|reference| {
            let degrees_of_freedom = reference.degrees_of_freedom();
            let signal = Signal {
                name: reference.name.clone(),
                degrees_of_freedom,
                bins: reference.bins.clone(),
                expected: reference.expected.clone(),
                // The metric signal_reference_rows has one value for all signals, too.
                rows: file.card.reference.rows,
                critical: reference.critical_chi2(budget.alpha(references.len())),
                levels: LEVELS.map(|alpha| reference.critical_chi2(alpha)),
                first,
            };
            first += signal.bins.len();
            signal
        });
        let Some(predictor) = Predictor::built_in(file) else {
            unreachable!("the benchmark trains its models itself, so they are built in")
        };
        Self {
            signals: signals.collect(),
            predictor,
            required: file.card.features.iter().map(|feature| !feature.may_be_missing()).collect(),
        }
    }

    /// Returns the number of bins of all signals.
    pub(crate) fn bins(&self) -> usize {
        self.signals.iter().map(|signal| signal.bins.len()).sum()
    }

    /// Counts a row in its bin of every signal. With `stuck`, the model predicts that class for every row.
    #[inline]
    pub(crate) fn count(&self, row: &Row, stuck: Option<usize>, counts: &mut [u64]) -> Counted {
        let features = row.values.len();
        for (signal, &value) in self.signals.iter().zip(&row.values) {
            counts[signal.first + signal.bins.index(value)] += 1;
        }
        if !self.accepts(row) {
            return Counted::Refused;
        }
        let Some(outputs) = self.outputs(row, stuck) else { return Counted::TooLarge };
        for (signal, output) in self.signals[features..].iter().zip(outputs) {
            counts[signal.first + signal.bins.index(Some(output))] += 1;
        }
        Counted::Answered
    }

    fn accepts(&self, row: &Row) -> bool {
        row.values.iter().zip(&self.required).all(|(value, &required)| value.is_some() || !required)
    }

    /// Returns the outputs of the model for a row, or `None` if its numbers overflow.
    pub(crate) fn outputs(&self, row: &Row, stuck: Option<usize>) -> Option<Outputs> {
        let prediction = self.predictor.predict_row(&row.values).ok()?;
        let class = stuck.or(prediction.class())?;
        Some([class as f64, prediction.confidence?, prediction.distance])
    }

    /// Judges one signal; `counts` are those of all signals.
    ///
    /// # Errors
    /// If the model's reference is inconsistent.
    pub(crate) fn judge(&self, signal: usize, counts: &[u64]) -> Result<Judgement, DriftError> {
        let bins = self.range(signal);
        let signal = &self.signals[signal];
        judge(&signal.expected, &counts[bins], signal.rows, signal.critical)
    }

    /// Returns the range of a signal's bins among the bins of all signals.
    pub(crate) fn range(&self, signal: usize) -> Range<usize> {
        let Signal { first, bins, .. } = &self.signals[signal];
        *first..first + bins.len()
    }

    /// Returns the number of rows of the reference.
    pub(crate) fn reference_rows(&self) -> u64 {
        self.signals.first().map_or(0, |signal| signal.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drift::Verdict;
    use driftsim::{DriftSpec, RowSource};

    fn iris() -> ModelFile {
        model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap()
    }

    fn counted(stuck: Option<usize>) -> (Monitor, Vec<u64>) {
        let file = iris();
        let monitor = Monitor::new(&file);
        let mut counts = vec![0; monitor.bins()];
        for row in RowSource::new(&file.card, &DriftSpec::steady(), 1).unwrap().take(500) {
            assert_eq!(monitor.count(&row, stuck, &mut counts), Counted::Answered);
        }
        (monitor, counts)
    }

    #[test]
    fn a_row_counts_once_in_every_signal() {
        let (monitor, counts) = counted(None);
        for (at, signal) in monitor.signals.iter().enumerate() {
            let judgement = monitor.judge(at, &counts).unwrap();
            assert_eq!((judgement.psi.rows, judgement.verdict), (500, Verdict::Steady), "{}", signal.name);
        }
    }

    #[test]
    fn a_stuck_model_makes_only_the_predictions_drift() {
        let (monitor, counts) = counted(Some(1));
        for (at, signal) in monitor.signals.iter().enumerate() {
            let drifting = monitor.judge(at, &counts).unwrap().verdict == Verdict::Drifting;
            assert_eq!(drifting, signal.name == "prediction", "{}", signal.name);
        }
    }

    #[test]
    fn rows_that_the_service_would_refuse_count_in_the_features_only() {
        let monitor = Monitor::new(&iris());
        let mut counts = vec![0; monitor.bins()];
        let mut count = |values: [Option<f64>; 4]| {
            let row = Row { values: values.to_vec(), class: None, number: None, drifted: false };
            (monitor.count(&row, None, &mut counts), counts.iter().sum::<u64>())
        };
        assert_eq!(count([None, Some(3.0), Some(4.0), Some(1.0)]), (Counted::Refused, 4));
        assert_eq!(count([Some(5.0), Some(3.0), Some(1e308), Some(1.0)]), (Counted::TooLarge, 8));
    }
}
