//! Records the values of a column and decides on its type.

use super::{
    EXACT, LARGEST,
    class_forms::MISSING_TOKENS,
    column_notes::{About, ColumnNote},
    unfit::{Shared, Unfit, shell_word},
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
    /// The number of values that are numbers of at least [`LARGEST`], such as `1e160`.
    too_large: usize,
    /// The number of values that spell an infinite number, such as `-inf`.
    infinite: usize,
    /// The number of integers with leading zeros, and the first of them.
    leading_zeros: usize,
    first_leading_zeros: String,
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
            too_large: 0,
            infinite: 0,
            leading_zeros: 0,
            first_leading_zeros: String::new(),
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
                if has_leading_zeros(cell) {
                    self.leading_zeros += 1;
                    if self.first_leading_zeros.is_empty() {
                        cell.clone_into(&mut self.first_leading_zeros);
                    }
                }
            }
            parsed => {
                // `NaN` stands for a missing value in columns of text, too, so it is not a sign of a number.
                if parsed.is_ok_and(|number| !number.is_nan()) {
                    let has_digits = cell.bytes().any(|byte| byte.is_ascii_digit());
                    *(if has_digits { &mut self.too_large } else { &mut self.infinite }) += 1;
                }
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
        if self.is_mostly_numbers() || self.is_numbers_and_placeholders() {
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
            || format!("write them as numbers, which must be finite and below {LARGEST:e}"),
            |flags| format!("give {flags} to treat it as missing in all columns"),
        );
        let shared = tokens.map(|flags| Shared {
            remedy: format!(
                "give {flags} to treat it as missing in all columns{}",
                or("COLUMN", "one of them")
            ),
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
    pub(super) fn notes(&self, name: &str, decided: ColumnType) -> Vec<ColumnNote> {
        let about = match decided {
            ColumnType::Numeric if self.inexact > 0 => vec![About::RoundedIntegers(self.inexact)],
            ColumnType::Numeric if self.leading_zeros > 0 && self.forced.is_none() => {
                vec![About::LeadingZeros(self.leading_zeros, self.first_leading_zeros.clone())]
            }
            ColumnType::Numeric => Vec::new(),
            ColumnType::Categorical => {
                let tokens = MISSING_TOKENS.iter().filter(|token| self.texts.contains_key(**token));
                tokens.map(|&token| About::MissingToken(token)).collect()
            }
        };
        about.into_iter().map(|about| ColumnNote { column: name.to_owned(), about }).collect()
    }

    fn not_a_number(&self, text: &str) -> String {
        format!("expected a number, got {}", quoted(text))
    }

    fn extent(&self) -> String {
        let (odd, filled) = (self.filled - self.numbers, self.filled);
        format!(" ({odd} of {filled} values are not numbers)")
    }

    /// Returns the flags that make the texts among numbers missing values, if there are few different texts. A text with a digit is a
    /// value, such as `10+` or `1e200`.
    fn token_flags(&self) -> Option<String> {
        let is_value = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
        if self.odd_kinds > NAMED_TEXTS || self.odd.iter().any(|(text, _)| is_value(text)) {
            return None;
        }
        let mut flags: Vec<String> =
            self.odd.iter().map(|(text, _)| format!("--missing {}", shell_word(text))).collect();
        flags.sort();
        Some(flags.join(" "))
    }

    /// Returns whether most values are numbers, some of which may be too large. Infinite ones are not counted on either side: a program
    /// writes them among numbers, but a text may also be `inf`.
    fn is_mostly_numbers(&self) -> bool {
        let others = self.filled - self.infinite;
        (self.numbers + self.too_large) as f64 > NUMERIC_SHARE * others as f64
    }

    /// Returns whether all values are numbers, except for a few different texts that usually stand for a missing value.
    fn is_numbers_and_placeholders(&self) -> bool {
        let known = self.numbers + self.too_large + self.infinite + self.placeholders;
        self.numbers > 0 && self.odd_kinds <= NAMED_TEXTS && known == self.filled
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

/// Returns whether a number is an integer that is written with leading zeros, as postcodes and other codes are.
fn has_leading_zeros(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
