//! Finds the bins of rows in every signal. For the signals of the output, the rows are scored.

use crate::{Batch, BatchRows, ModelCard, Predictor, simulator::Pool};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// The greatest number of rows that are scored in one batch.
const SCORED_TOGETHER: usize = 256;

/// Returns the bin of a row in every signal, or in those of the features if there are no outputs.
pub(super) fn bins_of(card: &ModelCard, row: &[Option<f64>], outputs: &[f64]) -> Vec<u16> {
    let signals = card.reference.signals.iter();
    let values = row.iter().copied().chain(outputs.iter().copied().map(Some));
    signals.zip(values).map(|(signal, value)| signal.bins.index(value) as u16).collect()
}

/// Returns the bins of the candidates, signal by signal; the last list holds their cells of the confusion matrix. Without a
/// predictor there are those of the features alone.
pub(super) fn candidate_bins(
    codes: &[u8],
    width: usize,
    pool: &Pool,
    card: &ModelCard,
    predictor: Option<&Predictor>,
    rng: &mut ChaCha8Rng,
) -> Vec<Vec<u16>> {
    let prediction = &card.reference.by_role().prediction.bins;
    // Rows are drawn in their order, so that the number of threads does not change them.
    let (classes, drawn): (Vec<usize>, Vec<Vec<Option<f64>>>) =
        codes.chunks_exact(width).map(|row| (usize::from(row[0]), pool.decode(&row[1..], rng))).unzip();
    let outputs = outputs_of(predictor, &drawn, card);
    let by_row: Vec<Vec<u16>> = (classes.par_iter().zip(&drawn).zip(&outputs))
        .map(|((class, values), outputs)| {
            let mut bins = bins_of(card, values, outputs);
            bins.extend(
                outputs.first().map(|&own| (class * prediction.len() + prediction.index(Some(own))) as u16),
            );
            bins
        })
        .collect();
    let signals = by_row.first().map_or(0, Vec::len);
    (0..signals).map(|signal| by_row.iter().map(|bins| bins[signal]).collect()).collect()
}

/// Returns the values of the output signals for some rows, which are empty without a predictor. A row that the model cannot take
/// has the first class or the number 0, the greatest confidence and the greatest distance.
pub(super) fn outputs_of(
    predictor: Option<&Predictor>,
    rows: &[Vec<Option<f64>>],
    card: &ModelCard,
) -> Vec<Vec<f64>> {
    let Some(predictor) = predictor else { return vec![Vec::new(); rows.len()] };
    let refused = || {
        let confidence = card.reference.confidence.map(|_| 1.0);
        [Some(0.0), confidence, Some(f64::MAX)].into_iter().flatten().collect()
    };
    let score = |rows: &[Vec<Option<f64>>]| -> Vec<Vec<f64>> {
        let values = rows.concat();
        match predictor.predict(Batch { rows: BatchRows::new(&values, card.features.len()), others: &[] }) {
            Ok(predictions) => predictions.iter().map(|own| own.signal_values().collect()).collect(),
            Err(_) => rows
                .iter()
                .map(|row| {
                    predictor.predict_row(row).map_or_else(|_| refused(), |own| own.signal_values().collect())
                })
                .collect(),
        }
    };
    rows.par_chunks(SCORED_TOGETHER).flat_map_iter(score).collect()
}
