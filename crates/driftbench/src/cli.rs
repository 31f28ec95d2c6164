//! Defines the command line and runs it.

use crate::Settings;
use anyhow::{Context, Result, ensure};
use clap::{CommandFactory, Parser};
use cli_io::{output_file::OutputFile, printable::printable_lines, stdout::print};
use cli_meta::{completions, man_pages};
use driftsim::source::has_true_classes;
use std::path::PathBuf;

/// Measure how soon each drift is detected, and how often there is a false alarm
///
/// Simulates the service, the recording rules and the alerts, row by row. Prints Markdown tables, with "missed" where a
/// target is not met. The whole benchmark takes about a quarter of an hour on two processors.
///
/// Exit codes: 0 done, 2 bad input.
#[derive(Debug, Parser)]
#[command(version, long_version = cli_meta::LONG_VERSION)]
pub struct Cli {
    #[command(flatten)]
    settings: Settings,
    /// Generate rows that follow the distributions of this model file of `inference train` [default: Iris]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Also write the figures as JSON to this file, or to a pipe
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only print a completion script for a shell
    #[arg(long, value_name = "SHELL", exclusive = true)]
    completions: Option<completions::Shell>,
    /// Only write the manual page to this folder
    #[arg(long, value_name = "FOLDER", exclusive = true, hide = true)]
    man_pages: Option<PathBuf>,
}

impl Cli {
    /// Runs the benchmark and writes its figures.
    ///
    /// # Errors
    /// If the input is invalid, or the figures cannot be written.
    pub fn run(&self) -> Result<()> {
        if let Some(shell) = self.completions {
            return completions::print_script(shell, Self::command());
        }
        if let Some(folder) = &self.man_pages {
            return man_pages::write_pages(Self::command(), folder);
        }
        let card = driftsim::load_card(self.model.as_deref())?;
        ensure!(
            has_true_classes(&card),
            "--model: model {:?} predicts a number, or its reference has no true classes, but the benchmark needs true classes \
            to train models on simulated rows; give a model file of `inference train`",
            card.name
        );
        // The path is checked first, so that a long run does not end with a path that cannot be written.
        let json = self.json.as_deref().map(|path| OutputFile::new("--json", path)).transpose()?;
        let report = crate::run(&self.settings, &card)?;
        // If the figures go to standard output, the tables go to standard error.
        let figures_on_stdout = json.as_ref().is_some_and(OutputFile::is_stdout);
        if let Some(file) = json {
            let text = serde_json::to_string_pretty(&report).context("--json: cannot write the figures")?;
            file.write(format!("{text}\n").as_bytes())?;
        }
        // The text contains names of features and classes from a model file.
        let tables = printable_lines(&report.to_string());
        if figures_on_stdout {
            eprint!("{tables}");
            return Ok(());
        }
        print(tables)
    }
}
