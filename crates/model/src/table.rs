//! A table for training. It has been checked: every row has every column, every number is finite, and every class is known.

use serde::{Deserialize, Serialize};

/// A table of features and one class per row.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The features' names, types and units.
    pub columns: Vec<Column>,
    /// Class names, in the order in which models number them.
    pub classes: Vec<String>,
    /// Values column by column, one per row: a number, or the value of a category as in [`crate::card::Categorical`]. NaN is missing.
    pub values: Vec<Vec<f64>>,
    /// Each row's position in `classes`.
    pub labels: Vec<usize>,
    /// The target column and the missing values of the file that the table was read from.
    pub notation: Notation,
}

/// The target column and the missing values of the table that a model was trained on. Other tables are read in the same way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Notation {
    /// The name of the column with the true class, if it has one.
    pub target: Option<String>,
    /// Texts that stand for a missing value, in addition to the empty cell.
    pub missing: Vec<String>,
}

/// A feature column as the data set names it.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The column's name, which is unique in the table.
    pub name: String,
    /// The unit, if the data set gives one.
    pub unit: Option<String>,
    /// A range of values far outside the data, if the data set names one.
    pub extreme: Option<[f64; 2]>,
    /// The categories of a categorical column; `None` for numbers.
    pub categories: Option<Categories>,
}

/// The categories of a column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Categories {
    /// The categories that are frequent enough to have a bin and a weight of their own.
    pub known: Vec<String>,
    /// The categories in the bin `other` that are frequent enough to have a weight of their own. Their order is that of
    /// [`crate::card::Categorical::weighted`].
    pub weighted: Vec<String>,
    /// Some of the categories that have neither, the most frequent first.
    pub rare: Vec<String>,
}

impl Column {
    /// Returns a numeric column with only a name.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), unit: None, extreme: None, categories: None }
    }
}

impl Table {
    /// Returns a table of these rows.
    ///
    /// # Panics
    /// If a row does not have one value per column, or the numbers of rows and labels differ.
    pub fn from_rows(
        columns: Vec<Column>,
        classes: Vec<String>,
        rows: &[Vec<Option<f64>>],
        labels: Vec<usize>,
    ) -> Self {
        assert!(rows.iter().all(|row| row.len() == columns.len()), "one value per column");
        assert_eq!(rows.len(), labels.len(), "one label per row");
        let values = (0..columns.len())
            .map(|at| rows.iter().map(|row| row[at].unwrap_or(f64::NAN)).collect())
            .collect();
        Self { columns, classes, values, labels, notation: Notation::default() }
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Returns one row; `None` is missing.
    pub fn row(&self, row: usize) -> Vec<Option<f64>> {
        self.values.iter().map(|column| present(column[row])).collect()
    }

    /// Returns all rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Vec<Option<f64>>> + '_ {
        (0..self.len()).map(|row| self.row(row))
    }

    /// Returns the values of one column, row by row; `None` is missing.
    pub fn column(&self, feature: usize) -> Vec<Option<f64>> {
        self.values[feature].iter().map(|&value| present(value)).collect()
    }

    /// Returns the number of rows of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for &label in &self.labels {
            counts[label] += 1;
        }
        counts
    }
}

/// Returns a value, unless it is missing.
pub(crate) fn present(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_have_the_same_values() {
        let rows = [vec![Some(1.0), None], vec![Some(3.0), Some(4.0)], vec![None, Some(6.0)]];
        let columns = vec![Column::named("a"), Column::named("b")];
        let table = Table::from_rows(columns, vec!["x".into(), "y".into()], &rows, vec![1, 0, 1]);
        assert_eq!((table.len(), table.is_empty()), (3, false));
        assert_eq!(table.rows().collect::<Vec<_>>(), rows);
        assert_eq!(table.row(1), rows[1]);
        assert_eq!(table.column(1), [None, Some(4.0), Some(6.0)]);
        assert_eq!(table.class_counts(), [1, 2]);
        let empty = Table::from_rows(vec![Column::named("a")], Vec::new(), &[], Vec::new());
        assert!(empty.is_empty() && empty.rows().len() == 0);
    }
}
