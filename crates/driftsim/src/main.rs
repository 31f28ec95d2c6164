//! The program `driftsim`: calls the library and sets the exit code.

use clap::Parser;
use cli_io::printable::printable_message;
use std::process::ExitCode;

fn main() -> ExitCode {
    // clap also exits with 2 if flags are invalid.
    match driftsim::run(driftsim::cli::Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {}", printable_message(&format!("{error:#}")));
            ExitCode::from(2)
        }
    }
}
