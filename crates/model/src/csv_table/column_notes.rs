//! Writes notes on what may be a mistake in a column. Many columns with the same kind of note share a sentence.

use super::{
    unfit::{counted, shell_word},
    values::{CATEGORY_ROWS, MAX_CATEGORIES},
};
use cli_io::printable::quoted;
use std::mem::discriminant;

/// The greatest number of columns with the same kind of note that have a sentence each.
const MAX_SEPARATE: usize = 5;

/// The greatest number of columns that a shared sentence names.
const MAX_NAMED: usize = 10;

/// A note on one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnNote {
    pub(super) column: String,
    pub(super) about: About,
}

/// What a note is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// This many integers are rounded.
    RoundedIntegers(usize),
    /// This many numbers have leading zeros, and this is the first of them.
    LeadingZeros(usize, String),
    /// A text that usually stands for a missing value is a category.
    MissingToken(&'static str),
    /// Some categories share the bin `other`; of these, so many have a weight, because they have at least `least` rows.
    RareCategories { frequent: usize, rare: usize, weighted: usize, least: usize },
    /// All categories have fewer than `least` rows, so that none has a bin or a weight of its own.
    OnlyRareCategories { categories: usize, least: usize },
    /// The column seems to have row numbers, for this reason.
    RowNumbers(&'static str),
}

/// Returns the sentences: one per note, or one for all notes of a kind if there are many.
pub(super) fn sentences(notes: &[ColumnNote]) -> Vec<String> {
    let mut sentences = Vec::new();
    for (at, note) in notes.iter().enumerate() {
        let same: Vec<&ColumnNote> =
            notes.iter().filter(|other| is_same_kind(&other.about, &note.about)).collect();
        if same.len() <= MAX_SEPARATE {
            sentences.push(note.sentence());
        } else if !notes[..at].iter().any(|other| is_same_kind(&other.about, &note.about)) {
            sentences.push(shared_sentence(&note.about, same));
        }
    }
    sentences
}

/// Returns whether two notes can share a sentence.
fn is_same_kind(one: &About, other: &About) -> bool {
    match (one, other) {
        (About::MissingToken(one), About::MissingToken(other)) => one == other,
        _ => discriminant(one) == discriminant(other),
    }
}

impl ColumnNote {
    fn sentence(&self) -> String {
        let (name, flag_value) = (quoted(&self.column), shell_word(&self.column));
        match &self.about {
            About::RoundedIntegers(count) => format!(
                "column {name}: {} larger in magnitude than 2^53 and rounded, and requests with such integers are refused; \
                 if the column holds identifiers, leave it out with --drop {flag_value}",
                counted(*count, "integer is", "integers are")
            ),
            About::LeadingZeros(count, first) => format!(
                "column {name}: {} leading zeros, such as {}; if they are codes, read them as categories with \
                 --categorical {flag_value}",
                counted(*count, "number has", "numbers have"),
                quoted(first)
            ),
            About::MissingToken(token) => {
                format!(
                    "column {name}: {token:?} is counted as a category; --missing '{token}' makes it a missing value"
                )
            }
            About::RareCategories { frequent, rare, weighted, least } => {
                let own = match frequent {
                    0 => "no category has".to_owned(),
                    1 => "1 category has".to_owned(),
                    known => format!("{known} categories have"),
                };
                let weights = match weighted {
                    0 => String::new(),
                    _ => format!(
                        ", but the {weighted} of them with at least {least} rows have a separate weight"
                    ),
                };
                format!(
                    "column {name}: {own} a separate bin; {} (fewer than {CATEGORY_ROWS} rows, or not among the \
                     {MAX_CATEGORIES} most frequent) in the bin \"other\"{weights}",
                    counted(*rare, "rare one is", "rare ones are")
                )
            }
            About::OnlyRareCategories { categories, least } => format!(
                "column {name}: {} fewer than {least} rows, so the column only shows whether a value is missing; leave it out with --drop \
                 {flag_value}",
                counted(*categories, "category is the only one, and it has", "categories each have")
            ),
            About::RowNumbers(what) => {
                format!("column {name}: {what}; leave it out with --drop {flag_value} if it is a row number")
            }
        }
    }

    /// Returns the column's name, with what is special about it.
    fn detailed_name(&self) -> String {
        let name = quoted(&self.column);
        match &self.about {
            About::RoundedIntegers(count) => format!("{name} ({})", counted(*count, "integer", "integers")),
            About::LeadingZeros(_, first) => format!("{name} ({})", quoted(first)),
            About::OnlyRareCategories { categories, .. } => {
                format!("{name} ({})", counted(*categories, "category", "categories"))
            }
            About::RareCategories { frequent: 0, rare, .. } => format!("{name} (all {rare})"),
            About::RareCategories { frequent, rare, .. } => format!("{name} ({rare} of {})", frequent + rare),
            About::MissingToken(_) | About::RowNumbers(_) => name,
        }
    }
}

fn shared_sentence(about: &About, notes: Vec<&ColumnNote>) -> String {
    let what = match about {
        About::RoundedIntegers(_) => {
            "columns have integers larger in magnitude than 2^53, which are rounded, and requests with such integers are refused; if a \
             column holds identifiers, leave it out with --drop"
                .to_owned()
        }
        About::LeadingZeros(..) => "columns have numbers with leading zeros; if a column holds codes, read it as categories with \
                                    --categorical"
            .to_owned(),
        About::MissingToken(token) => {
            format!("columns have the category {token:?}; --missing '{token}' makes it a missing value")
        }
        About::RareCategories { .. } => {
            format!(
                "columns have rare categories (fewer than {CATEGORY_ROWS} rows, or not among the {MAX_CATEGORIES} most frequent), which \
                 share the bin \"other\" of the column"
            )
        }
        About::OnlyRareCategories { least, .. } => format!(
            "columns have no category with {least} rows or more, so they only show whether a value is missing; leave them out with --drop"
        ),
        About::RowNumbers(_) => {
            "columns have a different number in every row; if one has row numbers, leave it out with --drop".to_owned()
        }
    };
    let named: Vec<String> = notes.iter().take(MAX_NAMED).map(|note| note.detailed_name()).collect();
    let more = match notes.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{} {what}: {}{more}", notes.len(), named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(about: &[About]) -> Vec<ColumnNote> {
        let note =
            |(at, about): (usize, &About)| ColumnNote { column: format!("c{at}"), about: about.clone() };
        about.iter().enumerate().map(note).collect()
    }

    #[test]
    fn more_than_five_notes_of_a_kind_share_a_sentence_that_names_ten_columns() {
        let rare = |rare| About::RareCategories { frequent: 3, rare, weighted: 0, least: 5 };
        let five = sentences(&notes(&(1..=5).map(rare).collect::<Vec<_>>()));
        assert_eq!(five.len(), 5, "{five:?}");
        let mut many: Vec<About> = (1..=11).map(rare).collect();
        many.push(About::RowNumbers("counts the rows"));
        many.push(About::OnlyRareCategories { categories: 4, least: 5 });
        assert_eq!(
            sentences(&notes(&many)),
            [
                "11 columns have rare categories (fewer than 10 rows, or not among the 64 most frequent), which share the bin \"other\" of \
                 the column: \"c0\" (1 of 4), \"c1\" (2 of 5), \"c2\" (3 of 6), \"c3\" (4 of 7), \"c4\" (5 of 8), \
                 \"c5\" (6 of 9), \"c6\" (7 of 10), \"c7\" (8 of 11), \"c8\" (9 of 12), \"c9\" (10 of 13) and 1 more",
                "column \"c11\": counts the rows; leave it out with --drop c11 if it is a row number",
                "column \"c12\": 4 categories each have fewer than 5 rows, so the column only shows whether a value is missing; leave it \
                 out with --drop c12",
            ]
        );
    }

    #[test]
    fn each_kind_has_a_shared_sentence() {
        let shared = |about: About| {
            let mut sentences = sentences(&notes(&vec![about; 6]));
            assert_eq!(sentences.len(), 1, "{sentences:?}");
            sentences.remove(0)
        };
        let names = "\"c0\", \"c1\", \"c2\", \"c3\", \"c4\", \"c5\"";
        let rounded = shared(About::RoundedIntegers(1));
        assert!(rounded.contains("leave it out with --drop: \"c0\" (1 integer), "), "{rounded}");
        let zeros = shared(About::LeadingZeros(2, "01067".into()));
        assert!(zeros.ends_with("--categorical: \"c0\" (\"01067\"), \"c1\" (\"01067\"), \"c2\" (\"01067\"), \"c3\" (\"01067\"), \"c4\" (\"01067\"), \"c5\" (\"01067\")"), "{zeros}");
        let token = shared(About::MissingToken("NA"));
        assert_eq!(
            token,
            format!("6 columns have the category \"NA\"; --missing 'NA' makes it a missing value: {names}")
        );
        let numbers = shared(About::RowNumbers("counts the rows"));
        assert!(
            numbers.starts_with("6 columns have a different number in every row; ")
                && numbers.ends_with(names),
            "{numbers}"
        );
        let only_rare = shared(About::OnlyRareCategories { categories: 1, least: 5 });
        assert!(only_rare.contains("leave them out with --drop: \"c0\" (1 category), "), "{only_rare}");
        let tokens: Vec<About> = (0..6).map(|at| About::MissingToken(["NA", "NULL"][at % 2])).collect();
        assert_eq!(sentences(&notes(&tokens)).len(), 6, "different tokens have different remedies");
    }
}
