//! `inference train`: trains a model on a CSV file.

use crate::{
    progress::Progress,
    table_args::{TableArgs, name_note},
};
use anyhow::Result;
use cli_io::{output_file::OutputFile, printable::printable_lines, stdout::print};
use model::{CsvTable, ModelFile, TrainOptions, TrainingReport, Values, read_csv};
use std::path::PathBuf;

/// Flags of `inference train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    table: TableArgs,
    /// Column that holds the class
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    target: String,
    /// Write the model to this file, or to a pipe such as /dev/stdout
    #[arg(long, value_name = "MODEL.json")]
    out: PathBuf,
    /// Share of each class to hold out for scoring the model
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    test_fraction: f64,
    /// Seed of the split, the folds and the simulator
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Strength of the L2 penalty; increase it if training diverges
    #[arg(long, default_value_t = 0.1)]
    alpha: f64,
    /// Name of the model; by default the name of the data file, or "model" for standard input
    #[arg(long)]
    name: Option<String>,
}

/// Trains a model, writes its file, and prints its scores.
///
/// # Errors
/// Returns an error if the data have a fault, with file, line and column, if an option is out of range, or if a file cannot be read
/// or written.
pub fn run(args: &Args) -> Result<()> {
    args.table.check_out(&args.out)?;
    let progress = Progress::new();
    progress.set_message("reading the table");
    let mut data = args.table.open()?;
    let options = args.table.options(Some(&args.target));
    let read = read_csv(data.text(), &data.place, &options);
    let CsvTable { table, notes } = read.map_err(|error| data.explain(error.into()))?;
    let options = TrainOptions {
        name: args.table.name(args.name.as_deref())?,
        test_fraction: args.test_fraction,
        seed: args.seed,
        alpha: args.alpha,
    };
    let out = OutputFile::new("--out", &args.out)?;
    let out_is_stdout = out.is_stdout();
    let file = model::train_with_progress(&table, &options, |step| progress.set_step(step))?;
    out.write(file.to_json()?.as_bytes())?;
    drop(progress);

    let mut text = format!("{} {} written to {}\n", file.card.name, file.card.version, args.out.display());
    text += &columns(&file);
    text += &report(&file.card.training, &file.card.classes);
    text += &simulator(&file);
    let name = name_note(&file.card.name, args.name.as_deref());
    for note in notes.iter().chain(&file.card.training.warnings).chain(&name) {
        text += &format!("warning: {note}\n");
    }
    let text = printable_lines(&text);
    if out_is_stdout {
        // If the model is written to standard output, nothing else may be written there.
        eprint!("{text}");
        return Ok(());
    }
    print(&text)
}

/// Returns lines that describe the types of the columns.
pub(crate) fn columns(file: &ModelFile) -> String {
    let names = |categorical: bool| {
        let own = file.card.features.iter();
        let own = own.filter(|feature| matches!(feature.values, Values::Categorical(_)) == categorical);
        own.map(|feature| feature.name.as_str()).collect::<Vec<_>>()
    };
    let line = |what: &str, names: Vec<&str>| {
        const SHOWN: usize = 12;
        let more = names.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let shown = names[..names.len().min(SHOWN)].join(", ");
        if names.is_empty() { String::new() } else { format!("  {} {what}: {shown}{more}\n", names.len()) }
    };
    line("numeric", names(false)) + &line("categorical", names(true))
}

/// Returns lines with the scores of the model.
pub(crate) fn report(report: &TrainingReport, classes: &[String]) -> String {
    let mut text = format!("  {} rows to fit, {} held out\n", report.train_rows, report.test_rows);
    if let (Some(accuracy), Some(baseline)) = (report.held_out_accuracy, report.baseline_accuracy) {
        text += &format!("  held-out accuracy {accuracy:.3}");
        text += &format!(", {baseline:.3} by always predicting the most frequent class\n");
    }
    if let Some(cross) = &report.cross_validation {
        text += &format!("  {}-fold accuracy {:.3} ± {:.3}", cross.folds, cross.mean_accuracy, cross.sd);
        text += &report.auroc.map_or("\n".to_owned(), |auroc| format!(", AUROC {auroc:.3}\n"));
    }
    if let Some(calibration) = &report.calibration {
        text += &format!(
            "  probabilities calibrated with temperature {:.2}: log loss {:.3}, {:.3} before\n",
            calibration.temperature, calibration.log_loss, calibration.log_loss_before
        );
    }
    text += &scores(report, classes);
    text
}

/// Returns lines with recall and precision of each class.
pub(crate) fn scores(report: &TrainingReport, classes: &[String]) -> String {
    if report.class_scores.is_empty() {
        return String::new();
    }
    let mut text = format!("  {:<24} {:>9} {:>8} {:>10}\n", "class", "rows", "recall", "precision");
    for (class, score) in classes.iter().zip(&report.class_scores) {
        let precision = score.precision.map_or("-".to_owned(), |precision| format!("{precision:.3}"));
        text += &format!("  {class:<24} {:>9} {:>8.3} {precision:>10}\n", score.rows, score.recall);
    }
    text
}

/// Returns lines with the result of the simulator's check.
pub(crate) fn simulator(file: &ModelFile) -> String {
    let check = &file.card.simulator.check;
    let verdict = |drifting: &[String]| match drifting {
        [] => "steady".to_owned(),
        some => format!("drifting: {}", some.join(", ")),
    };
    let mut text = format!("  {} simulated rows: {}\n", check.rows, verdict(&check.drifting));
    if check.held_out_rows > 0 {
        text += &format!("  {} held-out rows: {}\n", check.held_out_rows, verdict(&check.held_out_drifting));
    }
    text
}
