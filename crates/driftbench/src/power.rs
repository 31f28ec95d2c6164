//! Measures whether a drift of the smallest detectable size is detected with a probability of 90 %.
//!
//! For a signal whose rows truly fall into its bins with shares π, the drifted shares are ρ ∝ π·exp(t·bin), a shift
//! towards the later bins, with t such that the PSI between π and ρ is the size that was stated. Rows are drawn from
//! ρ, bin by bin, and judged against the reference, whose own noise is thus part of the power.

use model::simulator::pick_class;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A tilt beyond this leaves one bin with nearly everything; bisection starts from here.
const STEEPEST: f64 = 64.0;

/// Halvings of the tilt: to 1e-13.
const HALVINGS: usize = 50;

/// Counts of so many rows that drift by `psi` from what `counts` say of the ground truth; `None` where no tilt gets as far.
pub(crate) fn drifted(counts: &[u64], psi: f64, rows: u64, seed: u64) -> Option<Vec<u64>> {
    let total: u64 = counts.iter().sum();
    let truth: Vec<f64> = counts.iter().map(|&count| count as f64 / total.max(1) as f64).collect();
    let (mut low, mut high) = (0.0, STEEPEST);
    if !(psi.is_finite() && distance(&truth, &tilted(&truth, high)) >= psi) {
        return None;
    }
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if distance(&truth, &tilted(&truth, middle)) < psi { low = middle } else { high = middle }
    }
    let shares = tilted(&truth, high);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn = vec![0; counts.len()];
    (0..rows).for_each(|_| drawn[pick_class(&shares, rng.random())] += 1);
    Some(drawn)
}

fn tilted(truth: &[f64], tilt: f64) -> Vec<f64> {
    let last = truth.len().saturating_sub(1).max(1) as f64;
    // Written so that the exponent never overflows: the last bin's is 0.
    let weights: Vec<f64> = truth
        .iter()
        .enumerate()
        .map(|(bin, share)| share * (tilt * (bin as f64 / last - 1.0)).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// PSI without smoothing, over the bins that the ground truth fills.
fn distance(truth: &[f64], other: &[f64]) -> f64 {
    let filled = truth.iter().zip(other).filter(|(p, q)| **p > 0.0 && **q > 0.0);
    filled.map(|(p, q)| (q - p) * (q / p).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_drift_as_far_as_they_should() {
        let truth = [200, 300, 0, 400, 100];
        for psi in [0.05, 0.5, 1.5] {
            let drawn = drifted(&truth, psi, 1_000_000, 1).unwrap();
            assert_eq!((drawn.iter().sum::<u64>(), drawn[2]), (1_000_000, 0));
            let shares =
                |counts: &[u64], total: f64| counts.iter().map(|&c| c as f64 / total).collect::<Vec<_>>();
            let reached = distance(&shares(&truth, 1000.0), &shares(&drawn, 1e6));
            assert!((reached / psi - 1.0).abs() < 0.02, "{psi}: {reached}");
        }
        assert_eq!(drifted(&[5, 0], 0.1, 10, 1), None, "one filled bin has nowhere to go");
        assert_eq!(drifted(&truth, f64::INFINITY, 10, 1), None);
    }
}
