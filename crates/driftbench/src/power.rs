//! Measures whether a drift of the smallest detectable size is detected with a probability of 90 %.
//!
//! If the true shares of a signal's bins are π, the drifted shares are ρ ∝ π·exp(t·bin), a shift towards the later bins. The
//! tilt t is chosen such that the PSI between π and ρ is the wanted size. Rows are drawn from ρ and judged against the
//! reference, so the noise of the reference affects the measured probability, too.

use model::simulator::pick_class;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The greatest tilt. It leaves nearly all rows in one bin; bisection starts from here.
const STEEPEST: f64 = 64.0;

/// Steps of the bisection, which find the tilt to about 1e-13.
const HALVINGS: usize = 50;

/// Returns the counts of `rows` rows that are drawn with a drift of size `psi` from the true shares, which `counts` estimate.
/// Returns `None` if no tilt gives such a PSI.
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
    // The exponent is 0 in the last bin and negative in the others, so it cannot overflow.
    let weights: Vec<f64> = truth
        .iter()
        .enumerate()
        .map(|(bin, share)| share * (tilt * (bin as f64 / last - 1.0)).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// Returns the PSI without smoothing, over the bins that are not empty.
fn distance(truth: &[f64], other: &[f64]) -> f64 {
    let filled = truth.iter().zip(other).filter(|(p, q)| **p > 0.0 && **q > 0.0);
    filled.map(|(p, q)| (q - p) * (q / p).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_rows_drift_by_the_wanted_psi() {
        let truth = [200, 300, 0, 400, 100];
        for psi in [0.05, 0.5, 1.5] {
            let drawn = drifted(&truth, psi, 1_000_000, 1).unwrap();
            assert_eq!((drawn.iter().sum::<u64>(), drawn[2]), (1_000_000, 0));
            let shares =
                |counts: &[u64], total: f64| counts.iter().map(|&c| c as f64 / total).collect::<Vec<_>>();
            let reached = distance(&shares(&truth, 1000.0), &shares(&drawn, 1e6));
            assert!((reached / psi - 1.0).abs() < 0.02, "{psi}: {reached}");
        }
        assert_eq!(drifted(&[5, 0], 0.1, 10, 1), None, "rows in a single bin cannot be tilted");
        assert_eq!(drifted(&truth, f64::INFINITY, 10, 1), None);
    }
}
