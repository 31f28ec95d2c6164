//! `inference train`: from a CSV file to a model file.

use anyhow::{Context, Result, ensure};
use cli_io::{
    file_kind::{self, Wanted, WrongKind},
    output_file::OutputFile,
    printable::printable_lines,
    stdout::print,
};
use model::{TrainOptions, read_csv};
use std::{fs::File, io::Read, path::PathBuf};

/// Flags of `inference train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// CSV file with a header; every column but the target must hold numbers, an empty cell is a missing value
    #[arg(long, value_name = "FILE.csv")]
    data: PathBuf,
    /// Column that holds the class
    #[arg(long, value_name = "COLUMN")]
    target: String,
    /// Write the model to this file, or to a pipe such as /dev/stdout
    #[arg(long, value_name = "MODEL.json")]
    out: PathBuf,
    /// Share of each class that is held out to score the model
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    test_fraction: f64,
    /// Seed of the split and the folds
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Strength of the L2 penalty; raise it when training diverges
    #[arg(long, default_value_t = 0.1)]
    alpha: f64,
    /// What to call the model; the data file's name without it
    #[arg(long)]
    name: Option<String>,
}

/// Trains and writes the file, and says how good the model is.
///
/// # Errors
/// A fault in the data, with file, line and column; an option out of range; a file that can't be read or written.
pub fn run(args: &Args) -> Result<()> {
    let place = args.data.display().to_string();
    let unread = || format!("--data {place}: cannot be read");
    let mut input = File::open(&args.data).with_context(unread)?;
    let mut head = Vec::new();
    input.by_ref().take(file_kind::HEAD as u64).read_to_end(&mut head).with_context(unread)?;
    let table =
        read_csv(head.as_slice().chain(input), &place, &args.target).map_err(|error| match WrongKind::of(
            &head,
            Wanted::Table,
        ) {
            Some(wrong) => wrong.explain(error.into()).context(format!("--data {place}")),
            None => error.into(),
        })?;
    let stem = args.data.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = args.name.clone().or(stem).unwrap_or_default();
    ensure!(
        !name.is_empty() && !name.chars().any(char::is_control),
        "--name: must be printable text, got {name:?}"
    );
    let options =
        TrainOptions { name, test_fraction: args.test_fraction, seed: args.seed, alpha: args.alpha };
    let out = OutputFile::new("--out", &args.out)?;
    let out_is_stdout = out.is_stdout();
    let file = model::train(&table, &options)?;
    out.write(file.to_json()?.as_bytes())?;

    let (card, report) = (&file.card, &file.card.training);
    let mut text = format!("{} {} written to {}\n", card.name, card.version, args.out.display());
    text += &format!("  {} rows to fit, {} held out\n", report.train_rows, report.test_rows);
    if let Some(accuracy) = report.held_out_accuracy {
        text += &format!("  held-out accuracy {accuracy:.3}\n");
    }
    let cross = &report.cross_validation;
    text += &format!("  {}-fold accuracy {:.3} ± {:.3}\n", cross.folds, cross.mean_accuracy, cross.sd);
    let calibration = &report.calibration;
    text += &format!(
        "  probabilities calibrated with temperature {:.2}: log loss {:.3}, {:.3} before\n",
        calibration.temperature, calibration.log_loss, calibration.log_loss_before
    );
    let text = printable_lines(&text);
    if out_is_stdout {
        // A reader of the model should find nothing else there.
        eprint!("{text}");
        return Ok(());
    }
    print(&text)
}
