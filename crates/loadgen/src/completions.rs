//! `loadgen completions`: what lets a shell complete commands and flags.

use crate::{exit::Exit, report::text::to_stdout};
use clap_complete::{Shell, generate};

/// Shown with the command's help.
pub const HOW: &str = "In bash: source <(loadgen completions bash)\nIn zsh:  source <(loadgen completions zsh)\nIn fish: loadgen completions fish | source";

/// Prints the script of `shell` for `command`.
///
/// # Errors
/// When it can't be written.
pub fn print(shell: Shell, mut command: clap::Command) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    generate(shell, &mut command, "loadgen", &mut script);
    to_stdout(&script)
}
