//! Deals rows out, every class evenly.

use crate::Table;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Row numbers of each class, shuffled.
fn shuffled_classes(table: &Table, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let mut classes = vec![Vec::new(); table.classes.len()];
    for (row, &label) in table.labels.iter().enumerate() {
        classes[label].push(row);
    }
    classes.iter_mut().for_each(|rows| rows.shuffle(rng));
    classes
}

/// Rows to fit and rows to hold out, the same share of every class; a class always keeps a row to fit.
pub(crate) fn split(table: &Table, test_fraction: f64, rng: &mut ChaCha8Rng) -> (Vec<usize>, Vec<usize>) {
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for rows in shuffled_classes(table, rng) {
        let held_out = ((rows.len() as f64 * test_fraction).round() as usize).min(rows.len() - 1);
        test.extend_from_slice(&rows[..held_out]);
        train.extend_from_slice(&rows[held_out..]);
    }
    train.sort_unstable();
    test.sort_unstable();
    (train, test)
}

/// Returns the fold of each row; every class is dealt out evenly.
pub(crate) fn folds(table: &Table, folds: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut fold = vec![0; table.len()];
    for (dealt, row) in shuffled_classes(table, rng).into_iter().flatten().enumerate() {
        fold[row] = dealt % folds;
    }
    fold
}

/// Returns the rows outside a fold, and those in it.
pub(crate) fn parted(folds: &[usize], fold: usize) -> (Vec<usize>, Vec<usize>) {
    (0..folds.len()).partition(|&row| folds[row] != fold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iris;
    use rand::SeedableRng;

    #[test]
    fn no_held_out_row_was_fitted() {
        let table = iris::table();
        let (train, test) = split(&table, 0.2, &mut ChaCha8Rng::seed_from_u64(42));
        let shared = test.iter().filter(|&&held| train.iter().any(|&fit| table.row(fit) == table.row(held)));
        assert_eq!(shared.count(), 0);
    }
}
