//! The command line and its dispatch to [`crate::commands`].

use crate::{
    commands::{check, list, merge, run, schema},
    connect::redacted,
    exit::Exit,
};
use clap::{CommandFactory, Parser, Subcommand};
use cli_io::printable::printable_message;

/// Run traffic scenarios against an inference service, measure it, and check whether monitoring detects what they cause.
#[derive(Debug, Parser)]
#[command(version, long_version = cli_meta::LONG_VERSION, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 passed, 99 a threshold or expectation was missed, 104 bad scenario, flags or \
target, 105 interrupted, 106 invalid (the generator itself could not keep up).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario and judge the results
    Run(Box<run::Args>),
    /// Merge the JSON reports of several machines and judge the thresholds on their sum
    Merge(merge::Args),
    /// List the scenarios that can be run by name
    List,
    /// Check scenario files and print what they would send
    Check(check::Args),
    /// Print the JSON Schema of scenario files, for completion and checks in editors
    Schema,
    /// Print a completion script for a shell
    #[command(after_help = cli_meta::completions_help!("loadgen"))]
    Completions(cli_meta::Completions),
    /// Write the manual pages
    #[command(hide = true)]
    ManPages(cli_meta::ManPages),
}

/// Parses the command line and runs the command.
///
/// # Errors
/// If the command ends before it reaches a verdict; the exit code is then [`Exit::BadInput`].
pub fn run() -> anyhow::Result<Exit> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let words = error.to_string();
            // clap repeats an invalid value unchanged, and it can contain a password or control characters.
            let shown = printable_message(&redacted(&words));
            if error.use_stderr() && shown != words {
                eprint!("{shown}");
            } else {
                error.print()?;
            }
            // clap returns `--help` as an error, which does not go to stderr.
            return Ok(if error.use_stderr() { Exit::BadInput } else { Exit::Passed });
        }
    };
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::List => list::run(),
        Command::Check(args) => check::run(&args),
        Command::Schema => schema::run(),
        Command::Completions(args) => args.print(Cli::command()).map(|()| Exit::Passed),
        Command::ManPages(args) => args.write(Cli::command()).map(|()| Exit::Passed),
    }
}
