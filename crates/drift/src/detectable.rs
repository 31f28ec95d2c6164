//! The smallest drift that can be detected in a number of rows. The verdict "steady" does not rule out a smaller one.

/// The probability that a drift of the detectable size is detected.
pub const POWER: f64 = 0.9;

/// The standard normal quantile of [`POWER`].
const Z: f64 = 1.281_551_565_544_600_4;

/// Returns the smallest true PSI that exceeds `threshold` with probability [`POWER`], when PSI is judged with `noise` = 1/N + 1/M
/// and has `degrees_of_freedom`.
///
/// PSI / noise is about noncentral χ² with noncentrality λ = true PSI / noise, hence mean df + λ and variance
/// 2·(df + 2λ). With c = threshold / noise, the normal approximation df + λ − z·√(2·(df + 2λ)) = c gives
/// λ = (c − df + 2z²) + z·√(4c − 2df + 4z²). By the exact distribution, a drift of this size is detected with a probability
/// between 0.900 and 0.914, for 1 to 11 degrees of freedom and every c that a verdict can have. Returns infinity if there are
/// no rows.
///
/// The relation between PSI and χ² holds for small shifts; a large shift is detected a little more often than computed here.
pub fn detectable_psi(threshold: f64, noise: f64, degrees_of_freedom: usize) -> f64 {
    if noise.is_infinite() {
        return f64::INFINITY;
    }
    let (c, df) = (threshold / noise, degrees_of_freedom as f64);
    noise * ((c - df + 2.0 * Z * Z) + Z * (4.0 * c - 2.0 * df + 4.0 * Z * Z).max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detectable_psi_agrees_with_the_noncentral_chi_squared() {
        // scipy: brentq(lambda l: ncx2.sf(c, df, l) - 0.9, 1e-3, 1e5), the exact λ
        let exact = [
            (1, 21.5, 35.027),
            (2, 25.1, 38.459),
            (4, 30.7, 43.202),
            (9, 41.9, 51.342),
            (4, 2000.0, 2113.225),
        ];
        for (df, c, lambda) in exact {
            let ratio = detectable_psi(c * 0.01, 0.01, df) / (0.01 * lambda);
            assert!((1.0..1.03).contains(&ratio), "{df} {c}: {ratio}");
        }
    }

    #[test]
    fn the_detectable_psi_solves_the_normal_approximation() {
        // scipy: noise * brentq(lambda l: df + l - z*sqrt(2*(df + 2*l)) - threshold/noise, 0, 1e6), z = norm.ppf(0.9)
        let exact = [
            (0.1, 0.01, 4, 0.172_437_409_877_872_2),
            (0.3, 0.02, 1, 0.551_653_507_341_521_2),
            (0.15, 0.004, 9, 0.187_482_412_218_544_42),
            (0.2, 0.05, 7, 0.201_816_249_676_074_48),
        ];
        for (threshold, noise, df, psi) in exact {
            let got = detectable_psi(threshold, noise, df);
            assert!((got / psi - 1.0).abs() < 1e-9, "{threshold} {noise} {df}: {got}");
        }
    }

    #[test]
    fn the_detectable_psi_falls_with_the_number_of_rows() {
        let at = |rows: f64| {
            let noise = 1.0 / 1000.0 + 1.0 / rows;
            detectable_psi((30.0 * noise).max(0.1), noise, 4)
        };
        assert!(at(60.0) > at(600.0) && at(600.0) > at(6e4));
        assert!(at(6e6) > 0.1, "a drift of at most 0.1 is too small to matter and is never reported");
        assert_eq!(detectable_psi(f64::INFINITY, f64::INFINITY, 4), f64::INFINITY);
    }
}
