//! Reads the header, and decides what is done with each column.

use super::{
    CsvError, CsvOptions,
    rows::{problem_of, reader},
};
use crate::card::is_label;
use cli_io::printable::{MOST_QUOTED, printable, quoted};

/// What is done with each column of the file.
pub(super) struct Layout {
    pub(super) header: Vec<String>,
    pub(super) target: usize,
    pub(super) dropped: Vec<bool>,
}

/// Reads the header.
///
/// # Errors
/// If it cannot be read, or the options do not fit it.
pub(super) fn layout(text: &[u8], file: &str, options: &CsvOptions) -> Result<Layout, CsvError> {
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
