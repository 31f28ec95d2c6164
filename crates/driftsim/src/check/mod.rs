//! `driftsim check`: judges a table, or the counts of a server, against a model or another table.
//!
//! Layout: [`reference`](mod@reference) is what is judged against. `blocks` cuts a table into parts, [`count_rows`] reads and counts the
//! rows of each, on all cores (`parallel`). `server` fetches the pages of a server, [`server_counts`] reads the counts. [`judged`] is the
//! result, `text` and `page` show it.

mod blocks;
pub mod count_rows;
pub mod judged;
mod page;
mod parallel;
pub mod reference;
mod server;
pub mod server_counts;
mod text;

use anyhow::{Context, Result, bail, ensure};
use cli_io::{stdout::print, table_file::TableFile};
use cli_meta::ColumnFlags;
use count_rows::{Reading, TableCounts};
use drift::Verdict;
use judged::{Judged, Overall};
use model::CsvOptions;
use reference::Reference;
use server::{Page, check_scheme, is_address};
use server_counts::ServerCounts;
use std::path::{Path, PathBuf};

/// The field separator of tables, unless a flag gives another.
const SEPARATOR: u8 = b',';

const ENVIRONMENT: &str = "Environment: The token in DRIFTSIM_BEARER_TOKEN is sent to the addresses of --current and --reference. An \
address may instead have a user name and a password, as in http://user:password@host, but `ps` shows them.";

/// The flags of `driftsim check`.
#[derive(Debug, clap::Args)]
#[command(after_help = ENVIRONMENT)]
pub struct Args {
    /// Rows to judge: a table as CSV, - for standard input, or the address of a server's metrics
    ///
    /// A table has a header, and may be gzip-compressed. The address is that of the metrics of `inference serve` or `inference watch`, such
    /// as http://127.0.0.1:8000/metrics: the rows that the server counted since its start are judged. The reference must then be the model
    /// that the server runs: the file or the profile that it was started with, or the answer of its GET /model.
    #[arg(long, value_name = "FILE.csv|-|URL")]
    current: PathBuf,
    /// Reference to judge the rows against: a model file, a profile, a model card, or a table as CSV; - for standard input
    ///
    /// A model card is what GET /model of a service returns; its address, such as http://127.0.0.1:8000/model, may also be given.
    /// A table, which may be gzip-compressed, is compared column by column. The types of its columns are inferred as in `inference train`.
    /// Both tables must have the same separator and the same texts for missing values.
    #[arg(long, value_name = "MODEL.json|CARD.json|FILE.csv|-|URL")]
    reference: PathBuf,
    /// Column with the true class, for the accuracy; if the reference is a table, the column is not compared
    ///
    /// The accuracy is measured if the reference contains the model. By default, the column is the target column that the model was trained
    /// on, if the table has it.
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    target: Option<String>,
    /// Format of the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Text that stands for a missing value, such as NA, in addition to the empty cell and those of the model's table; may be
    /// repeated
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    missing: Vec<String>,
    /// Character between the fields, \t for a tab [default: ,]
    #[arg(long, value_name = "CHARACTER", value_parser = cli_io::table_file::separator)]
    separator: Option<u8>,
    /// Additional certificate authorities to trust over https:// (PEM)
    #[arg(long, value_name = "FILE.pem")]
    ca_cert: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Columns, if the reference is a table")]
    columns: ColumnFlags,
}

/// The format in which the result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Plain text
    Text,
    /// JSON
    Json,
    /// One HTML page with plots, without external resources
    Html,
}

/// Judges a table or the counts of a server, and writes the result to standard output.
///
/// # Errors
/// Those of [`judge`], and if standard output cannot be written to.
pub fn run(args: &Args) -> Result<Overall> {
    let judged = judge(args)?;
    print(match args.format {
        Format::Text => text::render(&judged),
        Format::Json => serde_json::to_string_pretty(&judged)? + "\n",
        Format::Html => page::render(&judged),
    })?;
    Ok(judged.overall)
}

/// Judges a table or the counts of a server.
///
/// # Errors
/// If the rows or the reference cannot be read, if no row of the table can, if the server counts for another model, or if a flag does not
/// apply.
pub fn judge(args: &Args) -> Result<Judged> {
    let stdin = Path::new("-");
    ensure!(
        args.current != stdin || args.reference != stdin,
        "--current and --reference cannot both be standard input; give a file for one of them"
    );
    check_scheme("--current", &args.current)?;
    check_scheme("--reference", &args.reference)?;
    if is_address(&args.current) { judge_server(args) } else { judge_table(args) }
}

fn judge_server(args: &Args) -> Result<Judged> {
    let page = Page::of_metrics(&args.current)?;
    let flags = [
        ("--target", args.target.is_some()),
        ("--missing", !args.missing.is_empty()),
        ("--separator", args.separator.is_some()),
    ];
    if let Some(flag) = first_given(&flags).or_else(|| args.column_flag()) {
        bail!(
            "{flag}: is for tables, but --current is the address of a server's metrics; leave the flag out"
        );
    }
    let reference = args.reference(None)?;
    let card = reference.card().context("the reference is not a model")?;
    let counts = ServerCounts::read(&page.fetch(args.ca_cert.as_deref())?, &page.to_string(), card)?;
    Judged::of_server(&reference, &counts, &page.to_string())
}

fn judge_table(args: &Args) -> Result<Judged> {
    let options = args.options();
    let reference = args.reference(Some(&options))?;
    let is_table = matches!(reference, Reference::Table(_));
    if let (false, Some(flag)) = (is_table, args.column_flag()) {
        bail!(
            "{flag}: is for a reference that is a table, but --reference is a model, which determines its columns; leave the flag out"
        );
    }
    let mut current = TableFile::open("--current", &args.current)?;
    let place = current.place.clone();
    let reading = Reading {
        place: &place,
        missing: &args.missing,
        separator: args.separator.unwrap_or(SEPARATOR),
        target: args.target.as_deref().filter(|_| !is_table),
    };
    let counts =
        TableCounts::count(current.text(), &reading, &reference).map_err(|error| current.explain(error))?;
    Judged::of_table(&reference, &counts, &place)
}

impl Args {
    /// Reads the reference. Without options for a table, it must be a model.
    fn reference(&self, options: Option<&CsvOptions>) -> Result<Reference> {
        if is_address(&self.reference) {
            let page = Page::of_card(&self.reference)?;
            return page.card(&page.fetch(self.ca_cert.as_deref())?);
        }
        let mut file = TableFile::open("--reference", &self.reference)?;
        Reference::read(&mut file, options)
    }

    /// Returns the options for reading a reference table.
    fn options(&self) -> CsvOptions {
        CsvOptions {
            target: self.target.clone(),
            aside: Vec::new(),
            numeric: self.columns.numeric.clone(),
            categorical: self.columns.categorical.clone(),
            drop: self.columns.drop.clone(),
            missing: self.missing.clone(),
            drop_unlabelled: false,
            keep_spaces: false,
            separator: self.separator.unwrap_or(SEPARATOR),
        }
    }

    /// Returns a flag for the columns of a reference table, if one was given.
    fn column_flag(&self) -> Option<&'static str> {
        let ColumnFlags { categorical, numeric, drop } = &self.columns;
        first_given(&[
            ("--categorical", !categorical.is_empty()),
            ("--numeric", !numeric.is_empty()),
            ("--drop", !drop.is_empty()),
        ])
    }
}

fn first_given(flags: &[(&'static str, bool)]) -> Option<&'static str> {
    flags.iter().find(|(_, is_given)| *is_given).map(|(flag, _)| *flag)
}

impl Overall {
    /// Returns the exit code: 0 steady, 1 drift, 2 cannot tell, or rows that could not be read.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Steady => 0,
            Self::Drift => 1,
            Self::CannotTell => 2,
        }
    }
}

/// Returns the word for a verdict.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Steady => "steady",
        Verdict::Drifting => "drifting",
        Verdict::CannotTell { .. } => "cannot tell",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use model::ModelFile;

    /// Judges a table against a profile, in all formats.
    fn judged(file: &ModelFile, table: &str) -> (Judged, [String; 3]) {
        let reference = Reference::of_json(file.to_json().unwrap().as_bytes(), "profile.json").unwrap();
        let reading = Reading { place: "t.csv", missing: &[], separator: b',', target: None };
        let counts = TableCounts::count(table.as_bytes(), &reading, &reference).unwrap();
        let judged = Judged::of_table(&reference, &counts, "t.csv").unwrap();
        let shown =
            [text::render(&judged), serde_json::to_string_pretty(&judged).unwrap(), page::render(&judged)];
        (judged, shown)
    }

    #[test]
    fn a_note_says_that_a_profile_checks_only_the_features() {
        for file in [fixtures::regression(), fixtures::without_truth()] {
            let (steady, shown) = judged(&file, &fixtures::flats(300));
            assert_eq!((steady.overall, steady.signals.len()), (Overall::Steady, 3), "{}", shown[0]);
            assert_eq!((steady.accuracy, steady.reference_accuracy), (None, None));
            for shown in &shown {
                assert!(shown.contains("the signals of its output are not checked"), "{shown}");
                assert!(!shown.contains("class of the model"), "{shown}");
            }
            let [text, _, page] = &shown;
            assert!(!text.contains("accuracy") && !page.contains("accuracy"), "{text}");
            let header = "area,floor,city,price\n".to_owned();
            let (drifted, _) = judged(&file, &(header + &"5000,1,Bonn,3\n".repeat(100)));
            assert_eq!(drifted.overall, Overall::Drift);
        }
    }

    #[test]
    fn a_note_reports_a_target_without_numbers_for_a_regression() {
        let rows = "50,1,Bonn,10\n50,1,Bonn,?\n".repeat(40);
        let (judged, _) = judged(&fixtures::regression(), &format!("area,floor,city,price\n{rows}"));
        assert_eq!((judged.rows, judged.labelled_rows), (80, 0));
        let expected = "40 rows have no number in column price: they have ?";
        assert!(judged.notes.iter().any(|note| note == expected), "{:?}", judged.notes);
    }
}
