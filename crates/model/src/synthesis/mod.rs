//! Makes synthetic rows like those of a table, one column after the other: the class first, then each column by a regression tree
//! on the class and on earlier columns, as the value of a row of the leaf that the synthetic row falls into (J. P. Reiter,
//! "Using CART to generate partially synthetic public use microdata", 2005; the R package synthpop). So rows are not copied as a
//! whole, but linear and nonlinear relations between columns are kept.
//!
//! Layout:
//! - this module: makes the rows
//! - `association`: measures the dependence between columns, which determines their order and the predictors of each tree
//! - `tree`: grows regression trees on codes

mod association;
mod tree;

use association::strengths;
use rand::{Rng, RngExt};
use rayon::prelude::*;
use tree::Tree;

/// The greatest number of earlier columns that a tree splits on besides the class. Those that its column depends on most are chosen.
/// With more than [`MANY_COLUMNS`] columns, the limit is [`FEW_PREDICTORS`].
const PREDICTORS: usize = 40;
const FEW_PREDICTORS: usize = 16;
const MANY_COLUMNS: usize = 100;

/// The least number of rows whose leaves one thread finds.
const LEAVES_TOGETHER: usize = 1024;

/// The number of different codes, which are bytes.
const CODES: usize = 256;

/// A column of codes.
pub(crate) struct Coded {
    /// One code per row.
    pub(crate) codes: Vec<u8>,
    /// The rank of each code by the value that it stands for. For categories the order is arbitrary.
    pub(crate) order: [u8; CODES],
    /// Whether codes are categories, between which there are no distances.
    pub(crate) categorical: bool,
}

/// Two further bytes per row of a column of categories, which a synthetic row takes over together with the code.
pub(crate) struct Details {
    /// The position of the column.
    pub(crate) column: usize,
    /// Two bytes per row.
    pub(crate) bytes: Vec<[u8; 2]>,
}

/// Returns `count` synthetic rows, row-major: the codes of the columns, of which column 0 is the class, and then the details. All
/// columns have as many codes as there are rows.
pub(crate) fn synthetic_rows(
    columns: &[Coded],
    details: &[Details],
    count: usize,
    rng: &mut impl Rng,
) -> Vec<u8> {
    let rows = columns[0].codes.len();
    let width = columns.len();
    let row_bytes = width + 2 * details.len();
    // The ranks of the codes of the real rows, column by column.
    let ordered: Vec<Vec<u8>> = columns
        .iter()
        .map(|column| column.codes.iter().map(|&code| column.order[usize::from(code)]).collect())
        .collect();
    let strengths = strengths(columns, &ordered);
    let mut sequence: Vec<usize> = (1..width).collect();
    let total = |at: usize| strengths[at].iter().sum::<f64>();
    sequence.sort_by(|&a, &b| total(b).total_cmp(&total(a)).then(a.cmp(&b)));

    // The ranks of the codes of the synthetic rows, row by row, because a tree tests many columns of one row.
    let mut synthetic = vec![0_u8; count * width];
    let mut result = vec![0; count * row_bytes];
    // Every class, even a rare one, has the same share as in the table.
    let mut by_class: Vec<usize> = (0..rows).collect();
    by_class.sort_by_key(|&row| columns[0].codes[row]);
    let donors: Vec<usize> = (0..count).map(|row| by_class[row * rows / count]).collect();
    for (row, &donor) in donors.iter().enumerate() {
        synthetic[row * width] = ordered[0][donor];
        result[row * row_bytes] = columns[0].codes[donor];
    }
    // A tree depends only on the real rows, so the trees are built in parallel.
    let trees: Vec<Tree> = sequence
        .par_iter()
        .enumerate()
        .map(|(place, &at)| {
            let mut predictors = sequence[..place].to_vec();
            predictors.sort_by(|&a, &b| strengths[at][b].total_cmp(&strengths[at][a]).then(a.cmp(&b)));
            predictors.truncate(most_predictors(width));
            predictors.insert(0, 0);
            Tree::grow(&columns[at], &ordered[at], &predictors, &ordered)
        })
        .collect();
    for (&at, tree) in sequence.iter().zip(&trees) {
        let leaf = |row: &[u8]| tree.leaf(|predictor| row[predictor]);
        let leaves: Vec<&[u32]> =
            synthetic.par_chunks_exact(width).with_min_len(LEAVES_TOGETHER).map(leaf).collect();
        let detail = details.iter().enumerate().find(|(_, detail)| detail.column == at);
        // Donors are drawn row by row, so that the number of threads does not change them.
        for (row, leaf) in leaves.into_iter().enumerate() {
            let donor = leaf[rng.random_range(0..leaf.len())] as usize;
            synthetic[row * width + at] = ordered[at][donor];
            let own = &mut result[row * row_bytes..(row + 1) * row_bytes];
            own[at] = columns[at].codes[donor];
            if let Some((place, detail)) = detail {
                own[width + 2 * place..][..2].copy_from_slice(&detail.bytes[donor]);
            }
        }
    }
    result
}

/// Returns the number of earlier columns that a tree may split on.
fn most_predictors(columns: usize) -> usize {
    if columns > MANY_COLUMNS { FEW_PREDICTORS } else { PREDICTORS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    pub(super) fn coded(codes: Vec<u8>, categorical: bool) -> Coded {
        Coded { codes, order: std::array::from_fn(|code| code as u8), categorical }
    }

    #[test]
    fn exact_relations_between_columns_are_kept() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let class: Vec<u8> = (0..1000).map(|row| (row % 2) as u8).collect();
        let a: Vec<u8> = (0..1000).map(|_| rng.random_range(0..8)).collect();
        // The last column is 1 for low numbers of one class and for high numbers of the other, so it depends on both together but on
        // neither alone.
        let high: Vec<u8> = a.iter().zip(&class).map(|(&a, &class)| u8::from(a >= 4) ^ class).collect();
        let columns = [coded(class, true), coded(a, false), coded(high, true)];
        let rows = synthetic_rows(&columns, &[], 3000, &mut rng);
        assert!(rows.chunks(3).all(|row| row[2] == u8::from(row[1] >= 4) ^ row[0]));
        let share = rows.chunks(3).filter(|row| row[0] == 1).count();
        assert_eq!(share, 1500);
    }

    #[test]
    fn nonlinear_dependence_is_kept() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let x: Vec<u8> = (0..2000).map(|_| rng.random_range(0..100)).collect();
        let square: Vec<u8> = x.iter().map(|&x| ((i32::from(x) - 50).pow(2) / 25) as u8).collect();
        let columns = [coded(vec![0; 2000], true), coded(x, false), coded(square, false)];
        let rows = synthetic_rows(&columns, &[], 2000, &mut rng);
        let errors = rows
            .chunks(3)
            .map(|row| (f64::from(row[2]) - f64::from((i32::from(row[1]) - 50).pow(2)) / 25.0).abs());
        let mean = errors.sum::<f64>() / 2000.0;
        assert!(mean < 2.5, "{mean}");
    }

    #[test]
    fn few_rows_and_constant_columns_can_be_synthesised() {
        let columns = [coded(vec![0, 1], true), coded(vec![7, 7], false), coded(vec![3, 255], true)];
        let rows = synthetic_rows(&columns, &[], 10, &mut ChaCha8Rng::seed_from_u64(3));
        assert_eq!(rows.len(), 30);
        assert!(rows.chunks(3).all(|row| row[1] == 7 && [3, 255].contains(&row[2])));
    }

    #[test]
    fn trees_of_many_columns_split_on_fewer_predictors() {
        assert_eq!([2, 100, 101, 1000].map(most_predictors), [40, 40, 16, 16]);
    }
}
