//! Reads a table from CSV: features, one class column, a header. Columns of numbers are numeric, columns of text are categorical,
//! unless the options say otherwise. An empty cell is a missing value.
//!
//! The text is parsed twice: the first pass reads the classes and finds the type of each column and everything that is wrong with it,
//! the second one reads the values. So one error names all columns that cannot be used.

mod class_forms;
mod column;
mod unfit;
mod value_forms;

use crate::{
    Table,
    card::is_label,
    table::{Categories, Column, Notation},
};
use class_forms::class_notes;
use cli_io::{
    printable::{MOST_QUOTED, printable, quoted},
    table_lines::LineCounter,
};
use column::{ColumnType, Profile, is_constant, row_number};
use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write,
    io::Read,
};
use thiserror::Error;
use unfit::{MAX_NAMED, Unfit, counted, sentences, shell_word};
use value_forms::number_form;

/// More classes than this usually mean that the target column is the wrong one. Each class is also the value of a metric label.
const MAX_CLASSES: usize = 100;

/// The squares of numbers below this, and sums of many such squares, are finite.
const LARGEST: f64 = 1e150;

/// An `f64` cannot hold every integer above this.
const EXACT: f64 = (1_u64 << 53) as f64;

/// A category that this many rows have gets a bin and a weight of its own; at most [`MAX_CATEGORIES`] of a column do.
pub(crate) const CATEGORY_ROWS: usize = 10;
pub(crate) const MAX_CATEGORIES: usize = 64;

/// A target column of which this share of the different values are numbers is meant to be numeric.
const NUMERIC_TARGET: f64 = 0.9;

/// The most rare categories of a column that are kept as examples.
const MAX_RARE: usize = 5;

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

/// A table, with notes on the file that it was read from.
#[derive(Debug)]
pub struct CsvTable {
    /// The table.
    pub table: Table,
    /// What in the file may be a mistake, in sentences for people.
    pub notes: Vec<String>,
}

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

/// What is done with each column of the file.
struct Layout {
    header: Vec<String>,
    target: usize,
    dropped: Vec<bool>,
}

/// What the first reading finds.
struct FirstReading {
    /// What each column holds, in the rows that have a class.
    profiles: Vec<Profile>,
    /// The classes, of the rows that have one.
    classes: ClassColumn,
    unlabelled: Unlabelled,
}

/// The target column, in the rows that have a class.
#[derive(Default)]
struct ClassColumn {
    /// The classes, numbered in the order in which they appear.
    positions: HashMap<String, usize>,
    /// The class of each row.
    labels: Vec<usize>,
    /// Rows whose class has outer spaces.
    padded: usize,
}

/// The rows that have no class.
#[derive(Default)]
struct Unlabelled {
    rows: usize,
    /// The line of the first one.
    line: u64,
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

impl Unlabelled {
    /// Returns what is wrong with the target column if these rows may not be left out.
    fn unfit(&self) -> Unfit {
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

/// Returns notes on columns that number the rows, and one on all columns with a single value.
fn useless_columns(
    layout: &Layout,
    columns: &[usize],
    types: &[ColumnType],
    profiles: &[Profile],
    values: &[Vec<f64>],
) -> Vec<String> {
    let (mut notes, mut constant) = (Vec::new(), Vec::new());
    for ((&at, &column_type), values) in columns.iter().zip(types).zip(values) {
        let name = &layout.header[at];
        let flag_value = shell_word(name);
        if is_constant(values, &profiles[at], column_type) {
            constant.push(format!("--drop {flag_value}"));
        } else if column_type == ColumnType::Numeric
            && let Some(what) = row_number(name, values)
        {
            let name = quoted(name);
            notes.push(format!(
                "column {name}: {what}; leave it out with --drop {flag_value} if it is a row number"
            ));
        }
    }
    let count = constant.len();
    if count > 0 {
        let what = counted(
            count,
            "column has a single value, or none, and does not help to distinguish the classes; leave it out with",
            "columns have a single value, or none, and do not help to distinguish the classes; leave them out with",
        );
        let flags = constant[..count.min(MAX_NAMED)].join(" ");
        let more = count.saturating_sub(MAX_NAMED);
        notes.push(format!(
            "{what} {flags}{}",
            if more > 0 { format!(" and {more} more") } else { String::new() }
        ));
    }
    notes
}

fn reader<'a>(text: &'a [u8], options: &CsvOptions) -> csv::Reader<&'a [u8]> {
    csv::ReaderBuilder::new().flexible(true).delimiter(options.separator).from_reader(without_mark(text))
}

/// Returns the text without the byte order mark that some spreadsheets write before UTF-8.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

fn layout(text: &[u8], file: &str, options: &CsvOptions) -> Result<Layout, CsvError> {
    let error = |problem: String| CsvError::Header { file: file.to_owned(), problem };
    let mut reader = reader(text, options);
    let header = reader.headers().map_err(|e| error(problem_of("the header", &e)))?;
    let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    check_header(header, options).map_err(error)
}

fn check_header(header: Vec<String>, options: &CsvOptions) -> Result<Layout, String> {
    let target = &options.target;
    if header.iter().all(String::is_empty) {
        return Err("the file is empty: it needs a header and rows".into());
    }
    let separators = [(';', ";"), ('\t', "\\t"), ('|', "|")];
    let other = separators.iter().find(|(separator, _)| header.len() == 1 && header[0].contains(*separator));
    if let Some((_, written)) = other {
        return Err(format!("one column, {}: give --separator '{written}'", quoted(&header[0])));
    }
    let named =
        [("--numeric", &options.numeric), ("--categorical", &options.categorical), ("--drop", &options.drop)];
    let columns = || header.iter().map(|name| printable(name, MOST_QUOTED)).collect::<Vec<_>>().join(", ");
    for (flag, names) in named {
        if let Some(name) = names.iter().find(|name| !header.contains(name)) {
            return Err(format!("{flag}: no column {name:?}; the columns are {}", columns()));
        }
        if flag != "--drop" && names.contains(target) {
            return Err(format!("{flag}: {target:?} is the target, which always holds classes"));
        }
    }
    if let Some(name) = options.numeric.iter().find(|name| options.categorical.contains(name)) {
        return Err(format!("--numeric and --categorical both name {name:?}; leave one out"));
    }
    let Some(target_at) = header.iter().position(|name| name == target) else {
        return Err(format!("no column {target:?} to predict; the columns are {}", columns()));
    };
    if options.drop.contains(target) {
        return Err(format!("--drop: {target:?} is the target"));
    }
    let dropped: Vec<bool> = header.iter().map(|name| options.drop.contains(name)).collect();
    if dropped.iter().filter(|&&dropped| !dropped).count() == 1 {
        return Err(format!("column {target:?} is the only one: there is nothing to predict it from"));
    }
    for (at, name) in header.iter().enumerate() {
        let problem = if dropped[at] {
            continue;
        } else if name.is_empty() {
            "has no name, as row numbers have that a data frame was written with; leave it out with --drop ''"
        } else if !is_label(name) {
            "has a control character or a backslash in its name; rename it or leave it out with --drop"
        } else if header[..at].contains(name) {
            "has the name of an earlier column; rename one of them"
        } else {
            continue;
        };
        return Err(format!("column {} ({}) {problem}", at + 1, quoted(name)));
    }
    Ok(Layout { header, target: target_at, dropped })
}

/// Reads all rows, and finds what each column holds and which rows have no class.
fn profile(text: &[u8], file: &str, options: &CsvOptions, layout: &Layout) -> Result<FirstReading, CsvError> {
    let width = layout.header.len();
    let mut profiles: Vec<Profile> =
        layout.header.iter().map(|name| Profile::new(forced_type(name, options))).collect();
    let text = without_mark(text);
    let (mut reader, mut lines) = (reader(text, options), LineCounter::new(text));
    let mut record = csv::StringRecord::new();
    let (mut classes, mut unlabelled) = (ClassColumn::default(), Unlabelled::default());
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
            let problem = format!("{} fields, but the header has {width}", record.len());
            return Err(row_error(line, problem));
        }
        if !is_labelled(&record, options, layout) {
            if unlabelled.rows == 0 {
                unlabelled.line = line;
            }
            unlabelled.rows += 1;
            continue;
        }
        classes.add(&record[layout.target]);
        for (at, (cell, profile)) in record.iter().zip(&mut profiles).enumerate() {
            let cell = cell.trim();
            if at != layout.target && !layout.dropped[at] && !is_missing(cell, options) {
                profile.add(cell, line);
            }
        }
    }
    if classes.labels.len() + unlabelled.rows == 0 {
        let problem = "there is a header but no rows below it".into();
        return Err(CsvError::Header { file: file.to_owned(), problem });
    }
    count_lacking_texts(text, options, layout, &mut profiles);
    Ok(FirstReading { profiles, classes, unlabelled })
}

/// Counts the texts of the columns that need them and whose profile does not have them, which takes another pass.
fn count_lacking_texts(text: &[u8], options: &CsvOptions, layout: &Layout, profiles: &mut [Profile]) {
    let lacking: Vec<usize> = (0..profiles.len()).filter(|&at| profiles[at].lacks_texts()).collect();
    if lacking.is_empty() {
        return;
    }
    rows_of(text, options, layout, |record| {
        for &at in &lacking {
            let cell = record[at].trim();
            if !is_missing(cell, options) {
                profiles[at].count_text(cell);
            }
        }
    });
}

/// Returns the type that a column is to be read as, if the options name one.
fn forced_type(name: &String, options: &CsvOptions) -> Option<ColumnType> {
    if options.numeric.contains(name) {
        Some(ColumnType::Numeric)
    } else {
        options.categorical.contains(name).then_some(ColumnType::Categorical)
    }
}

fn is_labelled(record: &csv::StringRecord, options: &CsvOptions, layout: &Layout) -> bool {
    !is_missing(record[layout.target].trim(), options)
}

fn is_missing(cell: &str, options: &CsvOptions) -> bool {
    cell.is_empty() || options.missing.iter().any(|token| token == cell)
}

/// Calls `each` with every row that has a class, of a text that was read once without an error.
fn rows_of(text: &[u8], options: &CsvOptions, layout: &Layout, mut each: impl FnMut(&csv::StringRecord)) {
    let mut reader = reader(text, options);
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).unwrap_or(false) {
        if is_labelled(&record, options, layout) {
            each(&record);
        }
    }
}

impl ClassColumn {
    /// Adds the class of a row, as it is written.
    fn add(&mut self, cell: &str) {
        let name = cell.trim();
        self.padded += usize::from(name.len() < cell.len());
        let label = self.positions.get(name).copied().unwrap_or_else(|| {
            let next = self.positions.len();
            self.positions.insert(name.to_owned(), next);
            next
        });
        self.labels.push(label);
    }

    /// Returns the classes in order and the class of each row, and adds notes on the classes.
    ///
    /// # Errors
    /// What is wrong if there are too many.
    fn sorted(
        self,
        options: &CsvOptions,
        notes: &mut Vec<String>,
    ) -> Result<(Vec<String>, Vec<usize>), String> {
        let Self { positions, mut labels, padded } = self;
        if positions.len() > MAX_CLASSES {
            return Err(too_many_classes(positions.keys()));
        }
        let classes = sorted(positions.keys().cloned().collect());
        let mut place = vec![0; classes.len()];
        classes.iter().enumerate().for_each(|(at, class)| place[positions[class]] = at);
        labels.iter_mut().for_each(|label| *label = place[*label]);
        notes.extend(class_notes(&options.target, &classes, padded));
        Ok((classes, labels))
    }
}

/// Returns what is wrong with a target of so many different values.
fn too_many_classes<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let count = names.len();
    let is_number = |name: &&String| name.parse::<f64>().is_ok() || number_form(name).is_some();
    let numbers = names.filter(is_number).count();
    let problem = format!("{count} different values, but at most {MAX_CLASSES} classes are possible; ");
    if numbers as f64 >= NUMERIC_TARGET * count as f64 {
        problem
            + "the target is numeric: train fits classifiers only and does not support numeric targets (regression); \
               name a column of classes with --target, or replace the numbers by classes such as low and high"
    } else {
        problem + "name a column of classes with --target, or merge the rare classes"
    }
}

#[expect(clippy::too_many_arguments, reason = "the second reading uses all that the first has found")]
fn read_values(
    text: &[u8],
    options: &CsvOptions,
    layout: &Layout,
    columns: &[usize],
    types: &[ColumnType],
    profiles: &[Profile],
    rows: usize,
    notes: &mut Vec<String>,
) -> (Vec<Column>, Vec<Vec<f64>>) {
    let mut values: Vec<Vec<f64>> = columns.iter().map(|_| Vec::with_capacity(rows)).collect();
    let mut known: Vec<HashMap<String, usize>> = Vec::new();
    let described = columns.iter().zip(types).map(|(&at, column_type)| {
        let categories = (*column_type == ColumnType::Categorical).then(|| {
            let (categories, others) = categories(&profiles[at]);
            if others > 0 {
                let counts = match categories.known.len() {
                    0 => "no category is".to_owned(),
                    known => counted(known, "category is", "categories are"),
                };
                notes.push(format!(
                    "column {}: {counts} counted one by one; {}, rare or beyond {MAX_CATEGORIES}, together",
                    quoted(&layout.header[at]),
                    counted(others, "other", "others")
                ));
            }
            categories
        });
        let positions = categories.iter().flat_map(|own| own.known.iter().cloned().zip(0..));
        known.push(positions.collect());
        Column { categories, ..Column::named(&layout.header[at]) }
    });
    let described: Vec<Column> = described.collect();
    rows_of(text, options, layout, |record| {
        for (((&at, column_type), values), known) in columns.iter().zip(types).zip(&mut values).zip(&known) {
            let cell = record[at].trim();
            values.push(match column_type {
                _ if is_missing(cell, options) => f64::NAN,
                ColumnType::Numeric => cell.parse().unwrap_or(f64::NAN),
                ColumnType::Categorical => known.get(cell).copied().unwrap_or(known.len()) as f64,
            });
        }
    });
    (described, values)
}

/// Returns the categories of a column, and how many others are counted together.
fn categories(profile: &Profile) -> (Categories, usize) {
    let mut counts: Vec<(&String, usize)> = profile.texts().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let frequent =
        counts.iter().take(MAX_CATEGORIES).take_while(|(_, count)| *count >= CATEGORY_ROWS).count();
    let names =
        |counts: &[(&String, usize)]| counts.iter().map(|(name, _)| (*name).clone()).collect::<Vec<_>>();
    let rare = names(&counts[frequent..counts.len().min(frequent + MAX_RARE)]);
    (Categories { known: sorted(names(&counts[..frequent])), rare }, counts.len() - frequent)
}

/// Returns names in order: by value when all are integers, by name otherwise.
fn sorted(names: Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    if names.iter().all(|name| name.parse::<i64>().is_ok()) {
        names.sort_by_key(|name| name.parse::<i64>().unwrap_or_default());
    }
    names
}

/// Returns what is wrong with a part of the file that the reader could not read.
fn problem_of(part: &str, error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => format!(
            "{part} is not UTF-8; save the file in that encoding, or convert it: iconv -f WINDOWS-1252 -t UTF-8"
        ),
        _ => format!("cannot read {part}: {error}"),
    }
}

fn check_classes(classes: &[String], labels: &[usize]) -> Result<(), String> {
    if classes.len() == 1 {
        return Err(format!("every row is {}: a classifier needs at least two classes", quoted(&classes[0])));
    }
    let mut counts = vec![0; classes.len()];
    labels.iter().for_each(|&label| counts[label] += 1);
    let mut single = classes.iter().zip(&counts).filter(|(_, count)| **count < 2);
    if let Some((class, _)) = single.next() {
        let others = match single.count() {
            0 => String::new(),
            others => format!(", and so have {}", counted(others, "other class", "other classes")),
        };
        let class = quoted(class);
        return Err(format!(
            "class {class} has a single row{others}: each class needs at least two; \
             remove the row or merge the class with another"
        ));
    }
    if let Some(odd) = classes.iter().find(|class| !is_label(class)) {
        return Err(format!("class {} has a control character or a backslash in its name", quoted(odd)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
