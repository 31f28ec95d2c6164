//! Reads a table from CSV: features, one class column, a header. Columns of numbers are numeric, columns of text are categorical,
//! unless the options say otherwise. An empty cell is a missing value.
//!
//! The text is parsed twice: the first pass reads the classes and finds the type of each column and everything that is wrong with it,
//! the second one reads the values. So one error names all columns that cannot be used.

mod class_forms;
mod classes;
mod column;
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
pub(crate) use values::{CATEGORY_ROWS, MAX_CATEGORIES};

use crate::{Table, table::Notation};
use classes::check_classes;
use cli_io::printable::quoted;
use first_reading::{FirstReading, profile};
use layout::layout;
use std::io::Read;
use unfit::{counted, sentences};
use useless::useless_columns;
use values::read_values;

/// The squares of numbers below this, and sums of many such squares, are finite.
const LARGEST: f64 = 1e150;

/// An `f64` cannot hold every integer above this.
const EXACT: f64 = (1_u64 << 53) as f64;

/// A table, with notes on the file that it was read from.
#[derive(Debug)]
pub struct CsvTable {
    /// The table.
    pub table: Table,
    /// What in the file may be a mistake, in sentences for people.
    pub notes: Vec<String>,
}

/// Reads a table whose target column holds the class.
///
/// Classes are sorted, and so are categories: by value when all are integers, by name otherwise. The memory holds the whole text,
/// 8 bytes per value, and up to 100,000 different texts per column of text.
///
/// # Errors
/// [`CsvError`] names the file, the line and the column. `file` is only used for these messages.
pub fn read_csv(mut input: impl Read, file: &str, options: &CsvOptions) -> Result<CsvTable, CsvError> {
    let mut text = Vec::new();
    input.read_to_end(&mut text).map_err(|source| CsvError::Unreadable { file: file.to_owned(), source })?;
    let layout = layout(&text, file, options)?;
    let FirstReading { profiles, classes, unlabelled } = profile(&text, file, options, &layout)?;
    let rows = classes.labels.len();
    let kept = || (0..layout.header.len()).filter(|&at| !layout.dropped[at] && at != layout.target);
    let (mut unfit, mut notes, mut types) = (Vec::new(), Vec::new(), Vec::new());
    if unlabelled.rows > 0 {
        if options.drop_unlabelled {
            let rows = counted(unlabelled.rows, "row has no class and is", "rows have no class and are");
            notes.push(format!("column {}: {rows} left out", quoted(&options.target)));
        } else {
            unfit.push((options.target.as_str(), unlabelled.unfit()));
        }
    }
    for at in kept() {
        let name = &layout.header[at];
        match profiles[at].decide(name) {
            Ok(decided) => {
                notes.extend(profiles[at].notes(name, Some(decided)));
                types.push(decided);
            }
            Err(problem) => unfit.push((name, problem)),
        }
    }
    if !unfit.is_empty() {
        return Err(CsvError::Columns { columns: unfit.len(), problems: sentences(file, &unfit) });
    }
    let target_error =
        |problem| CsvError::Target { file: file.to_owned(), column: options.target.clone(), problem };
    let (classes, labels) = classes.sorted(options, &mut notes).map_err(target_error)?;
    if rows == 0 {
        return Err(target_error("no row has a class; is it the right column?".into()));
    }
    check_classes(&classes, &labels).map_err(target_error)?;

    let columns: Vec<usize> = kept().collect();
    let (described, values) =
        read_values(&text, options, &layout, &columns, &types, &profiles, rows, &mut notes);
    notes.extend(useless_columns(&layout, &columns, &types, &profiles, &values));
    let notation = Notation { target: Some(options.target.clone()), missing: options.missing.clone() };
    Ok(CsvTable { table: Table { columns: described, classes, values, labels, notation }, notes })
}

#[cfg(test)]
mod tests;
