//! A pool of synthetic rows like the reference, from which traffic is drawn. Each value is coded in one byte.
//!
//! A number that many rows have is coded as a point. Any other number is coded as the interval between two edges, in which the drawn
//! value is uniform. So a drawn row keeps the relations between the columns of a row of the pool, but not its numbers.

use crate::{Feature, card::Values};
use base64::{Engine, prelude::BASE64_STANDARD};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The code of a missing value.
pub(crate) const MISSING: u8 = u8::MAX;

/// The greatest numbers of points and of intervals of one feature. Together they are fewer than the values of a byte.
const MAX_POINTS: usize = 100;
const MAX_INTERVALS: usize = 150;

/// A column has points only if it has at most [`MAX_POINTS`] different values and on average this many rows per value.
const ROWS_PER_POINT: usize = 2;

/// The share of rows from which on a value is a point, while the other values are in intervals.
const ATOM_SHARE: f64 = 0.01;

/// The greatest rounding of an edge, as a part of the distance to the nearest other edge. Edges are rounded to a power of ten.
const EDGE_PART: f64 = 0.1;

/// A pool of rows like the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Simulator {
    /// The meaning of the codes of each feature, in the order of the features.
    pub levels: Vec<Levels>,
    /// The number of rows in the pool.
    pub rows: usize,
    /// The rows in base64. Each row is the position of its class, and one code per feature.
    pub codes: String,
    /// The verdicts on rows that were drawn from the pool after training.
    pub check: SimulatorCheck,
}

/// The meaning of the codes of one feature. Code 255 is a missing value. A categorical feature has no levels, because its codes are
/// the positions of the categories.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// The values that the first codes stand for.
    pub points: Vec<f64>,
    /// Edges in ascending order. Each code after those of the points stands for the interval between two neighbouring edges.
    pub edges: Vec<f64>,
}

/// The verdicts on rows drawn from the pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SimulatorCheck {
    /// The number of rows that were drawn.
    pub rows: u64,
    /// The signals that drift on these rows.
    pub drifting: Vec<String>,
    /// The number of held-out rows of the table that were judged in the same way; 0 if there were too few.
    pub held_out_rows: u64,
    /// The signals that drift on the held-out rows.
    pub held_out_drifting: Vec<String>,
}

/// An inconsistency in a simulator.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("simulator.{field}: {problem}")]
pub struct SimulatorError {
    /// Path of the field.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
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

    fn codes(&self) -> usize {
        self.points.len() + self.edges.len().saturating_sub(1)
    }

    fn draw(&self, code: u8, decimals: Option<u8>, rng: &mut impl Rng) -> f64 {
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

/// The rows of a simulator, ready to be drawn from.
#[derive(Debug, Clone)]
pub struct Pool {
    /// The share of each class. The shares add up to 1.
    shares: Vec<f64>,
    /// The codes of each class, row by row, without the class itself.
    classes: Vec<Vec<u8>>,
    columns: Vec<Drawing>,
}

/// The way in which the values of one feature are drawn.
#[derive(Debug, Clone)]
enum Drawing {
    Numeric { levels: Levels, decimals: Option<u8> },
    Categorical,
}

impl Pool {
    /// Decodes the simulator of a model with these features. `class_rows` is the number of reference rows of each class.
    ///
    /// # Errors
    /// Returns an error if the parts of the simulator are inconsistent.
    pub fn new(
        simulator: &Simulator,
        features: &[Feature],
        class_rows: &[u64],
    ) -> Result<Self, SimulatorError> {
        let error = |field, problem: String| SimulatorError { field, problem };
        let (count, classes) = (features.len(), class_rows.len());
        if simulator.levels.len() != count {
            return Err(error("levels", "there must be one entry per feature".into()));
        }
        let codes = BASE64_STANDARD
            .decode(&simulator.codes)
            .map_err(|e| error("codes", format!("is not base64: {e}")))?;
        let expected = simulator.rows.saturating_mul(count + 1);
        if simulator.rows == 0 || codes.len() != expected {
            let problem =
                format!("must have {expected} bytes for {} rows, got {}", simulator.rows, codes.len());
            return Err(error("codes", problem));
        }
        let mut pool =
            Self { shares: vec![0.0; classes], classes: vec![Vec::new(); classes], columns: Vec::new() };
        let mut limits = Vec::new();
        for (feature, levels) in features.iter().zip(&simulator.levels) {
            let ascending = levels.edges.is_sorted_by(|a, b| a < b) || levels.edges.len() == 2;
            let finite = levels.edges.iter().chain(&levels.points).all(|value| value.is_finite());
            if !(ascending && finite && levels.edges.len() != 1 && levels.codes() < usize::from(MISSING)) {
                return Err(error(
                    "levels",
                    format!("feature {:?}: must be finite, with edges in ascending order", feature.name),
                ));
            }
            match &feature.values {
                Values::Numeric(numeric) => {
                    limits.push(levels.codes());
                    pool.columns
                        .push(Drawing::Numeric { levels: levels.clone(), decimals: numeric.decimals });
                }
                Values::Categorical(categorical) => {
                    limits.push(categorical.categories.len() + 1);
                    pool.columns.push(Drawing::Categorical);
                }
            }
        }
        for row in codes.chunks_exact(count + 1) {
            let (class, row) = (usize::from(row[0]), &row[1..]);
            let valid = |(&code, &limit): (&u8, &usize)| code == MISSING || usize::from(code) < limit;
            if class >= classes || !row.iter().zip(&limits).all(valid) {
                return Err(error("codes", "has an undefined code".into()));
            }
            pool.classes[class].extend_from_slice(row);
        }
        // A class without rows in the pool cannot be drawn.
        let own = |(&rows, codes): (&u64, &Vec<u8>)| if codes.is_empty() { 0.0 } else { rows as f64 };
        pool.shares = class_rows.iter().zip(&pool.classes).map(own).collect();
        let all: f64 = pool.shares.iter().sum();
        if all == 0.0 {
            return Err(error("codes", "must have a row of a class that occurs in the reference".into()));
        }
        pool.shares.iter_mut().for_each(|share| *share /= all);
        Ok(pool)
    }

    /// Returns the share of each class in the reference.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// Returns the number of features.
    pub fn features(&self) -> usize {
        self.columns.len()
    }

    /// Draws a row of `class`, which must have a share above 0. It takes one uniform number for the row and one per feature for every
    /// class and all values, so that row n of a seed is made from the same numbers in every drift.
    pub fn draw(&self, class: usize, rng: &mut impl Rng, values: &mut Vec<Option<f64>>) {
        let rows = &self.classes[class];
        let count = self.columns.len();
        let row = pick(rng.random(), rows.len() / count) * count;
        values.clear();
        for (column, &code) in self.columns.iter().zip(&rows[row..row + count]) {
            values.push(column.draw(code, rng));
        }
    }

    /// Returns the values of a row of codes without its class.
    pub(crate) fn decode(&self, codes: &[u8], rng: &mut impl Rng) -> Vec<Option<f64>> {
        self.columns.iter().zip(codes).map(|(column, &code)| column.draw(code, rng)).collect()
    }

    /// Returns the class that a uniform number in [0, 1) selects by the classes' shares.
    pub fn class(&self, uniform: f64) -> usize {
        pick_class(&self.shares, uniform)
    }

    /// Draws the value of one feature from a row of `class`.
    pub fn draw_one(&self, class: usize, feature: usize, rng: &mut impl Rng) -> Option<f64> {
        let rows = &self.classes[class];
        let count = self.columns.len();
        let row = pick(rng.random(), rows.len() / count) * count;
        self.columns[feature].draw(rows[row + feature], rng)
    }
}

impl Drawing {
    fn draw(&self, code: u8, rng: &mut impl Rng) -> Option<f64> {
        match self {
            _ if code == MISSING => {
                let _: f64 = rng.random();
                None
            }
            Self::Numeric { levels, decimals } => Some(levels.draw(code, *decimals, rng)),
            Self::Categorical => {
                let _: f64 = rng.random();
                Some(f64::from(code))
            }
        }
    }
}

/// Returns the class that a uniform number in [0, 1) selects by these shares.
pub fn pick_class(shares: &[f64], uniform: f64) -> usize {
    let mut below = 0.0;
    let found = shares.iter().position(|share| {
        below += share;
        uniform < below
    });
    // Because of rounding, the sum of the shares may be slightly below 1.
    found.or_else(|| shares.iter().rposition(|&share| share > 0.0)).unwrap_or_default()
}

/// Returns the position that a uniform number in [0, 1) selects.
fn pick(uniform: f64, count: usize) -> usize {
    ((uniform * count as f64) as usize).min(count - 1)
}

impl Simulator {
    /// Returns a simulator without rows.
    pub fn empty() -> Self {
        Self::new(Vec::new(), 0, &[])
    }

    /// Returns a simulator without a check.
    pub(crate) fn new(levels: Vec<Levels>, rows: usize, codes: &[u8]) -> Self {
        Self { levels, rows, codes: BASE64_STANDARD.encode(codes), check: SimulatorCheck::default() }
    }
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
    fn classes_are_picked_by_their_shares_and_empty_ones_never() {
        let shares = [0.0, 0.25, 0.0, 0.75, 0.0];
        assert_eq!([0.0, 0.24, 0.25, 0.99, 1.0].map(|uniform| pick_class(&shares, uniform)), [1, 1, 3, 3, 3]);
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

    fn feature(values: Values) -> Feature {
        Feature {
            name: "f".into(),
            unit: None,
            values,
            missing_ratio: 0.0,
            accepts_missing: false,
            importance: 0.0,
        }
    }

    /// Returns a number with two decimals, and a feature of two categories.
    fn features() -> [Feature; 2] {
        let numeric = crate::card::Numeric {
            range: Some([1.5, 4.0]),
            mean: 2.0,
            sd: 1.0,
            decimals: Some(2),
            extreme: [5.0, 6.0],
        };
        let categorical = crate::card::Categorical::new(vec!["a".into(), "b".into()], Vec::new());
        [feature(Values::Numeric(numeric)), feature(Values::Categorical(categorical))]
    }

    /// Returns a simulator with a point and an interval. With `CODES`, it has two rows of class 0 and one of class 1.
    fn small(codes: &[u8]) -> Simulator {
        let levels = Levels { points: vec![1.5], edges: vec![2.0, 4.0] };
        Simulator::new(vec![levels, Levels::default()], codes.len() / 3, codes)
    }

    const CODES: [u8; 9] = [0, 0, 0, 0, 1, 1, 1, MISSING, 2];

    #[test]
    fn drawn_rows_have_the_values_of_the_pool() {
        let pool = Pool::new(&small(&CODES), &features(), &[30, 10]).unwrap();
        assert_eq!((pool.shares(), pool.features()), ([0.75, 0.25].as_slice(), 2));
        assert_eq!([0.0, 0.74, 0.75, 0.99].map(|uniform| pool.class(uniform)), [0, 0, 1, 1]);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut row = vec![Some(9.0)];
        pool.draw(1, &mut rng, &mut row);
        assert_eq!(row, [None, Some(2.0)]);
        let (mut points, mut singles) = (0, [0; 2]);
        for _ in 0..400 {
            pool.draw(0, &mut rng, &mut row);
            match row[..] {
                [Some(1.5), Some(0.0)] => points += 1,
                [Some(number), Some(1.0)] => assert!((2.0..=4.0).contains(&number)),
                _ => panic!("{row:?}"),
            }
            let category = pool.draw_one(0, 1, &mut rng).unwrap();
            singles[category as usize] += 1;
            assert_eq!((pool.draw_one(1, 0, &mut rng), pool.draw_one(1, 1, &mut rng)), (None, Some(2.0)));
        }
        assert!((150..250).contains(&points) && (150..250).contains(&singles[0]), "{points} {singles:?}");
        assert_eq!(pool.decode(&[0, 1], &mut rng), [Some(1.5), Some(1.0)]);
    }

    #[test]
    fn every_row_takes_the_same_number_of_random_numbers() {
        // A row takes three uniform numbers for any codes.
        let pool = Pool::new(&small(&CODES), &features(), &[30, 10]).unwrap();
        for class in [0, 1] {
            let mut rng = ChaCha8Rng::seed_from_u64(4);
            pool.draw(class, &mut rng, &mut Vec::new());
            let mut own = ChaCha8Rng::seed_from_u64(4);
            let _: [f64; 3] = std::array::from_fn(|_| own.random());
            assert_eq!(rng.random::<u64>(), own.random::<u64>());
        }
    }

    #[test]
    fn a_class_without_rows_in_the_pool_has_no_share() {
        let pool = Pool::new(&small(&CODES[..6]), &features(), &[30, 10]).unwrap();
        assert_eq!(pool.shares(), [1.0, 0.0]);
    }

    #[test]
    fn the_error_for_inconsistent_parts_names_the_part() {
        let refused = |change: fn(&mut Simulator), expected: &str| {
            let mut simulator = small(&CODES);
            change(&mut simulator);
            let error = Pool::new(&simulator, &features(), &[30, 10]).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        refused(|s| s.levels.truncate(1), "simulator.levels: there must be one entry per feature");
        refused(|s| s.codes = "*".into(), "simulator.codes: is not base64");
        refused(|s| s.rows = 4, "simulator.codes: must have 12 bytes for 4 rows, got 9");
        refused(|s| s.rows = usize::MAX, "simulator.codes: must have 18446744073709551615 bytes");
        refused(|s| (s.rows, s.codes) = (0, String::new()), "simulator.codes: must have 0 bytes for 0 rows");
        refused(|s| s.levels[0].edges = vec![4.0, 2.0, 1.0], "simulator.levels: feature \"f\"");
        refused(|s| s.levels[0].edges = vec![1.0, 2.0, 2.0], "simulator.levels: feature \"f\"");
        refused(|s| s.levels[0].edges = vec![1.0], "simulator.levels: feature \"f\"");
        refused(|s| s.levels[0].edges = vec![1.0, f64::INFINITY], "simulator.levels: feature \"f\"");
        refused(|s| s.levels[0].points = vec![f64::NAN], "simulator.levels: feature \"f\"");
        refused(|s| s.levels[0].points = vec![1.0; 254], "simulator.levels: feature \"f\"");
        let unknown = "simulator.codes: has an undefined code";
        let code = |codes: &[u8]| Pool::new(&small(codes), &features(), &[30, 10]).map(drop);
        for codes in [[2, 0, 0], [0, 2, 0], [0, 0, 3]] {
            assert_eq!(code(&codes).unwrap_err().to_string(), unknown, "{codes:?}");
        }
        let none = Pool::new(&small(&CODES[..6]), &features(), &[0, 10]).unwrap_err().to_string();
        assert_eq!(none, "simulator.codes: must have a row of a class that occurs in the reference");
        let mut most = small(&CODES);
        most.levels[0].points = vec![1.0; 253];
        assert!(Pool::new(&most, &features(), &[30, 10]).is_ok());
        // A single value that is not a point is an interval of width 0.
        most.levels[0] = Levels { points: vec![1.5], edges: vec![3.5, 3.5] };
        assert!(Pool::new(&most, &features(), &[30, 10]).is_ok());
    }

    #[test]
    fn a_uniform_number_picks_a_position() {
        assert_eq!([0.0, 0.24, 0.25, 0.99, 1.0].map(|uniform| pick(uniform, 4)), [0, 0, 1, 3, 3]);
    }
}
