//! The bins in which values are counted: quantiles of the reference, and bins for missing values and values out of range.
//!
//! Edges lie between the values that data can take (5.05 for data written to one decimal), so that rounding, unit
//! conversion and float noise cannot move a row across an edge.

use serde::{Deserialize, Serialize};

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

/// The bins of one signal.
///
/// Numeric bins stand in the order `below`, the quantile bins from low to high, `above`, `missing`. A column without any value in
/// the reference has no edges; its bins are `present` and `missing`. A categorical feature has one bin per category, then `other`
/// for rare and unknown categories, then `missing`. Predicted classes have one bin per class and no others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bins {
    /// Half-open intervals `[edge, next edge)`; the first and last edge bound the reference range.
    Numeric {
        /// Ascending edges, in the unit of the signal.
        edges: Vec<f64>,
    },
    /// One bin per category, one for all other categories, and one for missing values.
    Categories {
        /// The categories that have a bin of their own.
        categories: Vec<String>,
    },
    /// One bin per class.
    Classes {
        /// The classes' names.
        labels: Vec<String>,
    },
}

impl Bins {
    /// Creates numeric bins at the quantiles of `values`. `None` is a missing value and has no influence on the edges.
    ///
    /// There is about one bin per 30 rows, at least 2 and at most 10. A column with many equal values has fewer bins, and a
    /// constant column has one. Values must be finite.
    pub fn of_values(values: &[Option<f64>]) -> Self {
        let mut sorted: Vec<f64> = values.iter().flatten().copied().collect();
        debug_assert!(sorted.iter().all(|v| v.is_finite()));
        sorted.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else {
            return Self::Numeric { edges: Vec::new() };
        };
        let grid = Grid::of(&sorted);
        let mut edges = vec![grid.below(min, max, sorted.len())];
        for target in cut_ranks(sorted.len()) {
            if let Some(rank) = nearest_step(&sorted, target, grid.noise()) {
                let edge = grid.between(sorted[rank - 1], sorted[rank]);
                if edges.last().is_none_or(|&last| edge > last) {
                    edges.push(edge);
                }
            }
        }
        edges.push(grid.above(min, max, sorted.len()));
        Self::Numeric { edges }
    }

    /// Returns the number of bins.
    pub fn len(&self) -> usize {
        match self {
            Self::Numeric { edges } => edges.len() + 2,
            Self::Categories { categories } => categories.len() + 2,
            Self::Classes { labels } => labels.len(),
        }
    }

    /// Returns the positions of the bins below and above the reference's range, if there is a range.
    pub fn beyond(&self) -> Vec<usize> {
        match self {
            Self::Numeric { edges } if !edges.is_empty() => vec![0, edges.len()],
            Self::Numeric { .. } | Self::Categories { .. } | Self::Classes { .. } => Vec::new(),
        }
    }

    /// Returns whether there are no bins, which is the case only for an empty list of classes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bin of a numeric value; `None` and NaN are missing.
    ///
    /// A category is given by its position; a position beyond the categories stands for any other category. A class is given by
    /// its position, too.
    ///
    /// ```
    /// let bins = drift::Bins::Numeric { edges: vec![0.5, 1.5, 2.5] };
    /// assert_eq!(bins.index(Some(0.0)), 0); // below
    /// assert_eq!(bins.index(Some(1.0)), 1);
    /// assert_eq!(bins.index(Some(3.0)), 3); // above
    /// assert_eq!(bins.index(None), 4); // missing
    /// ```
    #[inline]
    pub fn index(&self, value: Option<f64>) -> usize {
        match (self, value) {
            (Self::Numeric { edges }, Some(value)) if !value.is_nan() => {
                edges.iter().map(|&edge| usize::from(edge <= value)).sum()
            }
            (Self::Numeric { edges }, _) => edges.len() + 1,
            (Self::Categories { categories }, Some(value)) if !value.is_nan() => {
                (value as usize).min(categories.len())
            }
            (Self::Categories { categories }, _) => categories.len() + 1,
            (Self::Classes { labels }, value) => {
                let class = value.unwrap_or_default() as usize;
                debug_assert!(class < labels.len());
                class
            }
        }
    }

    /// Returns the bins' names, in their order; intervals are written `q1 [4.25, 5.05)`.
    pub fn labels(&self) -> Vec<String> {
        match self {
            Self::Classes { labels } => labels.clone(),
            Self::Categories { categories } => category_labels(categories),
            Self::Numeric { edges } if edges.is_empty() => vec!["present".into(), MISSING.into()],
            Self::Numeric { edges } => {
                // Numbers are padded with zeros, so that the names sort in the order of the values.
                let width = (edges.len() - 1).to_string().len();
                let quantiles = edges
                    .windows(2)
                    .enumerate()
                    .map(|(i, pair)| format!("q{:0width$} [{}, {})", i + 1, pair[0], pair[1]));
                std::iter::once("below".to_owned())
                    .chain(quantiles)
                    .chain(["above".to_owned(), MISSING.to_owned()])
                    .collect()
            }
        }
    }
}

/// The label of the bin for rare and unknown categories.
pub const OTHER: &str = "other";

/// The label of the bin for missing values.
pub const MISSING: &str = "missing";

/// The greatest length of a category's label, in characters. Longer names are cut.
const MAX_LABEL: usize = 64;

/// Returns the labels of a categorical signal's bins: distinct, and valid as the value of a metric label.
fn category_labels(categories: &[String]) -> Vec<String> {
    let mut labels: Vec<String> = Vec::with_capacity(categories.len() + 2);
    for category in categories {
        // The exporter merges repeated backslashes, and a newline would end the line of the metric.
        let valid = |c: char| if c.is_control() || c == '\\' { '_' } else { c };
        let mut label: String = category.chars().take(MAX_LABEL).map(valid).collect();
        while label == OTHER || label == MISSING || labels.contains(&label) {
            label = format!("category {label}");
        }
        labels.push(label);
    }
    labels.extend([OTHER.to_owned(), MISSING.to_owned()]);
    labels
}

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
fn cut_ranks(rows: usize) -> impl Iterator<Item = usize> {
    let bins = bin_count(rows);
    (1..bins).map(move |i| (i * rows + bins / 2) / bins)
}

/// Returns the rank nearest to `target` at which a value exceeds the one before it by more than `noise`, if there is such a rank.
fn nearest_step(sorted: &[f64], target: usize, noise: f64) -> Option<usize> {
    let steps = |rank: &usize| sorted[*rank] - sorted[rank - 1] > noise;
    let down = (1..=target.min(sorted.len() - 1)).rev().find(steps);
    let up = (target.max(1)..sorted.len()).find(steps);
    match (down, up) {
        (Some(down), Some(up)) => Some(if target - down <= up - target { down } else { up }),
        (found, None) | (None, found) => found,
    }
}

/// The values a column can take: steps of a power of ten, or any number.
enum Grid {
    Steps { per_unit: f64 },
    Continuous { noise: f64 },
}

impl Grid {
    fn of(values: &[f64]) -> Self {
        let greatest = values.iter().fold(0.0_f64, |greatest, value| greatest.max(value.abs()));
        decimals(values).map_or(Self::Continuous { noise: FLOAT_NOISE * greatest }, |decimals| Self::Steps {
            per_unit: 10f64.powi(decimals.into()),
        })
    }

    /// Returns the largest difference that counts as noise.
    fn noise(&self) -> f64 {
        match self {
            Self::Steps { .. } => 0.0,
            Self::Continuous { noise } => *noise,
        }
    }

    /// Returns an edge strictly between two neighbours `low < high`, halfway between two steps of the grid.
    fn between(&self, low: f64, high: f64) -> f64 {
        match self {
            Self::Steps { per_unit } => {
                let middle = (((low * per_unit).round() + (high * per_unit).round()) / 2.0).floor();
                (2.0 * middle + 1.0) / (2.0 * per_unit)
            }
            Self::Continuous { .. } => shortest_between(low, high),
        }
    }

    fn below(&self, min: f64, max: f64, rows: usize) -> f64 {
        match self {
            Self::Steps { per_unit } => (2.0 * (min * per_unit).round() - 1.0) / (2.0 * per_unit),
            Self::Continuous { noise } => shortest_between(min - margin(min, max, rows, *noise), min),
        }
    }

    fn above(&self, min: f64, max: f64, rows: usize) -> f64 {
        match self {
            Self::Steps { per_unit } => (2.0 * (max * per_unit).round() + 1.0) / (2.0 * per_unit),
            Self::Continuous { noise } => shortest_between(max, max + margin(min, max, rows, *noise)),
        }
    }
}

/// Returns the distance between the outermost values and the ends of the range: about the mean distance between neighbouring
/// values, and well above float noise.
fn margin(min: f64, max: f64, rows: usize, noise: f64) -> f64 {
    let spacing = max / rows as f64 - min / rows as f64;
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
    use super::*;
    use proptest::prelude::*;

    fn edges(values: &[f64]) -> Vec<f64> {
        let values: Vec<_> = values.iter().copied().map(Some).collect();
        match Bins::of_values(&values) {
            Bins::Numeric { edges } => edges,
            Bins::Categories { .. } | Bins::Classes { .. } => unreachable!(),
        }
    }

    #[test]
    fn rounded_data_gets_edges_between_its_steps() {
        let values: Vec<f64> = (0..60).map(|i| f64::from(40 + i) / 10.0).collect();
        assert_eq!(edges(&values), [3.95, 6.95, 9.95]);
    }

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
    fn equal_values_fall_into_the_same_bin() {
        let values: Vec<f64> = (0..300).map(|i| f64::from(i / 150)).collect();
        assert_eq!(edges(&values), [-0.5, 0.5, 1.5]);
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
        assert_eq!((tenths.below(-0.3, 0.7, 10), tenths.above(-0.3, 0.7, 10)), (-0.35, 0.75));
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
        assert_eq!(margin(0.0, 100.0, 10, 0.0), 10.0);
        assert_eq!(margin(-100.0, 100.0, 10, 0.0), 20.0);
        assert_eq!(margin(0.0, 100.0, 10, 0.1), 100.0);
        assert_eq!(margin(5.0, 5.0, 3, 0.0), f64::MIN_POSITIVE * 1e10);
        // The difference of the extremes would overflow.
        assert_eq!(margin(-f64::MAX, f64::MAX, 2, 0.0), f64::MAX);
    }

    #[test]
    fn only_numeric_signals_with_edges_have_bins_beyond_the_range() {
        let bins = |edges: &[f64]| Bins::Numeric { edges: edges.to_vec() };
        assert_eq!(bins(&[0.0, 1.0, 2.0]).beyond(), [0, 3]);
        let (without_values, none) = (bins(&[]), Bins::Classes { labels: Vec::new() });
        assert!(without_values.beyond().is_empty() && none.beyond().is_empty());
        assert!(none.is_empty() && !without_values.is_empty());
        assert_eq!((without_values.len(), bins(&[0.0, 1.0]).len()), (2, 4));
        assert_eq!(without_values.index(Some(f64::NAN)), 1);
    }

    #[test]
    fn other_values_of_a_constant_column_fall_outside_its_only_bin() {
        let bins = Bins::of_values(&[Some(7.0); 50]);
        assert_eq!(bins.labels(), ["below", "q1 [6.5, 7.5)", "above", "missing"]);
        assert_eq!(bins.index(Some(8.0)), 2);
    }

    #[test]
    fn a_column_without_values_has_the_bins_present_and_missing() {
        let bins = Bins::of_values(&[None; 50]);
        assert_eq!(bins.labels(), ["present", "missing"]);
        assert_eq!((bins.index(Some(3.0)), bins.index(None)), (0, 1));
    }

    #[test]
    fn continuous_edges_have_few_digits() {
        let thirds: Vec<f64> = (0..60).map(|i| f64::from(i) / 3.0).collect();
        let edges = edges(&thirds);
        assert_eq!(edges.len(), 3);
        assert!(edges.iter().all(|edge| edge.to_string().len() <= 6), "{edges:?}");
    }

    #[test]
    fn differences_within_float_noise_create_no_bins() {
        let values: Vec<f64> = (0..100).map(|i| 1.0 / 3.0 + f64::from(i) * 1e-15).collect();
        let edges = edges(&values);
        assert_eq!(edges.len(), 2, "{edges:?}");
        assert!(edges[0] < 1.0 / 3.0 - 1e-8 && edges[1] > 1.0 / 3.0 + 1e-8, "{edges:?}");
    }

    #[test]
    fn names_of_ten_bins_sort_in_the_order_of_the_bins() {
        let labels = Bins::of_values(&(0..400).map(|i| Some(f64::from(i))).collect::<Vec<_>>()).labels();
        let quantiles: Vec<_> = labels.iter().filter(|label| label.starts_with('q')).collect();
        assert_eq!(quantiles.len(), 10);
        assert!(quantiles.is_sorted());
        assert!(quantiles[0].starts_with("q01 ["));
        // Nine bins need no padding.
        let labels = Bins::of_values(&(0..270).map(|i| Some(f64::from(i))).collect::<Vec<_>>()).labels();
        assert!(labels[1].starts_with("q1 [") && labels[9].starts_with("q9 ["), "{labels:?}");
    }

    proptest! {
        #[test]
        fn no_value_lies_on_an_edge(
            values in prop::collection::vec(-1000i32..1000, 1..400),
            scale in prop::sample::select(vec![1.0, 10.0, 100.0, 3.0, 7.7]),
        ) {
            let values: Vec<f64> = values.into_iter().map(|v| f64::from(v) / scale).collect();
            let edges = edges(&values);
            prop_assert!(edges.is_sorted_by(|a, b| a < b), "{:?}", edges);
            prop_assert!(values.iter().all(|value| !edges.contains(value)));
            let bins = Bins::Numeric { edges };
            let outside = [0, bins.len() - 2, bins.len() - 1];
            prop_assert!(values.iter().all(|&value| !outside.contains(&bins.index(Some(value)))));
        }

        #[test]
        fn every_value_has_a_bin(values in prop::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite()), 1..100), probe in any::<f64>()) {
            let bins = Bins::of_values(&values.into_iter().map(Some).collect::<Vec<_>>());
            prop_assert!(bins.index(Some(probe)) < bins.len());
            prop_assert_eq!(bins.labels().len(), bins.len());
        }
    }

    #[test]
    fn unknown_categories_are_counted_as_other() {
        let categories = ["yes", "no"].map(str::to_owned).to_vec();
        let bins = Bins::Categories { categories };
        assert_eq!(
            [Some(0.0), Some(1.0), Some(2.0), Some(99.0), None].map(|value| bins.index(value)),
            [0, 1, 2, 2, 3]
        );
        assert_eq!(bins.labels(), ["yes", "no", "other", "missing"]);
        assert_eq!(bins.index(Some(f64::NAN)), 3);
        let three = Bins::Categories { categories: ["a", "b", "c"].map(str::to_owned).to_vec() };
        assert_eq!((three.len(), three.index(None)), (5, 4));
    }

    #[test]
    fn labels_of_categories_are_distinct_and_valid() {
        let long = "x".repeat(70);
        let categories =
            ["other", "category other", "missing", "a\\b\nc", &long, &long[..69]].map(str::to_owned).to_vec();
        let labels = Bins::Categories { categories }.labels();
        let x = "x".repeat(64);
        let expected = ["category other", "category category other", "category missing", "a_b_c", &x];
        assert_eq!(labels[..5], expected);
        assert_eq!(labels[5..], [format!("category {x}"), "other".to_owned(), "missing".to_owned()]);
    }
}
