//! Counts rows as the service does and judges them with crate `drift`.

#![allow(dead_code, clippy::unwrap_used)] // each test file uses its part; a broken fixture may panic

use drift::{FalseAlarmBudget, Judgement, Verdict, judge};
use driftsim::{DriftSpec, Row, RowSource};
use model::{CsvOptions, ModelFile, Predictor, TrainOptions};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::fmt::Write;

pub(crate) fn iris() -> ModelFile {
    model::train(&model::iris::table(), &TrainOptions::new("iris")).unwrap()
}

pub(crate) fn rows(file: &ModelFile, spec: &DriftSpec, seed: u64) -> RowSource {
    RowSource::new(&file.card, spec, seed).unwrap()
}

/// Watches a model's traffic.
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

    /// One judgement a signal, on so many rows.
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

    /// The names of the signals that drift.
    pub(crate) fn drifting(&self, rows: impl Iterator<Item = Row>, count: usize) -> Vec<String> {
        let drifting = self.judge(rows, count).into_iter().filter(|(_, j)| j.verdict == Verdict::Drifting);
        drifting.map(|(name, _)| name).collect()
    }
}

/// A line a signal: PSI and its threshold.
pub(crate) fn table(judged: &[(String, Judgement)]) -> String {
    judged.iter().fold(String::new(), |mut text, (name, j)| {
        writeln!(text, "  {name:<14} psi {:.4} threshold {:.4} {:?}", j.psi.value, j.threshold, j.verdict)
            .unwrap();
        text
    })
}

/// A model of data that no Gaussian resembles: a skewed column, a binary one, counts with ties, gaps in a fifth of the
/// rows, three overlapping classes, correlations among all of them.
pub(crate) fn awkward() -> ModelFile {
    let mut rng = ChaCha8Rng::seed_from_u64(2024);
    let mut csv = String::from("income,smoker,visits,lab,class\n");
    for row in 0..900 {
        let class = [0, 0, 0, 1, 1, 2][row % 6];
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let common = normal();
        let mut mixed = |weight: f64| weight * common + (1.0 - weight * weight).sqrt() * normal();
        let (u, smoker, visits, lab) = (mixed(0.7), mixed(0.5), mixed(0.6), mixed(0.8));
        let class_at = f64::from(class);
        // Exponential: −ln(1 − Φ(u)), with Φ by its logistic approximation (S. R. Bowling et al., 2009).
        let tail = 1.0 / (1.0 + (1.5976 * u + 0.07056 * u.powi(3)).exp());
        let income = -(20.0 + 15.0 * class_at) * tail.ln();
        let smoker = u8::from(smoker > 0.8 - 0.6 * class_at);
        let visits = (0.8 + 0.7 * class_at + 0.9 * visits).exp().floor();
        let lab = if rng.random::<f64>() < 0.2 {
            String::new()
        } else {
            format!("{:.1}", 5.0 + 1.2 * class_at + 0.8 * lab)
        };
        writeln!(csv, "{income:.2},{smoker},{visits},{lab},c{class}").unwrap();
    }
    train(&csv, "awkward")
}

pub(crate) fn train(csv: &str, name: &str) -> ModelFile {
    let table = model::read_csv(csv.as_bytes(), name, &CsvOptions::new("class")).unwrap().table;
    model::train(&table, &TrainOptions::new(name)).unwrap()
}

/// Many normal features and few rows: as many as make a class's correlations look stronger than they are.
pub(crate) fn wide(features: usize, rows: usize) -> ModelFile {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let header: Vec<String> = (0..features).map(|feature| format!("f{feature}")).collect();
    let mut csv = header.join(",") + ",class\n";
    for row in 0..rows {
        let class = row % 3;
        let common: f64 = StandardNormal.sample(&mut rng);
        for feature in 0..features {
            let own: f64 = StandardNormal.sample(&mut rng);
            let centre = f64::from(u8::try_from((class * 7 + feature * 3) % 5).unwrap());
            write!(csv, "{:.2},", 0.4 * centre + 0.6 * common + 0.8 * own).unwrap();
        }
        writeln!(csv, "c{class}").unwrap();
    }
    train(&csv, "wide")
}
