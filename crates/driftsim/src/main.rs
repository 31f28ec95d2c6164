//! `driftsim`: see the library for everything but the exit code.

use clap::Parser;
use cli_io::printable::printable_message;
use std::process::ExitCode;

fn main() -> ExitCode {
    // clap leaves with 2 on bad flags, too.
    match driftsim::run(driftsim::cli::Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {}", printable_message(&format!("{error:#}")));
            ExitCode::from(2)
        }
    }
}
