//! Rewrites errors of the YAML reader as errors of a scenario.

use serde::de::IgnoredAny;
use serde_yaml::{Deserializer, Error};

/// serde's words for types, and ours.
const WORDS: [(&str, &str); 6] = [
    ("expected u16", "expected a whole number of 0 or above"),
    ("expected u32", "expected a whole number of 0 or above, and below 2^32"),
    ("expected u64", "expected a whole number of 0 or above, and below 2^64"),
    (" as u128", ""),
    ("expected a sequence", "expected a list, such as [a, b]"),
    ("invalid type: unit value", "invalid type: nothing"),
];

/// `file:line: field: problem`.
pub(super) fn problem(file: &str, text: &str, error: &Error) -> String {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return format!("{file}:1: is empty: a scenario has `name`, `payloads` and `phases`");
    }
    if let Some(line) = second_document(text) {
        return format!("{file}:{line}: a second document begins here: a file holds one scenario");
    }
    let mut message = error.to_string();
    for (theirs, ours) in WORDS {
        message = message.replace(theirs, ours);
    }
    if message.contains("unknown field `<<`") {
        message += "; merge keys are not known here: write the fields out";
    }
    if message.contains("fixed.body: invalid type: map") {
        message += "; write JSON in quotes, or as a block after `|`";
    }
    let Some(place) = error.location() else { return format!("{file}: {message}") };
    let suffix = format!(" at line {} column {}", place.line(), place.column());
    // The place may stand in the middle, when the reader says what it was about.
    format!("{file}:{}: {}", place.line(), message.replace(&suffix, ""))
}

fn second_document(text: &str) -> Option<usize> {
    let documents = Deserializer::from_str(text);
    // Each must be read for the next to be found.
    let whole =
        documents.map(<IgnoredAny as serde::Deserialize>::deserialize).take_while(Result::is_ok).count();
    let content = text.lines().position(|line| !line.is_empty() && !line.starts_with(['#', '%', '-']))?;
    let mark = |line: &&str| *line == "---" || line.starts_with("--- ");
    let after = text.lines().skip(content).position(|line| mark(&line))?;
    (whole > 1).then_some(content + after + 1)
}
