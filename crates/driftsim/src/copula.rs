//! The dependence within one class: a Gaussian copula whose rows have the correlations asked for.
//!
//! Method: NORTA, "normal to anything" (M. C. Cario, B. L. Nelson, "Modeling and generating random vectors with
//! arbitrary marginal distributions and correlation matrix", 1997). Normal variables with correlation ρ, pushed
//! through skewed or stepped marginals g and h, come out less correlated than they went in, so each pair's ρ is chosen
//! such that the values' correlation is right. It follows from Mehler's formula: with the coefficients
//! aₖ = E g(Z)·hₖ(Z) on the normalised Hermite polynomials hₖ = Heₖ/√k!, Cov(g(Z₁), h(Z₂)) = Σ_{k≥1} ρᵏ·aₖ·bₖ.

use crate::marginal::Marginal;

/// Terms of the expansion. A step's coefficients fall slowly, but ρᵏ cuts the rest: at ρ = 0.95 to 4 %.
const TERMS: usize = 64;

/// The normal line is integrated over ±REACH, beyond which lies 1e-15 of it, in so many steps.
const REACH: f64 = 8.0;
const STEPS: usize = 800;

/// |ρ| stays below 1 so that no pair of features moves as one.
const MAX_CORRELATION: f64 = 0.9999;

/// Halvings of [−1, 1]: to 1e-9.
const HALVINGS: usize = 31;

/// A pivot below this is taken as lost to rounding.
const LEAST_PIVOT: f64 = 1e-6;

/// What a marginal looks like to its partners.
pub(crate) struct Expansion {
    /// a₁, a₂, … on values that have standard deviation 1.
    coefficients: Vec<f64>,
}

impl Expansion {
    /// Expands a marginal; `None` stands for one without values.
    pub(crate) fn of(marginal: Option<&Marginal>) -> Self {
        let none = Self { coefficients: vec![0.0; TERMS] };
        let Some(marginal) = marginal else { return none };
        let width = 2.0 * REACH / STEPS as f64;
        let points: Vec<(f64, f64, f64)> = (0..STEPS)
            .map(|step| {
                let z = -REACH + (step as f64 + 0.5) * width;
                let weight = width * (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
                (z, weight, marginal.at(z))
            })
            .collect();
        let mean: f64 = points.iter().map(|(_, weight, value)| weight * value).sum();
        let largest = points.iter().fold(0.0_f64, |largest, (_, _, value)| largest.max((value - mean).abs()));
        if !(largest.is_finite() && largest > 0.0) {
            return none;
        }
        // Scaled by the largest deviation first, as squares of huge values overflow.
        let variance: f64 =
            points.iter().map(|(_, weight, value)| weight * ((value - mean) / largest).powi(2)).sum();
        let scale = 1.0 / (largest * variance.sqrt());
        // h_{k+1} = (z·h_k − √k·h_{k−1}) / √(k+1)
        let roots: Vec<f64> = (1..=TERMS + 1).map(|k| (k as f64).sqrt()).collect();
        let steps: Vec<[f64; 2]> = roots.windows(2).map(|root| [1.0 / root[1], root[0] / root[1]]).collect();
        let mut coefficients = vec![0.0; TERMS];
        for (z, weight, value) in points {
            let weighted = weight * (value - mean) * scale;
            let (mut former, mut hermite) = (1.0, z);
            for (coefficient, [up, back]) in coefficients.iter_mut().zip(&steps) {
                *coefficient += weighted * hermite;
                (former, hermite) = (hermite, z * up * hermite - back * former);
            }
        }
        Self { coefficients }
    }

    /// Returns the correlation of the values when that of the normal variables is `rho`.
    fn correlation(&self, other: &Self, rho: f64) -> f64 {
        // Horner, from the last term to the first.
        let products = self.coefficients.iter().zip(&other.coefficients).rev();
        products.fold(0.0, |sum, (a, b)| (sum + a * b) * rho)
    }

    /// Returns the correlation of normal variables that gives the values correlation `target`, or comes nearest to it.
    /// Both marginals ascend, so the one grows with the other.
    pub(crate) fn solve(&self, other: &Self, target: f64) -> f64 {
        let (mut low, mut high) = (-MAX_CORRELATION, MAX_CORRELATION);
        // Without correlation there is nothing to solve; it also keeps constant columns out.
        if target == 0.0 || self.correlation(other, high) <= self.correlation(other, low) {
            return 0.0;
        }
        for _ in 0..HALVINGS {
            let middle = (low + high) / 2.0;
            if self.correlation(other, middle) < target { low = middle } else { high = middle }
        }
        (low + high) / 2.0
    }
}

/// Returns the lower triangle L, row by row, with L·Lᵀ = R, of a symmetric matrix with ones on its diagonal.
///
/// Correlations that were chosen pair by pair, or measured on few rows, can contradict each other. They are then
/// drawn towards 0 together, by no more than it takes, which leaves each feature's own distribution untouched.
pub(crate) fn factor(correlation: impl Fn(usize, usize) -> f64, size: usize) -> Vec<f64> {
    let mut keeps =
        [1.0, 0.9999, 0.999].into_iter().chain((1..100).rev().map(|part| f64::from(part) / 100.0));
    keeps.find_map(|keep| cholesky(&correlation, size, keep)).unwrap_or_else(|| identity(size))
}

fn identity(size: usize) -> Vec<f64> {
    (0..size).flat_map(|i| (0..=i).map(move |j| if i == j { 1.0 } else { 0.0 })).collect()
}

fn cholesky(correlation: &impl Fn(usize, usize) -> f64, size: usize, keep: f64) -> Option<Vec<f64>> {
    let start = |i: usize| i * (i + 1) / 2;
    let mut factor: Vec<f64> = Vec::with_capacity(start(size));
    for i in 0..size {
        for j in 0..i {
            let known: f64 = (0..j).map(|k| factor[start(i) + k] * factor[start(j) + k]).sum();
            factor.push((keep * correlation(i, j) - known) / factor[start(j) + j]);
        }
        let pivot = 1.0 - factor[start(i)..].iter().map(|l| l * l).sum::<f64>();
        if pivot.is_nan() || pivot < LEAST_PIVOT {
            return None;
        }
        factor.push(pivot.sqrt());
    }
    Some(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{ContinuousCDF, Normal};

    fn normal_marginal(transform: impl Fn(f64) -> f64) -> Marginal {
        let normal = Normal::standard();
        let values: Vec<f64> =
            (1..2000).map(|i| transform(normal.inverse_cdf(f64::from(i) / 2000.0))).collect();
        Marginal::new(&values, 1999.0, [f64::MIN, f64::MAX], None)
    }

    fn binary(ones: usize) -> Marginal {
        let values: Vec<f64> = (0..1000).map(|i| if i < 1000 - ones { 0.0 } else { 1.0 }).collect();
        Marginal::new(&values, 1000.0, [0.0, 1.0], Some(0))
    }

    #[test]
    fn normal_marginals_need_no_correction() {
        let normal = Expansion::of(Some(&normal_marginal(|z| 3.0 + 2.0 * z)));
        for target in [-0.9, -0.2, 0.0, 0.5, 0.97] {
            assert!((normal.solve(&normal, target) - target).abs() < 1e-4, "{target}");
        }
    }

    #[test]
    fn agrees_with_closed_forms() {
        // Lognormal: Corr = (exp(ρσ²) − 1) / (exp(σ²) − 1), here with σ = 0.5 and ρ = 0.6.
        let lognormal = Expansion::of(Some(&normal_marginal(|z| (0.5 * z).exp())));
        let target = ((0.6_f64 * 0.25).exp() - 1.0) / (0.25_f64.exp() - 1.0);
        assert!((lognormal.solve(&lognormal, target) - 0.6).abs() < 5e-3);
        // Two fair coins cut from normals: Corr = (2/π)·asin ρ (W. F. Sheppard, 1899).
        let coin = Expansion::of(Some(&binary(500)));
        let target = 2.0 / std::f64::consts::PI * 0.6_f64.asin();
        assert!((coin.solve(&coin, target) - 0.6).abs() < 2e-3, "{}", coin.solve(&coin, target));
    }

    #[test]
    fn what_cannot_be_reached_is_approached() {
        // A rare and a common event can't be correlated by more than √(0.1/0.9 · 0.1/0.9).
        let (rare, common) = (Expansion::of(Some(&binary(100))), Expansion::of(Some(&binary(900))));
        assert!(rare.solve(&common, 0.5) > 0.99);
        let constant = Expansion::of(Some(&Marginal::new(&[1.0; 9], 9.0, [1.0, 1.0], Some(0))));
        assert_eq!(constant.solve(&rare, 0.5), 0.0);
        assert_eq!(Expansion::of(None).solve(&rare, 0.5), 0.0);
    }

    #[test]
    fn the_factor_multiplies_back() {
        let matrix = [[1.0, 0.8, -0.2], [0.8, 1.0, 0.1], [-0.2, 0.1, 1.0]];
        let l = factor(|i, j| matrix[i][j], 3);
        let row = |i: usize| &l[i * (i + 1) / 2..][..=i];
        for (i, j) in [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)] {
            let product: f64 = row(i).iter().zip(row(j)).map(|(a, b)| a * b).sum();
            assert!((product - matrix[i][j]).abs() < 1e-12, "{i} {j}");
        }
    }

    #[test]
    fn contradictions_are_drawn_towards_independence() {
        // Three variables can't all be opposed to each other beyond −½.
        let l = factor(|_, _| -0.9, 3);
        assert_eq!(l.len(), 6);
        let reached = l[1] * l[0];
        assert!((-0.5..-0.48).contains(&reached), "{reached}");
        assert_eq!(factor(|_, _| f64::NAN, 2), [1.0, 0.0, 1.0]);
    }
}
