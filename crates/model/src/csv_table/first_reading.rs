//! The first pass over a file: reads the classes, records the values of each column, and finds rows without a class.

use super::{
    CsvError, CsvOptions,
    classes::ClassColumn,
    column::{ColumnType, Profile},
    layout::Layout,
    rows::{cell_of, is_labelled, is_missing, problem_of, reader, rows_of, without_mark},
    unfit::{Unfit, counted},
};
use cli_io::table_lines::LineCounter;

/// The results of the first pass.
pub(super) struct FirstReading {
    /// The profile of each column in the rows that have a class.
    pub(super) profiles: Vec<Profile>,
    /// The number of rows that have a class.
    pub(super) rows: usize,
    /// The classes of those rows.
    pub(super) classes: ClassColumn,
    pub(super) unlabelled: Unlabelled,
}

/// Counts the rows that have no class.
#[derive(Default)]
pub(super) struct Unlabelled {
    pub(super) rows: usize,
    /// The line of the first one.
    line: u64,
}

impl Unlabelled {
    /// Returns what is wrong with the target column, for the case that rows without a class are an error.
    pub(super) fn unfit(&self) -> Unfit {
        let (line, rows) = (self.line, counted(self.rows, "row has", "rows have"));
        let place = if self.rows == 1 { "" } else { "the first " };
        Unfit {
            line,
            fault: format!("{rows} no class, {place}on line {line}"),
            extent: String::new(),
            remedy: format!(
                "label {}, or leave {} out with --drop-unlabelled",
                if self.rows == 1 { "the row" } else { "the rows" },
                if self.rows == 1 { "it" } else { "them" }
            ),
            shared: None,
        }
    }
}

/// Reads all rows, records the values of each column, and finds rows without a class.
pub(super) fn profile(
    text: &[u8],
    file: &str,
    options: &CsvOptions,
    layout: &Layout,
) -> Result<FirstReading, CsvError> {
    let width = layout.header.len();
    let mut profiles: Vec<Profile> =
        layout.header.iter().map(|name| Profile::new(forced_type(name, options))).collect();
    let text = without_mark(text);
    let (mut reader, mut lines) = (reader(text, options), LineCounter::new(text));
    let mut record = csv::StringRecord::new();
    let (mut rows, mut classes, mut unlabelled) = (0, ClassColumn::default(), Unlabelled::default());
    loop {
        let row_error = |line: u64, problem: String| CsvError::Row { file: file.to_owned(), line, problem };
        let more = reader.read_record(&mut record).map_err(|error| {
            let line = error.position().map_or(0, |position| lines.line_of(position.byte()));
            row_error(line, problem_of("the row", &error))
        })?;
        if !more {
            break;
        }
        let line = record.position().map_or(0, |position| lines.line_of(position.byte()));
        if record.len() != width {
            // A quote that is not closed makes the following lines part of one field.
            let remedy = if record.iter().any(|field| field.contains('\n')) {
                "a quoted field of this row goes over several lines; if its quote is not closed, close it; otherwise quote fields that contain the \
                 separator, and write a quote inside a field twice"
            } else {
                "quote fields that contain the separator, or name another with --separator"
            };
            let problem = format!("expected {width} fields as in the header, got {}; {remedy}", record.len());
            return Err(row_error(line, problem));
        }
        if !is_labelled(&record, options, layout) {
            if unlabelled.rows == 0 {
                unlabelled.line = line;
            }
            unlabelled.rows += 1;
            continue;
        }
        rows += 1;
        if let Some(target) = layout.target {
            classes.add(&record[target]);
        }
        for (at, (cell, profile)) in record.iter().zip(&mut profiles).enumerate() {
            let cell = cell_of(cell, options);
            if !layout.dropped[at] && !is_missing(cell, options) {
                profile.add(cell, line);
            }
        }
    }
    if rows + unlabelled.rows == 0 {
        let problem = "the table has a header, but no rows; add rows".into();
        return Err(CsvError::Header { file: file.to_owned(), problem });
    }
    count_lacking_texts(text, options, layout, &mut profiles);
    Ok(FirstReading { profiles, rows, classes, unlabelled })
}

/// Counts the texts of the columns whose profiles lack them, in another pass.
fn count_lacking_texts(text: &[u8], options: &CsvOptions, layout: &Layout, profiles: &mut [Profile]) {
    let lacking: Vec<usize> = (0..profiles.len()).filter(|&at| profiles[at].lacks_texts()).collect();
    if lacking.is_empty() {
        return;
    }
    rows_of(text, options, layout, |record| {
        for &at in &lacking {
            let cell = cell_of(&record[at], options);
            if !is_missing(cell, options) {
                profiles[at].count_text(cell);
            }
        }
    });
}

/// Returns the type that the options set for a column, if they do.
fn forced_type(name: &String, options: &CsvOptions) -> Option<ColumnType> {
    if options.numeric.contains(name) {
        Some(ColumnType::Numeric)
    } else {
        options.categorical.contains(name).then_some(ColumnType::Categorical)
    }
}
