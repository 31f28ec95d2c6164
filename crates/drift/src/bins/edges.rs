//! Finds the edges of numeric bins: how many there are, near which ranks they lie, and which number between two values they are.

/// The number of reference rows per quantile bin. The share of such a bin is known to within about 18 % (1/√30). With fewer rows
/// per bin, the noise of the reference hides drift.
const ROWS_PER_BIN: usize = 30;

/// The greatest number of quantile bins. Deciles are usual for PSI; with more bins, broad shifts are detected less often.
const MAX_BINS: usize = 10;

/// A column with more decimals than this is treated as continuous, because its values are hardly ever equal.
const MAX_DECIMALS: u8 = 6;

/// The greatest difference between two values that counts as rounding noise, as a share of the column's greatest magnitude.
const FLOAT_NOISE: f64 = 1e-9;

/// Integers up to this size, and their halves, are exact in an `f64`.
const EXACT: f64 = (1u64 << 52) as f64;

/// Returns the number of decimals that is enough to write all `values`, or `None` if they are treated as continuous.
///
/// ```
/// assert_eq!(drift::bins::decimals(&[5.1, 4.25, 3.0]), Some(2));
/// assert_eq!(drift::bins::decimals(&[1.0 / 3.0]), None);
/// ```
pub fn decimals(values: &[f64]) -> Option<u8> {
    let most = values
        .iter()
        .map(|value| {
            let written = value.to_string();
            written.split_once('.').map_or(0, |(_, fraction)| fraction.len())
        })
        .max()
        .unwrap_or(0);
    let most = u8::try_from(most).ok().filter(|&most| most <= MAX_DECIMALS)?;
    let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    (largest * 10f64.powi(most.into()) < EXACT).then_some(most)
}

/// Returns the number of quantile bins for this number of reference rows.
fn bin_count(rows: usize) -> usize {
    ((rows + ROWS_PER_BIN / 2) / ROWS_PER_BIN).clamp(2, MAX_BINS)
}

/// Returns the ranks at which quantile bins would begin if all values were different.
pub(super) fn cut_ranks(rows: usize) -> impl Iterator<Item = usize> {
    let bins = bin_count(rows);
    (1..bins).map(move |i| (i * rows + bins / 2) / bins)
}

/// Returns the rank nearest to `target` at which a value exceeds the one before it by more than `noise`, if there is such a rank.
pub(super) fn nearest_step(sorted: &[f64], target: usize, noise: f64) -> Option<usize> {
    let steps = |rank: &usize| sorted[*rank] - sorted[rank - 1] > noise;
    let down = (1..=target.min(sorted.len() - 1)).rev().find(steps);
    let up = (target.max(1)..sorted.len()).find(steps);
    match (down, up) {
        (Some(down), Some(up)) => Some(if target - down <= up - target { down } else { up }),
        (found, None) | (None, found) => found,
    }
}

/// The values a column can take: steps of a power of ten, or any number.
pub(super) enum Grid {
    Steps { per_unit: f64 },
    Continuous { noise: f64 },
}

impl Grid {
    pub(super) fn of(values: &[f64]) -> Self {
        let greatest = values.iter().fold(0.0_f64, |greatest, value| greatest.max(value.abs()));
        decimals(values).map_or(Self::Continuous { noise: FLOAT_NOISE * greatest }, |decimals| Self::Steps {
            per_unit: 10f64.powi(decimals.into()),
        })
    }

    /// Returns the largest difference that counts as noise.
    pub(super) fn noise(&self) -> f64 {
        match self {
            Self::Steps { .. } => 0.0,
            Self::Continuous { noise } => *noise,
        }
    }

    /// Returns an edge strictly between two neighbours `low < high`, halfway between two steps of the grid.
    pub(super) fn between(&self, low: f64, high: f64) -> f64 {
        match self {
            Self::Steps { per_unit } => {
                let middle = (((low * per_unit).round() + (high * per_unit).round()) / 2.0).floor();
                (2.0 * middle + 1.0) / (2.0 * per_unit)
            }
            Self::Continuous { .. } => shortest_between(low, high),
        }
    }

    /// Returns the lower end of the range of these values. With `has_bounds`, a value that occurs several times may be a bound.
    pub(super) fn below(&self, sorted: &[f64], has_bounds: bool) -> f64 {
        let min = sorted[0];
        match self {
            Self::Steps { per_unit } => (2.0 * (min * per_unit).round() - 1.0) / (2.0 * per_unit),
            Self::Continuous { noise } => {
                let is_bound = has_bounds && sorted.get(1).is_some_and(|next| next - min <= *noise);
                shortest_between(min - margin(sorted, is_bound, *noise), min)
            }
        }
    }

    /// Returns the upper end of the range of these values. With `has_bounds`, a value that occurs several times may be a bound.
    pub(super) fn above(&self, sorted: &[f64], has_bounds: bool) -> f64 {
        let max = sorted[sorted.len() - 1];
        match self {
            Self::Steps { per_unit } => (2.0 * (max * per_unit).round() + 1.0) / (2.0 * per_unit),
            Self::Continuous { noise } => {
                let next = sorted.len().checked_sub(2).map(|at| sorted[at]);
                let is_bound = has_bounds && next.is_some_and(|next| max - next <= *noise);
                shortest_between(max, max + margin(sorted, is_bound, *noise))
            }
        }
    }
}

/// Returns the distance between the outermost values and the ends of the range: about the mean distance between neighbouring
/// values, and well above float noise. If several values are equal to the outermost one, that is a bound of the column, such as 0, and
/// only noise is expected beyond it: a -1 that stands for a missing value is not in the range of numbers that are never negative.
fn margin(sorted: &[f64], is_bound: bool, noise: f64) -> f64 {
    let (min, max, rows) = (sorted[0], sorted[sorted.len() - 1], sorted.len());
    let spacing = if is_bound { 0.0 } else { max / rows as f64 - min / rows as f64 };
    spacing.max(1e3 * noise).max(f64::MIN_POSITIVE * 1e10)
}

/// Returns the number with the fewest digits strictly between two others, near their middle: edges are read by people.
fn shortest_between(low: f64, high: f64) -> f64 {
    let middle = low / 2.0 + high / 2.0;
    (0..17)
        .filter_map(|digits| format!("{middle:.digits$e}").parse::<f64>().ok())
        .find(|edge| low < *edge && *edge < high)
        // If the two are adjacent floating-point numbers, there is none between them. The edge is then the upper one, which belongs to
        // the bin above it.
        .unwrap_or(high)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Bins, tests::edges},
        *,
    };

    #[test]
    fn the_number_of_bins_grows_with_the_number_of_reference_rows() {
        assert_eq!([30, 60, 147, 300, 1_000_000].map(bin_count), [2, 2, 5, 10, 10]);
    }

    #[test]
    fn the_number_of_bins_is_rows_divided_by_30_rounded() {
        assert_eq!([44, 74, 75, 284, 285].map(bin_count), [2, 2, 3, 9, 10]);
        assert_eq!(cut_ranks(147).collect::<Vec<_>>(), [29, 59, 88, 118]);
        assert_eq!(cut_ranks(60).collect::<Vec<_>>(), [30]);
    }

    #[test]
    fn cuts_move_to_the_nearest_change_of_value() {
        assert_eq!(nearest_step(&[0.0, 1.0, 1.0, 1.0, 2.0], 2, 0.0), Some(1));
        assert_eq!(nearest_step(&[0.0, 1.0, 1.0, 1.0, 2.0], 3, 0.0), Some(4));
        // Of two steps at the same distance, the lower one is taken.
        assert_eq!(nearest_step(&[0.0, 1.0, 1.0, 2.0], 2, 0.0), Some(1));
        assert_eq!(nearest_step(&[0.0, 1.0, 2.0], 1, 0.0), Some(1));
        let stepping_at = |ranks: &[usize]| -> Vec<f64> {
            (0..10).map(|row| ranks.iter().filter(|&&rank| rank <= row).count() as f64).collect()
        };
        assert_eq!(nearest_step(&stepping_at(&[2, 7]), 4, 0.0), Some(2));
        assert_eq!(nearest_step(&stepping_at(&[1, 5]), 3, 0.0), Some(1));
        assert_eq!(nearest_step(&stepping_at(&[1, 6]), 4, 0.0), Some(6));
        assert_eq!(nearest_step(&[1.0; 5], 2, 0.0), None);
        assert_eq!(
            nearest_step(&[0.0, 0.5, 0.5, 1.5], 1, 0.5),
            Some(3),
            "a step as large as the noise does not count"
        );
        // The target may be at an end or beyond it, as it is for a single row.
        assert_eq!(nearest_step(&[0.0, 1.0], 9, 0.0), Some(1));
        assert_eq!(nearest_step(&[0.0, 1.0], 0, 0.0), Some(1));
    }

    #[test]
    fn decimals_are_limited_in_number_and_size() {
        assert_eq!(decimals(&[0.123_456]), Some(6));
        assert_eq!(decimals(&[0.123_456_7]), None);
        assert_eq!(decimals(&[]), Some(0));
        // Halves of the steps are exact up to 2^52.
        assert_eq!(decimals(&[4_503_599_627_370_495.0]), Some(0));
        assert_eq!(decimals(&[-4_503_599_627_370_496.0]), None);
        assert_eq!(decimals(&[450_359_962_737_049.5]), Some(1));
        assert_eq!(decimals(&[450_359_962_737_049.8]), None);
    }

    #[test]
    fn edges_of_a_grid_lie_halfway_between_two_steps() {
        let tenths = Grid::Steps { per_unit: 10.0 };
        assert_eq!(tenths.between(-0.3, -0.2), -0.25);
        assert_eq!(tenths.between(-0.1, 0.2), 0.05);
        assert_eq!(tenths.between(0.1, 0.4), 0.25);
        assert_eq!((tenths.below(&[-0.3, 0.7], true), tenths.above(&[-0.3, 0.7], true)), (-0.35, 0.75));
        assert_eq!(tenths.noise(), 0.0);
        let continuous = Grid::of(&[1.0 / 3.0, -2.0 / 3.0]);
        assert!((continuous.noise() - 2e-9 / 3.0).abs() < 1e-20);
    }

    #[test]
    fn continuous_edges_are_the_shortest_numbers_in_their_gaps() {
        // Thirds from 0 to 19.67 in two bins; the margin is 0.33.
        let thirds: Vec<f64> = (0..60).map(|i| f64::from(i) / 3.0).collect();
        assert_eq!(edges(&thirds), [-0.2, 9.8, 19.8]);
        assert_eq!(shortest_between(2.0, 4.0), 3.0);
        assert_eq!(shortest_between(0.1, 0.2), 0.15);
        assert_eq!(shortest_between(-4.0, -2.0), -3.0);
        // There is none between adjacent floating-point numbers.
        let next = 1.0_f64.next_up();
        assert_eq!(shortest_between(1.0, next), next);
        assert_eq!(shortest_between(1.0, next.next_up()), next);
        assert_eq!(shortest_between(next, next.next_up()), next.next_up());
    }

    #[test]
    fn the_margin_is_one_spacing_or_well_above_float_noise() {
        let margin = |min: f64, max: f64, rows: usize, noise| {
            margin(&[vec![min; rows - 1], vec![max]].concat(), false, noise)
        };
        assert_eq!(margin(0.0, 100.0, 10, 0.0), 10.0);
        assert_eq!(margin(-100.0, 100.0, 10, 0.0), 20.0);
        assert_eq!(margin(0.0, 100.0, 10, 0.1), 100.0);
        assert_eq!(margin(5.0, 5.0, 3, 0.0), f64::MIN_POSITIVE * 1e10);
        // The difference of the extremes would overflow.
        assert_eq!(margin(-f64::MAX, f64::MAX, 2, 0.0), f64::MAX);
    }

    #[test]
    fn an_outermost_value_that_occurs_several_times_is_a_bound() {
        // Skewed values of at least 0, of which one is very large, so that the mean distance between neighbours is 167.
        let skewed: Vec<f64> = (0..60).map(|i| f64::from(i) / 3.0).chain([1e4 + 1.0 / 3.0]).collect();
        let ends = |values: &[f64]| {
            let values: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
            let ends = |bins: Bins| match bins {
                Bins::Numeric { edges } => (edges[0], edges[edges.len() - 1]),
                other => panic!("{other:?}"),
            };
            // Outputs of a model have no bounds.
            let (low, high) = ends(Bins::of_values(&values));
            assert!(low < -1.0 && high > 1e4 + 1.0, "{low} {high}");
            ends(Bins::of_feature(&values))
        };
        let (low, high) = ends(&skewed);
        assert!(low < -1.0 && high > 1e4 + 1.0, "{low} {high}");
        let (low, same) = ends(&[&[0.0], skewed.as_slice()].concat());
        assert!(low > -0.1 && low < 0.0 && same > 1e4 + 1.0, "{low} {same}");
        let (_, high) = ends(&[skewed.as_slice(), &[1e4 + 1.0 / 3.0]].concat());
        assert!(high > 1e4 + 1.0 / 3.0 && high < 1e4 + 0.5, "{high}");
    }
}
