//! The numbers that the codes of a feature stand for: points, and the intervals between edges.

use super::MISSING;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// The greatest numbers of points and of intervals of one feature. Together they are fewer than the values of a byte.
const MAX_POINTS: usize = 100;
const MAX_INTERVALS: usize = 150;

/// A column has points only if it has at most [`MAX_POINTS`] different values and on average this many rows per value.
const ROWS_PER_POINT: usize = 2;

/// The share of rows from which on a value is a point, while the other values are in intervals.
const ATOM_SHARE: f64 = 0.01;

/// The greatest rounding of an edge, as a part of the distance to the nearest other edge. Edges are rounded to a power of ten.
const EDGE_PART: f64 = 0.1;

/// The meaning of the codes of one feature. Code 255 is a missing value. A categorical feature has no levels, because its codes are
/// the positions of the categories.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// The values that the first codes stand for.
    pub points: Vec<f64>,
    /// Edges in ascending order. Each code after those of the points stands for the interval between two neighbouring edges.
    pub edges: Vec<f64>,
}

impl Levels {
    /// Returns the levels of some numbers. Missing ones (NaN) are left out.
    ///
    /// A new row is further from the centre of known rows than the known rows themselves, by about one part in `rows_per_class`. So the
    /// intervals are wider than the range of the values by this part. They do not cross 0 if the values do not.
    pub(crate) fn of_values(values: &[f64], rows_per_class: f64) -> Self {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let runs: Vec<&[f64]> = sorted.chunk_by(|a, b| a == b).collect();
        if runs.len() <= MAX_POINTS && runs.len() * ROWS_PER_POINT <= count {
            return Self { points: runs.iter().map(|run| run[0]).collect(), edges: Vec::new() };
        }
        let atom = |run: &&&[f64]| run.len() >= 2 && run.len() as f64 >= ATOM_SHARE * count as f64;
        let points: Vec<f64> = runs.iter().filter(atom).map(|run| run[0]).collect();
        let others: Vec<f64> = sorted.iter().copied().filter(|value| !points.contains(value)).collect();
        let intervals = MAX_INTERVALS.min(others.len().saturating_sub(1)).max(1);
        let mut edges: Vec<f64> = Vec::new();
        if let (Some(&least), Some(&greatest)) = (others.first(), others.last()) {
            let quantile = |at: usize| others[at * (others.len() - 1) / intervals];
            // The distance to the nearest other quantile. Where values are dense, edges are dense, too.
            let spacing = |at: usize| {
                let below = at.checked_sub(1).map(|at| quantile(at + 1) - quantile(at));
                let above = (at < intervals).then(|| quantile(at + 1) - quantile(at));
                below.into_iter().chain(above).filter(|&gap| gap > 0.0).reduce(f64::min).unwrap_or_default()
            };
            edges.push(least);
            for at in 1..intervals {
                let edge = rounded(quantile(at), spacing(at));
                if edges.last().is_some_and(|&last| edge > last) && edge < greatest {
                    edges.push(edge);
                }
            }
            edges.push(greatest);
            // The mean is not used, because it is far above most of the values if they are heavy-tailed.
            let median = others[others.len() / 2];
            let sign =
                [if least >= 0.0 { 0.0 } else { f64::MIN }, if greatest <= 0.0 { 0.0 } else { f64::MAX }];
            let gaps: Vec<f64> = edges.windows(2).map(|pair| pair[1] - pair[0]).collect();
            for (at, edge) in edges.iter_mut().enumerate() {
                let beside = [at.checked_sub(1).and_then(|at| gaps.get(at)), gaps.get(at)];
                let gap = beside.into_iter().flatten().copied().reduce(f64::min).unwrap_or_default();
                *edge = rounded(*edge + (*edge - median) / rows_per_class, gap).clamp(sign[0], sign[1]);
            }
            edges.dedup();
            if edges.len() < 2 {
                edges = vec![least, greatest];
            }
        }
        Self { points, edges }
    }

    /// Returns the code of a number.
    pub(crate) fn code(&self, value: f64) -> u8 {
        if value.is_nan() {
            return MISSING;
        }
        let point = self.points.iter().position(|&point| point == value);
        let interval = || {
            let above = self.edges.partition_point(|&edge| edge <= value);
            self.points.len() + above.saturating_sub(1).min(self.edges.len().saturating_sub(2))
        };
        point.unwrap_or_else(interval) as u8
    }

    /// Returns the point, or a number near the middle of the interval, that a code stands for. Codes can be ordered by it.
    pub(crate) fn middle(&self, code: u8) -> f64 {
        let code = usize::from(code);
        self.points.get(code).copied().unwrap_or_else(|| {
            let at = code - self.points.len();
            self.edges[at] / 2.0 + self.edges[at + 1] / 2.0
        })
    }

    pub(super) fn codes(&self) -> usize {
        self.points.len() + self.edges.len().saturating_sub(1)
    }

    pub(super) fn draw(&self, code: u8, decimals: Option<u8>, rng: &mut impl Rng) -> f64 {
        let code = usize::from(code);
        let part: f64 = rng.random();
        if let Some(&point) = self.points.get(code) {
            return point;
        }
        let (low, high) = (self.edges[code - self.points.len()], self.edges[code - self.points.len() + 1]);
        // The formula low + part·(high − low) is not used, because the difference of two large numbers may overflow.
        round_to(decimals, low * (1.0 - part) + high * part)
    }
}

/// Returns a value rounded to a number of decimals. A value that is too large to have decimals is not changed.
pub fn round_to(decimals: Option<u8>, value: f64) -> f64 {
    let Some(decimals) = decimals else { return value };
    let per_unit = 10f64.powi(decimals.into());
    let rounded = (value * per_unit).round() / per_unit;
    // Adding 0 turns −0 into 0.
    if rounded.is_finite() { rounded + 0.0 } else { value }
}

/// Rounds a value to a tenth of `spacing` or finer, so that the edges, which are text in the card, have few digits.
fn rounded(value: f64, spacing: f64) -> f64 {
    let exponent = (spacing * EDGE_PART).log10().floor();
    // The value is divided by 1000, for example, which an f64 holds exactly, and not multiplied by 0.001, which it does not.
    let scale = 10f64.powi(-exponent as i32);
    let rounded = (value * scale).round() / scale;
    if rounded.is_finite() { rounded } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn few_values_are_points_and_many_are_intervals() {
        let levels = Levels::of_values(&[2.0, 1.0, 2.0, 1.0, f64::NAN], 1e9);
        assert_eq!(levels, Levels { points: vec![1.0, 2.0], edges: Vec::new() });
        assert_eq!([1.0, 2.0, f64::NAN].map(|value| levels.code(value)), [0, 1, MISSING]);

        let values: Vec<f64> = (0..1000).map(|i| f64::from(i) / 7.0).chain([0.5; 500]).collect();
        let levels = Levels::of_values(&values, 1e9);
        assert_eq!((levels.points.as_slice(), levels.edges.len()), ([0.5].as_slice(), MAX_INTERVALS + 1));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for value in values {
            let code = levels.code(value);
            let drawn = levels.draw(code, None, &mut rng);
            assert_eq!(levels.code(drawn), code, "{value} {drawn}");
            assert!((drawn - value).abs() <= 7.0 / 7.0 + 1e-2, "{value} {drawn}");
            assert!((levels.middle(code) - value).abs() <= 7.0 / 7.0 + 1e-2);
        }
    }

    #[test]
    fn columns_of_one_value_or_none_can_be_coded() {
        for (values, codes) in [(vec![], 0), (vec![f64::NAN], 0), (vec![3.5], 1), (vec![1.0, 2.0], 1)] {
            let levels = Levels::of_values(&values, 1e9);
            assert_eq!(levels.codes(), codes, "{values:?}");
            for value in values {
                let code = levels.code(value);
                if code != MISSING {
                    let drawn = levels.draw(code, None, &mut ChaCha8Rng::seed_from_u64(1));
                    assert!((1.0..=3.5).contains(&drawn));
                }
            }
        }
    }

    #[test]
    fn numbers_are_rounded_to_the_decimals_of_the_data() {
        assert_eq!(round_to(Some(1), 5.04), 5.0);
        assert_eq!(round_to(Some(1), 0.1 + 0.2), 0.3);
        assert!(round_to(Some(0), -0.3).is_sign_positive());
        assert_eq!(round_to(Some(3), f64::MAX), f64::MAX);
        assert_eq!(round_to(None, 1.0 / 3.0), 1.0 / 3.0);
    }

    #[test]
    fn intervals_are_wider_than_the_values_by_one_part_in_the_rows_per_class() {
        // There are 150 intervals of two values each, and ten rows per class, so an edge e moves to e + (e − median)/10.
        let of =
            |first: i32| Levels::of_values(&(first..=first + 300).map(f64::from).collect::<Vec<_>>(), 10.0);
        let centred = of(-150);
        assert!(centred.points.is_empty());
        assert_eq!(centred.edges.len(), 151);
        assert_eq!(centred.edges[..3], [-165.0, -162.8, -160.6]);
        assert_eq!(centred.edges[149..], [162.8, 165.0]);
        let positive = of(100);
        assert_eq!((positive.edges[0], positive.edges[1], positive.edges[150]), (85.0, 87.2, 415.0));
        // No negative values are drawn for a column without negative values, and no positive ones for one without positive values.
        let (from_zero, to_zero) = (of(0), of(-300));
        assert_eq!(from_zero.edges[..3], [0.0, 0.4, 2.6]);
        assert_eq!(to_zero.edges[to_zero.edges.len() - 3..], [-2.6, -0.4, 0.0]);
        assert_eq!((from_zero.edges.len(), to_zero.edges.len()), (145, 145));
    }

    #[test]
    fn a_value_that_many_rows_have_is_a_point() {
        let distinct = |count: u32| (0..count).map(f64::from).collect::<Vec<_>>();
        let points = |values: &[f64]| Levels::of_values(values, 1e9).points.len();
        // At most 100 different values of two rows each on average.
        assert_eq!(points(&distinct(100).repeat(2)), 100);
        assert_eq!(points(&distinct(101).repeat(2)), 0);
        assert_eq!(points(&[&distinct(100)[..], &distinct(100)[1..]].concat()), 99);
        // Among many other values, one row in a hundred, but at least two rows, must have the value.
        assert_eq!(points(&[&distinct(198)[..], &[7.0, 7.0]].concat()), 1);
        assert_eq!(points(&[&distinct(199)[..], &[7.0]].concat()), 1);
        assert_eq!(points(&[&distinct(200)[..], &[7.0]].concat()), 0);
        assert_eq!(points(&distinct(60)), 0);
    }

    #[test]
    fn codes_stand_for_points_and_then_for_intervals() {
        let levels = Levels { points: vec![1.0, 3.0], edges: vec![2.0, 4.0, 10.0] };
        assert_eq!(levels.codes(), 4);
        let codes = [1.0, 3.0, 2.0, 3.9, 4.0, 10.0, 11.0, 0.0].map(|value| levels.code(value));
        assert_eq!(codes, [0, 1, 2, 2, 3, 3, 3, 2]);
        assert_eq!([0, 1, 2, 3].map(|code| levels.middle(code)), [1.0, 3.0, 3.0, 7.0]);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let drawn: Vec<f64> = (0..1000).map(|_| levels.draw(3, Some(1), &mut rng)).collect();
        let (least, greatest) = drawn.iter().fold((f64::MAX, f64::MIN), |(l, g), &d| (l.min(d), g.max(d)));
        assert!((4.0..4.1).contains(&least) && (9.9..=10.0).contains(&greatest), "{least} {greatest}");
        assert!((drawn.iter().sum::<f64>() / 1000.0 - 7.0).abs() < 0.2);
        assert!(drawn.iter().all(|value| round_to(Some(1), *value) == *value));
    }

    #[test]
    fn dense_values_have_dense_edges_in_spite_of_a_long_tail() {
        // These are nearly the quantiles of a log-normal distribution of sigma 2, computed by the logistic distribution.
        let values: Vec<f64> =
            (1..3000).map(|row| (f64::from(row) / f64::from(3000 - row)).powf(1.2)).collect();
        let levels = Levels::of_values(&values, 1500.0);
        assert_eq!(levels.edges.len(), 151);
        let codes =
            |least: usize| values.iter().filter(|&&value| usize::from(levels.code(value)) < least).count();
        assert!((codes(15) as f64 - 300.0).abs() < 30.0, "{}", codes(15));
    }

    #[test]
    fn edges_have_few_digits() {
        assert_eq!(rounded(1234.567, 10.0), 1235.0);
        assert_eq!(rounded(0.123_456, 0.01), 0.123);
        assert_eq!(rounded(0.123_456, 0.09), 0.123);
        assert_eq!(rounded(123_456.0, 1e4), 123_000.0);
        assert_eq!(rounded(5.5, 0.0), 5.5);
    }
}
