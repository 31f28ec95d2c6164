//! Derives a seed for every part of a benchmark, so that its figures do not depend on the thread and the order in which it
//! runs.

/// Derives a seed from `seed` and a path, such as part, rate and trial. Each step is mixed in by SplitMix64 (G. L. Steele,
/// D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", 2014).
pub(crate) fn derive(seed: u64, path: &[u64]) -> u64 {
    path.iter().fold(mix(seed), |seed, &step| mix(seed ^ mix(step)))
}

fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn seeds_agree_with_splitmix64() {
        // The first outputs of the published generator, started at 0 and at 1234567.
        assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(mix(1_234_567), 6_457_827_717_110_365_317);
    }

    #[test]
    fn every_path_has_a_different_seed() {
        let steps = 0..20;
        let paths = steps.clone().flat_map(|a| steps.clone().map(move |b| [a, b]));
        let seeds: BTreeSet<u64> = paths.map(|path| derive(42, &path)).collect();
        assert_eq!(seeds.len(), 400);
    }
}
