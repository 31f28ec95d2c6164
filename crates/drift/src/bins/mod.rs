//! The bins in which values are counted: quantiles of the reference, and bins for missing values and values out of range.
//!
//! Edges lie between the values that data can take (5.05 for data written to one decimal), so that rounding, unit
//! conversion and float noise cannot move a row across an edge. `edges` finds them.

mod edges;

pub use edges::decimals;

use edges::{Grid, cut_ranks, nearest_step};
use serde::{Deserialize, Serialize};

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
        Self::numeric(values, false)
    }

    /// Creates numeric bins of a measured feature: as [`Bins::of_values`] does, but if several values are equal to the outermost one,
    /// that is a bound of the feature, and the range ends right beside it. The outputs of a model have no such bounds, because other
    /// weights change equal outputs a little.
    pub fn of_feature(values: &[Option<f64>]) -> Self {
        Self::numeric(values, true)
    }

    fn numeric(values: &[Option<f64>], has_bounds: bool) -> Self {
        let mut sorted: Vec<f64> = values.iter().flatten().copied().collect();
        debug_assert!(sorted.iter().all(|v| v.is_finite()));
        sorted.sort_by(f64::total_cmp);
        if sorted.is_empty() {
            return Self::Numeric { edges: Vec::new() };
        }
        let grid = Grid::of(&sorted);
        let mut edges = vec![grid.below(&sorted, has_bounds)];
        for target in cut_ranks(sorted.len()) {
            if let Some(rank) = nearest_step(&sorted, target, grid.noise()) {
                let edge = grid.between(sorted[rank - 1], sorted[rank]);
                if edges.last().is_none_or(|&last| edge > last) {
                    edges.push(edge);
                }
            }
        }
        edges.push(grid.above(&sorted, has_bounds));
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn edges(values: &[f64]) -> Vec<f64> {
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
    fn equal_values_fall_into_the_same_bin() {
        let values: Vec<f64> = (0..300).map(|i| f64::from(i / 150)).collect();
        assert_eq!(edges(&values), [-0.5, 0.5, 1.5]);
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
