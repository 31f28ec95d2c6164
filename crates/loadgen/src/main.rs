//! The `loadgen` binary; see the library.

use loadgen::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    loadgen::run()
        .unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            Exit::BadInput
        })
        .into()
}
