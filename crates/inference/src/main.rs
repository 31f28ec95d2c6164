//! The `inference` command: see `inference --help`.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match inference::cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
