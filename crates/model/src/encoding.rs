//! Encodes rows for the weights and the distance: a number is standardised, and a category becomes one column of 0 or 1 per bin of
//! its signal. The weights have further columns after these, one for each category that has a weight but no bin.

use crate::{Feature, card::Values};

/// How one numeric feature is standardised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaling {
    /// The mean, which is subtracted from a value and replaces a missing one.
    pub mean: f64,
    /// The standard deviation, by which the difference is divided.
    pub sd: f64,
}

impl Scaling {
    /// Returns the mean and the standard deviation of some values. Missing ones (NaN) are left out.
    pub(crate) fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let present = values.filter(|value| !value.is_nan());
        let count = present.clone().count() as f64;
        if count == 0.0 {
            return Self { mean: 0.0, sd: 1.0 };
        }
        let mean = present.clone().sum::<f64>() / count;
        let largest = present.clone().fold(0.0_f64, |largest, value| largest.max((value - mean).abs()));
        if largest == 0.0 {
            return Self { mean, sd: 1.0 };
        }
        // The squares of differences as small as 1e-200 would be 0, so the differences are divided by the largest one.
        let variance = present.map(|value| ((value - mean) / largest).powi(2)).sum::<f64>() / count;
        Self { mean, sd: largest * variance.sqrt() }
    }

    /// Returns the distance of a value from the mean in standard deviations. A missing value is replaced by the mean, so it is 0.
    pub fn apply(self, value: Option<f64>) -> f64 {
        value.map_or(0.0, |value| (value - self.mean) / self.sd)
    }
}

/// The encoded columns of one feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Slot {
    /// A number has one column.
    Numeric(Scaling),
    /// A categorical feature has one column per category, one for other categories, and one for missing values. For the weights,
    /// the weighted ones of the other categories have columns of their own.
    Categorical { categories: usize, weighted: usize },
}

impl Slot {
    /// Returns the number of columns.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Numeric(_) => 1,
            Self::Categorical { categories, .. } => categories + 2,
        }
    }

    /// Returns the position of the column of a categorical feature that is 1.
    pub(crate) fn active(categories: usize, value: Option<f64>) -> usize {
        value.map_or(categories + 1, |value| (value as usize).min(categories))
    }

    /// Returns the position of a category among the weighted ones of a feature, if it is one of them.
    pub(crate) fn weighted(categories: usize, weighted: usize, value: Option<f64>) -> Option<usize> {
        (value? as usize).checked_sub(categories + 1).filter(|&at| at < weighted)
    }

    /// Returns the number of columns that only the weights have.
    pub(crate) fn weighted_width(self) -> usize {
        match self {
            Self::Numeric(_) => 0,
            Self::Categorical { weighted, .. } => weighted,
        }
    }
}

/// The encoding of a model's rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoding {
    slots: Vec<Slot>,
}

impl Encoding {
    /// Returns the encoding for these features.
    pub fn new(features: &[Feature]) -> Self {
        let slots = features.iter().map(|feature| match &feature.values {
            Values::Numeric(numeric) => Slot::Numeric(Scaling { mean: numeric.mean, sd: numeric.sd }),
            Values::Categorical(categorical) => Slot::Categorical {
                categories: categorical.categories.len(),
                weighted: categorical.weighted.len(),
            },
        });
        Self { slots: slots.collect() }
    }

    pub(crate) fn of_slots(slots: Vec<Slot>) -> Self {
        Self { slots }
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Returns the number of features.
    pub fn features(&self) -> usize {
        self.slots.len()
    }

    /// Returns the number of encoded columns.
    pub fn width(&self) -> usize {
        self.slots.iter().map(|slot| slot.width()).sum()
    }

    /// Returns the number of columns that have weights: the encoded ones, and then those of the weighted categories.
    pub fn weights_width(&self) -> usize {
        self.width() + self.slots.iter().map(|slot| slot.weighted_width()).sum::<usize>()
    }

    /// Encodes a row for the weights. Replaces the content of `encoded` by the encoded columns, and that of `weighted` by the
    /// positions of the columns after them that are 1.
    pub(crate) fn encode_for_weights(
        &self,
        row: &[Option<f64>],
        encoded: &mut Vec<f64>,
        weighted: &mut Vec<usize>,
    ) {
        self.encode(row, encoded);
        weighted.clear();
        let (mut start, mut first) = (0, encoded.len());
        for (slot, &value) in self.slots.iter().zip(row) {
            if let Slot::Categorical { categories, weighted: count } = *slot
                && let Some(at) = Slot::weighted(categories, count, value)
            {
                encoded[start + categories] = 0.0;
                weighted.push(first + at);
            }
            start += slot.width();
            first += slot.weighted_width();
        }
    }

    /// Encodes a row and replaces the content of `encoded` by it.
    pub fn encode(&self, row: &[Option<f64>], encoded: &mut Vec<f64>) {
        encoded.clear();
        for (slot, &value) in self.slots.iter().zip(row) {
            match *slot {
                Slot::Numeric(scaling) => encoded.push(scaling.apply(value)),
                Slot::Categorical { categories, .. } => {
                    let start = encoded.len();
                    encoded.resize(start + categories + 2, 0.0);
                    encoded[start + Slot::active(categories, value)] = 1.0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_standardised_and_categories_become_columns() {
        let encoding = Encoding::of_slots(vec![
            Slot::Numeric(Scaling { mean: 10.0, sd: 2.0 }),
            Slot::Categorical { categories: 2, weighted: 0 },
        ]);
        assert_eq!((encoding.features(), encoding.width(), encoding.weights_width()), (2, 5, 5));
        let encoded = |row: [Option<f64>; 2]| {
            let mut encoded = vec![7.0];
            encoding.encode(&row, &mut encoded);
            encoded
        };
        assert_eq!(encoded([Some(13.0), Some(1.0)]), [1.5, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(encoded([None, Some(0.0)]), [0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(encoded([None, Some(2.0)]), [0.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(encoded([None, Some(50.0)]), [0.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(encoded([None, None]), [0.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn weighted_categories_have_columns_for_the_weights_only() {
        let categorical = |categories, weighted| Slot::Categorical { categories, weighted };
        let encoding = Encoding::of_slots(vec![
            categorical(1, 2),
            Slot::Numeric(Scaling { mean: 0.0, sd: 1.0 }),
            categorical(2, 3),
        ]);
        assert_eq!((encoding.width(), encoding.weights_width()), (8, 13));
        let both = |row: [Option<f64>; 3]| {
            let (mut encoded, mut weighted) = (vec![7.0], vec![7]);
            encoding.encode(&row, &mut encoded);
            let distance = encoded.clone();
            encoding.encode_for_weights(&row, &mut encoded, &mut weighted);
            (distance, encoded, weighted)
        };
        let other = vec![0.0, 1.0, 0.0, 5.0, 0.0, 0.0, 1.0, 0.0];
        // Any other category, and values beyond the last weighted one, have the column of the other categories.
        for [a, b] in [[1.0, 2.0], [4.0, 6.0]] {
            let unknown = both([Some(a), Some(5.0), Some(b)]);
            assert_eq!(unknown, (other.clone(), other.clone(), vec![]));
        }
        let weights = vec![0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(both([Some(3.0), Some(5.0), Some(3.0)]), (other.clone(), weights.clone(), vec![9, 10]));
        assert_eq!(both([Some(2.0), Some(5.0), Some(5.0)]), (other, weights, vec![8, 12]));
        let known = vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        assert_eq!(both([Some(0.0), None, None]), (known.clone(), known, vec![]));
    }

    #[test]
    fn scaling_leaves_missing_values_out() {
        let scaling = Scaling::of([1.0, f64::NAN, 3.0].into_iter());
        assert_eq!(scaling, Scaling { mean: 2.0, sd: 1.0 });
        assert_eq!(Scaling::of([f64::NAN].into_iter()), Scaling { mean: 0.0, sd: 1.0 });
        assert_eq!(Scaling::of([4.0, 4.0].into_iter()), Scaling { mean: 4.0, sd: 1.0 });
        // numpy.std([0, 0, 0, 4])
        let uneven = Scaling::of([0.0, 0.0, 0.0, 4.0].into_iter());
        assert!(uneven.mean == 1.0 && (uneven.sd - 1.7320508075688772).abs() < 1e-15, "{uneven:?}");
        let tiny = Scaling::of([1e-200, 3e-200].into_iter());
        assert!((tiny.sd / 1e-200 - 1.0).abs() < 1e-12);
    }
}
