//! Reads a table from CSV: numeric columns, one class column, a header. Whatever is wrong is named by file, line and
//! column, with what to do about it. An empty cell is a missing value.

use crate::{
    Table,
    card::{OUTPUT_SIGNALS, is_label},
    table::Column,
};
use cli_io::printable::{MOST_QUOTED, printable, quoted};
use std::{collections::BTreeSet, io::Read};
use thiserror::Error;

/// A classifier with more classes than this is mostly a wrong target column, and each class is a metric label.
const MAX_CLASSES: usize = 100;

/// Squares of numbers below this, and sums of many, are finite.
const LARGEST: f64 = 1e150;

/// What is wrong with a CSV file, and where.
#[derive(Debug, Error)]
pub enum CsvError {
    /// The file as a whole.
    #[error("{file}:1: {problem}")]
    Header {
        /// The file's name.
        file: String,
        /// What is wrong and how to fix it.
        problem: String,
    },
    /// A row, or one cell of it.
    #[error("{file}:{line}: {problem}")]
    Row {
        /// The file's name.
        file: String,
        /// Line in the file, from 1.
        line: u64,
        /// The cell's column, what is wrong and how to fix it.
        problem: String,
    },
    /// The column of classes as a whole.
    #[error("{file}: column {column:?}: {problem}")]
    Target {
        /// The file's name.
        file: String,
        /// The target column.
        column: String,
        /// What is wrong and how to fix it.
        problem: String,
    },
}

/// Reads a table whose column `target` holds the class and whose other columns hold numbers.
///
/// Classes are sorted: by value when all are integers, by name otherwise.
///
/// # Errors
/// [`CsvError`] names `file`, which is only used for that, the line and the column.
pub fn read_csv(input: impl Read, file: &str, target: &str) -> Result<Table, CsvError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(input);
    let header_error = |problem: String| CsvError::Header { file: file.to_owned(), problem };
    let row_error = |line: u64, problem: String| CsvError::Row { file: file.to_owned(), line, problem };

    let header: Vec<String> = reader
        .headers()
        .map_err(|error| header_error(problem_of("the header", &error)))?
        .iter()
        .map(|name| name.trim_start_matches('\u{feff}').to_owned())
        .collect();
    let target_at = check_header(&header, target).map_err(header_error)?;

    let mut cells: Vec<Vec<Option<f64>>> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            row_error(line, problem_of("the row", &error))
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != header.len() {
            let problem = format!("{} fields, but the header has {}", record.len(), header.len());
            return Err(row_error(line, problem));
        }
        let mut row = Vec::with_capacity(header.len() - 1);
        for (at, (cell, column)) in record.iter().zip(&header).enumerate() {
            if at != target_at {
                row.push(
                    number(cell).map_err(|problem| {
                        row_error(line, format!("column {}: {problem}", quoted(column)))
                    })?,
                );
            } else if cell.is_empty() {
                let problem =
                    format!("column {}: the class is missing; label the row or remove it", quoted(column));
                return Err(row_error(line, problem));
            } else {
                names.push(cell.to_owned());
            }
        }
        cells.push(row);
    }
    if cells.is_empty() {
        return Err(header_error("there is a header but no rows below it".into()));
    }
    let classes = sorted_classes(&names);
    let target_error =
        |problem| CsvError::Target { file: file.to_owned(), column: target.to_owned(), problem };
    check_classes(&classes, &names).map_err(target_error)?;

    let labels = names.iter().filter_map(|name| classes.iter().position(|class| class == name)).collect();
    let columns = header.iter().enumerate().filter(|&(at, _)| at != target_at);
    let columns = columns.map(|(_, name)| Column::named(name)).collect();
    Ok(Table { columns, classes, rows: cells, labels })
}

/// Returns what is wrong with a part of the file that the reader could not read.
fn problem_of(part: &str, error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => format!("{part} is not UTF-8; save the file in that encoding"),
        _ => format!("cannot read {part}: {error}"),
    }
}

fn check_header(header: &[String], target: &str) -> Result<usize, String> {
    if header.iter().all(String::is_empty) {
        return Err("the file is empty: it needs a header and rows".into());
    }
    if header.len() == 1 && header[0].contains([';', '\t']) {
        return Err(format!("one column, {}: fields must be separated by commas", quoted(&header[0])));
    }
    let Some(target_at) = header.iter().position(|name| name == target) else {
        let columns: Vec<String> = header.iter().map(|name| printable(name, MOST_QUOTED)).collect();
        return Err(format!("no column {target:?} to predict; the columns are {}", columns.join(", ")));
    };
    if header.len() == 1 {
        return Err(format!("column {target:?} is the only one: there is nothing to predict it from"));
    }
    for (at, name) in header.iter().enumerate() {
        let problem = if name.is_empty() {
            "has no name"
        } else if !is_label(name) {
            "has a control character or a backslash in its name"
        } else if header[..at].contains(name) {
            "has the name of an earlier column"
        } else if at != target_at && OUTPUT_SIGNALS.contains(&name.as_str()) {
            "has the name of a signal that every model gives off; rename it"
        } else {
            continue;
        };
        return Err(format!("column {} ({}) {problem}", at + 1, quoted(name)));
    }
    Ok(target_at)
}

/// Returns a cell's number; nothing at all is a missing value.
fn number(cell: &str) -> Result<Option<f64>, String> {
    if cell.is_empty() {
        return Ok(None);
    }
    match cell.parse::<f64>() {
        Ok(number) if number.abs() < LARGEST => Ok(Some(number)),
        Ok(number) if number.is_finite() => {
            Err(format!("{} is too large; numbers must be below {LARGEST:e}", quoted(cell)))
        }
        Ok(_) => Err(format!(
            "{} is not a finite number; leave the cell empty if the value is missing",
            quoted(cell)
        )),
        Err(_) => Err(format!("{} is not a number; drop the column or encode it as numbers", quoted(cell))),
    }
}

fn sorted_classes(names: &[String]) -> Vec<String> {
    let mut classes: Vec<String> = names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    if classes.iter().all(|class| class.parse::<i64>().is_ok()) {
        classes.sort_by_key(|class| class.parse::<i64>().unwrap_or_default());
    }
    classes
}

fn check_classes(classes: &[String], names: &[String]) -> Result<(), String> {
    if classes.len() == 1 {
        return Err(format!("every row is {}: a classifier needs at least two classes", quoted(&classes[0])));
    }
    if classes.len() > MAX_CLASSES {
        return Err(format!(
            "{} different values: at most {MAX_CLASSES} classes are possible; is it the right column?",
            classes.len()
        ));
    }
    if let Some(lonely) = classes.iter().find(|class| names.iter().filter(|name| name == class).count() < 2) {
        return Err(format!("class {} has a single row: each class needs at least two", quoted(lonely)));
    }
    if let Some(odd) = classes.iter().find(|class| !is_label(class)) {
        return Err(format!("class {} has a control character or a backslash in its name", quoted(odd)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        read_csv(text.as_bytes(), "data.csv", "class").unwrap_err().to_string()
    }

    #[test]
    fn reads_numbers_classes_and_gaps() {
        let text = "\u{feff}a, class ,b\n1,x,2.5\n3e1,y,\n5,x,6\n7,y,8\n";
        let table = read_csv(text.as_bytes(), "data.csv", "class").unwrap();
        assert_eq!(table.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(table.rows[1], [Some(30.0), None]);
        assert_eq!(table.labels, [0, 1, 0, 1]);
    }

    #[test]
    fn integer_classes_are_numbered_by_value() {
        let text = "a,class\n1,10\n2,9\n3,10\n4,9\n";
        assert_eq!(read_csv(text.as_bytes(), "d", "class").unwrap().classes, ["9", "10"]);
    }

    #[test]
    fn names_file_line_and_column_of_every_fault() {
        let cases = [
            ("", "data.csv:1: the file is empty"),
            ("a,class\n", "data.csv:1: there is a header but no rows"),
            ("a,b\n1,2\n", "data.csv:1: no column \"class\" to predict; the columns are a, b"),
            ("class\nx\n", "data.csv:1: column \"class\" is the only one"),
            ("a;class\n1;x\n", "data.csv:1: one column, \"a;class\": fields must be separated by commas"),
            ("a,a,class\n1,2,x\n", "data.csv:1: column 2 (\"a\") has the name of an earlier column"),
            ("distance,class\n1,x\n", "data.csv:1: column 1 (\"distance\") has the name of a signal"),
            ("a,,class\n1,2,x\n", "data.csv:1: column 2 (\"\") has no name"),
            ("a,class\n1,x\n2,y,3\n", "data.csv:3: 3 fields, but the header has 2"),
            ("a,class\n1,x\nblue,y\n", "data.csv:3: column \"a\": \"blue\" is not a number"),
            ("a,class\n1,x\nNaN,y\n", "data.csv:3: column \"a\": \"NaN\" is not a finite number"),
            (
                "a,class\n1,x\n-1e200,y\n",
                "data.csv:3: column \"a\": \"-1e200\" is too large; numbers must be below 1e150",
            ),
            ("a,class\n1,x\n1e999,y\n", "data.csv:3: column \"a\": \"1e999\" is not a finite number"),
            ("a,class\n1,x\n2,\n", "data.csv:3: column \"class\": the class is missing"),
            ("a,class\n1,x\n2,x\n", "data.csv: column \"class\": every row is \"x\""),
            ("a\\b,class\n1,x\n", "data.csv:1: column 1 (\"a\\\\b\") has a control character or a backslash"),
            (
                "a,class\n1,x\\y\n2,x\\y\n3,z\n4,z\n",
                "data.csv: column \"class\": class \"x\\\\y\" has a control",
            ),
            ("a,class\n1,x\n2,x\n3,y\n", "data.csv: column \"class\": class \"y\" has a single row"),
        ];
        for (text, expected) in cases {
            let got = error(text);
            assert!(got.starts_with(expected), "{text:?}\n  gave {got}");
        }
        let unclosed = format!("a,class\n1,x\n\"2,y\n{}", "3,x\n".repeat(300_000));
        assert!(error(&unclosed).len() < 200, "{} bytes", error(&unclosed).len());
        let many: String = (0..202).map(|i| format!("{i},c{}\n", i / 2)).collect();
        assert!(error(&format!("a,class\n{many}")).contains("at most 100 classes"));
        let invalid = read_csv(&b"a,class\n1,x\n\xff,y\n"[..], "data.csv", "class").unwrap_err();
        assert!(
            invalid.to_string().starts_with("data.csv:3: the row is not UTF-8; save the file"),
            "{invalid}"
        );
        let invalid = read_csv(&b"\xe9,class\n1,x\n"[..], "data.csv", "class").unwrap_err();
        assert!(
            invalid.to_string().starts_with("data.csv:1: the header is not UTF-8; save the file"),
            "{invalid}"
        );
    }
}
