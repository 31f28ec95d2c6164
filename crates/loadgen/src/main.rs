//! The `loadgen` binary; see the library.

use cli_io::printable::printable_message;
use loadgen::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    loadgen::run()
        .unwrap_or_else(|error| {
            eprintln!("error: {}", printable_message(&format!("{error:#}")));
            Exit::BadInput
        })
        .into()
}
