//! `loadgen schema`: prints the JSON Schema of scenario files.

use crate::{exit::Exit, scenario};
use cli_io::stdout::print;

/// Prints the schema.
///
/// # Errors
/// If standard output cannot be written to.
pub fn run() -> anyhow::Result<Exit> {
    print(format!("{:#}\n", scenario::schema()))?;
    Ok(Exit::Passed)
}
