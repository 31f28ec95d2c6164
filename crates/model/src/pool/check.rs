//! Draws rows from a finished pool and judges them as traffic is judged.

use super::bins::{bins_of, outputs_of};
use crate::{
    ModelCard, Predictor, Simulator,
    simulator::{Pool, SimulatorCheck},
};
use drift::{FalseAlarmBudget, SignalReference, Verdict, judge};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// The number of rows that the check draws, which is many more than a window of traffic usually has.
const CHECK_ROWS: usize = 40_000;

/// The greatest number of values that the check scores.
const CHECK_NUMBERS: usize = 4_000_000;

/// Returns the number of rows that the check draws for a model with this number of features.
pub(super) fn check_rows(features: usize) -> usize {
    CHECK_ROWS.min((CHECK_NUMBERS / features).max(drift::MIN_ROWS as usize))
}

/// Draws rows and judges them as traffic is judged.
pub(super) fn check(
    simulator: &Simulator,
    class_rows: &[u64],
    card: &ModelCard,
    predictor: Option<&Predictor>,
    rng: &mut ChaCha8Rng,
) -> SimulatorCheck {
    let Ok(pool) = Pool::new(simulator, &card.features, class_rows) else {
        unreachable!("the pool has the features' own levels")
    };
    let rows = check_rows(card.features.len());
    let drawn: Vec<Vec<Option<f64>>> = (0..rows)
        .map(|_| {
            let class = pool.class(rng.random());
            let mut values = Vec::with_capacity(card.features.len());
            pool.draw(class, rng, &mut values);
            values
        })
        .collect();
    let outputs = outputs_of(predictor, &drawn, card);
    let bins: Vec<Vec<u16>> =
        drawn.par_iter().zip(&outputs).map(|(row, outputs)| bins_of(card, row, outputs)).collect();
    SimulatorCheck { rows: rows as u64, drifting: drifting(&bins, card), ..SimulatorCheck::default() }
}

/// Returns the signals that drift in some rows, which are given by their bins.
pub(super) fn drifting(rows: &[Vec<u16>], card: &ModelCard) -> Vec<String> {
    drifting_against(rows, card, |signal, _| signal.clone())
}

/// Returns the signals that drift in some rows, which are given by their bins. `reference` returns the reference to compare with, from
/// the signal and the counts.
pub(super) fn drifting_against(
    rows: &[Vec<u16>],
    card: &ModelCard,
    reference: impl Fn(&SignalReference, &[u64]) -> SignalReference,
) -> Vec<String> {
    let signals = &card.reference.signals;
    let alpha = FalseAlarmBudget::default().alpha(signals.len());
    let drifts = |(at, signal): (usize, &SignalReference)| {
        let mut counts = vec![0; signal.bins.len()];
        rows.iter().for_each(|bins| counts[usize::from(bins[at])] += 1);
        let signal = reference(signal, &counts);
        let judged = judge(&signal.expected, &counts, signal.rows, signal.critical_chi2(alpha));
        let drifts = judged.is_ok_and(|judgement| judgement.verdict == Verdict::Drifting);
        drifts.then_some(signal.name)
    };
    // Without outputs, the rows have bins of the features alone.
    let judged = rows.first().map_or(0, Vec::len);
    signals[..judged.min(signals.len())].iter().enumerate().filter_map(drifts).collect()
}
