//! The command line.

use crate::{check, exit::Exit, list, play};
use clap::{Parser, Subcommand};
use reqwest::Url;
use std::{net::SocketAddr, path::PathBuf};

/// Plays traffic scenarios against an inference service, measures honestly, and says whether monitoring noticed.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 passed, 99 a threshold or expectation was missed, 104 bad scenario, flags or \
target, 105 interrupted, 106 invalid (the generator itself could not keep up).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays a scenario and judges what came of it
    Run(Box<RunArgs>),
    /// Lists the scenarios that can be run by name
    List,
    /// Checks scenario files and prints what they would send
    Check {
        /// Scenario files, or names
        #[arg(required = true)]
        files: Vec<String>,
    },
}

/// The flags of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// A name, looked up in ./scenarios and then among the built-in ones, or a file
    #[arg(long, value_name = "NAME|FILE")]
    pub scenario: String,
    /// The inference service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000", value_parser = http_url)]
    pub target: Url,
    /// A Prometheus server, to check the scenario's alerts
    #[arg(long, value_name = "URL", value_parser = http_url)]
    pub prometheus: Option<Url>,
    /// Where all random draws start from, over the scenario's own
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Where to write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where to write the report as an HTML page
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Where to serve a live page until the run ends; without an address 127.0.0.1:5665, without the flag nowhere
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:5665")]
    pub dashboard: Option<SocketAddr>,
    /// Where to serve the load generator's own /metrics for Prometheus, such as 0.0.0.0:9464
    #[arg(long, value_name = "ADDR")]
    pub metrics_listen: Option<SocketAddr>,
}

fn http_url(text: &str) -> Result<Url, String> {
    let url: Url =
        text.parse().map_err(|error| format!("{error}; expected something like http://127.0.0.1:8000"))?;
    match (url.scheme(), url.has_host()) {
        ("http", true) => Ok(url),
        _ => Err(format!("only http:// addresses can be reached, got {text:?}")),
    }
}

/// Parses the command line and does what it says.
///
/// # Errors
/// Whatever ends a command before it can come to a verdict; the exit code is then [`Exit::BadInput`].
pub fn run() -> anyhow::Result<Exit> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            error.print()?;
            // `--help` is an error to clap, but not to us.
            return Ok(if error.use_stderr() { Exit::BadInput } else { Exit::Passed });
        }
    };
    match cli.command {
        Command::Run(args) => play::play(&args),
        Command::List => Ok(list::list()),
        Command::Check { files } => Ok(check::check(&files)),
    }
}
