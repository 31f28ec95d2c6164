//! Reads the header, and decides which columns are features.

use super::{
    CsvError, CsvOptions,
    rows::{problem_of, reader},
};
use crate::card::is_label;
use cli_io::printable::{MOST_QUOTED, printable, quoted};

/// The use of each column of the file.
pub(super) struct Layout {
    /// The names of all columns.
    pub(super) header: Vec<String>,
    pub(super) target: Option<usize>,
    /// The columns that are kept as text.
    pub(super) aside: Vec<usize>,
    /// Whether each column is left out of the features. The target is always left out.
    pub(super) dropped: Vec<bool>,
}

impl Layout {
    /// Returns the positions of the features.
    pub(super) fn features(&self) -> impl Iterator<Item = usize> {
        (0..self.header.len()).filter(|&at| !self.dropped[at])
    }
}

/// Reads the header.
///
/// # Errors
/// Returns an error if the header cannot be read, or if the options do not fit it.
pub(super) fn layout(text: &[u8], file: &str, options: &CsvOptions) -> Result<Layout, CsvError> {
    let error = |problem: String| CsvError::Header { file: file.to_owned(), problem };
    let mut reader = reader(text, options);
    let header = reader.headers().map_err(|e| error(problem_of("the header", &e)))?;
    let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    check_header(header, options).map_err(error)
}

/// Returns the use of each column of this header.
///
/// # Errors
/// Returns what is wrong with the header or the options, and how to fix it.
fn check_header(header: Vec<String>, options: &CsvOptions) -> Result<Layout, String> {
    let target = options.target.as_ref();
    if header.iter().all(String::is_empty) {
        return Err("the file is empty; give a table with a header and rows".into());
    }
    let separators = [(';', ";"), ('\t', "\\t"), ('|', "|")];
    let other = separators.iter().find(|(separator, _)| header.len() == 1 && header[0].contains(*separator));
    if let Some((_, written)) = other {
        return Err(format!(
            "expected several columns, got only {}; give --separator '{written}'",
            quoted(&header[0])
        ));
    }
    let named =
        [("--numeric", &options.numeric), ("--categorical", &options.categorical), ("--drop", &options.drop)];
    let columns = || header.iter().map(|name| printable(name, MOST_QUOTED)).collect::<Vec<_>>().join(", ");
    for (flag, names) in named {
        if let Some(name) = names.iter().find(|name| !header.contains(name)) {
            return Err(format!("{flag}: there is no column {name:?}; the columns are {}", columns()));
        }
        let used = target.into_iter().chain(&options.aside).find(|name| names.contains(name));
        if let Some(name) = used {
            let what = if Some(name) == target { "the target" } else { "an output of the model" };
            return Err(format!("{flag}: {name:?} is {what}, not a feature; remove it from this flag"));
        }
    }
    if let Some(name) = options.numeric.iter().find(|name| options.categorical.contains(name)) {
        return Err(format!("--numeric and --categorical both name {name:?}; remove it from one of them"));
    }
    let position = |name: &String| header.iter().position(|own| own == name);
    let target_at = match target {
        Some(target) => Some(position(target).ok_or_else(|| {
            format!("--target: there is no column {target:?}; the columns are {}", columns())
        })?),
        None => None,
    };
    let aside = options.aside.iter().map(|name| {
        position(name).ok_or_else(|| {
            format!("there is no column {name:?} with outputs of the model; the columns are {}", columns())
        })
    });
    let aside: Vec<usize> = aside.collect::<Result<_, _>>()?;
    let dropped: Vec<bool> = header
        .iter()
        .enumerate()
        .map(|(at, name)| options.drop.contains(name) || target_at == Some(at) || aside.contains(&at))
        .collect();
    if dropped.iter().all(|&dropped| dropped) {
        return Err(match target {
            Some(target) => {
                format!("expected at least one feature besides the target {target:?}, got none; add a column")
            }
            None => "expected at least one feature, got none; add a column or leave out a --drop".into(),
        });
    }
    for (at, name) in header.iter().enumerate() {
        let problem = if options.drop.contains(name) {
            continue;
        } else if name.is_empty() {
            "has no name; if it has the row numbers of a data frame, leave it out with --drop ''"
        } else if !is_label(name) {
            "has a control character or a backslash in its name; rename it or leave it out with --drop"
        } else if header[..at].contains(name) {
            "has the name of an earlier column; rename one of them"
        } else {
            continue;
        };
        return Err(format!("column {} ({}) {problem}", at + 1, quoted(name)));
    }
    Ok(Layout { header, target: target_at, aside, dropped })
}
