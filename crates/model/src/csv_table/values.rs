//! The second pass over a file: reads the values of the columns, whose types are known, and finds the categories.

use super::{
    CsvOptions,
    column::{ColumnType, Profile},
    layout::Layout,
    rows::{cell_of, is_missing, rows_of},
    unfit::counted,
};
use crate::{
    OtherCategory,
    table::{Categories, Column},
};
use cli_io::printable::quoted;
use std::collections::{BTreeSet, HashMap};

/// The number of rows from which on a category has a bin and a weight of its own; at most [`MAX_CATEGORIES`] of a column have them.
pub(crate) const CATEGORY_ROWS: usize = 10;
pub(crate) const MAX_CATEGORIES: usize = 64;

/// The greatest number of rare categories of a column that are kept as examples.
const MAX_RARE: usize = 5;

/// The columns of a table, with their values.
pub(super) struct Values {
    pub(super) columns: Vec<Column>,
    pub(super) values: Vec<Vec<f64>>,
    /// The texts of the categories that have no bin of their own, if the caller needs them.
    pub(super) others: Vec<OtherCategory>,
}

#[expect(clippy::too_many_arguments, reason = "the second pass uses all results of the first")]
pub(super) fn read_values(
    text: &[u8],
    options: &CsvOptions,
    layout: &Layout,
    columns: &[usize],
    types: &[ColumnType],
    profiles: &[Profile],
    rows: usize,
    with_others: bool,
    notes: &mut Vec<String>,
) -> Values {
    let mut values: Vec<Vec<f64>> = columns.iter().map(|_| Vec::with_capacity(rows)).collect();
    let mut known: Vec<HashMap<String, usize>> = Vec::new();
    let described = columns.iter().zip(types).map(|(&at, column_type)| {
        let categories = (*column_type == ColumnType::Categorical).then(|| {
            let (categories, others) = categories(&profiles[at]);
            if others > 0 {
                let own = match categories.known.len() {
                    0 => "no category has".to_owned(),
                    1 => "1 category has".to_owned(),
                    known => format!("{known} categories have"),
                };
                notes.push(format!(
                    "column {}: {own} a separate bin; {} (fewer than {CATEGORY_ROWS} rows, or not among the \
                     {MAX_CATEGORIES} most frequent) in the bin \"other\"",
                    quoted(&layout.header[at]),
                    counted(others, "rare one is", "rare ones are")
                ));
            }
            categories
        });
        let positions = categories.iter().flat_map(|own| own.known.iter().cloned().zip(0..));
        known.push(positions.collect());
        Column { categories, ..Column::named(&layout.header[at]) }
    });
    let described: Vec<Column> = described.collect();
    let mut others = Vec::new();
    rows_of(text, options, layout, |record| {
        let features = columns.iter().zip(types).zip(&mut values).zip(&known).enumerate();
        for (feature, (((&at, column_type), values), known)) in features {
            let cell = cell_of(&record[at], options);
            let value = match column_type {
                _ if is_missing(cell, options) => f64::NAN,
                ColumnType::Numeric => cell.parse().unwrap_or(f64::NAN),
                ColumnType::Categorical => known.get(cell).copied().unwrap_or(known.len()) as f64,
            };
            if with_others && *column_type == ColumnType::Categorical && value >= known.len() as f64 {
                others.push(OtherCategory { row: values.len(), feature, text: cell.into() });
            }
            values.push(value);
        }
    });
    Values { columns: described, values, others }
}

/// Returns the categories of a column, and the number of other categories.
fn categories(profile: &Profile) -> (Categories, usize) {
    let mut counts: Vec<(&String, usize)> = profile.texts().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let frequent =
        counts.iter().take(MAX_CATEGORIES).take_while(|(_, count)| *count >= CATEGORY_ROWS).count();
    let names =
        |counts: &[(&String, usize)]| counts.iter().map(|(name, _)| (*name).clone()).collect::<Vec<_>>();
    let rare = names(&counts[frequent..counts.len().min(frequent + MAX_RARE)]);
    (Categories { known: sorted(names(&counts[..frequent])), rare }, counts.len() - frequent)
}

/// Sorts names by value if all are integers, and otherwise by text.
pub(super) fn sorted(names: Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    if names.iter().all(|name| name.parse::<i64>().is_ok()) {
        names.sort_by_key(|name| name.parse::<i64>().unwrap_or_default());
    }
    names
}
