//! Errors in a CSV file. The code that finds a fault writes the sentence about it.

use std::fmt::Write;
use thiserror::Error;

/// An error in a CSV file.
#[derive(Debug, Error)]
pub enum CsvError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Unreadable {
        /// The file's name.
        file: String,
        /// The reason.
        source: std::io::Error,
    },
    /// There is an error in the header, or in the file as a whole.
    #[error("{file}:1: {problem}")]
    Header {
        /// The file's name.
        file: String,
        /// What is wrong and how to fix it.
        problem: String,
    },
    /// There is an error in a row.
    #[error("{file}:{line}: {problem}")]
    Row {
        /// The file's name.
        file: String,
        /// Line in the file, from 1.
        line: u64,
        /// What is wrong and how to fix it.
        problem: String,
    },
    /// Some columns cannot be used.
    #[error("{}", lines(*columns, problems))]
    Columns {
        /// The number of these columns.
        columns: usize,
        /// One sentence per fault, which names the file, the line and the columns, and one with the flags that leave out several columns.
        problems: Vec<String>,
    },
    /// There is an error in the target column as a whole.
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

fn lines(columns: usize, problems: &[String]) -> String {
    match problems {
        [one] => one.clone(),
        many => many.iter().fold(format!("{columns} columns cannot be used:"), |mut text, problem| {
            let _ = write!(text, "\n  {problem}");
            text
        }),
    }
}
