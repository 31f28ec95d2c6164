//! The command line: what was typed, and what is done about it.

use crate::{DriftSpec, RowSource, bench, output, presets, yaml_bounds};
use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use cli_io::{
    file_kind::{self, FileKind, Wanted},
    output_file::OutputFile,
    printable::printable_lines,
};
use model::{ModelCard, ModelFile, TrainOptions};
use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

pub use crate::output::Format;

/// Rows that drift on purpose, with the truth attached.
///
/// Exit codes: 0 done, 2 bad input.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write rows to stdout, like the model's reference or drifting away from it
    ///
    /// Without --spec and --preset no row drifts. The last two columns are `class`, the true one, and `drifted`; where
    /// a feature has such a name, underscores are added.
    Generate(Generate),
    /// Measure how soon each drift is noticed, and how often noise is
    ///
    /// Simulates the service, the recording rules and the alerts, row by row. Prints tables for Markdown; says "missed"
    /// where a promise is not kept. The whole of it takes about a quarter of an hour on two processors.
    Bench(Box<Bench>),
    /// List the presets
    List,
}

#[derive(Debug, Args)]
struct Bench {
    #[command(flatten)]
    settings: bench::Settings,
    /// A model file that `inference train` wrote, whose law the rows follow; Iris without it
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Also write the figures as JSON to this file, or to a pipe
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Generate {
    /// A drift spec in YAML
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    spec: Option<PathBuf>,
    /// A built-in drift spec; `driftsim list` lists them
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// How many rows
    #[arg(long, value_name = "N")]
    rows: u64,
    /// The same seed gives the same rows
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
    /// A model file that `inference train` wrote; Iris without it
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// How rows are written
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
}

/// Does what was typed, writing to stdout.
///
/// # Errors
/// When the input is bad or stdout can't be written to; a reader that has seen enough is no error.
pub fn run(cli: Cli) -> Result<()> {
    let written = match cli.command {
        Command::Generate(generate) => {
            let card = card(generate.model.as_deref())?;
            let rows = generate.source(&card)?.take(usize::try_from(generate.rows).unwrap_or(usize::MAX));
            output::write(generate.format, &card, rows, &mut BufWriter::new(io::stdout().lock()))
        }
        Command::Bench(bench) => bench.run()?,
        Command::List => list(&mut io::stdout().lock()),
    };
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}

impl Bench {
    /// Runs the benchmark and writes what it found. The inner result is that of writing to stdout.
    fn run(&self) -> Result<io::Result<()>> {
        let card = card(self.model.as_deref())?;
        // Opened first: a long run must not end with a path that can't be written.
        let json = self.json.as_deref().map(|path| OutputFile::new("--json", path)).transpose()?;
        let report = bench::run(&self.settings, &card)?;
        // A reader of the figures should find nothing else there.
        let figures_on_stdout = json.as_ref().is_some_and(OutputFile::is_stdout);
        if let Some(file) = json {
            let text = serde_json::to_string_pretty(&report).context("--json: cannot write the figures")?;
            file.write(format!("{text}\n").as_bytes())?;
        }
        // It names features and classes of a model file.
        let tables = printable_lines(&report.to_string());
        if figures_on_stdout {
            eprint!("{tables}");
            return Ok(Ok(()));
        }
        Ok(write!(io::stdout().lock(), "{tables}"))
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
        .with_context(|| format!("--spec: {file}: is not UTF-8; save the file in that encoding"))?;
    Ok(DriftSpec::from_yaml(text, &file)?)
}

fn card(path: Option<&Path>) -> Result<ModelCard> {
    let file = match path {
        Some(path) => {
            let place = || format!("--model: {}", path.display());
            let bytes = std::fs::read(path).with_context(place)?;
            let read = || Ok(ModelFile::from_json(str::from_utf8(&bytes).context("is not text")?)?);
            read().map_err(|error| file_kind::explain(error, &bytes, Wanted::Model)).with_context(place)?
        }
        None => model::train(&model::iris::table(), &TrainOptions::new("iris"))?,
    };
    Ok(file.card)
}

fn list(out: &mut impl Write) -> io::Result<()> {
    for preset in presets() {
        writeln!(out, "{:<12} {}", preset.name, preset.description)?;
    }
    out.flush()
}
