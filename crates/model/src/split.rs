//! Splits rows into fitted and held-out ones, and into folds, with the same share of every class.

use crate::Table;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Returns the row numbers of each class, shuffled.
fn shuffled_classes(table: &Table, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let mut classes = vec![Vec::new(); table.classes.len()];
    for (row, &label) in table.labels.iter().enumerate() {
        classes[label].push(row);
    }
    classes.iter_mut().for_each(|rows| rows.shuffle(rng));
    classes
}

/// Returns the rows to fit and the rows to hold out. The same share of every class is held out, but at least one row of each class is
/// fitted.
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

/// Returns the fold of each row. Every class is spread evenly over the folds.
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
    fn held_out_rows_are_not_fitted() {
        let table = iris::table();
        let (train, test) = split(&table, 0.2, &mut ChaCha8Rng::seed_from_u64(42));
        let shared = test.iter().filter(|&&held| train.iter().any(|&fit| table.row(fit) == table.row(held)));
        assert_eq!(shared.count(), 0);
    }

    fn table(classes: &[usize]) -> Table {
        let labels: Vec<usize> =
            classes.iter().enumerate().flat_map(|(class, &rows)| vec![class; rows]).collect();
        let rows: Vec<Vec<Option<f64>>> = (0..labels.len()).map(|row| vec![Some(row as f64)]).collect();
        let names = (0..classes.len()).map(|class| class.to_string()).collect();
        Table::from_rows(vec![crate::Column::named("a")], names, &rows, labels)
    }

    #[test]
    fn the_same_share_of_every_class_is_held_out_and_one_row_is_fitted() {
        let table = table(&[10, 5, 2]);
        for (fraction, held_out) in [(0.0, [0, 0, 0]), (0.3, [3, 2, 1]), (0.99, [9, 4, 1])] {
            let (train, test) = split(&table, fraction, &mut ChaCha8Rng::seed_from_u64(1));
            let of = |class: usize| test.iter().filter(|&&row| table.labels[row] == class).count();
            assert_eq!([0, 1, 2].map(of), held_out, "{fraction}");
            assert!(train.is_sorted() && test.is_sorted());
            let mut all = [train, test].concat();
            all.sort_unstable();
            assert_eq!(all, (0..17).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_class_is_spread_evenly_over_the_folds() {
        let table = table(&[9, 6]);
        let folds = folds(&table, 3, &mut ChaCha8Rng::seed_from_u64(1));
        for fold in 0..3 {
            let (others, own) = parted(&folds, fold);
            assert_eq!((others.len(), own.len()), (10, 5));
            assert!(own.iter().all(|&row| folds[row] == fold) && others.iter().all(|row| !own.contains(row)));
            assert_eq!(own.iter().filter(|&&row| table.labels[row] == 0).count(), 3);
        }
        let dealt: Vec<usize> = folds[..9].to_vec();
        assert!(dealt != [0, 1, 2, 0, 1, 2, 0, 1, 2], "rows are shuffled");
    }
}
