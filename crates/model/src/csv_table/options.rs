//! How a table is read.

/// How to read a table.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvOptions {
    /// The column that holds the truth: the class, or a number. Training needs one.
    pub target: Option<String>,
    /// Columns that are kept as text, because they are no features.
    pub aside: Vec<String>,
    /// Columns to read as numbers.
    pub numeric: Vec<String>,
    /// Columns to read as categories, whatever they look like.
    pub categorical: Vec<String>,
    /// Columns to leave out.
    pub drop: Vec<String>,
    /// Texts that stand for a missing value, beside the empty cell.
    pub missing: Vec<String>,
    /// Whether to leave out the rows without a value in the target column. They are an error otherwise.
    pub drop_unlabelled: bool,
    /// Whether texts keep their outer spaces. Numbers and the target never do.
    pub keep_spaces: bool,
    /// What separates the fields.
    pub separator: u8,
}

impl CsvOptions {
    /// Returns the options for commas, with all types inferred.
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
