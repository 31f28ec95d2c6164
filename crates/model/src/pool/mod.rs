//! Builds the simulator of a model: a pool of synthetic rows in which every signal has the distribution of its reference.
//!
//! Layout:
//! - this module: makes candidates, and selects the rows of the pool from them
//! - `bins`: finds the bins of the candidates in every signal
//! - `weights`: weights the candidates, so that every signal has its distribution
//! - `check`: judges rows of the finished pool as traffic is judged

mod bins;
mod check;
mod weights;

use crate::{
    ModelCard, Predictor, Simulator, Table,
    encoding::Slot,
    simulator::{Levels, MISSING, Pool},
    synthesis::{Coded, Details, synthetic_rows},
    table::present,
};
use bins::{bins_of, candidate_bins};
use check::{check, drifting_against};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use weights::{confusion, resampled, targets, weights};

/// The greatest numbers of rows and of values that synthetic rows are made from. The rows are evenly spaced in the table.
const SOURCE_ROWS: usize = 20_000;
const SOURCE_VALUES: usize = 2_500_000;

/// The pool has four rows per row of the table, within these limits, and at most this many bytes.
const POOL_ROWS: [usize; 2] = [2_000, 20_000];
const POOL_BYTES: usize = 900_000;

/// The number of candidates per row of the pool.
const CANDIDATES: usize = 3;

/// The input from which a simulator is built.
pub(crate) struct Source<'a> {
    /// The rows of the reference. Their labels are the classes of the pool.
    pub(crate) table: &'a Table,
    /// For each row, the value that the signal `prediction` has for a new row like it.
    pub(crate) predicted: Vec<f64>,
    /// The rows that the model was not fitted to.
    pub(crate) test_rows: &'a [usize],
    /// The values of the output's signals for each held-out row.
    pub(crate) held_out: Vec<Vec<f64>>,
    /// The predictor that scores synthetic rows. Without it, their outputs are not compared with the reference.
    pub(crate) predictor: Option<Predictor>,
}

/// Returns the simulator of a model whose other parts are complete.
pub(crate) fn simulator(source: &Source, card: &ModelCard, rng: &mut ChaCha8Rng) -> Simulator {
    let table = source.table;
    let rows_per_class = table.len() as f64 / table.classes.len() as f64;
    let levels: Vec<Levels> = table
        .columns
        .par_iter()
        .zip(&table.values)
        .map(|(column, values)| match column.categories {
            Some(_) => Levels::default(),
            None => Levels::of_values(values, rows_per_class),
        })
        .collect();
    let (coded, details) = coded(table, &levels);
    let width = coded.len() + 2 * details.len();
    let rows = pool_rows(table.len(), width);
    let codes = synthetic_rows(&coded, &details, CANDIDATES * rows, rng);
    let candidates = Simulator::new(levels.clone(), CANDIDATES * rows, &codes);
    let class_rows: Vec<u64> = table.class_counts().into_iter().map(|rows| rows as u64).collect();
    let Ok(pool) = Pool::new(&candidates, &card.features, &class_rows) else {
        unreachable!("the candidates have the features' own levels")
    };
    let predictor = source.predictor.as_ref();
    let bins = candidate_bins(&codes, width, &pool, card, predictor, rng);
    let confusion = confusion(table, &source.predicted, card);
    let weights = weights(&bins, &targets(card, predictor.map(|_| &*confusion)), table.len());
    let kept: Vec<u8> = resampled(&weights, rows, rng.random())
        .into_iter()
        .flat_map(|row| codes[row * width..(row + 1) * width].iter().copied())
        .collect();
    let mut simulator = Simulator::new(levels, rows, &kept);
    simulator.check = check(&simulator, &class_rows, card, predictor, rng);
    if source.test_rows.len() as u64 >= drift::MIN_ROWS {
        // Held-out rows have the same outputs as in the reference, because the served shape was measured on these rows, too.
        let rows = source.test_rows.iter().zip(&source.held_out);
        let held_out = rows.map(|(&row, outputs)| bins_of(card, &table.row(row), outputs));
        simulator.check.held_out_rows = source.test_rows.len() as u64;
        // Held-out rows are compared with a reference of the other rows only, because rows of a reference are more like it than new rows.
        simulator.check.held_out_drifting =
            drifting_against(&held_out.collect::<Vec<_>>(), card, |signal, counts| {
                let others = signal.counts.iter().zip(counts).map(|(all, own)| all - own);
                signal.recounted(others.collect())
            });
    }
    simulator
}

/// Returns the number of rows of the pool for a table of `table_rows` rows, at `width` bytes per row.
fn pool_rows(table_rows: usize, width: usize) -> usize {
    let [fewest, most] = POOL_ROWS;
    (4 * table_rows).clamp(fewest, most).min((POOL_BYTES / width).max(1))
}

/// Returns the step between the rows of the table that synthetic rows are made from.
fn source_step(table_rows: usize, columns: usize) -> usize {
    let most = SOURCE_ROWS.min(SOURCE_VALUES / columns).max(1);
    table_rows.div_ceil(most).max(1)
}

/// Returns the class and every column of some rows of the table, as codes, and the weighted categories of these rows.
fn coded(table: &Table, levels: &[Levels]) -> (Vec<Coded>, Vec<Details>) {
    let step = source_step(table.len(), table.columns.len());
    let rows: Vec<usize> = (0..table.len()).step_by(step).collect();
    let unordered: [u8; 256] = std::array::from_fn(|code| code as u8);
    let class = Coded {
        codes: rows.iter().map(|&row| table.labels[row] as u8).collect(),
        order: unordered,
        categorical: true,
    };
    let columns = table.columns.par_iter().zip(&table.values).zip(levels).map(
        |((column, values), levels)| match &column.categories {
            Some(categories) => {
                let code = |value: f64| {
                    if value.is_nan() { MISSING } else { (value as usize).min(categories.known.len()) as u8 }
                };
                let codes = rows.iter().map(|&row| code(values[row])).collect();
                Coded { codes, order: unordered, categorical: true }
            }
            None => {
                let codes: Vec<u8> = rows.iter().map(|&row| levels.code(values[row])).collect();
                let mut present: Vec<u8> = codes.iter().copied().filter(|&code| code != MISSING).collect();
                present.sort_unstable();
                present.dedup();
                present.sort_by(|&a, &b| levels.middle(a).total_cmp(&levels.middle(b)));
                let mut order = [MISSING; 256];
                present.iter().enumerate().for_each(|(place, &code)| order[usize::from(code)] = place as u8);
                Coded { codes, order, categorical: false }
            }
        },
    );
    let columns: Vec<Coded> = columns.collect();
    let details = table.columns.iter().zip(&table.values).enumerate().filter_map(|(at, (column, values))| {
        let own = column.categories.as_ref().filter(|own| !own.weighted.is_empty())?;
        let weighted = |row: usize| {
            let at = Slot::weighted(own.known.len(), own.weighted.len(), present(values[row]));
            at.map_or(0, |at| at as u16 + 1).to_be_bytes()
        };
        // The class is the first column.
        Some(Details { column: at + 1, bytes: rows.iter().map(|&row| weighted(row)).collect() })
    });
    let details = details.collect();
    (std::iter::once(class).chain(columns).collect(), details)
}

#[cfg(test)]
mod tests;
