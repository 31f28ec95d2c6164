//! Corrects for categories that are frequent in a table by chance.
//!
//! A category has a bin and a weight of its own if so many rows of the table have it. Among many categories of about that
//! frequency, those that happen to have a few rows more are chosen, and new rows have them less often: the bin `other` fills, and
//! traffic without drift is reported as drifting. How often new rows fall into `other` follows from leaving out one row at a time: a
//! row whose category would then have too few rows counts as `other`. So many rows are moved there, most of them from the
//! categories near the limit.

use crate::{
    Table,
    csv_table::{CATEGORY_ROWS, MAX_CATEGORIES},
};
use rand::seq::IteratorRandom;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{Continuous, ContinuousCDF, Normal};
use std::borrow::Cow;

/// Returns the table with as many rows in `other` as new rows have.
pub(crate) fn corrected<'a>(table: &'a Table, rng: &mut ChaCha8Rng) -> Cow<'a, Table> {
    let mut corrected = Cow::Borrowed(table);
    for (at, column) in table.columns.iter().enumerate() {
        let Some(categories) = &column.categories else { continue };
        let known = categories.known.len();
        let mut counts = vec![0_usize; known];
        let values = &table.values[at];
        // A missing value is NaN, which is not below anything.
        values.iter().filter(|value| **value < known as f64).for_each(|&value| counts[value as usize] += 1);
        // Without other categories, none was chosen among many.
        if !values.iter().any(|&value| value >= known as f64) {
            continue;
        }
        for (category, moved) in surplus(&counts).into_iter().enumerate().filter(|(_, moved)| *moved > 0) {
            let own = (0..values.len()).filter(|&row| values[row] == category as f64);
            for row in own.sample(rng, moved) {
                corrected.to_mut().values[at][row] = known as f64;
            }
        }
    }
    corrected
}

/// Returns how many rows of each category are too many, for categories with so many rows.
///
/// Their sum is the number of rows whose category would have too few if the row were left out. They are distributed as the bias of a
/// normal count that is only seen above a limit, which is its standard deviation times the inverse Mills ratio (N. L. Johnson,
/// S. Kotz, N. Balakrishnan, "Continuous Univariate Distributions", volume 1, 1994, section 13.10).
fn surplus(counts: &[usize]) -> Vec<usize> {
    let least = counts.iter().copied().min().unwrap_or_default();
    // Where the number of categories is the limit, the least frequent one that was chosen shows how many rows it took.
    let limit = if counts.len() < MAX_CATEGORIES { CATEGORY_ROWS } else { least };
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
        // A category keeps half of its rows, because its weight rests on them.
        ((too_many as f64 * bias / all).round() as usize).min(count / 2)
    };
    if too_many == 0 { vec![0; counts.len()] } else { biases.iter().zip(counts).map(share).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Categories, Column};
    use rand::{RngExt, SeedableRng};

    /// A column of 80 categories that are equally frequent, read as [`crate::read_csv`] reads it, and the table's own counts.
    fn table(rows: usize, rng: &mut ChaCha8Rng) -> Table {
        let drawn: Vec<usize> = (0..rows).map(|_| rng.random_range(0..80)).collect();
        let mut counts = [0; 80];
        drawn.iter().for_each(|&category| counts[category] += 1);
        let known: Vec<usize> = (0..80).filter(|&category| counts[category] >= CATEGORY_ROWS).collect();
        let position = |category| known.iter().position(|&own| own == category).unwrap_or(known.len());
        let names = known.iter().map(usize::to_string).collect();
        let column =
            Column { categories: Some(Categories { known: names, rare: Vec::new() }), ..Column::named("c") };
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
    fn as_many_rows_are_other_as_of_new_rows() {
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
    fn a_table_of_frequent_categories_stays_as_it_is() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(surplus(&[400, 20, 11]), [0, 0, 0]);
        // Without one of its ten rows a category would be another one; no more than half of them are moved.
        assert_eq!(surplus(&[4000, 10, 10]), [0, 5, 5]);
        let mut frequent = table(80_000, &mut rng);
        assert!(matches!(corrected(&frequent, &mut rng), Cow::Borrowed(_)));
        frequent.columns[0].categories = None;
        assert!(matches!(corrected(&frequent, &mut rng), Cow::Borrowed(_)));
    }
}
