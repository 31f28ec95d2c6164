//! New rows from the distribution of the training data are never judged to drift, and confidence is calibrated. This is tested for
//! discrete values, long tails, classes that cannot be distinguished, and more features than the data can support.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use drift::{FalseAlarmBudget, Verdict, accuracy_estimate, accuracy_gap_limit, judge};
use model::{ModelFile, Predictor, Table, TrainOptions, table::Column, train};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

type Population = fn(&mut ChaCha8Rng) -> (Vec<f64>, usize);

const FRESH: usize = 20_000;

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

fn coin(rng: &mut ChaCha8Rng, share: f64) -> usize {
    usize::from(rng.random::<f64>() < share)
}

/// Returns four binary values, which are 1 a little more often in one class.
fn survey(rng: &mut ChaCha8Rng) -> (Vec<f64>, usize) {
    let class = coin(rng, 0.5);
    ((0..4).map(|_| coin(rng, 0.3 + 0.3 * class as f64) as f64).collect(), class)
}

/// Returns features with few values each, so that there are hardly more different rows than bins.
fn choices(rng: &mut ChaCha8Rng) -> (Vec<f64>, usize) {
    let class = coin(rng, 0.3);
    let odds = [0.3 + 0.3 * class as f64, 0.5 + 0.2 * class as f64];
    let [yes, again] = odds.map(|share| coin(rng, share) as f64);
    (vec![yes, again, (rng.random_range(0..3) + class) as f64], class)
}

/// Returns features with long tails, on two scales.
fn log_normal(rng: &mut ChaCha8Rng) -> (Vec<f64>, usize) {
    let class = coin(rng, 0.5);
    (
        vec![(class as f64 + 1.5 * normal(rng)).exp(), ((2.0 * normal(rng)).exp() * 100.0).round() / 100.0],
        class,
    )
}

/// Returns features that do not depend on the class.
fn no_signal(rng: &mut ChaCha8Rng) -> (Vec<f64>, usize) {
    (vec![normal(rng), normal(rng)], coin(rng, 0.5))
}

/// Returns features that separate the classes completely.
fn separable(rng: &mut ChaCha8Rng) -> (Vec<f64>, usize) {
    let class = coin(rng, 0.5);
    (vec![100.0 * class as f64 + 0.1 * normal(rng), normal(rng)], class)
}

/// Returns twenty features and one of three classes.
fn wide(rng: &mut ChaCha8Rng) -> (Vec<f64>, usize) {
    let class = rng.random_range(0..3);
    let feature = |f: usize, rng: &mut ChaCha8Rng| {
        let centre = if f == class { 2.0 } else { 0.0 };
        ((centre + normal(rng)) * 100.0).round() / 100.0
    };
    ((0..20).map(|f| feature(f, rng)).collect(), class)
}

fn table(draw: Population, rows: usize, rng: &mut ChaCha8Rng) -> Table {
    let drawn: Vec<_> = (0..rows).map(|_| draw(rng)).collect();
    let classes = drawn.iter().map(|(_, class)| class).max().unwrap() + 1;
    let labels = drawn.iter().map(|(_, class)| *class).collect();
    let rows: Vec<Vec<Option<f64>>> =
        drawn.iter().map(|(row, _)| row.iter().copied().map(Some).collect()).collect();
    Table::from_rows(
        (0..rows[0].len()).map(|f| Column::named(&format!("f{f}"))).collect(),
        (0..classes).map(|class| format!("c{class}")).collect(),
        &rows,
        labels,
    )
}

/// A model, and what a service would count for [`FRESH`] new rows.
struct Watched {
    file: ModelFile,
    /// One list of counts per signal.
    counts: Vec<Vec<u64>>,
    /// The share of the new rows that were correctly classified.
    accuracy: f64,
    /// The mean confidence on the new rows.
    confidence: f64,
}

fn watch(draw: Population, rows: usize, seed: u64) -> Watched {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let file = train(&table(draw, rows, &mut rng), &TrainOptions::new("draw")).unwrap();
    let predictor = Predictor::built_in(&file).unwrap();
    let signals = &file.card.reference.signals;
    let mut counts: Vec<Vec<u64>> = signals.iter().map(|signal| vec![0; signal.bins.len()]).collect();
    let (mut right, mut confidence) = (0, 0.0);
    for _ in 0..FRESH {
        let (row, class) = draw(&mut rng);
        let row: Vec<_> = row.into_iter().map(Some).collect();
        let prediction = predictor.predict_row(&row).unwrap();
        right += u32::from(prediction.class() == Some(class));
        confidence += prediction.confidence.unwrap();
        let outputs: Vec<_> = prediction.signal_values().map(Some).collect();
        for ((signal, counts), value) in signals.iter().zip(&mut counts).zip(row.into_iter().chain(outputs)) {
            counts[signal.bins.index(value)] += 1;
        }
    }
    let fresh = FRESH as f64;
    Watched { accuracy: f64::from(right) / fresh, confidence: confidence / fresh, counts, file }
}

/// Returns the signals that are judged to drift, with PSI and limit.
fn alarms(watched: &Watched) -> Vec<String> {
    let signals = &watched.file.card.reference.signals;
    let judged = signals.iter().zip(&watched.counts).map(|(signal, counts)| {
        let critical = signal.critical_chi2(FalseAlarmBudget::default().alpha(signals.len()));
        (signal, judge(&signal.expected, counts, signal.rows, critical).unwrap())
    });
    let drifting = judged.filter(|(_, judgement)| judgement.verdict != Verdict::Steady);
    drifting
        .map(|(signal, judged)| format!("{} {:.3} > {:.3}", signal.name, judged.psi.value, judged.threshold))
        .collect()
}

const POPULATIONS: [(&str, Population, usize); 8] = [
    ("choices", choices, 150),
    ("survey", survey, 200),
    ("survey", survey, 2000),
    ("log_normal", log_normal, 2000),
    ("no_signal", no_signal, 300),
    ("separable", separable, 200),
    ("wide", wide, 150),
    ("wide", wide, 2000),
];

#[test]
fn new_rows_of_every_population_are_judged_steady() {
    for (name, draw, rows) in POPULATIONS {
        for seed in 0..8 {
            let watched = watch(draw, rows, seed);
            let alarms = alarms(&watched);
            assert!(alarms.is_empty(), "{name}, {rows} rows, seed {seed}: {alarms:?}");

            // The alerts on accuracy must not fire either when the true classes of all rows are known.
            let Watched { accuracy, confidence, .. } = watched;
            let reference = &watched.file.card.reference;
            let on_reference = reference.accuracy.unwrap();
            let estimate = accuracy_estimate(confidence, reference.confidence.unwrap(), on_reference);
            for (expectation, expected) in [("estimate", estimate), ("reference", on_reference)] {
                let limit =
                    accuracy_gap_limit(expected, FRESH as u64, reference.rows, &FalseAlarmBudget::default());
                // The gap is checked in both directions: an estimate that is too low would hide a drop of accuracy, and one that is too
                // high would cause false alarms.
                let gap = (expected - accuracy).abs();
                assert!(
                    gap < limit,
                    "{name}, {rows} rows, seed {seed}: {expectation} {expected:.3}, not {accuracy:.3}"
                );
            }
        }
    }
}
