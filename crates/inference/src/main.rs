//! The `inference` command: see `inference --help`.

use cli_io::{
    descriptors::{least_of_a_server, require},
    printable::printable_message,
};
use std::process::ExitCode;

fn main() -> ExitCode {
    let (cli, environment) = inference::Environment::parse();
    // Runtimes panic without descriptors.
    match require(least_of_a_server()).and_then(|_| cli.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", printable_message(&environment.rename(&format!("{error:#}"))));
            ExitCode::FAILURE
        }
    }
}
