//! The distribution of one feature within one class, as a function from the standard normal line to values.
//!
//! The class's order statistics are the knots. The i-th least of n values stands at Φ⁻¹((i − ⅜) / (n + ¼)), its mean
//! place in normal data (G. Blom, "Statistical Estimates and Transformed Beta-Variables", 1958), so that the spread of
//! the values is kept, and about two rows in 3n lie beyond either end, as fresh rows do. Between knots the value is
//! linear in the normal variable, and beyond them too, as far as the data give a tail.

use statrs::distribution::{ContinuousCDF, Normal};
use std::ops::Range;

/// A value held by this share of the kept quantiles is one of few values of a column, not a chance tie: between two
/// such values (0 and 1, 10 and 20) there is nothing.
const ATOM_SHARE: f64 = 0.05;

/// ... and by no fewer of them than this.
const ATOM_COUNT: usize = 3;

/// The share of the quantiles, at either end, whose slope the tail continues.
const TAIL_SHARE: f64 = 0.2;

/// With fewer distinct values at an end than this there is no slope to go on with: categories don't have tails.
const TAIL_VALUES: usize = 3;

/// Cells of the normal line between ±CELL_REACH; what lies beyond is in the outermost ones.
const CELLS: usize = 256;
const CELL_REACH: f64 = 4.0;

/// Quantile function of a class, on the standard normal scale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Marginal {
    /// Ascending: where on the normal line, and which value there.
    knots: Vec<Knot>,
    /// For each cell of the normal line, how many knots stand in the cells below: where a search begins.
    guide: [u32; CELLS],
    /// Rise per normal standard deviation below the first knot and above the last.
    tails: [f64; 2],
    /// What the tails don't go beyond.
    limits: [f64; 2],
    decimals: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Knot {
    z: f64,
    value: f64,
    /// Whether nothing lies between this value and the next knot's.
    jumps: bool,
}

impl Marginal {
    /// From the `quantiles` of `rows` values, evenly spaced from the least to the greatest; at least one.
    pub(crate) fn new(quantiles: &[f64], rows: f64, limits: [f64; 2], decimals: Option<u8>) -> Self {
        let last = quantiles.len() - 1;
        let step = if last > 0 { (rows - 1.0) / last as f64 } else { 0.0 };
        let normal = Normal::standard();
        let knots: Vec<Knot> = quantiles
            .iter()
            .enumerate()
            .map(|(at, &value)| Knot {
                z: normal.inverse_cdf((0.625 + at as f64 * step) / (rows + 0.25)),
                value,
                jumps: at < last
                    && quantiles[at + 1] > value
                    && is_atom(quantiles, at)
                    && is_atom(quantiles, at + 1),
            })
            .collect();
        let window = ((quantiles.len() as f64 * TAIL_SHARE).ceil() as usize).max(TAIL_VALUES - 1).min(last);
        let tails = [slope(&knots, 0..window), slope(&knots, last - window..last)];
        let mut guide = [0; CELLS];
        for knot in &knots {
            guide[(cell(knot.z) + 1).min(CELLS)..].iter_mut().for_each(|below| *below += 1);
        }
        Self { knots, guide, tails, limits, decimals }
    }

    /// Returns the value that a share Φ(z) of the class lies below, rounded as the data are.
    pub(crate) fn at(&self, z: f64) -> f64 {
        round_to(self.decimals, self.exact(z))
    }

    fn exact(&self, z: f64) -> f64 {
        // Millions of rows are drawn: the guide leaves a step or two where halving all knots would take six.
        let start = self.guide[cell(z)] as usize;
        let above = start + self.knots[start..].iter().take_while(|knot| knot.z <= z).count();
        let [lowest, highest] = self.limits;
        let (Some(low), Some(high)) = (above.checked_sub(1).map(|at| self.knots[at]), self.knots.get(above))
        else {
            // Beyond one end; `above` is 0 below the least.
            let (end, tail) = if above == 0 { (0, self.tails[0]) } else { (above - 1, self.tails[1]) };
            let Knot { z: end, value, .. } = self.knots[end];
            return finite(value + tail * (z - end)).clamp(lowest, highest);
        };
        let part = (z - low.z) / (high.z - low.z);
        if low.jumps {
            return if part < 0.5 { low.value } else { high.value };
        }
        // Not low + part·(high − low): the difference of two huge numbers overflows.
        low.value * (1.0 - part) + high.value * part
    }
}

/// Returns the cell of a number on the normal line; never falls as the number grows, so knots of lower cells are below
/// it.
fn cell(z: f64) -> usize {
    let cell = (z + CELL_REACH) * (CELLS as f64 / (2.0 * CELL_REACH));
    // `as` stops at 0 for what is below.
    (cell as usize).min(CELLS - 1)
}

/// Returns a value rounded to so many decimals; one too large to have any is left alone.
pub(crate) fn round_to(decimals: Option<u8>, value: f64) -> f64 {
    let Some(decimals) = decimals else { return value };
    let per_unit = 10f64.powi(decimals.into());
    let rounded = (value * per_unit).round() / per_unit;
    // Adding 0 turns −0 into 0.
    if rounded.is_finite() { rounded + 0.0 } else { value }
}

/// JSON has no infinities: an overflow stops at the greatest number.
pub(crate) fn finite(value: f64) -> f64 {
    value.clamp(f64::MIN, f64::MAX)
}

fn is_atom(sorted: &[f64], at: usize) -> bool {
    let value = sorted[at];
    let tied =
        sorted.partition_point(|&other| other <= value) - sorted.partition_point(|&other| other < value);
    tied >= ATOM_COUNT && tied as f64 >= ATOM_SHARE * sorted.len() as f64
}

/// Mean rise over the knots of an end (both ends of the range included); 0 where there is no tail to speak of.
fn slope(knots: &[Knot], range: Range<usize>) -> f64 {
    let (first, last) = (knots[range.start], knots[range.end]);
    let rises =
        knots[range.start..=range.end].windows(2).filter(|pair| pair[0].value < pair[1].value).count();
    if rises + 1 < TAIL_VALUES {
        return 0.0;
    }
    finite((last.value - first.value) / (last.z - first.z))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMITS: [f64; 2] = [f64::MIN, f64::MAX];

    fn marginal(values: &[f64], decimals: Option<u8>) -> Marginal {
        Marginal::new(values, values.len() as f64, NO_LIMITS, decimals)
    }

    #[test]
    fn gives_normal_data_back_as_a_straight_line() {
        // Normal scores: the function must be the identity, tails included.
        let normal = Normal::standard();
        let values: Vec<f64> = (1..=99).map(|i| normal.inverse_cdf((f64::from(i) - 0.375) / 99.25)).collect();
        let marginal = marginal(&values, None);
        for z in [-4.0, -2.0, -0.3, 0.0, 1.7, 2.33, 5.0] {
            assert!((marginal.at(z) - z).abs() < 1e-9, "{z}: {}", marginal.at(z));
        }
    }

    #[test]
    fn the_guide_leads_to_the_knots_around_a_number() {
        let values: Vec<f64> = (0..300).map(f64::from).collect();
        let marginal = marginal(&values, None);
        for step in -9000..9000 {
            let z = f64::from(step) / 1000.0;
            let above = marginal.knots.partition_point(|knot| knot.z <= z);
            assert!(marginal.guide[cell(z)] as usize <= above);
            let (low, high) = (above.checked_sub(1), marginal.knots.get(above));
            if let (Some(low), Some(high)) = (low, high) {
                let value = marginal.exact(z);
                assert!(values[low] <= value && value <= high.value, "{z}: {value}");
            }
        }
    }

    #[test]
    fn kept_quantiles_of_many_rows_stand_for_all_of_them() {
        // 101 of 10,001 uniform values: the median is in the middle, the extremes at 0.625 / 10,001.25.
        let kept: Vec<f64> = (0..=100).map(f64::from).collect();
        let marginal = Marginal::new(&kept, 10_001.0, NO_LIMITS, None);
        assert!((marginal.at(0.0) - 50.0).abs() < 1e-9);
        let end = Normal::standard().inverse_cdf(0.625 / 10_001.25);
        assert!((marginal.at(end) - 0.0).abs() < 1e-6);
        assert!(marginal.at(end - 0.1) < 0.0);
    }

    #[test]
    fn categories_have_neither_tails_nor_values_in_between() {
        let values: Vec<f64> = [0.0; 30].into_iter().chain([100.0; 20]).collect();
        let marginal = marginal(&values, Some(0));
        let drawn = (-500..=500).map(|z| marginal.at(f64::from(z) / 100.0));
        assert!(drawn.clone().all(|value| value == 0.0 || value == 100.0));
        let ones = drawn.filter(|&value| value == 100.0).count();
        assert!((ones as f64 / 1001.0 - 0.5 + 0.0253).abs() < 0.002, "Φ⁻¹(0.6) = 0.2533, got {ones}");
    }

    #[test]
    fn a_rare_category_does_not_grow_a_tail() {
        let values: Vec<f64> = [0.0; 49].into_iter().chain([1.0]).collect();
        assert_eq!(marginal(&values, Some(0)).at(6.0), 1.0);
    }

    #[test]
    fn tails_keep_within_limits_and_numbers_within_f64() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        let positive = Marginal::new(&values, 20.0, [0.0, f64::MAX], None);
        assert_eq!(positive.at(-8.0), 0.0);
        let huge: Vec<f64> = values.iter().map(|v| v * 8e306 * if *v < 10.0 { -1.0 } else { 1.0 }).collect();
        let mut huge = huge;
        huge.sort_by(f64::total_cmp);
        let huge = marginal(&huge, None);
        assert!([-9.0, -1.0, 0.0, 0.7, 9.0].iter().all(|&z| huge.at(z).is_finite()));
    }

    #[test]
    fn a_single_value_is_all_there_is() {
        assert_eq!([-3.0, 0.0, 3.0].map(|z| marginal(&[7.0], Some(0)).at(z)), [7.0; 3]);
    }

    #[test]
    fn rounds_to_the_nearest_number_of_so_many_decimals() {
        assert_eq!(round_to(Some(1), 5.04), 5.0);
        assert_eq!(round_to(Some(1), 0.1 + 0.2), 0.3);
        assert!(round_to(Some(0), -0.3).is_sign_positive());
        assert_eq!(round_to(Some(3), f64::MAX), f64::MAX);
        assert_eq!(round_to(None, 1.0 / 3.0), 1.0 / 3.0);
    }
}
