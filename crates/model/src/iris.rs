//! Fisher's Iris data set, from the copy in smartcore, without duplicate rows.
//!
//! This and the shipped scenarios are the only places that know about Iris.

use crate::{
    Table,
    table::{Column, Notation},
};

/// Ranges in cm above all Iris flowers, one per feature, for the drift preset `giant`.
const GIANTS: [[f64; 2]; 4] = [[8.0, 10.0], [4.5, 6.0], [7.0, 9.0], [3.0, 5.0]];

/// Returns the 147 distinct rows of the data set: four sizes in cm, three species.
///
/// Duplicate rows are left out, because a held-out copy of a fitted row would make the held-out score too high.
pub fn table() -> Table {
    let data = smartcore::dataset::iris::load_dataset();
    let mut rows: Vec<Vec<Option<f64>>> = Vec::new();
    let mut labels = Vec::new();
    for (cells, &label) in data.data.chunks_exact(data.num_features).zip(&data.target) {
        let row: Vec<_> = cells.iter().map(|&cell| Some(widen(cell))).collect();
        let label = label as usize;
        if !rows.iter().zip(&labels).any(|(known, &other)| *known == row && other == label) {
            rows.push(row);
            labels.push(label);
        }
    }
    let columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
        .iter()
        .zip(GIANTS)
        .map(|(name, extreme)| Column {
            unit: Some("cm".into()),
            extreme: Some(extreme),
            ..Column::named(name)
        })
        .collect();
    let notation = Notation { target: Some("species".into()), missing: Vec::new() };
    Table { notation, ..Table::from_rows(columns, data.target_names, &rows, labels) }
}

/// Returns the decimal number that an `f32` was read from: 5.1, not 5.099999904632568.
fn widen(value: f32) -> f64 {
    let Ok(widened) = value.to_string().parse() else { unreachable!("a number's own text parses") };
    widened
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_iris_data_set_without_duplicates() {
        let table = table();
        assert_eq!(table.row(0), [5.1, 3.5, 1.4, 0.2].map(Some));
        assert_eq!(table.classes, ["setosa", "versicolor", "virginica"]);
        let counts = table.class_counts();
        assert_eq!(counts.iter().sum::<usize>(), table.len());
        assert_eq!(counts, [48, 50, 49]);
    }
}
