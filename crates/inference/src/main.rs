//! The `inference` command: see `inference --help`.

use clap::Parser;
use cli_io::printable::printable_message;
use std::process::ExitCode;

fn main() -> ExitCode {
    match inference::cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", printable_message(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
