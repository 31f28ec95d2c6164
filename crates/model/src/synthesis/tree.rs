//! Regression trees on codes. The rows of a leaf have similar values in the target column.

use super::{CODES, Coded};

/// The least number of rows in a leaf. With fewer, rows would be copied; with more, relations would be blurred.
const LEAF: usize = 3;

/// The least gain of a split: the reduction of the sum of squared deviations, divided by the remaining variance. A split by a column
/// that the target does not depend on has a gain of about 1, and the best of many such splits a few times as much.
const GAIN: f64 = 1.0;

/// The number of rows from which on codes are sorted by counting instead of comparing.
const COUNTED_ROWS: usize = 64;

/// A regression tree on codes.
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// The rows of all leaves, leaf by leaf.
    rows: Vec<u32>,
}

/// A node has 12 bytes, because many rows pass the nodes of a tree in an order that no processor foresees.
enum Node {
    /// Rows whose code in the predictor column is at most the limit continue at the next node, and the others at `above`.
    Split {
        predictor: u32,
        limit: u8,
        above: u32,
    },
    Leaf {
        start: u32,
        end: u32,
    },
}

impl Tree {
    pub(super) fn grow(target: &Coded, ordered: &[u8], predictors: &[usize], all: &[Vec<u8>]) -> Self {
        let mut rows: Vec<u32> = (0..ordered.len() as u32).collect();
        let mut tree = Self { nodes: Vec::new(), rows: Vec::new() };
        let mut scratch = vec![0; rows.len()];
        tree.node(target.categorical, ordered, predictors, all, &mut rows, &mut scratch);
        tree
    }

    fn node(
        &mut self,
        categorical: bool,
        ordered: &[u8],
        predictors: &[usize],
        all: &[Vec<u8>],
        rows: &mut [u32],
        scratch: &mut [u32],
    ) {
        let split = best_split(categorical, ordered, predictors, all, rows, scratch);
        let Some((predictor, limit)) = split else {
            let start = self.rows.len() as u32;
            self.rows.extend_from_slice(rows);
            self.nodes.push(Node::Leaf { start, end: self.rows.len() as u32 });
            return;
        };
        let codes = &all[predictor];
        let (mut below, mut above) = (0, 0);
        for at in 0..rows.len() {
            let row = rows[at];
            if codes[row as usize] <= limit {
                rows[below] = row;
                below += 1;
            } else {
                scratch[above] = row;
                above += 1;
            }
        }
        rows[below..].copy_from_slice(&scratch[..above]);
        let own = self.nodes.len();
        self.nodes.push(Node::Split { predictor: predictor as u32, limit, above: 0 });
        let (low, high) = rows.split_at_mut(below);
        self.node(categorical, ordered, predictors, all, low, scratch);
        let next = self.nodes.len();
        if let Node::Split { above, .. } = &mut self.nodes[own] {
            *above = next as u32;
        }
        self.node(categorical, ordered, predictors, all, high, scratch);
    }

    /// Returns the real rows in the leaf that a row with these codes falls into.
    pub(super) fn leaf(&self, code: impl Fn(usize) -> u8) -> &[u32] {
        let mut at = 0;
        loop {
            match self.nodes[at] {
                Node::Leaf { start, end } => return &self.rows[start as usize..end as usize],
                Node::Split { predictor, limit, above } => {
                    at = if code(predictor as usize) <= limit { at + 1 } else { above as usize };
                }
            }
        }
    }
}

/// Returns the best split of a node: the predictor, and the greatest of its codes in the lower part. Classes are split first. Among
/// other splits, the best one leaves the least variance, or for categories the least Gini impurity. `None` if the gain of every split
/// is too small, see [`GAIN`].
fn best_split(
    categorical: bool,
    ordered: &[u8],
    predictors: &[usize],
    all: &[Vec<u8>],
    rows: &[u32],
    sorted: &mut [u32],
) -> Option<(usize, u8)> {
    let count = rows.len();
    if let Some(split) = class_split(&all[0], rows) {
        return Some(split);
    }
    let first = ordered[rows[0] as usize];
    if count < 2 * LEAF || rows.iter().all(|&row| ordered[row as usize] == first) {
        return None;
    }
    let mut totals = Counts::new(categorical);
    let mut whole = Part::default();
    rows.iter().for_each(|&row| whole.add(ordered[row as usize], &mut totals));
    let start = whole.score(categorical);
    let (mut best, mut found) = (start, None);
    let (mut below_counts, mut above_counts) = (totals.clone(), totals.clone());
    let mut per_code = PerCode::default();
    let targets: Vec<u32> = if categorical {
        Vec::new()
    } else {
        rows.iter().map(|&row| u32::from(ordered[row as usize])).collect()
    };
    for &predictor in predictors {
        let codes = &all[predictor];
        if !categorical {
            if let Some((score, code)) = per_code.best_split(&targets, codes, rows, whole, best) {
                (best, found) = (score, Some((predictor, code)));
            }
            continue;
        }
        if count < COUNTED_ROWS {
            sorted[..count].copy_from_slice(rows);
            sorted[..count].sort_unstable_by_key(|&row| (codes[row as usize], row));
        } else {
            let mut next = [0_usize; CODES + 1];
            rows.iter().for_each(|&row| next[usize::from(codes[row as usize]) + 1] += 1);
            (1..=CODES).for_each(|code| next[code] += next[code - 1]);
            for &row in rows {
                let code = usize::from(codes[row as usize]);
                sorted[next[code]] = row;
                next[code] += 1;
            }
        }
        if codes[sorted[0] as usize] == codes[sorted[count - 1] as usize] {
            continue;
        }
        let (mut below, mut above) = (Part::default(), whole);
        below_counts.clear();
        above_counts.copy_from(&totals);
        for at in 0..count - LEAF {
            let row = sorted[at] as usize;
            below.add(ordered[row], &mut below_counts);
            above.remove(ordered[row], &mut above_counts);
            let code = codes[row];
            if at + 1 < LEAF || codes[sorted[at + 1] as usize] == code {
                continue;
            }
            let score = below.score(categorical) + above.score(categorical);
            if score > best {
                (best, found) = (score, Some((predictor, code)));
            }
        }
    }
    let left = (whole.total(categorical) - best) / count as f64;
    found.filter(|_| best - start > GAIN * left.max(0.0) + 1e-9 * start)
}

/// The rows of a node, grouped by the code of a predictor. For a numeric target, only their number and the sum of their target codes
/// matter, so the rows need not be sorted.
struct PerCode {
    /// The number of rows, times 2³², plus the sum of their target codes.
    groups: [u64; CODES],
    /// One bit per code that occurs.
    present: [u64; CODES / 64],
}

impl Default for PerCode {
    fn default() -> Self {
        Self { groups: [0; CODES], present: [0; CODES / 64] }
    }
}

impl PerCode {
    /// Returns the score of the best split by a predictor, and the greatest code of its lower part; `None` if no score is above `best`.
    fn best_split(
        &mut self,
        targets: &[u32],
        codes: &[u8],
        rows: &[u32],
        whole: Part,
        mut best: f64,
    ) -> Option<(f64, u8)> {
        for (&row, &target) in rows.iter().zip(targets) {
            let code = usize::from(codes[row as usize]);
            self.groups[code] += (1 << 32) + u64::from(target);
            self.present[code / 64] |= 1 << (code % 64);
        }
        let (mut below, mut found) = (Part::default(), None);
        for at in 0..self.present.len() {
            // The bits are cleared from the lowest to the highest one, and their groups are emptied for the next predictor.
            let mut bits = std::mem::take(&mut self.present[at]);
            while bits != 0 {
                let code = 64 * at + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let group = std::mem::take(&mut self.groups[code]);
                below.rows += f64::from((group >> 32) as u32);
                below.sum += f64::from(group as u32);
                let above = Part { rows: whole.rows - below.rows, sum: whole.sum - below.sum, ..whole };
                if below.rows < LEAF as f64 || above.rows < LEAF as f64 {
                    continue;
                }
                let score = below.score(false) + above.score(false);
                if score > best {
                    best = score;
                    found = Some((score, code as u8));
                }
            }
        }
        found
    }
}

/// The counts of each code in a part, which only categories need.
#[derive(Debug, Clone)]
struct Counts(Vec<f64>);

impl Counts {
    fn new(categorical: bool) -> Self {
        Self(if categorical { vec![0.0; CODES] } else { Vec::new() })
    }

    fn clear(&mut self) {
        self.0.fill(0.0);
    }

    fn copy_from(&mut self, other: &Self) {
        self.0.copy_from_slice(&other.0);
    }
}

/// Returns the split by class that leaves parts of about the same number of classes, so that each class has a tree of its own;
/// `None` if there is one class, or if a part would be smaller than a leaf.
fn class_split(classes: &[u8], rows: &[u32]) -> Option<(usize, u8)> {
    let first = classes[rows[0] as usize];
    if rows.iter().all(|&row| classes[row as usize] == first) {
        return None;
    }
    let mut counts = [0_usize; CODES];
    rows.iter().for_each(|&row| counts[usize::from(classes[row as usize])] += 1);
    let present: Vec<u8> = (0..=u8::MAX).filter(|&class| counts[usize::from(class)] > 0).collect();
    let middle = present.len() / 2;
    // Positions are tried from the middle outwards, because the part on one side of the middle may be smaller than a leaf.
    let mut limits: Vec<usize> = (1..present.len()).collect();
    limits.sort_by_key(|&at| at.abs_diff(middle));
    limits.into_iter().find_map(|at| {
        let below: usize = present[..at].iter().map(|&class| counts[usize::from(class)]).sum();
        (below >= LEAF && rows.len() - below >= LEAF).then(|| (0, present[at - 1]))
    })
}

/// Sums over a part of a node's rows.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    rows: f64,
    sum: f64,
    /// The sum of the squared codes.
    code_squares: f64,
    /// The sum of the squared counts of the codes.
    squares: f64,
}

impl Part {
    fn add(&mut self, code: u8, counts: &mut Counts) {
        self.rows += 1.0;
        self.sum += f64::from(code);
        self.code_squares += f64::from(code) * f64::from(code);
        if let Some(count) = counts.0.get_mut(usize::from(code)) {
            self.squares += 2.0 * *count + 1.0;
            *count += 1.0;
        }
    }

    fn remove(&mut self, code: u8, counts: &mut Counts) {
        self.rows -= 1.0;
        self.sum -= f64::from(code);
        self.code_squares -= f64::from(code) * f64::from(code);
        if let Some(count) = counts.0.get_mut(usize::from(code)) {
            self.squares -= 2.0 * *count - 1.0;
            *count -= 1.0;
        }
    }

    /// Returns the score that parts without any variance would have.
    fn total(&self, categorical: bool) -> f64 {
        if categorical { self.rows } else { self.code_squares }
    }

    /// Returns the score of a part. The greater the sum of two parts' scores, the less variance, or impurity, the split leaves.
    fn score(&self, categorical: bool) -> f64 {
        if self.rows == 0.0 {
            0.0
        } else if categorical {
            self.squares / self.rows
        } else {
            self.sum * self.sum / self.rows
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::coded, *};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn classes_have_separate_trees_and_rare_classes_share_one() {
        let classes: Vec<u8> = [vec![0; 50], vec![1; 2], vec![2; 50]].concat();
        let rows: Vec<u32> = (0..102).collect();
        assert_eq!(class_split(&classes, &rows), Some((0, 0)));
        assert_eq!(class_split(&classes, &rows[50..]), None);
        assert_eq!(class_split(&classes, &rows[..50]), None);
    }

    /// Returns the sum of squared deviations of some codes, or the Gini impurity of the categories times their number.
    fn left(categorical: bool, codes: &[u8]) -> f64 {
        let count = codes.len() as f64;
        if categorical {
            let share = |code: u8| codes.iter().filter(|&&other| other == code).count() as f64 / count;
            codes.iter().map(|&code| 1.0 - share(code)).sum()
        } else {
            let mean = codes.iter().map(|&code| f64::from(code)).sum::<f64>() / count;
            codes.iter().map(|&code| (f64::from(code) - mean).powi(2)).sum()
        }
    }

    /// Tries every split into two leaves. Returns the variance or impurity that the best one leaves, its predictor and its limit.
    fn by_trying(categorical: bool, target: &[u8], all: &[Vec<u8>]) -> (f64, usize, u8) {
        let mut best = (left(categorical, target), 0, 0);
        for (predictor, codes) in all.iter().enumerate().skip(1) {
            for limit in 0..u8::MAX {
                let (low, high): (Vec<usize>, Vec<usize>) =
                    (0..target.len()).partition(|&row| codes[row] <= limit);
                let [low, high] =
                    [low, high].map(|rows| rows.iter().map(|&row| target[row]).collect::<Vec<_>>());
                if low.len() >= LEAF && high.len() >= LEAF {
                    let rest = left(categorical, &low) + left(categorical, &high);
                    if rest < best.0 - 1e-9 {
                        best = (rest, predictor, limit);
                    }
                }
            }
        }
        best
    }

    fn split(categorical: bool, target: &[u8], all: &[Vec<u8>]) -> Option<(usize, u8)> {
        let rows: Vec<u32> = (0..target.len() as u32).collect();
        let predictors: Vec<usize> = (0..all.len()).collect();
        best_split(categorical, target, &predictors, all, &rows, &mut vec![0; rows.len()])
    }

    #[test]
    fn the_best_split_is_found_if_its_gain_is_large_enough() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let (mut some, mut none) = (0, 0);
        // Fewer than 64 rows are sorted by comparing, and others by counting.
        for count in (6..90).chain([63, 64, 65]).flat_map(|count| [count; 4]) {
            for categorical in [false, true] {
                let mut column =
                    |codes: u8| (0..count).map(|_| rng.random_range(0..codes)).collect::<Vec<u8>>();
                let (a, b, noise) = (column(6), column(4), column(3));
                let all = [vec![0; count], a.clone(), b];
                // The target depends on a predictor in every second case, and on none in the others.
                let target: Vec<u8> = if count % 2 == 0 {
                    a.iter().zip(&noise).map(|(&a, &noise)| u8::from(a > 2) * 2 + noise).collect()
                } else {
                    noise
                };
                let (rest, predictor, limit) = by_trying(categorical, &target, &all);
                let whole = left(categorical, &target);
                // The reduction must exceed the remaining variance per row.
                let expected = (whole - rest > rest / count as f64 + 1e-6).then_some((predictor, limit));
                let got = split(categorical, &target, &all);
                assert_eq!(got.is_some(), expected.is_some(), "{count} {categorical}");
                if let (Some((predictor, limit)), Some(_)) = (got, expected) {
                    let [low, high] = [true, false].map(|side| {
                        let rows = (0..count).filter(|&row| (all[predictor][row] <= limit) == side);
                        rows.map(|row| target[row]).collect::<Vec<_>>()
                    });
                    let own = left(categorical, &low) + left(categorical, &high);
                    assert!(low.len() >= LEAF && high.len() >= LEAF && (own - rest).abs() < 1e-6);
                }
                if got.is_some() { some += 1 } else { none += 1 }
            }
        }
        assert!(some > 100 && none > 20, "{some} {none}");
    }

    #[test]
    fn leaves_have_at_least_three_rows() {
        let all = |codes: &[u8]| [vec![0; codes.len()], codes.to_vec()];
        assert_eq!(split(false, &[0, 0, 0, 9, 9, 9], &all(&[1, 2, 3, 4, 5, 6])), Some((1, 3)));
        // Without the limit, the best split would be after two rows.
        assert_eq!(split(false, &[0, 0, 9, 9, 9, 9], &all(&[1, 2, 3, 4, 5, 6])), Some((1, 3)));
        assert_eq!(split(false, &[0, 0, 9, 9, 9], &all(&[1, 2, 3, 4, 5])), None);
        assert_eq!(split(false, &[5; 6], &all(&[1, 2, 3, 4, 5, 6])), None);
        assert_eq!(split(true, &[7, 7, 7, 1, 1, 1, 1], &all(&[9, 9, 9, 2, 2, 2, 2])), Some((1, 2)));
    }

    #[test]
    fn classes_are_split_in_the_middle() {
        let classes = |counts: &[usize]| -> Vec<u8> {
            counts.iter().enumerate().flat_map(|(class, &rows)| vec![class as u8; rows]).collect()
        };
        let split = |counts: &[usize]| {
            let classes = classes(counts);
            class_split(&classes, &(0..classes.len() as u32).collect::<Vec<_>>())
        };
        assert_eq!(split(&[3, 3]), Some((0, 0)));
        assert_eq!((split(&[2, 4]), split(&[4, 2]), split(&[9])), (None, None, None));
        assert_eq!(split(&[5, 5, 5, 5]), Some((0, 1)));
        assert_eq!(split(&[1, 1, 9, 9]), Some((0, 2)));
        assert_eq!(split(&[9, 9, 1, 1]), Some((0, 0)));
    }

    #[test]
    fn a_tree_finds_each_row_in_its_own_leaf() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let x: Vec<u8> = (0..200).map(|_| rng.random_range(0..50)).collect();
        let class: Vec<u8> = (0..200).map(|row| (row % 3) as u8).collect();
        let y: Vec<u8> = x.iter().zip(&class).map(|(&x, &class)| x / 10 + 10 * class).collect();
        let all = [class, x];
        let tree = Tree::grow(&coded(y.clone(), false), &y, &[0, 1], &all);
        let mut leaves = std::collections::BTreeSet::new();
        for row in 0..200 {
            let leaf = tree.leaf(|predictor| all[predictor][row]);
            assert!(leaf.contains(&(row as u32)) && leaf.len() >= LEAF);
            assert!(leaf.iter().all(|&other| y[other as usize] == y[row]), "y depends only on x");
            leaves.insert(leaf.to_vec());
        }
        assert_eq!(leaves.iter().map(Vec::len).sum::<usize>(), 200);
    }
}
