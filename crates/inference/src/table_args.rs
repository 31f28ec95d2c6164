//! The flags for reading a table, which `train` and `profile` share.

use anyhow::{Result, ensure};
use cli_io::table_file::TableFile;
use cli_meta::ColumnFlags;
use model::CsvOptions;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The default name of a model whose table is read from standard input.
const DEFAULT_NAME: &str = "model";

/// Names of files that tables of several models may have.
const USUAL_NAMES: [&str; 12] = [
    DEFAULT_NAME,
    "data",
    "dataset",
    "input",
    "reference",
    "sample",
    "table",
    "test",
    "train",
    "training",
    "valid",
    "validation",
];

/// Flags for reading a table.
#[derive(Debug, clap::Args)]
pub(crate) struct TableArgs {
    /// CSV file with a header, plain or gzip-compressed, or - for standard input
    ///
    /// Columns of numbers are numeric, columns of text and booleans are categorical; an empty cell is a missing value.
    #[arg(long, value_name = "FILE.csv")]
    data: PathBuf,
    #[command(flatten)]
    columns: ColumnFlags,
    /// Text that stands for a missing value, such as NA, in addition to the empty cell; may be repeated
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    missing: Vec<String>,
    /// Leave out the rows that have no class, instead of refusing the table
    #[arg(long)]
    drop_unlabelled: bool,
    /// Character between the fields, \t for a tab
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = cli_io::table_file::separator)]
    separator: u8,
}

impl TableArgs {
    /// Opens the table.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read.
    pub(crate) fn open(&self) -> Result<TableFile> {
        TableFile::open("--data", &self.data)
    }

    /// Returns the options for reading the table, with this target column.
    pub(crate) fn options(&self, target: Option<&str>) -> CsvOptions {
        CsvOptions {
            target: target.map(str::to_owned),
            aside: Vec::new(),
            numeric: self.columns.numeric.clone(),
            categorical: self.columns.categorical.clone(),
            drop: self.columns.drop.clone(),
            missing: self.missing.clone(),
            drop_unlabelled: self.drop_unlabelled,
            keep_spaces: false,
            separator: self.separator,
        }
    }

    /// Checks that the output would not replace the table.
    ///
    /// # Errors
    /// Returns an error if the output is the file of the table.
    pub(crate) fn check_out(&self, out: &Path) -> Result<()> {
        ensure!(
            !is_same_file(&self.data, out),
            "--out {}: the model would replace the table of --data {}; name another file",
            out.display(),
            self.data.display()
        );
        Ok(())
    }

    /// Returns the name of the model: `wanted`, or by default the name of the table's file.
    ///
    /// # Errors
    /// Returns an error if the name is empty or not printable.
    pub(crate) fn name(&self, wanted: Option<&str>) -> Result<String> {
        let stem = self.data.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let stem = stem.map(|stem| stem.strip_suffix(".csv").map(str::to_owned).unwrap_or(stem));
        let stem = stem.map(|stem| if stem == "-" { DEFAULT_NAME.to_owned() } else { stem });
        let name = wanted.map(str::to_owned).or(stem).unwrap_or_default();
        ensure!(
            !name.is_empty() && !name.chars().any(char::is_control),
            "--name: must be printable text, got {name:?}"
        );
        Ok(name)
    }
}

/// Returns a note if a model is named after a table whose name other tables may have, too. `wanted` is the name that the user gave.
pub(crate) fn name_note(name: &str, wanted: Option<&str>) -> Option<String> {
    let is_usual = USUAL_NAMES.iter().any(|usual| name.eq_ignore_ascii_case(usual));
    (wanted.is_none() && is_usual).then(|| {
        format!(
            "the model is named {name:?} after its table; metrics and alerts distinguish models by their names, so give it one of its own \
             with --name if there are others"
        )
    })
}

/// Returns whether the table is read from the regular file that the model is written to, even if paths, links or descriptors differ.
fn is_same_file(data: &Path, out: &Path) -> bool {
    let data = if data == Path::new("-") { Path::new("/dev/stdin") } else { data };
    match (fs::metadata(data), fs::metadata(out)) {
        (Ok(data), Ok(out)) => data.is_file() && (data.dev(), data.ino()) == (out.dev(), out.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Harness {
        #[command(flatten)]
        table: TableArgs,
    }

    #[test]
    fn a_usual_name_of_a_table_is_noted_unless_it_was_given() {
        assert!(
            name_note("Train", None).unwrap().starts_with("the model is named \"Train\" after its table")
        );
        assert_eq!((name_note("train", Some("train")), name_note("churn", None)), (None, None));
        let harness = Harness::try_parse_from(["train", "--data", "a/train.csv.gz"]).unwrap();
        assert!(name_note(&harness.table.name(None).unwrap(), None).is_some());
    }

    #[test]
    fn names_of_columns_may_begin_with_a_hyphen() {
        for flags in [&["--drop=-x", "--categorical=--y"][..], &["--drop", "-x", "--categorical", "--y"]] {
            let typed = ["train", "--data", "t.csv"].iter().chain(flags);
            let options = Harness::try_parse_from(typed).unwrap().table.options(None);
            assert_eq!((options.drop, options.categorical), (vec!["-x".to_owned()], vec!["--y".to_owned()]));
        }
    }
}
