//! `loadgen list`: prints the scenarios that can be run by name.

use crate::{
    exit::Exit,
    scenario::{Scenario, library},
    text::table,
};
use cli_io::stdout::print;

/// Prints every scenario with the place where it was found, and an invalid one with its first problem.
///
/// # Errors
/// If standard output cannot be written to.
pub fn run() -> anyhow::Result<Exit> {
    let mut rows = Vec::new();
    for (name, found) in library::all() {
        let (place, text) = match found {
            Ok(found) => {
                let text = Scenario::parse(&found.text, &found.place).map_or_else(
                    |error| format!("bad: {}", first_line(&error.to_string())),
                    |good| good.description,
                );
                (found.place, text)
            }
            Err(error) => ("unreadable".into(), error.to_string()),
        };
        rows.push(vec![name, place, first_line(&text)]);
    }
    print(table(&rows, 0))?;
    Ok(Exit::Passed)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
