//! Decodes the pool of a simulator and draws rows from it.

use super::{Levels, MISSING, Simulator, SimulatorError};
use crate::{Feature, card::Values};
use base64::{Engine, prelude::BASE64_STANDARD};
use rand::{Rng, RngExt};

/// The rows of a simulator, ready to be drawn from.
#[derive(Debug, Clone)]
pub struct Pool {
    /// The share of each class. The shares add up to 1.
    shares: Vec<f64>,
    /// The bytes of each class, row by row, without the class itself.
    classes: Vec<Vec<u8>>,
    columns: Vec<Drawing>,
    /// The number of bytes of a row.
    row_bytes: usize,
}

/// The way in which the values of one feature are drawn.
#[derive(Debug, Clone)]
enum Drawing {
    Numeric {
        levels: Levels,
        decimals: Option<u8>,
    },
    /// With the number of categories that have bins, and, if there are weighted ones, where the bytes of a weighted category stand.
    Categorical {
        categories: u8,
        weighted: Option<usize>,
    },
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
        let row_bytes = row_bytes(features);
        let expected = simulator.rows.saturating_mul(row_bytes + 1);
        if simulator.rows == 0 || codes.len() != expected {
            let problem =
                format!("must have {expected} bytes for {} rows, got {}", simulator.rows, codes.len());
            return Err(error("codes", problem));
        }
        let mut pool = Self {
            shares: vec![0.0; classes],
            classes: vec![Vec::new(); classes],
            columns: Vec::new(),
            row_bytes,
        };
        let (mut limits, mut weighted_limits) = (Vec::new(), Vec::new());
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
                    let categories = categorical.categories.len();
                    limits.push(categories + 1);
                    let weighted =
                        (!categorical.weighted.is_empty()).then(|| count + 2 * weighted_limits.len());
                    weighted_limits.extend(weighted.map(|_| categorical.weighted.len()));
                    pool.columns.push(Drawing::Categorical { categories: categories as u8, weighted });
                }
            }
        }
        for row in codes.chunks_exact(row_bytes + 1) {
            let (class, row) = (usize::from(row[0]), &row[1..]);
            let valid = |(&code, &limit): (&u8, &usize)| code == MISSING || usize::from(code) < limit;
            let valid_weighted =
                |(bytes, &limit): (&[u8; 2], &usize)| usize::from(u16::from_be_bytes(*bytes)) <= limit;
            let (pairs, _) = row[count..].as_chunks::<2>();
            if class >= classes
                || !row.iter().zip(&limits).all(valid)
                || !pairs.iter().zip(&weighted_limits).all(valid_weighted)
            {
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
        let row = self.row(class, rng);
        values.clear();
        values
            .extend(self.columns.iter().enumerate().map(|(feature, column)| column.draw(row, feature, rng)));
    }

    /// Returns the values of a row of the pool, which is given by its bytes without the class.
    pub(crate) fn decode(&self, row: &[u8], rng: &mut impl Rng) -> Vec<Option<f64>> {
        self.columns.iter().enumerate().map(|(feature, column)| column.draw(row, feature, rng)).collect()
    }

    fn row(&self, class: usize, rng: &mut impl Rng) -> &[u8] {
        let rows = &self.classes[class];
        let start = pick(rng.random(), rows.len() / self.row_bytes) * self.row_bytes;
        &rows[start..start + self.row_bytes]
    }

    /// Returns the class that a uniform number in [0, 1) selects by the classes' shares.
    pub fn class(&self, uniform: f64) -> usize {
        pick_class(&self.shares, uniform)
    }

    /// Draws the value of one feature from a row of `class`.
    pub fn draw_one(&self, class: usize, feature: usize, rng: &mut impl Rng) -> Option<f64> {
        let row = self.row(class, rng);
        self.columns[feature].draw(row, feature, rng)
    }
}

impl Drawing {
    /// Draws the value of a feature from the bytes of a row.
    fn draw(&self, row: &[u8], feature: usize, rng: &mut impl Rng) -> Option<f64> {
        let code = row[feature];
        match self {
            _ if code == MISSING => {
                let _: f64 = rng.random();
                None
            }
            Self::Numeric { levels, decimals } => Some(levels.draw(code, *decimals, rng)),
            Self::Categorical { categories, weighted } => {
                let _: f64 = rng.random();
                let own = weighted.filter(|_| code == *categories);
                let offset = own.map_or(0, |at| u16::from_be_bytes([row[at], row[at + 1]]));
                Some(f64::from(code) + f64::from(offset))
            }
        }
    }
}

/// Returns the number of bytes of a row of the pool without its class.
pub(crate) fn row_bytes(features: &[Feature]) -> usize {
    let has_weighted = |feature: &&Feature| feature.categorical().is_some_and(|own| !own.weighted.is_empty());
    features.len() + 2 * features.iter().filter(has_weighted).count()
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

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn classes_are_picked_by_their_shares_and_empty_ones_never() {
        let shares = [0.0, 0.25, 0.0, 0.75, 0.0];
        assert_eq!([0.0, 0.24, 0.25, 0.99, 1.0].map(|uniform| pick_class(&shares, uniform)), [1, 1, 3, 3, 3]);
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
        let categorical = crate::card::Categorical::new(vec!["a".into(), "b".into()], Vec::new(), Vec::new());
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
    fn a_row_has_the_weighted_category_of_its_bytes() {
        let texts = |texts: [&str; 2]| texts.map(str::to_owned).to_vec();
        let own = crate::card::Categorical::new(texts(["a", "b"]), texts(["c", "d"]), Vec::new());
        let [numeric, plain] = features();
        let features = [feature(Values::Categorical(own)), plain, numeric];
        assert_eq!(row_bytes(&features), 5);
        let levels =
            vec![Levels::default(), Levels::default(), Levels { points: vec![1.5], edges: Vec::new() }];
        // Other categories of the first feature are code 2, and their last byte is the position of the weighted one, plus one.
        let rows = [[0, 1, 2, 0, 0, 0], [0, 2, 2, 0, 0, 0], [0, 2, 1, 0, 0, 2], [0, MISSING, 0, 0, 0, 1]];
        let simulator = |rows: &[[u8; 6]]| Simulator::new(levels.clone(), rows.len(), &rows.concat());
        let pool = Pool::new(&simulator(&rows), &features, &[4]).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let decoded = rows.map(|row| pool.decode(&row[1..], &mut rng));
        let expected =
            [[Some(1.0), Some(2.0)], [Some(2.0), Some(2.0)], [Some(4.0), Some(1.0)], [None, Some(0.0)]];
        assert_eq!(decoded, expected.map(|[a, b]| vec![a, b, Some(1.5)]));
        let mut row = Vec::new();
        for _ in 0..50 {
            pool.draw(0, &mut rng, &mut row);
            assert!(decoded.contains(&row), "{row:?}");
        }
        let unknown = Pool::new(&simulator(&[[0, 2, 1, 0, 0, 3]]), &features, &[1]).unwrap_err().to_string();
        assert_eq!(unknown, "simulator.codes: has an undefined code");
        let short =
            Pool::new(&Simulator::new(levels.clone(), 1, &[0, 2, 1, 0]), &features, &[1]).unwrap_err();
        assert_eq!(short.to_string(), "simulator.codes: must have 6 bytes for 1 rows, got 4");
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
