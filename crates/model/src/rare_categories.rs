//! Columns of rare categories, which the distance does not tell apart.
//!
//! The distance of a row with a category that k of n rows have is about √(n/k). If k is small, its estimate is imprecise: categories
//! that have a few more rows by chance are nearer than others, and new rows have these categories less often. So the distances of new
//! rows are distributed in another way than those of the table, although nothing drifts. Therefore the rare categories of a feature get
//! the same mean, the same variance and the same covariances, those of an average one of them. All are then equally far away, also if
//! the categories of several features depend on each other.

/// The number of rows below which a category is pooled with other rare ones. The share of a category with this many rows is known to
/// within about 18 % (1/√30), like that of a bin of numbers.
pub(crate) const POOLED_BELOW: usize = 30;

/// Lists of encoded columns that are treated alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PooledColumns(Vec<Vec<usize>>);

impl PooledColumns {
    /// Creates the pools from these lists. A list of fewer than two columns is left out.
    pub(crate) fn of(lists: impl IntoIterator<Item = Vec<usize>>) -> Self {
        Self(lists.into_iter().filter(|list| list.len() > 1).collect())
    }
}

/// Replaces the values of the columns of each pool by their average.
pub(crate) fn average(values: &mut [f64], pools: &PooledColumns) {
    for pool in &pools.0 {
        let sum: f64 = pool.iter().map(|&at| values[at]).sum();
        pool.iter().for_each(|&at| values[at] = sum / pool.len() as f64);
    }
}

/// Averages a covariance over all permutations of the columns within each pool. The average has no negative eigenvalues if the
/// covariance has none.
pub(crate) fn average_pairs(covariance: &mut [Vec<f64>], pools: &PooledColumns) {
    let mut variances: Vec<f64> = (0..covariance.len()).map(|at| covariance[at][at]).collect();
    average(&mut variances, pools);
    // The variances are not part of the averages over the pairs of different columns.
    (0..covariance.len()).for_each(|at| covariance[at][at] = 0.0);
    covariance.iter_mut().for_each(|line| average(line, pools));
    for at in 0..covariance.len() {
        let mut column: Vec<f64> = covariance.iter().map(|line| line[at]).collect();
        average(&mut column, pools);
        covariance.iter_mut().zip(column).for_each(|(line, value)| line[at] = value);
    }
    for pool in &pools.0 {
        // Of the pool's n² pairs, n have no covariance.
        let scale = pool.len() as f64 / (pool.len() - 1) as f64;
        for &row in pool {
            pool.iter().for_each(|&column| covariance[row][column] *= scale);
        }
    }
    (0..covariance.len()).for_each(|at| covariance[at][at] = variances[at]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covariances_are_averaged_over_the_permutations_within_each_pool() {
        let covariance = [
            [4.0, 1.0, 2.0, 0.5, -1.0],
            [1.0, 3.0, 0.2, 0.7, 0.3],
            [2.0, 0.2, 5.0, 0.1, 0.9],
            [0.5, 0.7, 0.1, 2.0, 0.6],
            [-1.0, 0.3, 0.9, 0.6, 1.0],
        ];
        let pools = PooledColumns::of([vec![0, 2], vec![1], vec![3, 4]]);
        // All permutations: the columns 0 and 2 are exchanged or not, and so are the columns 3 and 4.
        let orders = [[0, 1, 2, 3, 4], [2, 1, 0, 3, 4], [0, 1, 2, 4, 3], [2, 1, 0, 4, 3]];
        let mut averaged = covariance.map(|line| line.to_vec());
        average_pairs(&mut averaged, &pools);
        for i in 0..5 {
            for j in 0..5 {
                let expected = orders.iter().map(|order| covariance[order[i]][order[j]]).sum::<f64>() / 4.0;
                assert!((averaged[i][j] - expected).abs() < 1e-12, "{i} {j}: {} {expected}", averaged[i][j]);
            }
        }
        let mut same = covariance.map(|line| line.to_vec());
        average_pairs(&mut same, &PooledColumns::default());
        assert_eq!(same, covariance.map(|line| line.to_vec()));
    }

    #[test]
    fn a_pool_of_one_column_is_left_out() {
        let mut values = [1.0, 2.0, 6.0];
        average(&mut values, &PooledColumns::of([vec![0], vec![1, 2], Vec::new()]));
        assert_eq!(values, [1.0, 4.0, 4.0]);
    }
}
