//! Measures the cost of counting one row. Run it with `just bench`.
//!
//! Rows and predictions are made beforehand, in random order like traffic. The measured events are those that a handler reports:
//! `observed` counts every feature; `predicted` counts prediction, confidence and distance, the total of the class, and a sample of
//! the confidence histogram. The exporter keeps samples until it adds them to buckets, every five seconds or at a scrape, which is
//! part of the measurement. The cost of the prediction itself is printed for comparison.

use drift::{Bins, FalseAlarmBudget};
use driftsim::{DriftSpec, RowSource};
use inference::metrics::Metrics;
use model::{ModelFile, Prediction, Predictor, Table, TrainOptions, table::Column};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const ROWS: usize = 8192;
const ROUNDS: usize = 31;
const LAPS: usize = 20;

/// The greatest acceptable cost of one row over all signals of Iris, in nanoseconds.
const TARGET: f64 = 150.0;

fn main() {
    // cargo passes `--bench`, and test runners ask for lists.
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("0 tests: run `just bench`");
        return;
    }
    println!("Counting one row, median of {ROUNDS} rounds of {} rows, in ns:", ROWS * LAPS);
    println!(
        "  {:<28} {:>8} {:>9} {:>9} {:>11} {:>8}",
        "model", "signals", "features", "all", "two threads", "predict"
    );
    let iris = model::train(&model::iris::table(), &TrainOptions::new("iris"))
        .expect("a model of Iris can be trained");
    let all = measure("iris", &iris);
    measure("60 features, 3 classes", &wide());
    println!("target for iris: under {TARGET} ns: {}", if all < TARGET { "met" } else { "missed" });
}

/// Measures a model, prints a line, and returns the cost of a row.
fn measure(name: &str, file: &ModelFile) -> f64 {
    let predictor = Predictor::built_in(file).expect("the model was trained here");
    let source = RowSource::new(&file.card, &DriftSpec::steady(), 42).expect("the model's own card");
    let rows: Vec<(Vec<Option<f64>>, Prediction)> = source
        .take(ROWS)
        .map(|row| {
            let prediction = predictor.predict_row(&row.values).expect("rows like the reference");
            (row.values, prediction)
        })
        .collect();
    let metrics = Metrics::new();
    let of_model = metrics.of_model(&file.card, &FalseAlarmBudget::default());
    let features = median(|| rows.iter().for_each(|(row, _)| of_model.observed(black_box(row))));
    let count = |(row, prediction): &(Vec<Option<f64>>, Prediction)| {
        of_model.observed(black_box(row));
        of_model.predicted(black_box(prediction));
    };
    let all = median(|| {
        rows.iter().for_each(count);
        metrics.upkeep();
    });
    let together = median(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| rows.iter().for_each(count));
            rows.iter().for_each(count);
        });
        metrics.upkeep();
    });
    let predict = median(|| {
        rows.iter().for_each(|(row, _)| drop(black_box(predictor.predict_row(black_box(row)))));
    });
    let signals = file
        .card
        .reference
        .signals
        .iter()
        .filter(|signal| !matches!(&signal.bins, Bins::Numeric { edges } if edges.is_empty()));
    println!(
        "  {name:<28} {:>8} {features:>9.1} {all:>9.1} {together:>11.1} {predict:>8.1}",
        signals.count()
    );
    all
}

/// Returns the median over the rounds, in nanoseconds per row.
fn median(mut lap: impl FnMut()) -> f64 {
    lap();
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..LAPS).for_each(|_| lap());
            start.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2].as_secs_f64() * 1e9 / (ROWS * LAPS) as f64
}

/// Trains a model of many features on rows that follow a fixed rule.
fn wide() -> ModelFile {
    let value = |row: usize, feature: usize| {
        let mixed = (row * 7919 + feature * 104_729 + row * feature * 31) % 997;
        (mixed as f64 + (row % 3 * feature) as f64) / 10.0
    };
    let rows: Vec<Vec<Option<f64>>> =
        (0..1500).map(|row| (0..60).map(|feature| Some(value(row, feature))).collect()).collect();
    let table = Table::from_rows(
        (0..60).map(|feature| Column::named(&format!("f{feature}"))).collect(),
        ["a", "b", "c"].map(str::to_owned).to_vec(),
        &rows,
        (0..1500).map(|row| row % 3).collect(),
    );
    model::train(&table, &TrainOptions::new("wide")).expect("a model can be trained on these rows")
}
