//! Finds class labels that may be two spellings of one class.

use super::unfit::{counted, shell_word};
use cli_io::printable::quoted;
use std::collections::BTreeMap;
use unicode_normalization::UnicodeNormalization;

/// Texts that data frames and spreadsheets write for a missing value.
pub(super) const MISSING_TOKENS: [&str; 8] = ["NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"];

/// Returns notes on what may be a mistake in the classes of a column. `padded` is the number of rows whose
/// class has spaces around it.
pub(super) fn class_notes(column: &str, classes: &[String], padded: usize) -> Vec<String> {
    let column = quoted(column);
    let mut notes = Vec::new();
    if padded > 0 {
        notes.push(format!(
            "column {column}: the class of {} leading or trailing spaces, which are removed",
            counted(padded, "row has", "rows has")
        ));
    }
    let mut forms: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for class in classes {
        forms.entry(plain(class)).or_default().push(quoted(class).to_string());
    }
    for same in forms.values().filter(|same| same.len() > 1) {
        let names = same.join(" and ");
        notes.push(format!(
            "column {column}: {names} are different classes; write them in the same way if they are one class"
        ));
    }
    for class in classes.iter().filter(|class| MISSING_TOKENS.contains(&class.as_str())) {
        let (name, flag_value) = (quoted(class), shell_word(class));
        notes.push(format!(
            "column {column}: {name} is a class; \
             leave out its rows with --missing {flag_value} --drop-unlabelled if it stands for a missing class"
        ));
    }
    notes
}

/// Returns the same text for all spellings of a label: with composed characters, without case and spaces, and numbers by value.
fn plain(label: &str) -> String {
    if let Ok(number) = label.parse::<f64>() {
        return (number + 0.0).to_string();
    }
    label.nfkc().flat_map(char::to_lowercase).filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_differ_only_in_spelling_are_noted() {
        let notes = |classes: &[&str], padded| {
            class_notes("y", &classes.iter().map(|&class| class.to_owned()).collect::<Vec<_>>(), padded)
        };
        assert!(notes(&["a", "b", "1", "2"], 0).is_empty());
        for pair in [["0", "0.0"], ["é", "e\u{301}"], ["yes", "Yes"], ["1e3", "1000"]] {
            let notes = notes(&pair, 0);
            assert!(notes.len() == 1 && notes[0].contains("are different classes"), "{pair:?}: {notes:?}");
        }
        assert_eq!(
            notes(&["NA", "x"], 0),
            ["column \"y\": \"NA\" is a class; \
              leave out its rows with --missing NA --drop-unlabelled if it stands for a missing class"]
        );
        assert!(notes(&["x", "y"], 1)[0].contains("the class of 1 row has leading or trailing spaces"));
        assert!(notes(&["x", "y"], 3)[0].contains("the class of 3 rows has leading or trailing spaces"));
    }
}
