//! The `driftbench` binary; see the library.

use clap::Parser;
use cli_io::printable::printable_message;
use std::process::ExitCode;

fn main() -> ExitCode {
    // clap also exits with 2 on invalid flags.
    match driftbench::cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", printable_message(&format!("{error:#}")));
            ExitCode::from(2)
        }
    }
}
