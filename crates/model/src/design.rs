//! The rows of a table in the form that the optimiser needs: standardised numbers in one block, and for each categorical feature the
//! position of the column that is 1.

use crate::{
    Table,
    encoding::{Encoding, Scaling, Slot},
    rare_categories::{POOLED_BELOW, PooledColumns},
    table::{Column, present},
};

/// Encoded rows. Columns of numbers stand before those of categories, unlike in the table: see [`Design::to_encoded`]. The columns of
/// weighted categories stand last.
pub(crate) struct Design {
    pub(crate) encoding: Encoding,
    /// The standardised numbers, row by row, `numbers` per row.
    numeric: Vec<f64>,
    pub(crate) numbers: usize,
    /// The column that is 1 for each categorical feature, row by row.
    active: Vec<u32>,
    categoricals: usize,
    /// The mean of the squares in each column: 1 for numbers, and for a category the share of rows that have it.
    mean_squares: Vec<f64>,
    /// The position of each column in the encoding. Those of weighted categories are in the column of other categories there.
    to_encoded: Vec<usize>,
}

impl Design {
    /// Encodes all rows of a table. Numbers are standardised by the mean and the standard deviation of the `fitted` rows.
    pub(crate) fn new(table: &Table, fitted: &[usize]) -> Self {
        let slot = |(column, values): (&Column, &Vec<f64>)| match &column.categories {
            Some(categories) => {
                Slot::Categorical { categories: categories.known.len(), weighted: categories.weighted.len() }
            }
            None => Slot::Numeric(Scaling::of(fitted.iter().map(|&row| values[row]))),
        };
        let slots: Vec<Slot> = table.columns.iter().zip(&table.values).map(slot).collect();
        let (mut numbers, mut others, mut weighted_columns, mut start) =
            (Vec::new(), Vec::new(), Vec::new(), 0);
        for slot in &slots {
            let places = start..start + slot.width();
            match *slot {
                Slot::Numeric(_) => numbers.extend(places),
                Slot::Categorical { categories, weighted } => {
                    others.extend(places);
                    weighted_columns.extend(std::iter::repeat_n(start + categories, weighted));
                }
            }
            start += slot.width();
        }
        let (rows, count) = (table.len(), numbers.len());
        let categoricals = slots.len() - count;
        let mut numeric = vec![0.0; rows * count];
        let mut active = vec![0; rows * categoricals];
        let (mut number, mut categorical, mut first, mut first_weighted) = (0, 0, count, start);
        for (slot, values) in slots.iter().zip(&table.values) {
            match *slot {
                Slot::Numeric(scaling) => {
                    for (row, &value) in values.iter().enumerate() {
                        numeric[row * count + number] = scaling.apply(present(value));
                    }
                    number += 1;
                }
                Slot::Categorical { categories, weighted } => {
                    for (row, &value) in values.iter().enumerate() {
                        let value = present(value);
                        let at = match Slot::weighted(categories, weighted, value) {
                            Some(at) => first_weighted + at,
                            None => first + Slot::active(categories, value),
                        };
                        active[row * categoricals + categorical] = at as u32;
                    }
                    categorical += 1;
                    first += slot.width();
                    first_weighted += weighted;
                }
            }
        }
        numbers.extend(others);
        numbers.extend(weighted_columns);
        let mut mean_squares = vec![0.0; numbers.len()];
        mean_squares[..count].fill(1.0);
        active.iter().for_each(|&at| mean_squares[at as usize] += 1.0 / rows as f64);
        Self {
            encoding: Encoding::of_slots(slots),
            numeric,
            numbers: count,
            active,
            categoricals,
            mean_squares,
            to_encoded: numbers,
        }
    }

    /// Returns the columns of the rare categories, one list per categorical feature that has several.
    pub(crate) fn pools(&self) -> PooledColumns {
        let mut counts = vec![0_usize; self.width()];
        self.active.iter().for_each(|&at| counts[self.to_encoded[at as usize]] += 1);
        let mut start = 0;
        let lists = self.encoding.slots().iter().map(|slot| {
            let places = start..start + slot.width();
            start = places.end;
            match *slot {
                Slot::Numeric(_) => Vec::new(),
                // Unknown categories and missing values keep columns of their own, because more of them are a sign of drift.
                Slot::Categorical { categories, .. } => {
                    places.take(categories).filter(|&at| counts[at] < POOLED_BELOW).collect()
                }
            }
        });
        PooledColumns::of(lists)
    }

    /// Returns the number of encoded columns.
    pub(crate) fn width(&self) -> usize {
        self.encoding.width()
    }

    /// Returns the number of columns that have weights: the encoded ones, and then those of weighted categories.
    pub(crate) fn weights_width(&self) -> usize {
        self.to_encoded.len()
    }

    /// Returns the mean of the squares in each column, in the design's order of columns.
    pub(crate) fn mean_squares(&self) -> &[f64] {
        &self.mean_squares
    }

    /// Returns the numbers of a row.
    pub(crate) fn numeric(&self, row: usize) -> &[f64] {
        &self.numeric[row * self.numbers..(row + 1) * self.numbers]
    }

    /// Returns the columns that are 1 in a row.
    pub(crate) fn active(&self, row: usize) -> &[u32] {
        &self.active[row * self.categoricals..(row + 1) * self.categoricals]
    }

    /// Returns the dot product of a row with `coefficients`, which are in the design's order of columns.
    pub(crate) fn dot(&self, row: usize, coefficients: &[f64]) -> f64 {
        let numbers = dot(self.numeric(row), &coefficients[..self.numbers]);
        self.active(row).iter().fold(numbers, |sum, &at| sum + coefficients[at as usize])
    }

    /// Converts coefficients from the design's order of columns to the order of the encoding. Those of weighted categories stay last.
    pub(crate) fn to_encoded(&self, coefficients: &[f64]) -> Vec<f64> {
        let mut encoded = coefficients.to_vec();
        for (&place, &value) in self.to_encoded.iter().zip(&coefficients[..self.width()]) {
            encoded[place] = value;
        }
        encoded
    }

    /// Writes a row, in the order of the encoding, into `encoded`.
    pub(crate) fn encoded(&self, row: usize, encoded: &mut Vec<f64>) {
        encoded.clear();
        encoded.resize(self.width(), 0.0);
        for (&place, &value) in self.to_encoded.iter().zip(self.numeric(row)) {
            encoded[place] = value;
        }
        for &at in self.active(row) {
            encoded[self.to_encoded[at as usize]] = 1.0;
        }
    }
}

/// Returns the dot product. It adds up eight partial sums, which the compiler can compute in parallel; it could not do that with a
/// single sum, because it must not change the order of additions.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Rows as short as those of Iris have no block of eight.
    if a.len() < 8 {
        return a.iter().zip(b).map(|(a, b)| a * b).sum();
    }
    let mut sums = [0.0; 8];
    let ((a_blocks, a_rest), (b_blocks, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Categories;

    #[test]
    fn rows_of_a_design_equal_those_of_the_encoding() {
        let categories = Categories { known: vec!["a".into(), "b".into()], ..Categories::default() };
        let columns = vec![
            Column { categories: Some(categories.clone()), ..Column::named("x") },
            Column::named("y"),
            Column { categories: Some(categories), ..Column::named("z") },
            Column::named("w"),
        ];
        let rows = [vec![Some(0.0), Some(1.0), None, Some(4.0)], vec![Some(1.0), Some(3.0), Some(2.0), None]];
        let table = Table::from_rows(columns, vec!["c".into()], &rows, vec![0, 0]);
        let design = Design::new(&table, &[0, 1]);
        let (mut own, mut expected) = (Vec::new(), Vec::new());
        let coefficients: Vec<f64> = (0..10).map(|at| f64::from(at) + 0.5).collect();
        let in_order = design.to_encoded(&coefficients);
        for (at, row) in rows.iter().enumerate() {
            design.encoded(at, &mut own);
            design.encoding.encode(row, &mut expected);
            assert_eq!(own, expected);
            assert_eq!(design.dot(at, &coefficients), dot(&own, &in_order));
        }
    }

    #[test]
    fn the_rare_categories_of_each_feature_are_pooled() {
        let column = |name: &str| Column {
            categories: Some(Categories {
                known: vec!["a".into(), "b".into(), "c".into()],
                ..Categories::default()
            }),
            ..Column::named(name)
        };
        // Category b of feature x has 30 rows and the others have 10; 10 rows are unknown or missing. Feature z has one rare category.
        let x = |row: usize| [0.0, 1.0, 1.0, 1.0, 2.0, if row < 30 { 3.0 } else { f64::NAN }][row % 6];
        let rows: Vec<Vec<Option<f64>>> =
            (0..60).map(|row| vec![Some(1.5), present(x(row)), Some((row / 50) as f64)]).collect();
        let columns = vec![Column::named("y"), column("x"), column("z")];
        let table = Table::from_rows(columns, vec!["c".into()], &rows, vec![0; 60]);
        let design = Design::new(&table, &(0..60).collect::<Vec<_>>());
        // Column 0 is that of y, 1 to 5 are those of x, and 6 to 10 are those of z, of which b has ten rows and c has none.
        assert_eq!(design.pools(), PooledColumns::of([vec![1, 3], vec![7, 8]]));
    }

    #[test]
    fn the_dot_product_of_any_length_is_the_sum_of_all_products() {
        let a: Vec<f64> = (1..=21).map(f64::from).collect();
        assert_eq!(dot(&a, &a), 21.0 * 22.0 * 43.0 / 6.0);
        assert_eq!((dot(&a[..7], &a[..7]), dot(&a[..8], &a[..8])), (140.0, 204.0));
        assert_eq!(dot(&[], &[]), 0.0);
    }
}
