//! The `inference` command: see `inference --help`.

use cli_io::printable::printable_message;
use std::process::ExitCode;

fn main() -> ExitCode {
    let (cli, environment) = inference::Environment::parse();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", printable_message(&environment.rename(&format!("{error:#}"))));
            ExitCode::FAILURE
        }
    }
}
