//! `loadgen completions`: prints a completion script for a shell.

use crate::exit::Exit;
use clap_complete::{Shell, generate};
use cli_io::stdout::print;

const AFTER_HELP: &str = "In bash: source <(loadgen completions bash)\nIn zsh:  source <(loadgen completions zsh)\nIn fish: loadgen completions fish | source";

/// The arguments of `loadgen completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The shell that the script is for
    shell: Shell,
}

/// Prints the script for `command`.
///
/// # Errors
/// If standard output cannot be written to.
pub fn run(args: &Args, mut command: clap::Command) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    generate(args.shell, &mut command, "loadgen", &mut script);
    print(script)?;
    Ok(Exit::Passed)
}
