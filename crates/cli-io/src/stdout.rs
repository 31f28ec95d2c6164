//! Writes the output of a command to standard output.

use anyhow::{Context, Result};
use std::io::{ErrorKind, Write};

/// Writes to standard output. It is not an error if the reader closes the pipe early, as `head` does.
///
/// # Errors
/// If standard output cannot be written to for any other reason.
pub fn print(text: impl AsRef<[u8]>) -> Result<()> {
    match std::io::stdout().write_all(text.as_ref()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("writing to standard output")
        }
        _ => Ok(()),
    }
}
