//! Prints completion scripts for shells.

use anyhow::Result;
use clap::Command;
use cli_io::stdout::print;

pub use clap_complete::Shell;

/// The arguments of a command `completions`. Its help should end with [`completions_help!`](crate::completions_help).
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell that the script is for
    shell: Shell,
}

impl Completions {
    /// Prints the script for a program.
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn print(&self, program: Command) -> Result<()> {
        print_script(self.shell, program)
    }
}

/// Prints the script with which a shell completes the arguments of a program.
///
/// # Errors
/// If standard output cannot be written to.
pub fn print_script(shell: Shell, mut program: Command) -> Result<()> {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, name, &mut script);
    print(script)
}

/// Returns the text that explains how the script is loaded, for the arguments that print it.
#[macro_export]
macro_rules! completions_help {
    ($program:literal) => {
        concat!(
            "In bash: source <(",
            $program,
            " completions bash)\nIn zsh:  source <(",
            $program,
            " completions zsh)\nIn fish: ",
            $program,
            " completions fish | source"
        )
    };
}
