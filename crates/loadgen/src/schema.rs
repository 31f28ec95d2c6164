//! `loadgen schema`: the JSON Schema of scenario files.

use crate::{exit::Exit, report::text::to_stdout, scenario};

/// Prints the schema.
///
/// # Errors
/// When it can't be written.
pub fn print() -> anyhow::Result<Exit> {
    to_stdout(format!("{:#}\n", scenario::schema()).as_bytes())
}
