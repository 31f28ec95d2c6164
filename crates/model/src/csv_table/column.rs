//! What a column of a file holds, and of which type it is.

use super::{EXACT, LARGEST, class_forms::MISSING_TOKENS};
use cli_io::printable::quoted;
use std::collections::HashMap;

/// Different texts that are kept of one column. A column with more is no category.
const MAX_TEXTS: usize = 100_000;

/// A column of text in which this share of the values differ is an identifier, given so many values.
const IDENTIFIER_SHARE: f64 = 0.9;
const IDENTIFIER_VALUES: usize = 30;

/// A column of which this share of the values are numbers, or dates, is meant to be of that type.
const NUMERIC_SHARE: f64 = 0.5;
const DATE_SHARE: f64 = 0.95;

/// Texts among numbers that an error names.
const NAMED_TEXTS: usize = 3;

/// How a column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnType {
    Numeric,
    Categorical,
}

/// What was found in a column.
#[derive(Debug, Clone, Default)]
pub(super) struct Profile {
    /// Values that are not missing.
    filled: usize,
    /// Values that are finite numbers within limits.
    numbers: usize,
    /// Values that look like dates.
    dates: usize,
    /// Whether the numbers are 0, 1, 2, … or 1, 2, 3, … in order.
    first: Option<f64>,
    broken_sequence: bool,
    /// Integers that an `f64` does not hold exactly.
    inexact: usize,
    /// How often each text occurs; numbers are included until the column is known to be of numbers alone.
    texts: HashMap<String, usize>,
    overflow: bool,
    /// The first values that are not numbers, with their lines.
    odd: Vec<(String, u64)>,
    odd_kinds: usize,
}

impl Profile {
    /// Adds a value, without outer spaces.
    pub(super) fn add(&mut self, cell: &str, line: u64, missing: bool) {
        if missing {
            return;
        }
        let position = self.filled as f64;
        self.filled += 1;
        match cell.parse::<f64>() {
            Ok(number) if number.is_finite() && number.abs() < LARGEST => {
                self.numbers += 1;
                let first = *self.first.get_or_insert(number);
                self.broken_sequence |= number != first + position || !(0.0..=1.0).contains(&first);
                self.inexact += usize::from(
                    number.abs() >= EXACT && number.fract() == 0.0 && !cell.contains(['e', 'E', '.']),
                );
            }
            _ => {
                self.dates += usize::from(is_date(cell));
                if !self.odd.iter().any(|(text, _)| text == cell) {
                    self.odd_kinds += 1;
                    if self.odd.len() < NAMED_TEXTS {
                        self.odd.push((cell.to_owned(), line));
                    }
                }
            }
        }
        if let Some(count) = self.texts.get_mut(cell) {
            *count += 1;
        } else if self.texts.len() < MAX_TEXTS {
            self.texts.insert(cell.to_owned(), 1);
        } else {
            self.overflow = true;
        }
    }

    /// Returns the texts with their counts.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&String, usize)> {
        self.texts.iter().map(|(text, &count)| (text, count))
    }

    /// Returns the column's type: the one that was asked for, or the one that its values have.
    ///
    /// # Errors
    /// A sentence with file, line, column and remedy if the values do not fit.
    pub(super) fn decide(
        &self,
        file: &str,
        name: &str,
        forced: Option<ColumnType>,
    ) -> Result<ColumnType, String> {
        let flag_value = shell_word(name);
        let name = quoted(name);
        let odd = self.odd.first().map(|(text, line)| (quoted(text), *line));
        match (forced, odd) {
            (Some(ColumnType::Categorical), _) => Ok(ColumnType::Categorical),
            (None, _) if self.numbers == self.filled => Ok(ColumnType::Numeric),
            (Some(ColumnType::Numeric), None) => Ok(ColumnType::Numeric),
            (Some(ColumnType::Numeric), Some((text, line))) => Err(format!(
                "{file}:{line}: column {name}: {}{}",
                self.not_a_number(&text),
                self.token_remedy()
            )),
            (None, Some((text, line))) if self.share(self.numbers) > NUMERIC_SHARE => Err(format!(
                "{file}:{line}: column {name}: {}{}, or --categorical {flag_value} to read the column as categories",
                self.not_a_number(&text),
                self.token_remedy()
            )),
            (None, Some((text, line))) if self.share(self.dates) >= DATE_SHARE => Err(format!(
                "{file}:{line}: column {name}: {text} looks like a date, which no weight can be given to; \
                 leave the column out with --drop {flag_value}, or replace it by a number such as an age in days"
            )),
            (None, Some((text, line))) if self.is_identifier() => Err(format!(
                "{file}:{line}: column {name}: {} of {} values differ, such as {text}: it looks like an identifier; \
                 leave it out with --drop {flag_value}, or keep it with --categorical {flag_value}",
                self.texts.len(),
                self.filled
            )),
            (None, _) => Ok(ColumnType::Categorical),
        }
    }

    /// Returns what is remarkable about a column of this type.
    pub(super) fn notes(&self, name: &str, decided: Option<ColumnType>) -> Vec<String> {
        let flag_value = shell_word(name);
        let name = quoted(name);
        let mut notes = Vec::new();
        match decided {
            Some(ColumnType::Numeric) => {
                if self.inexact > 0 {
                    notes.push(format!(
                        "column {name}: {} integers are beyond 2^53 and are rounded; \
                         if they are identifiers, leave the column out with --drop {flag_value}",
                        self.inexact
                    ));
                }
                if self.numbers >= IDENTIFIER_VALUES && !self.broken_sequence {
                    notes.push(format!(
                        "column {name}: counts the rows; leave it out with --drop {flag_value} if it is a row number"
                    ));
                }
            }
            Some(ColumnType::Categorical) => {
                let tokens = MISSING_TOKENS.iter().filter(|token| self.texts.contains_key(**token));
                notes.extend(tokens.map(|token| {
                    format!("column {name}: {token:?} is counted as a category; --missing '{token}' makes it a missing value")
                }));
            }
            None => {}
        }
        notes
    }

    fn not_a_number(&self, text: &impl std::fmt::Display) -> String {
        let (odd, filled) = (self.filled - self.numbers, self.filled);
        format!("expected a number, got {text} ({odd} of {filled} values are not numbers)")
    }

    /// Returns how to treat the texts among numbers as missing, if there are few.
    fn token_remedy(&self) -> String {
        if self.odd_kinds > NAMED_TEXTS
            || self.odd.iter().any(|(text, _)| text.parse::<f64>().is_ok_and(f64::is_finite))
        {
            return format!("; correct them, numbers must be finite and below {LARGEST:e}");
        }
        let flags: Vec<String> =
            self.odd.iter().map(|(text, _)| format!("--missing {}", shell_word(text))).collect();
        format!("; give {} to treat it as missing", flags.join(" "))
    }

    fn share(&self, part: usize) -> f64 {
        part as f64 / self.filled.max(1) as f64
    }

    fn is_identifier(&self) -> bool {
        self.overflow
            || self.filled >= IDENTIFIER_VALUES
                && self.texts.len() as f64 >= IDENTIFIER_SHARE * self.filled as f64
    }
}

/// Returns a text as a shell takes it for one word.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Returns whether a text looks like a date, with or without a time: numbers between dashes, slashes, dots or colons.
fn is_date(text: &str) -> bool {
    let date = text.split(['T', ' ']).next().unwrap_or_default();
    let separators: Vec<char> = date.chars().filter(|c| matches!(c, '-' | '/' | '.')).collect();
    let parts: Vec<&str> = date.split(['-', '/', '.']).collect();
    let digits = |part: &&str| matches!(part.len(), 1..=4) && part.bytes().all(|byte| byte.is_ascii_digit());
    separators.len() == 2 && separators[0] == separators[1] && parts.iter().all(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(cells: &[&str], forced: Option<ColumnType>) -> Result<ColumnType, String> {
        let mut profile = Profile::default();
        cells.iter().zip(2..).for_each(|(cell, line)| profile.add(cell, line, cell.is_empty()));
        profile.decide("d.csv", "my col", forced)
    }

    #[test]
    fn types_follow_the_values() {
        assert_eq!(decide(&["1", "2.5", "", "-3e2"], None), Ok(ColumnType::Numeric));
        assert_eq!(decide(&["", ""], None), Ok(ColumnType::Numeric));
        assert_eq!(decide(&["a", "b", ""], None), Ok(ColumnType::Categorical));
        assert_eq!(decide(&["A1", "7", "B2", "C3"], None), Ok(ColumnType::Categorical));
        assert_eq!(decide(&["1", "2"], Some(ColumnType::Categorical)), Ok(ColumnType::Categorical));
        assert_eq!(decide(&["true", "false"], None), Ok(ColumnType::Categorical));
    }

    #[test]
    fn a_column_that_does_not_fit_names_line_column_and_remedy() {
        let cases: [(&[&str], &str); 4] = [
            (
                &["1", "NA", "3", "4"],
                "d.csv:3: column \"my col\": expected a number, got \"NA\" (1 of 4 values are not numbers); \
                 give --missing NA to treat it as missing, or --categorical 'my col' to read the column as categories",
            ),
            (&["1", "inf", "3"], "d.csv:3: column \"my col\": expected a number, got \"inf\""),
            (&["1", "1e999", "3"], "d.csv:3: column \"my col\": expected a number, got \"1e999\""),
            (
                &["2024-01-31", "2024-02-01T10:00:00Z"],
                "d.csv:2: column \"my col\": \"2024-01-31\" looks like a date",
            ),
        ];
        for (cells, expected) in cases {
            let error = decide(cells, None).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let forced = decide(&["a", "1"], Some(ColumnType::Numeric)).unwrap_err();
        assert!(forced.contains("expected a number, got \"a\""), "{forced}");
        let identifiers: Vec<String> = (0..40).map(|i| format!("user-{i}")).collect();
        let identifiers: Vec<&str> = identifiers.iter().map(String::as_str).collect();
        let error = decide(&identifiers, None).unwrap_err();
        assert!(error.contains("40 of 40 values differ") && error.contains("--drop 'my col'"), "{error}");
    }

    #[test]
    fn up_to_three_texts_among_numbers_are_named_as_tokens() {
        let with = |odd: &[&str]| {
            let numbers: Vec<String> = (0..9).map(|number| number.to_string()).collect();
            decide(&[&numbers.iter().map(String::as_str).collect::<Vec<_>>(), odd].concat(), None)
                .unwrap_err()
        };
        let (three, four) = (with(&["a", "b", "c"]), with(&["a", "b", "c", "d"]));
        assert!(
            three.contains("(3 of 12 values are not numbers); give --missing a --missing b --missing c to"),
            "{three}"
        );
        assert!(four.contains("(4 of 13 values are not numbers); correct them"), "{four}");
        // The same text four times is one.
        let same = with(&["x", "x", "x", "x"]);
        assert!(same.contains("give --missing x to treat"), "{same}");
        let large = with(&["1e150"]);
        assert!(large.contains("got \"1e150\"") && large.contains("below 1e150"), "{large}");
    }

    #[test]
    fn a_column_of_which_half_are_numbers_is_categorical() {
        assert_eq!(decide(&["1", "a", "2", "b"], None), Ok(ColumnType::Categorical));
        assert!(decide(&["1", "a", "2"], None).is_err());
    }

    #[test]
    fn no_more_than_a_hundred_thousand_texts_are_kept() {
        let mut profile = Profile::default();
        (0..100_001).for_each(|at| profile.add(&format!("t{at}"), at + 2, false));
        assert_eq!((profile.texts().count(), profile.overflow), (100_000, true));
    }

    #[test]
    fn notes_name_row_numbers_large_integers_and_missing_tokens() {
        let notes = |cells: &[String], decided| {
            let mut profile = Profile::default();
            cells.iter().zip(2..).for_each(|(cell, line)| profile.add(cell, line, false));
            profile.notes("c", Some(decided))
        };
        let numbers: Vec<String> = (1..=50).map(|i| i.to_string()).collect();
        assert!(notes(&numbers, ColumnType::Numeric)[0].contains("counts the rows"));
        assert!(notes(&numbers[1..], ColumnType::Numeric).is_empty());
        assert!(notes(&["9007199254740993".into()], ColumnType::Numeric)[0].contains("beyond 2^53"));
        assert!(notes(&["NA".into(), "x".into()], ColumnType::Categorical)[0].contains("--missing 'NA'"));
    }

    #[test]
    fn dates_are_told_from_numbers_and_codes() {
        for date in ["2024-01-31", "31.1.2024", "1/2/24", "2024-01-31 10:00"] {
            assert!(is_date(date), "{date}");
        }
        for other in ["1.5", "10-20", "a-b-c", "1-2/3", "192.168.0.1", "12345-1-1"] {
            assert!(!is_date(other), "{other}");
        }
    }
}
