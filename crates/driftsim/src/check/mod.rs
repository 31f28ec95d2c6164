//! `driftsim check`: judges a table against a model.
//!
//! Layout: `blocks` cuts the table into parts, [`count_rows`] reads and counts the rows of each, on all cores (`parallel`), [`judged`]
//! is the result, `text` and `page` show it.

mod blocks;
pub mod count_rows;
pub mod judged;
mod page;
mod parallel;
mod text;

use anyhow::{Context, Result, bail, ensure};
use cli_io::{
    file_kind::{self, FileKind, Wanted},
    stdout::print,
    table_file::TableFile,
};
use count_rows::{Reading, TableCounts};
use drift::Verdict;
use judged::{Judged, Overall};
use model::{ModelCard, ModelFile, Predictor};
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// The flags of `driftsim check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Table to judge: a CSV file with a header, plain or gzip-compressed, or - for standard input
    #[arg(long, value_name = "FILE.csv|-")]
    current: PathBuf,
    /// Reference to judge the table against: a model file, a profile, or a model card as GET /model returns it; - reads it from
    /// standard input
    #[arg(long, value_name = "MODEL.json|CARD.json|-")]
    reference: PathBuf,
    /// Column with the true class, for the accuracy if the reference contains the model; by default the target column that the
    /// model was trained on, if the table has it
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    target: Option<String>,
    /// Format of the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Text that stands for a missing value, such as NA, in addition to the empty cell and those of the model's table; may be
    /// repeated
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    missing: Vec<String>,
    /// Character between the fields, \t for a tab
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = cli_io::table_file::separator)]
    separator: u8,
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

/// The reference that a table is judged against.
pub struct Reference {
    /// The model's card.
    pub card: ModelCard,
    /// The model, if the file contains it. Without it, the signals of its output are not checked, and there is no accuracy.
    pub predictor: Option<Predictor>,
}

/// Judges a table and writes the result to standard output.
///
/// # Errors
/// If the table or the reference cannot be read, or no row of the table can.
pub fn run(args: &Args) -> Result<Overall> {
    let stdin = Path::new("-");
    ensure!(
        args.current != stdin || args.reference != stdin,
        "--current and --reference cannot both be standard input; give a file for one of them"
    );
    let reference = read_reference(&args.reference)?;
    let mut current = TableFile::open("--current", &args.current)?;
    let place = current.place.clone();
    let reading = Reading {
        place: &place,
        missing: &args.missing,
        separator: args.separator,
        target: args.target.as_deref(),
    };
    let counts =
        TableCounts::count(current.text(), &reading, &reference).map_err(|error| current.explain(error))?;
    let judged = Judged::new(&reference, &counts, &place)?;
    print(match args.format {
        Format::Text => text::render(&judged),
        Format::Json => serde_json::to_string_pretty(&judged)? + "\n",
        Format::Html => page::render(&judged),
    })?;
    Ok(judged.overall)
}

fn read_reference(path: &Path) -> Result<Reference> {
    let place = || format!("--reference {}", path.display());
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    let bytes = bytes.with_context(|| format!("{}: cannot be read", place()))?;
    let text = || str::from_utf8(&bytes).context("is not text");
    if FileKind::guess(&bytes) == Some(FileKind::Table) {
        bail!(
            "{}: expected a model, got a table; train a model on it first: inference train --data {} --target COLUMN --out MODEL.json",
            place(),
            path.display()
        );
    }
    if FileKind::guess(&bytes) == Some(FileKind::Model) {
        let file = text().and_then(|text| Ok(ModelFile::from_json(text)?)).with_context(place)?;
        return Ok(Reference { predictor: Predictor::built_in(&file), card: file.card });
    }
    let card: Result<ModelCard> = text().and_then(|text| Ok(serde_json::from_str(text)?));
    let card = card.map_err(|error| file_kind::explain(error, &bytes, Wanted::Model)).with_context(place)?;
    card.check().with_context(place)?;
    Ok(Reference { card, predictor: None })
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
    use std::io::Write as _;

    /// Judges a table against a profile that is read from a file, in all formats.
    fn judged(file: &ModelFile, table: &str) -> (Judged, [String; 3]) {
        let mut profile = tempfile::NamedTempFile::new().unwrap();
        profile.write_all(file.to_json().unwrap().as_bytes()).unwrap();
        let reference = read_reference(profile.path()).unwrap();
        let reading = Reading { place: "t.csv", missing: &[], separator: b',', target: None };
        let counts = TableCounts::count(table.as_bytes(), &reading, &reference).unwrap();
        let judged = Judged::new(&reference, &counts, "t.csv").unwrap();
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
