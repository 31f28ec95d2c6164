//! Checks that counting a row does not allocate, because rows of every request are counted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use drift::FalseAlarmBudget;
use inference::{load_model, metrics::Metrics};
use model::Predictor;

const ROWS: u64 = 6400;

/// The number of samples in a block of the exporter's histograms.
const BLOCK: u64 = 64;

#[test]
fn counting_a_row_does_not_allocate() {
    let file = load_model(None).unwrap();
    let metrics = Metrics::new().of_model(&file.card, &FalseAlarmBudget::default());
    let row = [5.1, 3.5, 1.4, 0.2].map(Some);
    let prediction = Predictor::built_in(&file).unwrap().predict_row(&row).unwrap();
    let repeat =
        |event: &dyn Fn()| allocation_counter::measure(|| (0..ROWS).for_each(|_| event())).count_total;
    assert_eq!(repeat(&|| metrics.observed(&row)), 0);
    // The first sample of a thread registers it with the exporter.
    metrics.predicted(&prediction);
    // The only allocations are the exporter's blocks for the confidence histogram.
    let outputs = repeat(&|| metrics.predicted(&prediction));
    assert!(outputs <= ROWS / BLOCK + 1, "{outputs} allocations in {ROWS} rows");
}
