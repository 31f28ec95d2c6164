//! Options for reading a table.

/// Options for reading a table.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvOptions {
    /// The target column, which holds the true class or number. Training needs one.
    pub target: Option<String>,
    /// Columns that are kept as text, because they are not features.
    pub aside: Vec<String>,
    /// Columns to read as numbers.
    pub numeric: Vec<String>,
    /// Columns to read as categories, even if their values are numbers.
    pub categorical: Vec<String>,
    /// Columns to leave out.
    pub drop: Vec<String>,
    /// Texts that stand for a missing value, in addition to the empty cell.
    pub missing: Vec<String>,
    /// Whether to leave out the rows without a value in the target column. They are an error otherwise.
    pub drop_unlabelled: bool,
    /// Whether texts keep leading and trailing spaces. They are always removed from numbers and the target.
    pub keep_spaces: bool,
    /// The byte that separates the fields.
    pub separator: u8,
}

impl CsvOptions {
    /// Returns options with commas between fields, and with all types inferred.
    pub fn new(target: &str) -> Self {
        Self {
            target: Some(target.to_owned()),
            aside: Vec::new(),
            numeric: Vec::new(),
            categorical: Vec::new(),
            drop: Vec::new(),
            missing: Vec::new(),
            drop_unlabelled: false,
            keep_spaces: false,
            separator: b',',
        }
    }
}
