//! Records the values of a column and decides on its type.

use super::{
    EXACT, LARGEST,
    class_forms::MISSING_TOKENS,
    unfit::{Shared, Unfit, counted, shell_word},
    value_forms::{NumberForm, is_date, is_placeholder, number_form},
};
use cli_io::printable::quoted;
use std::collections::HashMap;

/// The greatest number of different texts that are kept of one column. A column with more is not categorical.
const MAX_TEXTS: usize = 100_000;

/// The greatest number of different numbers whose texts are kept. A column with more is probably numeric and does not need them.
const MAX_NUMBER_TEXTS: usize = 1_000;

/// The share of different values from which on a column of text is an identifier, if it has at least [`IDENTIFIER_VALUES`] values.
const IDENTIFIER_SHARE: f64 = 0.9;
pub(super) const IDENTIFIER_VALUES: usize = 30;

/// The shares of numbers and of dates among the values from which on a column is treated as one of that type.
const NUMERIC_SHARE: f64 = 0.5;
const DATE_SHARE: f64 = 0.95;

/// The share of numbers, plain or in another notation, from which on a column is treated as numeric. Placeholders of missing values
/// are not counted.
const NOTATION_SHARE: f64 = 0.9;

/// The greatest number of texts among numbers that an error names.
const NAMED_TEXTS: usize = 3;

/// The type that a column is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnType {
    Numeric,
    Categorical,
}

/// Counts and samples of the values in a column.
#[derive(Debug)]
pub(super) struct Profile {
    /// The type that the options set, if they do.
    forced: Option<ColumnType>,
    /// The number of values that are not missing.
    filled: usize,
    /// The number of values that are finite numbers below [`LARGEST`].
    numbers: usize,
    /// The number of values that look like dates.
    dates: usize,
    /// The number of values that usually stand for a missing one, such as `NA`.
    placeholders: usize,
    /// The number of values in each notation that is not read as a number, in the order of [`NumberForm::ALL`].
    notations: [usize; NumberForm::ALL.len()],
    /// The first value of each notation, the same number written plainly, and the line.
    noted: [Option<(String, String, u64)>; NumberForm::ALL.len()],
    /// The number of integers that an `f64` does not hold exactly.
    inexact: usize,
    /// The count of each text, including numbers; empty if texts are not counted.
    texts: HashMap<String, usize>,
    counts_texts: bool,
    overflow: bool,
    /// The first values that are not numbers, with their lines.
    odd: Vec<(String, u64)>,
    odd_kinds: usize,
}

impl Profile {
    /// Creates the profile of a column without values, with the type that the options set.
    pub(super) fn new(forced: Option<ColumnType>) -> Self {
        Self {
            forced,
            filled: 0,
            numbers: 0,
            dates: 0,
            placeholders: 0,
            notations: Default::default(),
            noted: Default::default(),
            inexact: 0,
            texts: HashMap::new(),
            counts_texts: forced != Some(ColumnType::Numeric),
            overflow: false,
            odd: Vec::new(),
            odd_kinds: 0,
        }
    }

    /// Adds a value that is not missing and has no leading or trailing spaces.
    pub(super) fn add(&mut self, cell: &str, line: u64) {
        self.filled += 1;
        match cell.parse::<f64>() {
            Ok(number) if number.is_finite() && number.abs() < LARGEST => {
                self.numbers += 1;
                self.inexact += usize::from(
                    number.abs() >= EXACT && number.fract() == 0.0 && !cell.contains(['e', 'E', '.']),
                );
            }
            _ => {
                self.dates += usize::from(is_date(cell));
                self.placeholders += usize::from(is_placeholder(cell));
                if let Some((form, plain)) = number_form(cell) {
                    self.notations[form as usize] += 1;
                    self.noted[form as usize].get_or_insert_with(|| (cell.to_owned(), plain, line));
                }
                if !self.odd.iter().any(|(text, _)| text == cell) {
                    self.odd_kinds += 1;
                    if self.odd.len() < NAMED_TEXTS {
                        self.odd.push((cell.to_owned(), line));
                    }
                }
            }
        }
        if self.counts_texts {
            self.count_text(cell);
            let is_numbers = self.forced.is_none() && self.odd.is_empty();
            if is_numbers && self.texts.len() > MAX_NUMBER_TEXTS {
                self.texts = HashMap::new();
                self.counts_texts = false;
            }
        }
    }

    /// Counts the text of a value that was added.
    pub(super) fn count_text(&mut self, cell: &str) {
        if let Some(count) = self.texts.get_mut(cell) {
            *count += 1;
        } else if self.texts.len() < MAX_TEXTS {
            self.texts.insert(cell.to_owned(), 1);
        } else {
            self.overflow = true;
        }
    }

    /// Returns whether the texts are needed but were not counted, because many different numbers came before the first other value.
    /// [`Self::count_text`] then has to be called with all values.
    pub(super) fn lacks_texts(&self) -> bool {
        !self.counts_texts && self.forced.is_none() && !self.odd.is_empty()
    }

    /// Returns the texts with their counts.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&String, usize)> {
        self.texts.iter().map(|(text, &count)| (text, count))
    }

    /// Returns whether no value is present.
    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Returns whether the column has one text in all of `rows` rows.
    pub(super) fn is_one_text(&self, rows: usize) -> bool {
        self.texts.len() == 1 && self.filled == rows
    }

    /// Returns the column's type: the one that the options set, or the one that follows from its values.
    ///
    /// # Errors
    /// Returns what is wrong and how to fix it, if the values do not fit.
    pub(super) fn decide(&self, name: &str) -> Result<ColumnType, Unfit> {
        let forced = self.forced;
        let flag_value = shell_word(name);
        let Some((text, line)) = self.odd.first().filter(|_| forced != Some(ColumnType::Categorical)) else {
            return Ok(forced.unwrap_or(ColumnType::Numeric));
        };
        let (is_forced, line) = (forced.is_some(), *line);
        if let Some(unfit) = self.other_notation(&flag_value, is_forced) {
            return Err(unfit);
        }
        if self.share(self.numbers) > NUMERIC_SHARE || self.is_numbers_and_placeholders() {
            return Err(self.not_numbers(text, line, &flag_value, is_forced));
        }
        let unfit = |fault, extent, remedy| Unfit { line, fault, extent, remedy, shared: None };
        if is_forced {
            let remedy =
                format!("leave out --numeric {flag_value}, which is for columns that are mostly numbers");
            return Err(unfit(self.not_a_number(text), self.extent(), remedy));
        }
        let text = quoted(text);
        if self.share(self.dates) >= DATE_SHARE {
            let remedy = format!(
                "leave the column out with --drop {flag_value}, or replace it by a number such as an age in days"
            );
            let fault =
                format!("expected a number or a category, got {text}, which looks like a date or a time");
            return Err(unfit(fault, String::new(), remedy));
        }
        if self.is_identifier() {
            let (kinds, filled) = (self.texts.len(), self.filled);
            let fault = format!(
                "{kinds} of {filled} values are different, such as {text}, so it looks like an identifier"
            );
            let remedy =
                format!("leave it out with --drop {flag_value}, or keep it with --categorical {flag_value}");
            return Err(unfit(fault, String::new(), remedy));
        }
        Ok(ColumnType::Categorical)
    }

    /// Returns what is wrong if the column consists of numbers in a notation that is not read as a number.
    fn other_notation(&self, flag_value: &str, is_forced: bool) -> Option<Unfit> {
        let noted: usize = self.notations.iter().sum();
        let expected = NOTATION_SHARE * (self.filled - self.placeholders) as f64;
        if noted == 0 || ((self.numbers + noted) as f64) < expected {
            return None;
        }
        // `1,234` may have a thousands separator or a decimal comma, but `1,5` has a decimal comma.
        let count = |form: &NumberForm| self.notations[*form as usize];
        let mut form = NumberForm::ALL.into_iter().max_by_key(count)?;
        if form == NumberForm::Grouped && count(&NumberForm::DecimalComma) > 0 {
            form = NumberForm::DecimalComma;
        }
        let (text, plain, line) = self.noted[form as usize].as_ref()?;
        let fault = format!("expected a plain number, got {}, {}", quoted(text), form.description());
        let or = |column: &str, what: &str| {
            if is_forced {
                String::new()
            } else {
                format!(", or give --categorical {column} to read {what} as categories")
            }
        };
        let shared = Shared {
            key: format!("{form:?} {is_forced}"),
            remedy: format!("write such numbers as {plain}{}", or("COLUMN", "one of them")),
        };
        Some(Unfit {
            line: *line,
            fault,
            extent: format!(" ({noted} of {} values are written like this)", self.filled),
            remedy: format!("write it as {plain}{}", or(flag_value, "the column")),
            shared: Some(Box::new(shared)),
        })
    }

    /// Returns what is wrong with texts among numbers, of which `text` is the first.
    fn not_numbers(&self, text: &str, line: u64, flag_value: &str, is_forced: bool) -> Unfit {
        let or = |column: &str, what: &str| {
            if is_forced {
                String::new()
            } else {
                format!(", or --categorical {column} to read {what} as categories")
            }
        };
        let tokens = self.token_flags();
        let remedy = tokens.as_ref().map_or_else(
            || format!("correct them; numbers must be finite and below {LARGEST:e}"),
            |flags| format!("give {flags} to treat it as missing"),
        );
        let shared = tokens.map(|flags| Shared {
            remedy: format!("give {flags} to treat it as missing{}", or("COLUMN", "one of them")),
            key: format!("{flags} {is_forced}"),
        });
        Unfit {
            line,
            fault: self.not_a_number(text),
            extent: self.extent(),
            remedy: format!("{remedy}{}", or(flag_value, "the column")),
            shared: shared.map(Box::new),
        }
    }

    /// Returns notes on what may be a mistake in a column of this type.
    pub(super) fn notes(&self, name: &str, decided: Option<ColumnType>) -> Vec<String> {
        let flag_value = shell_word(name);
        let name = quoted(name);
        let mut notes = Vec::new();
        match decided {
            Some(ColumnType::Numeric) if self.inexact > 0 => notes.push(format!(
                "column {name}: {} larger in magnitude than 2^53 and rounded, and requests with such integers are refused; \
                 if the column holds identifiers, leave it out with --drop {flag_value}",
                counted(self.inexact, "integer is", "integers are")
            )),
            Some(ColumnType::Categorical) => {
                let tokens = MISSING_TOKENS.iter().filter(|token| self.texts.contains_key(**token));
                notes.extend(tokens.map(|token| {
                    format!("column {name}: {token:?} is counted as a category; --missing '{token}' makes it a missing value")
                }));
            }
            Some(ColumnType::Numeric) | None => {}
        }
        notes
    }

    fn not_a_number(&self, text: &str) -> String {
        format!("expected a number, got {}", quoted(text))
    }

    fn extent(&self) -> String {
        let (odd, filled) = (self.filled - self.numbers, self.filled);
        format!(" ({odd} of {filled} values are not numbers)")
    }

    /// Returns the flags that make the texts among numbers missing values, if there are few different texts.
    fn token_flags(&self) -> Option<String> {
        let is_large = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
        if self.odd_kinds > NAMED_TEXTS || self.odd.iter().any(|(text, _)| is_large(text)) {
            return None;
        }
        let mut flags: Vec<String> =
            self.odd.iter().map(|(text, _)| format!("--missing {}", shell_word(text))).collect();
        flags.sort();
        Some(flags.join(" "))
    }

    /// Returns whether all values are numbers, except for a few different texts that usually stand for a missing value.
    fn is_numbers_and_placeholders(&self) -> bool {
        self.numbers > 0 && self.odd_kinds <= NAMED_TEXTS && self.numbers + self.placeholders == self.filled
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

#[cfg(test)]
mod tests {
    use super::{super::unfit::sentences, *};

    fn decide(cells: &[&str], forced: Option<ColumnType>) -> Result<ColumnType, String> {
        let mut profile = Profile::new(forced);
        let filled = cells.iter().zip(2..).filter(|(cell, _)| !cell.is_empty());
        filled.for_each(|(cell, line)| profile.add(cell, line));
        let decided = profile.decide("my col");
        decided.map_err(|unfit| sentences("d.csv", &[("my col", unfit)]).concat())
    }

    #[test]
    fn the_type_of_a_column_follows_from_its_values() {
        assert_eq!(decide(&["1", "2.5", "", "-3e2"], None), Ok(ColumnType::Numeric));
        assert_eq!(decide(&["", ""], None), Ok(ColumnType::Numeric));
        assert_eq!(decide(&["a", "b", ""], None), Ok(ColumnType::Categorical));
        assert_eq!(decide(&["A1", "7", "B2", "C3"], None), Ok(ColumnType::Categorical));
        assert_eq!(decide(&["1", "2"], Some(ColumnType::Categorical)), Ok(ColumnType::Categorical));
        assert_eq!(decide(&["true", "false"], None), Ok(ColumnType::Categorical));
    }

    #[test]
    fn the_error_for_an_unusable_column_names_line_column_and_remedy() {
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
                "d.csv:2: column \"my col\": expected a number or a category, got \"2024-01-31\", which looks like a date",
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
        assert!(
            error.contains("40 of 40 values are different") && error.contains("--drop 'my col'"),
            "{error}"
        );
    }

    #[test]
    fn up_to_three_texts_among_numbers_are_suggested_as_missing_values() {
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
        // A text that occurs four times counts once.
        let same = with(&["x", "x", "x", "x"]);
        assert!(same.contains("give --missing x to treat"), "{same}");
        let large = with(&["1e150"]);
        assert!(large.contains("got \"1e150\"") && large.contains("below 1e150"), "{large}");
    }

    #[test]
    fn a_column_of_half_numbers_is_categorical() {
        assert_eq!(decide(&["1", "a", "2", "b"], None), Ok(ColumnType::Categorical));
        assert!(decide(&["1", "a", "2"], None).is_err());
    }

    #[test]
    fn at_most_100000_texts_of_a_column_are_kept() {
        let mut profile = Profile::new(None);
        (0..100_001).for_each(|at| profile.add(&format!("t{at}"), at + 2));
        assert_eq!((profile.texts().count(), profile.overflow), (100_000, true));
    }

    #[test]
    fn texts_of_a_numeric_column_are_not_kept() {
        let texts = |forced, count: u64| {
            let mut profile = Profile::new(forced);
            (0..count).for_each(|at| profile.add(&at.to_string(), at + 2));
            profile.texts().count()
        };
        assert_eq!([texts(None, 1_000), texts(None, 1_001)], [1_000, 0]);
        assert_eq!(texts(Some(ColumnType::Numeric), 5), 0);
        assert_eq!(texts(Some(ColumnType::Categorical), 1_001), 1_001);
    }

    #[test]
    fn a_text_after_many_numbers_requires_another_pass() {
        let lacks = |forced, numbers: u64| {
            let mut profile = Profile::new(forced);
            (0..numbers).for_each(|at| profile.add(&at.to_string(), at + 2));
            let before = profile.lacks_texts();
            profile.add("x", numbers + 2);
            (before, profile.lacks_texts())
        };
        assert_eq!(lacks(None, 1_001), (false, true));
        assert_eq!(lacks(None, 1_000), (false, false));
        assert_eq!(lacks(Some(ColumnType::Categorical), 1_001), (false, false));
        assert_eq!(lacks(Some(ColumnType::Numeric), 1_001), (false, false));
    }

    #[test]
    fn large_integers_and_placeholders_of_missing_values_are_noted() {
        let notes = |cells: &[String], decided| {
            let mut profile = Profile::new(None);
            cells.iter().zip(2..).for_each(|(cell, line)| profile.add(cell, line));
            profile.notes("c", Some(decided))
        };
        let numbers: Vec<String> = (1..=50).map(|i| i.to_string()).collect();
        assert!(notes(&numbers, ColumnType::Numeric).is_empty());
        assert!(
            notes(&["9007199254740993".into()], ColumnType::Numeric)[0]
                .contains("1 integer is larger in magnitude than 2^53")
        );
        assert!(notes(&["NA".into(), "x".into()], ColumnType::Categorical)[0].contains("--missing 'NA'"));
    }

    #[test]
    fn the_error_for_numbers_in_another_notation_names_the_notation() {
        let cases: [(&[&str], &str); 6] = [
            (
                &["13,2", "59,000", "7"],
                "d.csv:2: column \"my col\": expected a plain number, got \"13,2\", a number with a decimal comma (2 of 3 values are written like this); \
                 write it as 13.2, or give --categorical 'my col' to read the column as categories",
            ),
            (
                &["NA", "59,000"],
                "d.csv:3: column \"my col\": expected a plain number, got \"59,000\", a number with a thousands separator",
            ),
            (
                &["1_000", "2_000"],
                "d.csv:2: column \"my col\": expected a plain number, got \"1_000\", a number with a thousands separator",
            ),
            (
                &["$59000", "$1"],
                "d.csv:2: column \"my col\": expected a plain number, got \"$59000\", a number with a currency sign",
            ),
            (
                &["85%", "3%"],
                "d.csv:2: column \"my col\": expected a plain number, got \"85%\", a number with a percent sign",
            ),
            (
                &["1", "2", "−3"],
                "d.csv:4: column \"my col\": expected a plain number, got \"−3\", a number with the minus sign U+2212 (1 of 3",
            ),
        ];
        for (cells, expected) in cases {
            let error = decide(cells, None).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let forced = decide(&["1,5", "2,5"], Some(ColumnType::Numeric)).unwrap_err();
        assert!(forced.ends_with("; write it as 1.5"), "{forced}");
        assert_eq!(decide(&["1,5", "2,5"], Some(ColumnType::Categorical)), Ok(ColumnType::Categorical));
        // Nine of ten values are enough, eight are not.
        let mixed = |numbers: usize| {
            let cells: Vec<&str> = (0..10).map(|at| if at < numbers { "5%" } else { "high" }).collect();
            decide(&cells, None)
        };
        assert!(mixed(9).unwrap_err().contains("(9 of 10 values are written like this)"));
        assert_eq!(mixed(8), Ok(ColumnType::Categorical));
    }

    #[test]
    fn a_column_of_placeholders_and_numbers_is_not_categorical() {
        for token in ["NA", ".", "?", "-", "NULL", "nan", "None", "missing", "unknown"] {
            let error = decide(&[token, token, token, "4.5"], None).unwrap_err();
            let (flag, got) = (shell_word(token), quoted(token));
            let expected = format!(
                "d.csv:2: column \"my col\": expected a number, got {got} (3 of 4 values are not numbers); \
                 give --missing {flag} to treat it as missing, or --categorical 'my col'"
            );
            assert!(error.starts_with(&expected), "{error}");
        }
        assert_eq!(decide(&["x", "x", "x", "4.5"], None), Ok(ColumnType::Categorical));
        assert_eq!(decide(&["NA", "NA", "NA", "x"], None), Ok(ColumnType::Categorical));
        assert_eq!(decide(&["NA", "NA"], None), Ok(ColumnType::Categorical));
    }

    #[test]
    fn many_texts_in_a_column_forced_to_be_numeric_are_not_suggested_as_missing() {
        let numeric = |cells: &[&str]| decide(cells, Some(ColumnType::Numeric)).unwrap_err();
        let texts = numeric(&["female", "male", "1"]);
        assert!(
            texts.contains("got \"female\" (2 of 3 values are not numbers); leave out --numeric 'my col'"),
            "{texts}"
        );
        assert!(!texts.contains("--missing"), "{texts}");
        assert!(numeric(&["female", "1", "2"]).ends_with("; give --missing female to treat it as missing"));
        assert!(numeric(&["NA", "NA", "2"]).ends_with("; give --missing NA to treat it as missing"));
    }
}
