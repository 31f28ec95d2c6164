//! Reads a table from CSV: features, one class column, a header. Columns of numbers are numeric, columns of text are categorical,
//! unless the options say otherwise. An empty cell is a missing value.
//!
//! The text is parsed twice. The first pass reads the classes, and finds the type of each column and what is wrong with it, so that one
//! error names all columns that cannot be used. The second pass reads the values.

mod class_forms;
mod classes;
mod column;
mod column_notes;
mod error;
mod first_reading;
mod layout;
mod options;
mod rows;
mod unfit;
mod useless;
mod value_forms;
mod values;

pub use error::CsvError;
pub use options::CsvOptions;
pub(crate) use values::{CATEGORY_ROWS, MAX_CATEGORIES, WEIGHT_ROWS};

use crate::{
    OtherCategory, Table,
    table::{Column, Notation},
};
use classes::check_classes;
use cli_io::{printable::quoted, table_lines::LineCounter};
use column::ColumnType;
use column_notes::ColumnNote;
use first_reading::{FirstReading, profile};
use layout::{Layout, layout};
use rows::{rows_of, without_mark};
use std::io::Read;
use unfit::{counted, drop_all, sentences};
use useless::{row_number_note, useless_columns};
use values::{OtherCategories, Values, read_values};

/// The limit for numbers. The squares of smaller numbers, and sums of many such squares, are finite.
const LARGEST: f64 = 1e150;

/// An `f64` cannot hold every integer above this.
const EXACT: f64 = (1_u64 << 53) as f64;

/// A table, with notes on its file.
#[derive(Debug)]
pub struct CsvTable {
    /// The table.
    pub table: Table,
    /// Sentences about what may be a mistake in the file.
    pub notes: Vec<String>,
}

/// A table for the reference of a model that was trained elsewhere.
#[derive(Debug, Clone)]
pub struct ReferenceTable {
    /// The file's name, for messages.
    pub file: String,
    /// The line of each row in the file.
    pub lines: Vec<u64>,
    /// The features.
    pub columns: Vec<Column>,
    /// The features' values, column by column, as in [`Table`].
    pub values: Vec<Vec<f64>>,
    /// The texts of the categories that have no bin of their own.
    pub others: Vec<OtherCategory>,
    /// The text of the target column in each row, if there is such a column.
    pub target: Option<Vec<String>>,
    /// The texts of the columns that were kept as text, column by column.
    pub aside: Vec<Vec<String>>,
    /// The target column and the missing values of the file.
    pub notation: Notation,
    /// Sentences about what may be a mistake in the file.
    pub notes: Vec<String>,
}

/// Reads a table whose target column holds the class.
///
/// Classes are sorted, and so are categories: by value when all are integers, by name otherwise. The memory holds the whole text,
/// 8 bytes per value, and up to 100,000 different texts per column of text.
///
/// # Errors
/// Returns a [`CsvError`], which names the file, the line and the column. `file` is only used for these messages.
pub fn read_csv(mut input: impl Read, file: &str, options: &CsvOptions) -> Result<CsvTable, CsvError> {
    let text = text_of(&mut input, file)?;
    let target = options.target.as_deref().unwrap_or_default();
    let target_error =
        |problem| CsvError::Target { file: file.to_owned(), column: target.to_owned(), problem };
    let FirstResult { layout, first, types, mut column_notes, mut notes } =
        first_result(&text, file, options)?;
    let (classes, labels) = first.classes.sorted(target, &mut notes).map_err(target_error)?;
    check_classes(&classes, &labels).map_err(target_error)?;
    let columns: Vec<usize> = layout.features().collect();
    let Values { columns: described, values, .. } = read_values(
        &text,
        options,
        &layout,
        &columns,
        &types,
        &first.profiles,
        first.rows,
        OtherCategories::Weighted { classes: classes.len() },
        &mut column_notes,
    );
    let (useless, constant) = useless_columns(&layout, &columns, &types, &first.profiles, &values);
    column_notes.extend(useless);
    notes.extend(column_notes::sentences(&column_notes));
    notes.extend(constant);
    let table = Table { columns: described, classes, values, labels, notation: notation(options) };
    Ok(CsvTable { table, notes })
}

/// Reads a table for the reference of a model that was trained elsewhere.
///
/// # Errors
/// Returns the errors of [`read_csv`].
pub fn read_reference(
    mut input: impl Read,
    file: &str,
    options: &CsvOptions,
) -> Result<ReferenceTable, CsvError> {
    let text = text_of(&mut input, file)?;
    let FirstResult { layout, first, types, mut column_notes, mut notes } =
        first_result(&text, file, options)?;
    let columns: Vec<usize> = layout.features().collect();
    let Values { columns: described, values, others } = read_values(
        &text,
        options,
        &layout,
        &columns,
        &types,
        &first.profiles,
        first.rows,
        OtherCategories::Texts,
        &mut column_notes,
    );
    notes.extend(column_notes::sentences(&column_notes));
    let mut target = layout.target.map(|_| Vec::with_capacity(first.rows));
    let mut aside: Vec<Vec<String>> = vec![Vec::with_capacity(first.rows); layout.aside.len()];
    let (mut lines, mut counter) = (Vec::with_capacity(first.rows), LineCounter::new(without_mark(&text)));
    rows_of(&text, options, &layout, |record| {
        lines.push(record.position().map_or(0, |position| counter.line_of(position.byte())));
        if let (Some(texts), Some(at)) = (&mut target, layout.target) {
            texts.push(record[at].trim().to_owned());
        }
        for (texts, &at) in aside.iter_mut().zip(&layout.aside) {
            texts.push(record[at].trim().to_owned());
        }
    });
    let notation = notation(options);
    let file = file.to_owned();
    Ok(ReferenceTable { file, lines, columns: described, values, others, target, aside, notation, notes })
}

impl ReferenceTable {
    /// Returns where a row stands, as `table.csv:12`.
    pub fn place(&self, row: usize) -> String {
        match self.lines.get(row) {
            Some(line) => format!("{}:{line}", self.file),
            None => self.file.clone(),
        }
    }

    /// Returns notes on columns that seem to have row numbers, in which other rows always differ from those of the table.
    pub fn row_number_notes(&self) -> Vec<String> {
        let numeric = self.columns.iter().zip(&self.values).filter(|(column, _)| column.categories.is_none());
        let notes = numeric.filter_map(|(column, values)| row_number_note(&column.name, values));
        column_notes::sentences(&notes.collect::<Vec<_>>())
    }
}

fn text_of(input: &mut impl Read, file: &str) -> Result<Vec<u8>, CsvError> {
    let mut text = Vec::new();
    input.read_to_end(&mut text).map_err(|source| CsvError::Unreadable { file: file.to_owned(), source })?;
    Ok(text)
}

fn notation(options: &CsvOptions) -> Notation {
    Notation { target: options.target.clone(), missing: options.missing.clone() }
}

/// The results of the first pass over a table whose columns can all be used.
struct FirstResult {
    layout: Layout,
    first: FirstReading,
    /// The types of the features.
    types: Vec<ColumnType>,
    column_notes: Vec<ColumnNote>,
    notes: Vec<String>,
}

/// Reads a table in the first pass and decides on the type of each feature.
fn first_result(text: &[u8], file: &str, options: &CsvOptions) -> Result<FirstResult, CsvError> {
    let layout = layout(text, file, options)?;
    let first = profile(text, file, options, &layout)?;
    let (mut unfit, mut types) = (Vec::new(), Vec::new());
    let (mut column_notes, mut notes) = (Vec::new(), Vec::new());
    if first.unlabelled.rows > 0 {
        let target = options.target.as_deref().unwrap_or_default();
        if options.drop_unlabelled {
            let rows =
                counted(first.unlabelled.rows, "row has no class and is", "rows have no class and are");
            notes.push(format!("column {}: {rows} left out", quoted(target)));
        } else {
            unfit.push((target, first.unlabelled.unfit()));
        }
    }
    for at in layout.features() {
        let name = &layout.header[at];
        match first.profiles[at].decide(name) {
            Ok(decided) => {
                column_notes.extend(first.profiles[at].notes(name, decided));
                types.push(decided);
            }
            Err(problem) => unfit.push((name, problem)),
        }
    }
    if !unfit.is_empty() {
        let problems = sentences(file, &unfit).into_iter().chain(drop_all(&unfit)).collect();
        return Err(CsvError::Columns { columns: unfit.len(), problems });
    }
    if first.rows == 0 {
        let problem = "no row has a class; name another column with --target".into();
        let column = options.target.clone().unwrap_or_default();
        return Err(CsvError::Target { file: file.to_owned(), column, problem });
    }
    Ok(FirstResult { layout, first, types, column_notes, notes })
}

#[cfg(test)]
mod tests;
