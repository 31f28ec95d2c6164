//! The `inference` command: see `inference --help`.

use clap::Parser;
use cli_io::{
    descriptors::{least_of_a_server, require},
    printable::printable_message,
};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = inference::cli::Cli::parse();
    // Runtimes panic without descriptors.
    match require(least_of_a_server()).and_then(|_| cli.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", printable_message(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
