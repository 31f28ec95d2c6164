//! Corrects for categories that are frequent in a table by chance.
//!
//! A category has a bin and a weight of its own if it has at least a fixed number of rows in the table. Among many categories near
//! this limit, those that have a few more rows by chance are chosen. New rows have these categories less often, so more of them fall
//! into the bin `other`, and traffic without drift would be reported as drifting. The share of new rows in `other` is estimated by
//! leaving out one row at a time: a row whose category would then be below the limit counts as `other`. This number of rows is moved
//! to `other`, most of them from the categories near the limit.
//!
//! A new row with an unknown category in one column has one in all columns with the same information, such as a code and its name. If
//! two categories of different columns have the same rows, the same rows are therefore moved in both.
//!
//! Categories that have a weight but no bin are corrected in the same way, because new rows have them less often, too.

use crate::{
    Table,
    csv_table::{CATEGORY_ROWS, MAX_CATEGORIES, WEIGHT_ROWS},
};
use rand::seq::IteratorRandom;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{Continuous, ContinuousCDF, Normal};
use std::borrow::Cow;

/// The share of rows that two categories have in common from which on they are treated as the same one.
const SAME_ROWS: f64 = 0.9;

/// Returns the table with the share of rows in `other` that new rows have.
pub(crate) fn corrected<'a>(table: &'a Table, rng: &mut ChaCha8Rng) -> Cow<'a, Table> {
    let mut corrected = Cow::Borrowed(table);
    for (at, column) in table.columns.iter().enumerate() {
        let Some(categories) = &column.categories else { continue };
        let known = categories.known.len();
        let values = &table.values[at];
        // The rows of the known categories, of any other one, and of the weighted ones.
        let mut rows = vec![Vec::new(); known + 1 + categories.weighted.len()];
        // A missing value is NaN.
        for (row, &value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            let category = if value < rows.len() as f64 { value as usize } else { known };
            rows[category].push(row);
        }
        let counts: Vec<usize> = rows.iter().map(Vec::len).collect();
        let (frequent, others) = counts.split_at(known);
        let mut surpluses = vec![0; counts.len()];
        // If there are no other categories, the known ones were not chosen among many, and nothing is corrected.
        if others.iter().any(|&count| count > 0) {
            // If there are as many categories as possible, the limit is the row count of the least frequent one.
            let least = frequent.iter().copied().min().unwrap_or_default();
            let limit = if known < MAX_CATEGORIES { CATEGORY_ROWS } else { least };
            surpluses[..known].copy_from_slice(&surplus(frequent, limit));
        }
        if others[0] > 0 {
            surpluses[known + 1..].copy_from_slice(&surplus(&others[1..], WEIGHT_ROWS));
        }
        for (category, moved) in surpluses.into_iter().enumerate().filter(|(_, moved)| *moved > 0) {
            let own = std::mem::take(&mut rows[category]);
            let twin = (0..at).find(|&other| is_same(&table.values[other], &own));
            let (before, rest): (Vec<usize>, Vec<usize>) = own.into_iter().partition(|&row| {
                twin.is_some_and(|other| corrected.values[other][row] != table.values[other][row])
            });
            let before = before.into_iter().sample(rng, moved);
            let rest = rest.into_iter().sample(rng, moved - before.len());
            for row in before.into_iter().chain(rest) {
                corrected.to_mut().values[at][row] = known as f64;
            }
        }
    }
    corrected
}

/// Returns whether nearly the same rows have one value in a column: all `rows`, which are at least one, and hardly any others.
fn is_same(column: &[f64], rows: &[usize]) -> bool {
    let value = column[rows[0]];
    let shared = rows.iter().filter(|&&row| column[row] == value).count() as f64;
    // The values of the whole column are counted only if they matter.
    shared >= SAME_ROWS * rows.len() as f64
        && shared >= SAME_ROWS * column.iter().filter(|&&own| own == value).count() as f64
}

/// Returns the number of rows to move from each category to `other`, for categories with these row counts, which have at least `limit`
/// rows.
///
/// The sum is the number of rows whose category would be below the limit if the row were left out. It is distributed over the
/// categories in proportion to the bias of a normal count that is observed only above a limit. This bias is the standard deviation
/// times the inverse Mills ratio (N. L. Johnson, S. Kotz, N. Balakrishnan, "Continuous Univariate Distributions", volume 1, 1994,
/// section 13.10).
fn surplus(counts: &[usize], limit: usize) -> Vec<usize> {
    let too_many: usize = counts.iter().filter(|&&count| count == limit).sum();
    let normal = Normal::standard();
    let bias = |&count: &usize| {
        let sd = (count as f64).sqrt();
        let above = (count as f64 - limit as f64) / sd;
        sd * normal.pdf(above) / normal.cdf(above)
    };
    let biases: Vec<f64> = counts.iter().map(bias).collect();
    let all: f64 = biases.iter().sum();
    let share = |(&bias, &count): (&f64, &usize)| {
        // A category keeps at least half of its rows, because its weight is fitted to them.
        ((too_many as f64 * bias / all).round() as usize).min(count / 2)
    };
    if too_many == 0 { vec![0; counts.len()] } else { biases.iter().zip(counts).map(share).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Categories, Column};
    use rand::{RngExt, SeedableRng};

    /// Returns a table with a column of 80 equally frequent categories, as [`crate::read_csv`] reads it.
    fn table(rows: usize, rng: &mut ChaCha8Rng) -> Table {
        let drawn: Vec<usize> = (0..rows).map(|_| rng.random_range(0..80)).collect();
        let mut counts = [0; 80];
        drawn.iter().for_each(|&category| counts[category] += 1);
        let known: Vec<usize> = (0..80).filter(|&category| counts[category] >= CATEGORY_ROWS).collect();
        let position = |category| known.iter().position(|&own| own == category).unwrap_or(known.len());
        let names = known.iter().map(usize::to_string).collect();
        let column = Column {
            categories: Some(Categories { known: names, ..Categories::default() }),
            ..Column::named("c")
        };
        let values: Vec<Vec<Option<f64>>> =
            drawn.iter().map(|&category| vec![Some(position(category) as f64)]).collect();
        Table::from_rows(
            vec![column],
            vec!["a".into(), "b".into()],
            &values,
            (0..rows).map(|row| row % 2).collect(),
        )
    }

    #[test]
    fn the_share_of_other_is_that_of_new_rows() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut before, mut after, mut expected) = (0.0, 0.0, 0.0);
        for _ in 0..50 {
            let table = table(800, &mut rng);
            let known = table.columns[0].categories.as_ref().unwrap().known.len() as f64;
            let others = |table: &Table| {
                table.values[0].iter().filter(|&&value| value == known).count() as f64 / 800.0
            };
            // New rows have each of the 80 categories equally often.
            expected += 1.0 - known / 80.0;
            before += others(&table);
            after += others(&corrected(&table, &mut rng));
        }
        assert!((after - expected).abs() / 50.0 < 0.01, "{after} {expected}");
        assert!((expected - before) / 50.0 > 0.1, "{before} {expected}");
    }

    #[test]
    fn the_same_rows_are_moved_in_columns_with_the_same_categories() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let own = table(800, &mut rng);
        let other = table(800, &mut rng);
        let columns: Vec<Column> = [&own, &own, &other].map(|table| table.columns[0].clone()).to_vec();
        let values = [&own, &own, &other].map(|table| table.values[0].clone()).to_vec();
        let three = Table { columns, values, ..own.clone() };
        let corrected = corrected(&three, &mut rng);
        let moved = |at: usize, row: usize| corrected.values[at][row] != three.values[at][row];
        let count = |wanted: &dyn Fn(usize) -> bool| (0..800).filter(|&row| wanted(row)).count();
        let (first, both) = (count(&|row| moved(0, row)), count(&|row| moved(0, row) && moved(1, row)));
        assert!(first > 50 && first == both && first == count(&|row| moved(1, row)), "{first} {both}");
        // In an independent column, other rows are moved.
        let last = count(&|row| moved(2, row));
        let common = count(&|row| moved(0, row) && moved(2, row));
        assert!(last > 50 && common * 3 < last, "{last} {common}");
    }

    #[test]
    fn a_table_of_frequent_categories_is_not_changed() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(surplus(&[400, 20, 11], 10), [0, 0, 0]);
        // A category of ten rows is below the limit without one of them. At most half of its rows are moved.
        assert_eq!(surplus(&[4000, 10, 10], 10), [0, 5, 5]);
        let mut frequent = table(80_000, &mut rng);
        assert!(matches!(corrected(&frequent, &mut rng), Cow::Borrowed(_)));
        frequent.columns[0].categories = None;
        assert!(matches!(corrected(&frequent, &mut rng), Cow::Borrowed(_)));
    }
}
