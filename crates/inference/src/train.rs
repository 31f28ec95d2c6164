//! `inference train`: from a CSV file to a model file.

use anyhow::{Result, ensure};
use cli_io::{output_file::OutputFile, printable::printable_lines, stdout::print, table_file::TableFile};
use indicatif::{ProgressBar, ProgressStyle};
use model::{CsvOptions, CsvTable, ModelFile, Step, TrainOptions, TrainingReport, Values, read_csv};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// What a model is called whose table comes from standard input.
const DEFAULT_NAME: &str = "model";

/// Flags of `inference train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// CSV file with a header, plain or compressed with gzip, or - for standard input
    ///
    /// Columns of numbers are numeric, columns of text and booleans are categorical; an empty cell is a missing value.
    #[arg(long, value_name = "FILE.csv")]
    data: PathBuf,
    /// Column that holds the class
    #[arg(long, value_name = "COLUMN")]
    target: String,
    /// Write the model to this file, or to a pipe such as /dev/stdout
    #[arg(long, value_name = "MODEL.json")]
    out: PathBuf,
    /// Column to read as categories whatever it looks like, such as a code; may be repeated
    #[arg(long, value_name = "COLUMN")]
    categorical: Vec<String>,
    /// Column to read as numbers; may be repeated
    #[arg(long, value_name = "COLUMN")]
    numeric: Vec<String>,
    /// Column to leave out; may be repeated
    #[arg(long, value_name = "COLUMN")]
    drop: Vec<String>,
    /// Text that stands for a missing value, beside the empty cell, such as NA; may be repeated
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    missing: Vec<String>,
    /// Leave out the rows that have no class, instead of refusing the table
    #[arg(long)]
    drop_unlabelled: bool,
    /// Character between the fields, \t for a tab
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = cli_io::table_file::separator)]
    separator: u8,
    /// Share of each class that is held out to score the model
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    test_fraction: f64,
    /// Seed of the split, the folds and the simulator
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Strength of the L2 penalty; raise it when training diverges
    #[arg(long, default_value_t = 0.1)]
    alpha: f64,
    /// What to call the model; without it, the name of the data file, or "model" for standard input
    #[arg(long)]
    name: Option<String>,
}

/// Trains and writes the file, and says how good the model is.
///
/// # Errors
/// A fault in the data, with file, line and column; an option out of range; a file that can't be read or written.
pub fn run(args: &Args) -> Result<()> {
    ensure!(
        !is_same_file(&args.data, &args.out),
        "--out {}: is the table of --data {}, which the model would replace; name another file",
        args.out.display(),
        args.data.display()
    );
    let progress = Progress::new();
    progress.says("reading the table");
    let mut data = TableFile::open("--data", &args.data)?;
    let options = CsvOptions {
        target: args.target.clone(),
        numeric: args.numeric.clone(),
        categorical: args.categorical.clone(),
        drop: args.drop.clone(),
        missing: args.missing.clone(),
        drop_unlabelled: args.drop_unlabelled,
        separator: args.separator,
    };
    let read = read_csv(data.text(), &data.place, &options);
    let CsvTable { table, notes } = read.map_err(|error| data.explain(error.into()))?;
    let options = TrainOptions {
        name: name(args)?,
        test_fraction: args.test_fraction,
        seed: args.seed,
        alpha: args.alpha,
    };
    let out = OutputFile::new("--out", &args.out)?;
    let out_is_stdout = out.is_stdout();
    let file = model::train_with_progress(&table, &options, |step| {
        progress.says(match step {
            Step::Fit => "fitting the weights",
            Step::Validate => "validating on rows that were left out",
            Step::Reference => "measuring the reference",
            Step::Simulator => "making the simulator",
        });
    })?;
    out.write(file.to_json()?.as_bytes())?;
    drop(progress);

    let mut text = format!("{} {} written to {}\n", file.card.name, file.card.version, args.out.display());
    text += &columns(&file);
    text += &report(&file.card.training, &file.card.classes);
    text += &simulator(&file);
    for note in notes.iter().chain(&file.card.training.warnings) {
        text += &format!("warning: {note}\n");
    }
    let text = printable_lines(&text);
    if out_is_stdout {
        // A reader of the model should find nothing else there.
        eprint!("{text}");
        return Ok(());
    }
    print(&text)
}

/// Returns whether the table is read from the regular file that the model is written to, by whatever paths, links or descriptors.
fn is_same_file(data: &Path, out: &Path) -> bool {
    let data = if data == Path::new("-") { Path::new("/dev/stdin") } else { data };
    match (fs::metadata(data), fs::metadata(out)) {
        (Ok(data), Ok(out)) => data.is_file() && (data.dev(), data.ino()) == (out.dev(), out.ino()),
        _ => false,
    }
}

fn name(args: &Args) -> Result<String> {
    let stem = args.data.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let stem = stem.map(|stem| stem.strip_suffix(".csv").map(str::to_owned).unwrap_or(stem));
    let stem = stem.map(|stem| if stem == "-" { DEFAULT_NAME.to_owned() } else { stem });
    let name = args.name.clone().or(stem).unwrap_or_default();
    ensure!(
        !name.is_empty() && !name.chars().any(char::is_control),
        "--name: must be printable text, got {name:?}"
    );
    Ok(name)
}

/// Describes the types that the columns have.
fn columns(file: &ModelFile) -> String {
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

/// Describes how well the model does.
pub(crate) fn report(report: &TrainingReport, classes: &[String]) -> String {
    let mut text = format!("  {} rows to fit, {} held out\n", report.train_rows, report.test_rows);
    if let (Some(accuracy), Some(baseline)) = (report.held_out_accuracy, report.baseline_accuracy) {
        text += &format!("  held-out accuracy {accuracy:.3}");
        text += &format!(", {baseline:.3} by always answering the commonest class\n");
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

/// Describes how well each class is recognised.
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

/// Describes the check of the simulator.
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

/// What is being done, on standard error where that is a terminal.
struct Progress(ProgressBar);

impl Progress {
    fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    fn says(&self, what: &'static str) {
        self.0.set_message(what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
