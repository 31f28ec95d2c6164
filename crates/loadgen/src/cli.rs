//! The command line.

use crate::{check, completions, connect::redacted, exit::Exit, list, merge, plan::Shard, play, schema};
use clap::{CommandFactory, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use cli_io::printable::printable_message;
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

const ENVIRONMENT: &str = "Environment: LOADGEN_BEARER_TOKEN is sent to the target, and to it alone, with every request \
that has no authorization of its own; LOADGEN_PROMETHEUS_BEARER_TOKEN to Prometheus. In their place an address may have \
a user and a password, as in http://user:password@host; `ps` shows those.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays a scenario and judges what came of it
    Run(Box<RunArgs>),
    /// Joins the JSON reports of several machines and judges the thresholds on the whole
    Merge(MergeArgs),
    /// Lists the scenarios that can be run by name
    List,
    /// Checks scenario files and prints what they would send
    Check {
        /// Scenario files, or names
        #[arg(required = true, value_hint = ValueHint::FilePath)]
        files: Vec<String>,
    },
    /// Prints the JSON Schema of scenario files, by which editors complete and check them
    Schema,
    /// Prints a script by which a shell completes commands and flags
    #[command(after_help = completions::HOW)]
    Completions {
        /// The shell that it is for
        shell: Shell,
    },
}

/// The flags of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = ENVIRONMENT)]
pub struct RunArgs {
    /// A name, looked up in ./scenarios and then among the built-in ones, or a file
    #[arg(long, value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    pub scenario: String,
    /// The inference service
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, default_value = "http://127.0.0.1:8000", value_parser = http_url)]
    pub target: Url,
    /// A Prometheus server, to check the scenario's alerts
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = http_url)]
    pub prometheus: Option<Url>,
    /// Additional certificate authorities to trust over https:// (PEM)
    #[arg(long, value_name = "FILE.pem", value_hint = ValueHint::FilePath)]
    pub ca_cert: Option<PathBuf>,
    /// Where all random draws start from, over the scenario's own
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Which part of the plan to play, where several machines play it together; `loadgen merge` joins their reports
    #[arg(long, value_name = "I/N", default_value_t = Shard::WHOLE)]
    pub shard: Shard,
    /// Write the report as JSON to this file, or to a pipe such as /dev/stdout
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,
    /// Write the report as an HTML page to this file, or to a pipe
    #[arg(long, value_name = "FILE.html", value_hint = ValueHint::FilePath)]
    pub report: Option<PathBuf>,
    /// Where to serve a live page until the run ends; without an address 127.0.0.1:5665, without the flag nowhere
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:5665")]
    pub dashboard: Option<SocketAddr>,
    /// Where to serve the load generator's own /metrics for Prometheus, such as 0.0.0.0:9464
    #[arg(long, value_name = "ADDR")]
    pub metrics_listen: Option<SocketAddr>,
}

/// The arguments of `merge`.
#[derive(Debug, clap::Args)]
pub struct MergeArgs {
    /// Reports that `run --json` wrote: all parts of one plan, or whole runs of one scenario
    #[arg(required = true, value_name = "REPORT.json")]
    pub reports: Vec<PathBuf>,
    /// Write the report of the whole as JSON to this file, or to a pipe
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

fn http_url(text: &str) -> Result<Url, String> {
    let url: Url =
        text.parse().map_err(|error| format!("{error}; expected something like http://127.0.0.1:8000"))?;
    if url.query().is_some() || url.fragment().is_some() {
        // Not shown: a query may hold a key.
        return Err(
            "an address ends with its path; a query goes into the `path` of a scenario's payloads".into()
        );
    }
    match (url.scheme(), url.has_host()) {
        ("http" | "https", true) => Ok(url),
        _ => Err("only http:// and https:// addresses can be reached".into()),
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
            let words = error.to_string();
            // clap repeats a bad value as it is: an address with its password, or control characters.
            let shown = printable_message(&redacted(&words));
            if error.use_stderr() && shown != words {
                eprint!("{shown}");
            } else {
                error.print()?;
            }
            // `--help` is an error to clap, but not to us.
            return Ok(if error.use_stderr() { Exit::BadInput } else { Exit::Passed });
        }
    };
    match cli.command {
        Command::Run(args) => play::play(&args),
        Command::Merge(args) => merge::merge(&args),
        Command::List => list::list(),
        Command::Check { files } => check::check(&files),
        Command::Schema => schema::print(),
        Command::Completions { shell } => completions::print(shell, Cli::command()),
    }
}
