//! Counts rows as the service does and judges them with crate `drift`.

use drift::{FalseAlarmBudget, Judgement, Verdict, judge};
use driftsim::{DriftSpec, Row, RowSource};
use model::{ModelFile, Predictor};
use std::fmt::Write;

pub(crate) fn rows(file: &ModelFile, spec: &DriftSpec, seed: u64) -> RowSource {
    RowSource::new(&file.card, spec, seed).unwrap()
}

/// Counts rows of a model per bin and judges the counts.
pub(crate) struct Monitor {
    file: ModelFile,
    predictor: Predictor,
    critical: Vec<f64>,
}

impl Monitor {
    pub(crate) fn new(file: &ModelFile) -> Self {
        let signals = &file.card.reference.signals;
        let budget = FalseAlarmBudget::default();
        let critical = signals.iter().map(|s| s.critical_chi2(budget.alpha(signals.len())));
        let predictor = Predictor::built_in(file).unwrap();
        Self { critical: critical.collect(), predictor, file: file.clone() }
    }

    /// Returns one judgement per signal, on the first `count` rows.
    pub(crate) fn judge(&self, rows: impl Iterator<Item = Row>, count: usize) -> Vec<(String, Judgement)> {
        let signals = &self.file.card.reference.signals;
        let mut counts: Vec<Vec<u64>> = signals.iter().map(|signal| vec![0; signal.bins.len()]).collect();
        for row in rows.take(count) {
            let prediction = self.predictor.predict_row(&row.values).unwrap();
            let outputs = prediction.signal_values().map(Some);
            for ((signal, counts), value) in
                signals.iter().zip(&mut counts).zip(row.values.into_iter().chain(outputs))
            {
                counts[signal.bins.index(value)] += 1;
            }
        }
        let reference = self.file.card.reference.rows;
        let judged = signals.iter().zip(&counts).zip(&self.critical);
        judged
            .map(|((s, counts), &critical)| {
                (s.name.clone(), judge(&s.expected, counts, reference, critical).unwrap())
            })
            .collect()
    }

    /// Returns the names of the signals that drift.
    pub(crate) fn drifting(&self, rows: impl Iterator<Item = Row>, count: usize) -> Vec<String> {
        let drifting = self.judge(rows, count).into_iter().filter(|(_, j)| j.verdict == Verdict::Drifting);
        drifting.map(|(name, _)| name).collect()
    }
}

/// Returns one line per signal: PSI and its threshold.
pub(crate) fn table(judged: &[(String, Judgement)]) -> String {
    judged.iter().fold(String::new(), |mut text, (name, j)| {
        writeln!(text, "  {name:<14} psi {:.4} threshold {:.4} {:?}", j.psi.value, j.threshold, j.verdict)
            .unwrap();
        text
    })
}
