//! The command line.

use crate::{DriftSpec, RowSource, check, load_card, output, presets, yaml_bounds};
use anyhow::{Context, Result, bail};
use clap::{Args, CommandFactory, Parser, Subcommand};
use cli_io::file_kind::{FileKind, Wanted};
use model::ModelCard;
use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

pub use crate::output::Format;

/// Generate rows that drift on purpose, with the ground truth, and judge tables and running services
///
/// Exit codes: 0 success, 2 bad input; `check` has its own, see `driftsim check --help`
#[derive(Debug, Parser)]
#[command(version, long_version = cli_meta::LONG_VERSION)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write rows to stdout that are like the model's reference or drift away from it
    ///
    /// Without --spec and --preset no row drifts. The last two columns are `class` (the true class) and `drifted`; if a
    /// feature has one of these names, underscores are added. There is no `class` if the model predicts a number, or if the
    /// true classes of its reference are not known.
    Generate(Generate),
    /// Judge a table, or the rows that a running service counted: does each signal still follow the reference?
    ///
    /// Columns of tables are matched by name. A row with a cell that cannot be read is reported and left out.
    ///
    /// Exit codes: 0 steady, 1 drift, 2 no verdict: too few rows, rows that cannot be read, or bad input.
    Check(check::Args),
    /// List the presets
    List,
    /// Print a completion script for a shell
    #[command(after_help = cli_meta::completions_help!("driftsim"))]
    Completions(cli_meta::Completions),
    /// Write the manual pages
    #[command(hide = true)]
    ManPages(cli_meta::ManPages),
}

#[derive(Debug, Args)]
struct Generate {
    /// Drift spec (YAML)
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    spec: Option<PathBuf>,
    /// Built-in drift spec; `driftsim list` prints all of them
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Number of rows
    #[arg(long, value_name = "N")]
    rows: u64,
    /// Seed of the random numbers; the same seed gives the same rows
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
    /// Model file of `inference train` or `inference profile`; by default the built-in Iris model
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Format of the rows
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
}

/// Runs the command, which writes to standard output, and returns the exit code.
///
/// # Errors
/// Returns an error if the input is invalid or standard output cannot be written to. It is not an error if the reader closes
/// standard output early.
pub fn run(cli: Cli) -> Result<u8> {
    let written = match cli.command {
        Command::Generate(generate) => {
            let card = load_card(generate.model.as_deref())?;
            let rows = generate.source(&card)?.take(usize::try_from(generate.rows).unwrap_or(usize::MAX));
            output::write(generate.format, &card, rows, &mut BufWriter::new(io::stdout().lock()))
        }
        Command::Check(args) => return Ok(check::run(&args)?.exit_code()),
        Command::List => list(&mut io::stdout().lock()),
        Command::Completions(args) => return args.print(Cli::command()).map(|()| 0),
        Command::ManPages(args) => return args.write(Cli::command()).map(|()| 0),
    };
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        written => written.context("cannot write to stdout").map(|()| 0),
    }
}

impl Generate {
    fn source(&self, card: &ModelCard) -> Result<RowSource> {
        let (name, spec) = match (&self.spec, &self.preset) {
            (Some(path), _) => (path.display().to_string(), read_spec(path)?),
            (None, Some(name)) => (format!("preset {name}"), DriftSpec::preset(name)?),
            (None, None) => ("no drift".to_owned(), DriftSpec::steady()),
        };
        RowSource::new(card, &spec, self.seed).with_context(|| format!("{name}, model {:?}", card.name))
    }
}

fn read_spec(path: &Path) -> Result<DriftSpec> {
    let file = path.display().to_string();
    let unread = || format!("--spec: cannot read {file}");
    let bytes = yaml_bounds::read(path).with_context(unread)?;
    if let Some(kind) = FileKind::guess(&bytes).filter(|kind| kind.is_certain()) {
        bail!("--spec: {file}: seems to be {kind}; {}", kind.remedy(Wanted::DriftSpec));
    }
    let text = str::from_utf8(&bytes)
        .with_context(|| format!("--spec: {file}: the file is not UTF-8; save it as UTF-8"))?;
    Ok(DriftSpec::from_yaml(text, &file)?)
}

fn list(out: &mut impl Write) -> io::Result<()> {
    let width = presets().iter().map(|preset| preset.name.len()).max().unwrap_or_default();
    for preset in presets() {
        writeln!(out, "{:<width$}  {}", preset.name, preset.description)?;
    }
    out.flush()
}
