//! `driftsim check`: judges a table against a model.
//!
//! Layout: `blocks` cuts the table into parts, [`tally`] reads and counts the rows of each, on all cores (`parallel`), [`judged`]
//! is the result, `text` and `page` show it.

mod blocks;
pub mod judged;
mod page;
mod parallel;
pub mod tally;
mod text;

use anyhow::{Context, Result, bail, ensure};
use cli_io::{
    file_kind::{self, FileKind, Wanted},
    stdout::print,
    table_file::TableFile,
};
use drift::Verdict;
use judged::{Judged, Overall};
use model::{ModelCard, ModelFile, Predictor};
use std::{
    io::Read,
    path::{Path, PathBuf},
};
use tally::{Reading, Tally};

/// The flags of `driftsim check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Table to judge: a CSV file with a header, plain or compressed with gzip, or - for standard input
    #[arg(long, value_name = "FILE.csv|-")]
    current: PathBuf,
    /// What it should be like: a model file, a profile, or a model card as GET /model answers it; - reads it from standard input
    #[arg(long, value_name = "MODEL.json|CARD.json|-")]
    reference: PathBuf,
    /// Column with the true class, from which the accuracy follows if the reference holds the model; without the flag, the one
    /// that the model was trained on, if the table has it
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Text that stands for a missing value, such as NA, beside the empty cell and the model's own; may be repeated
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    missing: Vec<String>,
    /// Character between the fields, \t for a tab
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = cli_io::table_file::separator)]
    separator: u8,
}

/// How the result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table for people
    Text,
    /// For programs
    Json,
    /// One page with plots, which needs nothing else
    Html,
}

/// What a table is judged against.
pub struct Reference {
    /// The model's card.
    pub card: ModelCard,
    /// The model, if the file holds it; without it the signals of its output are not checked, and there is no accuracy.
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
        "--current and --reference cannot both be standard input"
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
    let tally = Tally::count(current.text(), &reading, &reference).map_err(|error| current.explain(error))?;
    let judged = Judged::new(&reference, &tally, &place)?;
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
            "{}: is a table; train a model on it first: inference train --data {} --target COLUMN --out MODEL.json",
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
        let tally = Tally::count(table.as_bytes(), &reading, &reference).unwrap();
        let judged = Judged::new(&reference, &tally, "t.csv").unwrap();
        let shown =
            [text::render(&judged), serde_json::to_string_pretty(&judged).unwrap(), page::render(&judged)];
        (judged, shown)
    }

    #[test]
    fn a_profile_judges_the_features_and_notes_that_outputs_are_not_checked() {
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
    fn a_target_without_numbers_is_noted_for_a_model_that_predicts_one() {
        let rows = "50,1,Bonn,10\n50,1,Bonn,?\n".repeat(40);
        let (judged, _) = judged(&fixtures::regression(), &format!("area,floor,city,price\n{rows}"));
        assert_eq!((judged.rows, judged.labelled_rows), (80, 0));
        let expected = "40 rows have no number in column price: they have ?";
        assert!(judged.notes.iter().any(|note| note == expected), "{:?}", judged.notes);
    }
}
