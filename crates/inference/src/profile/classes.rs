//! Matches the labels of a model with the class names of a table.

use anyhow::{Result, bail};
use cli_io::printable::quoted;
use std::collections::BTreeSet;

/// The greatest number of classes. More usually mean that the values are not classes. Each class is also the value of a metric label.
pub(super) const MAX_CLASSES: usize = 100;

/// The greatest number of names that an error lists.
const LISTED: usize = 10;

/// Returns the different texts, sorted by value if all are integers, and otherwise by text.
pub(super) fn distinct<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut texts: Vec<String> = texts.into_iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
    if texts.iter().all(|text| text.parse::<i64>().is_ok()) {
        texts.sort_by_key(|text| text.parse::<i64>().unwrap_or_default());
    }
    texts
}

/// Returns the position of each text in the classes. Numbers of the same value are the same class, whatever their form.
///
/// # Errors
/// Names the cell of the first text that is no class, by what `cell` returns for its row, and lists these texts and the classes.
pub(super) fn labels(
    texts: &[String],
    classes: &[String],
    cell: impl Fn(usize) -> String,
) -> Result<Vec<usize>> {
    let known = distinct(texts);
    let places: Vec<Option<usize>> = known.iter().map(|text| position(text, classes)).collect();
    let unknown: Vec<&String> =
        known.iter().zip(&places).filter(|(_, place)| place.is_none()).map(|(text, _)| text).collect();
    if !unknown.is_empty() {
        let first = texts.iter().position(|text| unknown.contains(&text)).unwrap_or_default();
        bail!(
            "{}: the column has {}, but the classes are {}; name the classes with --classes as the table writes them, in the order of the \
             model's probabilities or of the numbers that it returns for classes",
            cell(first),
            listed(unknown),
            listed(classes)
        );
    }
    let place = |text: &String| known.iter().position(|own| own == text).and_then(|at| places[at]);
    Ok(texts.iter().filter_map(place).collect())
}

/// Returns the position of the name that is equal to a text. If there is none, it returns the position of the same number, of the same
/// text without leading and trailing spaces, or of the same boolean in another case.
pub(crate) fn position(text: &str, names: &[String]) -> Option<usize> {
    let number = |text: &str| text.parse::<f64>().ok();
    let is_boolean = ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word));
    names
        .iter()
        .position(|name| name == text)
        .or_else(|| names.iter().position(|name| number(name).is_some() && number(name) == number(text)))
        .or_else(|| names.iter().position(|name| name.trim() == text.trim()))
        .or_else(|| names.iter().position(|name| is_boolean && name.eq_ignore_ascii_case(text)))
}

/// Returns the first names as a list, and the number of further names.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| quoted(name)).collect();
    let more = names.len().saturating_sub(LISTED);
    let first = names[..names.len().min(LISTED)].join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn numbers_are_matched_by_value_and_other_texts_literally() {
        let classes = texts(&["0", "1", "yes"]);
        let cell = |row: usize| format!("row {row}");
        assert_eq!(labels(&texts(&["1.0", "0", "yes", "1"]), &classes, cell).unwrap(), [1, 0, 2, 1]);
        let error = labels(&texts(&["1", "Yes"]), &classes, cell).unwrap_err().to_string();
        assert!(
            error.starts_with("row 1: the column has \"Yes\", but the classes are \"0\", \"1\", \"yes\""),
            "{error}"
        );
    }

    #[test]
    fn integers_are_sorted_by_value_and_other_texts_by_name() {
        assert_eq!(distinct(&texts(&["10", "9", "10"])), ["9", "10"]);
        assert_eq!(distinct(&texts(&["b", "10", "9"])), ["10", "9", "b"]);
    }
}
