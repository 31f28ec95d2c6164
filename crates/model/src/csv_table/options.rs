//! How a table is read.

/// How to read a table.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvOptions {
    /// The column that holds the class.
    pub target: String,
    /// Columns to read as numbers.
    pub numeric: Vec<String>,
    /// Columns to read as categories, whatever they look like.
    pub categorical: Vec<String>,
    /// Columns to leave out.
    pub drop: Vec<String>,
    /// Texts that stand for a missing value, beside the empty cell.
    pub missing: Vec<String>,
    /// Whether to leave out the rows that have no class. They are an error otherwise.
    pub drop_unlabelled: bool,
    /// What separates the fields.
    pub separator: u8,
}

impl CsvOptions {
    /// Returns the options for commas, with all types inferred.
    pub fn new(target: &str) -> Self {
        Self {
            target: target.to_owned(),
            numeric: Vec::new(),
            categorical: Vec::new(),
            drop: Vec::new(),
            missing: Vec::new(),
            drop_unlabelled: false,
            separator: b',',
        }
    }
}
