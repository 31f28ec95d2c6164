//! What is wrong with a CSV file, and where. The sentences are made where the fault is found.

use std::fmt::Write;
use thiserror::Error;

/// What is wrong with a CSV file, and where.
#[derive(Debug, Error)]
pub enum CsvError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Unreadable {
        /// The file's name.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The header, or the file as a whole.
    #[error("{file}:1: {problem}")]
    Header {
        /// The file's name.
        file: String,
        /// What is wrong and how to fix it.
        problem: String,
    },
    /// A row.
    #[error("{file}:{line}: {problem}")]
    Row {
        /// The file's name.
        file: String,
        /// Line in the file, from 1.
        line: u64,
        /// What is wrong and how to fix it.
        problem: String,
    },
    /// Columns that cannot be used.
    #[error("{}", lines(*columns, problems))]
    Columns {
        /// How many columns they are.
        columns: usize,
        /// One sentence per fault, which names the file, the line and the columns.
        problems: Vec<String>,
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

fn lines(columns: usize, problems: &[String]) -> String {
    match problems {
        [one] => one.clone(),
        many => many.iter().fold(format!("{columns} columns do not fit:"), |mut text, problem| {
            let _ = write!(text, "\n  {problem}");
            text
        }),
    }
}
