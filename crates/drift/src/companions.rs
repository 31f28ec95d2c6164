//! Other well-known distances, for display beside PSI. No verdict uses them.

use crate::Shares;

/// Returns the Jensen–Shannon distance, in [0, 1]: the square root of ½·KL(p‖m) + ½·KL(q‖m) in bits, with m the mean of both.
///
/// J. Lin, "Divergence measures based on the Shannon entropy" (1991); its root is a metric (D. M. Endres,
/// J. E. Schindelin, "A new metric for probability distributions", 2003).
///
/// ```
/// let shares = drift::Shares { expected: vec![0.5, 0.5], seen: vec![0.9, 0.1], rows: 100 };
/// // scipy.spatial.distance.jensenshannon([.5, .5], [.9, .1], base=2)
/// assert!((drift::js_distance(&shares) - 0.383_136).abs() < 1e-6);
/// ```
pub fn js_distance(shares: &Shares) -> f64 {
    let divergence: f64 = shares
        .pairs()
        .map(|(p, q)| {
            let mean = (p + q) / 2.0;
            (p * (p / mean).log2() + q * (q / mean).log2()) / 2.0
        })
        .sum();
    // Rounding may make the divergence slightly negative.
    divergence.max(0.0).sqrt()
}

/// Returns the Kolmogorov–Smirnov distance over the bins in their order, in [0, 1]: the largest difference between the
/// cumulative shares, that is, the largest share of rows that moved past an edge.
///
/// Missing values count as the last bin. The distance has no meaning for categories, because they have no order. It is a lower
/// bound of the distance before binning.
///
/// ```
/// let shares = drift::Shares { expected: vec![0.3, 0.4, 0.3], seen: vec![0.1, 0.4, 0.5], rows: 100 };
/// assert!((drift::ks_distance(&shares) - 0.2).abs() < 1e-12);
/// ```
pub fn ks_distance(shares: &Shares) -> f64 {
    let mut moved = 0.0_f64;
    shares.pairs().fold(0.0, |largest, (p, q)| {
        moved += q - p;
        largest.max(moved.abs())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares(weights: &[(u32, u32)]) -> Shares {
        let side = |pick: fn(&(u32, u32)) -> u32| {
            let total: u32 = weights.iter().map(pick).sum();
            weights.iter().map(|pair| f64::from(pick(pair)) / f64::from(total)).collect()
        };
        Shares { expected: side(|pair| pair.0), seen: side(|pair| pair.1), rows: 1 }
    }

    #[test]
    fn shares_without_overlap_have_distance_1() {
        let separate = Shares { expected: vec![1.0, 1e-300], seen: vec![1e-300, 1.0], rows: 1 };
        assert!((js_distance(&separate) - 1.0).abs() < 1e-12);
        assert!((ks_distance(&separate) - 1.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn distances_are_symmetric_within_0_and_1_and_0_for_equal_shares(weights in prop::collection::vec((1u32..1000, 1u32..1000), 2..12)) {
            let there = shares(&weights);
            let back = shares(&weights.iter().map(|&(a, b)| (b, a)).collect::<Vec<_>>());
            for distance in [js_distance, ks_distance] {
                prop_assert!((0.0..=1.0 + 1e-12).contains(&distance(&there)));
                prop_assert!((distance(&there) - distance(&back)).abs() < 1e-7);
            }
            let same = Shares { seen: there.expected.clone(), ..there };
            prop_assert!(js_distance(&same) < 1e-7 && ks_distance(&same) < 1e-12);
        }
    }
}
