//! Flags for the types of a table's columns.

/// Flags for the types of a table's columns, which overrule those that follow from the values.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ColumnFlags {
    /// Column to read as categories even if its values are numbers, such as codes; may be repeated
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    pub categorical: Vec<String>,
    /// Column to read as numbers; may be repeated
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    pub numeric: Vec<String>,
    /// Column to leave out; may be repeated
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    pub drop: Vec<String>,
}
