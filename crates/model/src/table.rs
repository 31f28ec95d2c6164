//! Rows to learn from, already checked: every row has every column, every number is finite, every class is known.

/// A table of numeric features and one class per row.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The features' names and units.
    pub columns: Vec<Column>,
    /// Class names, in the order in which models number them.
    pub classes: Vec<String>,
    /// Feature values, row by row; `None` is missing.
    pub rows: Vec<Vec<Option<f64>>>,
    /// Each row's position in `classes`.
    pub labels: Vec<usize>,
}

/// A feature column as the data set names it.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Name, unique in the table.
    pub name: String,
    /// Unit, where the data set gives one.
    pub unit: Option<String>,
    /// A range of values far outside the data, if the data set names one.
    pub extreme: Option<[f64; 2]>,
}

impl Column {
    /// Returns a column of which nothing but the name is known.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), unit: None, extreme: None }
    }
}

impl Table {
    /// Returns the values of one column, row by row.
    pub fn column(&self, feature: usize) -> Vec<Option<f64>> {
        self.rows.iter().map(|row| row[feature]).collect()
    }

    /// Returns how many rows each class has.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for &label in &self.labels {
            counts[label] += 1;
        }
        counts
    }
}
