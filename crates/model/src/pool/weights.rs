//! Weights the candidates of a pool, so that their share in each bin of each signal comes near that of the reference.

use crate::{ModelCard, Table};

/// The number of rounds in which the candidates' weights are fitted.
const ROUNDS: usize = 30;

/// The limits of the factor by which a weight changes in one round, and of the weight. Greater weights would repeat a row too often.
const STEP: [f64; 2] = [0.25, 4.0];
const WEIGHT: [f64; 2] = [0.05, 10.0];

/// Counts how many rows of each class have a prediction in each bin, class by class.
pub(super) fn confusion(table: &Table, predicted: &[f64], card: &ModelCard) -> Vec<f64> {
    let bins = &card.reference.by_role().prediction.bins;
    let mut counts = vec![0.0; table.classes.len() * bins.len()];
    for (&label, &predicted) in table.labels.iter().zip(predicted) {
        counts[label * bins.len() + bins.index(Some(predicted))] += 1.0;
    }
    counts
}

/// Returns the share of rows that the pool should have in each bin of each signal, and in each cell of the confusion matrix. Without
/// that, there are the shares of the features alone.
pub(super) fn targets(card: &ModelCard, confusion: Option<&[f64]>) -> Vec<Vec<f64>> {
    let shares = |counts: Vec<f64>| {
        let all: f64 = counts.iter().sum();
        counts.into_iter().map(|count| count / all).collect()
    };
    let signals = match confusion {
        Some(_) => card.reference.signals.as_slice(),
        None => card.reference.by_role().features,
    };
    let signals =
        signals.iter().map(|signal| shares(signal.counts.iter().map(|&count| count as f64).collect()));
    signals.chain(confusion.map(|counts| shares(counts.to_vec()))).collect()
}

/// Returns weights for the candidates, such that their share in each bin of each signal comes near its target. The method is
/// iterative proportional fitting (W. E. Deming, F. F. Stephan, "On a least squares adjustment of a sampled frequency table when
/// the expected marginal totals are known", 1940). Its steps are limited, because thousands of targets cannot all be met. A target
/// was measured on `rows` rows and has a standard error. A share within this error is not changed, because weights far from 1
/// repeat a few rows often.
pub(super) fn weights(bins: &[Vec<u16>], targets: &[Vec<f64>], rows: usize) -> Vec<f64> {
    let count = bins[0].len();
    let mut weights = vec![1.0_f64; count];
    // Outputs and the confusion matrix are fitted last in a round, so that their targets, which depend on all columns, are met best.
    for _ in 0..ROUNDS {
        let mut changed = false;
        for (bins, targets) in bins.iter().zip(targets) {
            let sums = sums(bins, &weights, targets.len());
            let all: f64 = sums.iter().sum();
            let factor = |(&target, &sum): (&f64, &f64)| {
                let share = sum / all;
                let error = (target * (1.0 - target) / rows as f64).sqrt();
                let nearest = share.clamp((target - error).max(0.0), target + error);
                if sum > 0.0 { (nearest / share).clamp(STEP[0], STEP[1]) } else { 1.0 }
            };
            let factors: Vec<f64> = targets.iter().zip(&sums).map(factor).collect();
            if factors.iter().all(|factor| (factor - 1.0).abs() < 0.01) {
                continue;
            }
            changed = true;
            for (&bin, weight) in bins.iter().zip(&mut weights) {
                *weight = (*weight * factors[usize::from(bin)]).clamp(WEIGHT[0], WEIGHT[1]);
            }
        }
        if !changed {
            break;
        }
    }
    weights
}

/// Returns the sum of the weights in each of `count` bins. Neighbouring rows are added to different copies of the sums. Otherwise each
/// addition would have to wait for the one before it, because most rows have one of few bins.
fn sums(bins: &[u16], weights: &[f64], count: usize) -> Vec<f64> {
    const COPIES: usize = 4;
    let mut copies: [Vec<f64>; COPIES] = std::array::from_fn(|_| vec![0.0; count]);
    let (bin_blocks, bin_rest) = bins.as_chunks::<COPIES>();
    let (weight_blocks, weight_rest) = weights.as_chunks::<COPIES>();
    for (bins, weights) in bin_blocks.iter().zip(weight_blocks) {
        for ((copy, &bin), weight) in copies.iter_mut().zip(bins).zip(weights) {
            copy[usize::from(bin)] += weight;
        }
    }
    let [mut sums, others @ ..] = copies;
    for (&bin, weight) in bin_rest.iter().zip(weight_rest) {
        sums[usize::from(bin)] += weight;
    }
    for other in others {
        sums.iter_mut().zip(other).for_each(|(sum, part)| *sum += part);
    }
    sums
}

/// Returns the positions of `count` rows, each in proportion to its weight, by systematic sampling from the start `uniform`.
pub(super) fn resampled(weights: &[f64], count: usize, uniform: f64) -> Vec<usize> {
    let step = weights.iter().sum::<f64>() / count as f64;
    let (mut reached, mut at) = (weights[0], 0);
    (0..count)
        .map(|row| {
            let target = (row as f64 + uniform) * step;
            while reached <= target && at + 1 < weights.len() {
                at += 1;
                reached += weights[at];
            }
            at
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weighted_shares_meet_the_targets() {
        let bins = vec![vec![0, 0, 1, 1, 0, 1], vec![0, 1, 0, 1, 0, 1]];
        let targets = [vec![0.75, 0.25], vec![0.5, 0.5]];
        let weights = weights(&bins, &targets, 1_000_000);
        let all: f64 = weights.iter().sum();
        for (bins, targets) in bins.iter().zip(&targets) {
            let own: f64 =
                weights.iter().zip(bins).filter(|(_, bin)| **bin == 0).map(|(weight, _)| weight).sum();
            assert!((own / all - targets[0]).abs() < 0.01, "{weights:?}");
        }
    }

    #[test]
    fn weights_are_added_up_bin_by_bin() {
        let bins: Vec<u16> = (0..11).map(|at| at % 3).collect();
        let weights: Vec<f64> = (0..11).map(f64::from).collect();
        assert_eq!(sums(&bins, &weights, 4), [18.0, 22.0, 15.0, 0.0]);
    }

    #[test]
    fn rows_are_resampled_in_proportion_to_their_weights() {
        let rows = resampled(&[1.0, 0.5, 2.5, 0.0], 400, 0.5);
        let counts: Vec<usize> = (0..4).map(|row| rows.iter().filter(|&&at| at == row).count()).collect();
        assert_eq!(counts, [100, 50, 250, 0]);
    }

    #[test]
    fn shares_are_corrected_to_within_one_standard_error_of_the_target() {
        // The standard error is √(0.5·0.5/100) = 0.05, so a share of 0.6 becomes 0.55, and 0.54 stays.
        let bins =
            |first: usize, all: usize| vec![(0..all).map(|at| u16::from(at >= first)).collect::<Vec<_>>()];
        let moved = weights(&bins(6, 10), &[vec![0.5, 0.5]], 100);
        for (at, weight) in moved.iter().enumerate() {
            let expected = if at < 6 { 0.55 / 0.6 } else { 0.45 / 0.4 };
            assert!((weight - expected).abs() < 1e-9, "{moved:?}");
        }
        assert_eq!(weights(&bins(27, 50), &[vec![0.5, 0.5]], 100), [1.0; 50]);
        // A difference below 0.01 is not corrected either, and a bin without candidates does not count.
        assert_eq!(weights(&bins(5, 10), &[vec![0.503, 0.497, 0.0]], 1_000_000), [1.0; 10]);
        // The standard error of a target of 0.9 on 100 rows is 0.03.
        let moved = weights(&bins(4, 10), &[vec![0.9, 0.1]], 100);
        let share = moved[..4].iter().sum::<f64>() / moved.iter().sum::<f64>();
        assert!((0.865..0.905).contains(&share), "{share}");
    }

    #[test]
    fn weights_stay_within_their_limits() {
        let bins = vec![(0..1000).map(|at| u16::from(at > 0)).collect::<Vec<u16>>()];
        let most = weights(&bins, &[vec![0.5, 0.5]], 1_000_000);
        assert_eq!((most[0], most[1]), (10.0, 0.05));
        // A bin without candidates changes nothing.
        let none = weights(&[vec![0, 0, 1, 1]], &[vec![0.4, 0.4, 0.2]], 1_000_000);
        assert!(none.iter().all(|weight| (weight - none[0]).abs() < 1e-9 && weight.is_finite()), "{none:?}");
    }

    #[test]
    fn resampling_starts_at_the_given_number() {
        assert_eq!(resampled(&[1.0, 1.0, 2.0], 4, 0.0), [0, 1, 2, 2]);
        assert_eq!(resampled(&[1.0, 3.0], 2, 0.25), [0, 1]);
        assert_eq!(resampled(&[1.0, 3.0], 2, 0.75), [1, 1]);
        assert_eq!(resampled(&[2.0], 3, 0.999), [0, 0, 0]);
        // Because of rounding, a target may equal the sum of all weights.
        assert_eq!(resampled(&[1.0, 1.0], 2, 1.0), [1, 1]);
    }
}
