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
    /// What it should be like: a model file, or a model card as GET /model answers it; - reads it from standard input
    #[arg(long, value_name = "MODEL.json|CARD.json|-")]
    reference: PathBuf,
    /// Column with the true class, from which the accuracy follows; without the flag, the one that the model was trained on, if
    /// the table has it
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
    /// The model, if the file holds it; without it the signals of its output are not checked.
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
