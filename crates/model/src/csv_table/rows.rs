//! Reads the rows of a text, and decides which cells are missing values.

use super::{CsvOptions, layout::Layout};
use cli_io::encoding;

/// Returns a reader of the rows below the header, which may have any number of fields.
pub(super) fn reader<'a>(text: &'a [u8], options: &CsvOptions) -> csv::Reader<&'a [u8]> {
    csv::ReaderBuilder::new().flexible(true).delimiter(options.separator).from_reader(without_mark(text))
}

/// Returns the text without the byte order mark that some spreadsheets write before UTF-8.
pub(super) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Returns whether a row has a class.
pub(super) fn is_labelled(record: &csv::StringRecord, options: &CsvOptions, layout: &Layout) -> bool {
    layout.target.is_none_or(|target| !is_missing(record[target].trim(), options))
}

/// Returns whether a cell is a missing value. It must not have leading or trailing spaces.
pub(super) fn is_missing(cell: &str, options: &CsvOptions) -> bool {
    cell.is_empty() || options.missing.iter().any(|token| token == cell)
}

/// Calls `each` with every row that has a class. The text must have been read without an error before.
pub(super) fn rows_of(
    text: &[u8],
    options: &CsvOptions,
    layout: &Layout,
    mut each: impl FnMut(&csv::StringRecord),
) {
    let mut reader = reader(text, options);
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).unwrap_or(false) {
        if is_labelled(&record, options, layout) {
            each(&record);
        }
    }
}

/// Returns what is wrong with a part of the file that could not be read.
pub(super) fn problem_of(part: &str, error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => {
            format!("field {} of {part} is not UTF-8; {}", err.field() + 1, encoding::REMEDY)
        }
        _ => format!("cannot read {part}: {error}"),
    }
}

/// Returns a cell without leading and trailing spaces, or unchanged if the options say that texts keep them.
pub(super) fn cell_of<'a>(cell: &'a str, options: &CsvOptions) -> &'a str {
    let trimmed = cell.trim();
    if options.keep_spaces
        && trimmed.len() < cell.len()
        && trimmed.parse::<f64>().is_err()
        && !is_missing(trimmed, options)
    {
        cell
    } else {
        trimmed
    }
}
