//! Computes the instants at which requests are due, counted from the phase's start.
//!
//! Λ(t), the integral of the planned rate, is the number of requests that are planned up to the time t. Request n = 0, 1, …
//! is due at Λ⁻¹(n + ½), which is the middle of its interval. So the first request of a phase is due shortly after the start
//! of the phase, when the metrics have been read that end the phase before. On a ramp from rate r₀ to r₁ over the time T,
//! with a = (r₁ − r₀)/T, Λ⁻¹(m) is t = (−r₀ + √(r₀² + 2am))/a. For a Poisson process of the same rate, a running sum of Exp(1)
//! draws replaces n + ½ (the inversion method of Lewis & Shedler 1979).
//!
//! No instant depends on when earlier requests were really sent, so a request that is sent late does not delay the next one.

use crate::scenario::{Ramp, Spacing};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};
use std::time::Duration;

/// The part of an arrival that is ignored as a rounding error: 0.1/s over 30 s are 3 arrivals, although Λ is 3.0000000000000004.
const ROUNDING: f64 = 1e-6;

/// Iterates over the instants at which requests are due, in ascending order, counted from the phase's start.
#[derive(Debug, Clone)]
pub struct Arrivals {
    course: Course,
    count: Count,
}

#[derive(Debug, Clone)]
enum Count {
    Even { next: u64, total: u64 },
    Poisson { sum: f64, rng: Box<ChaCha8Rng> },
}

impl Arrivals {
    /// Creates the arrivals for the rate that `ramps` describe; only [`Spacing::Poisson`] uses `rng`.
    pub fn new(ramps: &[Ramp], spacing: Spacing, rng: ChaCha8Rng) -> Self {
        let course = Course::new(ramps);
        let count = match spacing {
            Spacing::Constant => Count::Even { next: 0, total: (course.total - ROUNDING).ceil() as u64 },
            Spacing::Poisson => Count::Poisson { sum: 0.0, rng: Box::new(rng) },
        };
        Self { course, count }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let arrived = match &mut self.count {
            Count::Even { next, total } => {
                if next == total {
                    return None;
                }
                // Λ may end within the last interval. All intervals are then shortened a little, so that the last one fits.
                let arrived = (*next as f64 + 0.5) * self.course.total / *total as f64;
                *next += 1;
                arrived
            }
            Count::Poisson { sum, rng } => {
                let step: f64 = Exp1.sample(rng);
                *sum += step;
                if *sum >= self.course.total {
                    return None;
                }
                *sum
            }
        };
        Some(Duration::from_secs_f64(self.course.instant(arrived)))
    }
}

/// Returns the planned number of arrivals. Evenly spaced arrivals are exactly as many; for a Poisson process it is the mean.
pub fn planned(ramps: &[Ramp]) -> u64 {
    (Course::new(ramps).total - ROUNDING).ceil() as u64
}

/// The function Λ, as one piece per ramp.
#[derive(Debug, Clone)]
struct Course {
    pieces: Vec<Piece>,
    at: usize,
    total: f64,
}

#[derive(Debug, Clone)]
struct Piece {
    from: f64,
    slope: f64,
    seconds: f64,
    /// The seconds and the arrivals before the current piece.
    starts: f64,
    before: f64,
    arrivals: f64,
}

impl Course {
    fn new(ramps: &[Ramp]) -> Self {
        let (mut starts, mut before) = (0.0, 0.0);
        let mut pieces = Vec::with_capacity(ramps.len());
        for ramp in ramps {
            let seconds = ramp.duration.as_secs_f64();
            let arrivals = (ramp.from + ramp.to) / 2.0 * seconds;
            let slope = (ramp.to - ramp.from) / seconds;
            // A piece with rate 0 has no arrivals, and Λ has no inverse there.
            if arrivals > 0.0 {
                pieces.push(Piece { from: ramp.from, slope, seconds, starts, before, arrivals });
            }
            starts += seconds;
            before += arrivals;
        }
        Self { pieces, at: 0, total: before }
    }

    /// Returns Λ⁻¹(n) in seconds; `n` must not decrease from one call to the next.
    fn instant(&mut self, n: f64) -> f64 {
        while self.at + 1 < self.pieces.len() && n >= self.pieces[self.at + 1].before {
            self.at += 1;
        }
        let Some(piece) = self.pieces.get(self.at) else { return 0.0 };
        let n = (n - piece.before).clamp(0.0, piece.arrivals);
        // 2n / (r₀ + √(r₀² + 2an)) is the same root. It avoids the difference of nearly equal numbers, and also holds for a = 0.
        let root = (piece.from * piece.from + 2.0 * piece.slope * n).max(0.0).sqrt();
        let seconds = if n == 0.0 { 0.0 } else { 2.0 * n / (piece.from + root) };
        piece.starts + seconds.min(piece.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::rand_core::SeedableRng;

    fn ramp(from: f64, to: f64, seconds: f64) -> Ramp {
        Ramp { from, to, duration: Duration::from_secs_f64(seconds) }
    }

    fn seconds(ramps: &[Ramp], spacing: Spacing, seed: u64) -> Vec<f64> {
        Arrivals::new(ramps, spacing, ChaCha8Rng::seed_from_u64(seed)).map(|d| d.as_secs_f64()).collect()
    }

    #[test]
    fn a_constant_rate_has_equal_gaps_and_the_exact_number_of_arrivals() {
        let instants = seconds(&[ramp(5000.0, 5000.0, 30.0)], Spacing::Constant, 0);
        assert_eq!(instants.len(), 150_000);
        assert!(instants.iter().enumerate().all(|(n, t)| (t - (n as f64 + 0.5) / 5000.0).abs() < 1e-6));
        assert_eq!(seconds(&[ramp(0.1, 0.1, 30.0)], Spacing::Constant, 0).len(), 3);
        assert_eq!(seconds(&[ramp(0.5, 0.5, 3.0)], Spacing::Constant, 0), [0.75, 2.25]);
    }

    #[test]
    fn arrivals_on_a_ramp_match_the_closed_form() {
        // From 0 at 2 arrivals/s²: Λ(t) = t², so arrival n is due at √(n + ½).
        let instants = seconds(&[ramp(0.0, 20.0, 10.0)], Spacing::Constant, 0);
        assert_eq!(instants.len(), 100);
        assert!(instants.iter().enumerate().all(|(n, t)| (t - (n as f64 + 0.5).sqrt()).abs() < 1e-6));
        // Downwards from 20 to 0: Λ(t) = 20t − t², so Λ⁻¹(m) = 10 − √(100 − m).
        let instants = seconds(&[ramp(20.0, 0.0, 10.0)], Spacing::Constant, 0);
        assert!(
            instants.iter().enumerate().all(|(n, t)| (t - (10.0 - (99.5 - n as f64).sqrt())).abs() < 1e-6)
        );
    }

    #[test]
    fn stages_follow_each_other_and_a_stage_with_rate_0_has_no_arrivals() {
        let ramps = [ramp(10.0, 10.0, 1.0), ramp(0.0, 0.0, 5.0), ramp(10.0, 10.0, 1.0)];
        let instants = seconds(&ramps, Spacing::Constant, 0);
        assert_eq!(instants.len(), 20);
        assert!((instants[9] - 0.95).abs() < 1e-9 && (instants[10] - 6.05).abs() < 1e-9);
    }

    #[test]
    fn a_poisson_process_has_the_expected_count_and_gaps() {
        let instants = seconds(&[ramp(1000.0, 1000.0, 100.0)], Spacing::Poisson, 7);
        // 100,000 ± 4 standard deviations of √100,000.
        assert!((instants.len() as f64 - 1e5).abs() < 4.0 * 316.3, "{}", instants.len());
        let gaps: Vec<f64> = instants.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // The standard deviation of exponential gaps equals their mean.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "{}", variance.sqrt() / mean);
    }

    proptest! {
        #[test]
        fn arrivals_ascend_within_the_phase_and_are_as_many_as_planned(
            pieces in prop::collection::vec((0.0..200.0f64, 0.1..20.0f64), 1..5),
            start in 0.0..200.0f64,
            poisson: bool,
            seed: u64,
        ) {
            let mut from = start;
            let ramps: Vec<Ramp> = pieces.iter().map(|&(to, seconds)| {
                let ramp = ramp(from, to, seconds);
                from = to;
                ramp
            }).collect();
            let spacing = if poisson { Spacing::Poisson } else { Spacing::Constant };
            let instants = seconds(&ramps, spacing, seed);
            let length: f64 = ramps.iter().map(|ramp| ramp.duration.as_secs_f64()).sum();
            prop_assert!(instants.is_sorted());
            prop_assert!(instants.iter().all(|&t| t <= length + 1e-6));
            let area: f64 = ramps.iter().map(|r| (r.from + r.to) / 2.0 * r.duration.as_secs_f64()).sum();
            if poisson {
                prop_assert!((instants.len() as f64 - area).abs() < 6.0 * area.sqrt() + 6.0);
            } else {
                prop_assert_eq!(instants.len() as u64, planned(&ramps));
                prop_assert!((instants.len() as f64 - area).abs() <= 1.0);
            }
            prop_assert_eq!(seconds(&ramps, spacing, seed), instants);
        }
    }
}
