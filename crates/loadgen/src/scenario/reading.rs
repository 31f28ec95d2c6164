//! Rewrites the error messages of the YAML reader for users of scenarios.

use super::locate::{line_of, repeated_key};
use driftsim::yaml_bounds::tab_indented;
use serde::de::IgnoredAny;
use serde_yaml::{Deserializer, Error};

/// Expressions in serde's messages, and what replaces them.
const WORDS: [(&str, &str); 6] = [
    ("expected u16", "expected a whole number of 0 or above"),
    ("expected u32", "expected a whole number of 0 or above, and below 2^32"),
    ("expected u64", "expected a whole number of 0 or above, and below 2^64"),
    (" as u128", ""),
    ("expected a sequence", "expected a list, such as [a, b]"),
    ("invalid type: unit value", "invalid type: nothing"),
];

/// Returns an error message of the form `file:line: field: problem`.
pub(super) fn problem(file: &str, text: &str, error: &Error) -> String {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return format!("{file}:1: is empty; a scenario needs `name`, `payloads` and `phases`");
    }
    if let Some(line) = second_document(text) {
        return format!(
            "{file}:{line}: a second YAML document begins here; a file must have a single scenario"
        );
    }
    let mut message = error.to_string();
    if let Some((line, problem)) = tab_indented(text, error) {
        return format!("{file}:{line}: {problem}");
    }
    if (message.contains("duplicate field") || message.contains("occurs twice"))
        && let Some((path, line)) = repeated_key(text)
    {
        // The path leads to the first of the two.
        let first = line_of(text, &path).map_or(String::new(), |first| format!(", first on line {first}"));
        return format!("{file}:{line}: {path}: occurs twice{first}; remove one, or rename it");
    }
    for (theirs, ours) in WORDS {
        message = message.replace(theirs, ours);
    }
    if message.contains("unknown field `<<`") {
        message += "; YAML merge keys are not supported; write the fields out";
    }
    if message.contains("fixed.body: invalid type: map") {
        message += "; write the JSON in quotes, or as a block after `|`";
    }
    let Some(place) = error.location() else { return format!("{file}: {message}") };
    let suffix = format!(" at line {} column {}", place.line(), place.column());
    // The place may be in the middle of the message, before what the reader was parsing.
    format!("{file}:{}: {}", place.line(), message.replace(&suffix, ""))
}

fn second_document(text: &str) -> Option<usize> {
    let documents = Deserializer::from_str(text);
    // The reader finds the next document only after it has read the one before.
    let whole =
        documents.map(<IgnoredAny as serde::Deserialize>::deserialize).take_while(Result::is_ok).count();
    let content = text.lines().position(|line| !line.is_empty() && !line.starts_with(['#', '%', '-']))?;
    let mark = |line: &&str| *line == "---" || line.starts_with("--- ");
    let after = text.lines().skip(content).position(|line| mark(&line))?;
    (whole > 1).then_some(content + after + 1)
}
