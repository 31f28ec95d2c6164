//! The categories of a feature: how they are written in JSON, and which value stands for each.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Categorical values. With n categories, a value below n is a position in `categories`, and a value from n + 1 on is n + 1 plus a
/// position in `weighted`. The value n, and values beyond the last weighted category, are any other category. For the signal of the
/// feature, all values from n on are in the bin `other`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Categorical {
    /// The categories that are frequent enough in the reference to have a bin and a weight of their own.
    pub categories: Vec<String>,
    /// Further categories that the built-in model has weights for, in ascending order: of numbers if the categories are written as
    /// numbers, and otherwise of texts. Only a model with built-in weights has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weighted: Vec<String>,
    /// Some of the reference's other categories, the most frequent first.
    pub rare: Vec<String>,
    /// How the categories are written in JSON. Strings are accepted in every case.
    pub written: Written,
}

/// How the categories of a feature are written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// As strings.
    Text,
    /// As `true` and `false`.
    Boolean,
    /// As numbers.
    Number,
}

/// Returns whether every text has a value and all values are different. For example, `1` and `01`, or `true` and `True`, have the
/// same value.
fn are_distinct<V: PartialOrd>(values: impl Iterator<Item = Option<V>>) -> bool {
    let Some(mut values) = values.collect::<Option<Vec<V>>>() else { return false };
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    values.windows(2).all(|pair| pair[0] != pair[1])
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

impl Categorical {
    /// Creates the categories, finds out how they are written, and sorts the weighted ones.
    pub(crate) fn new(categories: Vec<String>, mut weighted: Vec<String>, rare: Vec<String>) -> Self {
        let all = || categories.iter().chain(&weighted).chain(&rare);
        let boolean = |text: &String| {
            [true, false].into_iter().find(|word| text.eq_ignore_ascii_case(&word.to_string()))
        };
        let written = if all().next().is_none() {
            Written::Text
        } else if are_distinct(all().map(boolean)) {
            Written::Boolean
        } else if are_distinct(all().map(|text| finite(text))) {
            Written::Number
        } else {
            Written::Text
        };
        weighted.sort_by(|a, b| order(written, a, b));
        Self { categories, weighted, rare, written }
    }

    /// Returns whether the weighted categories are different, in order, and none of the others.
    pub(crate) fn is_consistent(&self) -> bool {
        self.weighted.is_sorted_by(|a, b| order(self.written, a, b) == Ordering::Less)
            && self.categories.iter().chain(&self.rare).all(|text| self.weighted_position(text).is_none())
            && (self.written != Written::Number || self.weighted.iter().all(|text| finite(text).is_some()))
    }

    /// Returns the value of a category's text. Leading and trailing spaces do not count; booleans may be written in any case, and
    /// numbers with or without a fraction.
    pub fn value(&self, text: &str) -> f64 {
        let exact = self.position(text);
        let text = text.trim();
        let found = exact.or_else(|| self.position(text));
        let found = found.or_else(|| match self.written {
            Written::Text => None,
            Written::Boolean => {
                self.categories.iter().position(|category| category.eq_ignore_ascii_case(text))
            }
            Written::Number => self.position_of_number(text.parse().ok()?),
        });
        found.unwrap_or(self.categories.len()) as f64
    }

    /// Returns the value of a category's text for a model that gets texts unchanged, so that leading and trailing spaces make it another
    /// category. Spaces around numbers, and around booleans if all categories are booleans, do not count.
    pub fn value_of_unchanged(&self, text: &str) -> f64 {
        let trimmed = text.trim();
        let is_padded = trimmed.len() < text.len();
        if is_padded && self.written == Written::Text && trimmed.parse::<f64>().is_err() {
            return self.position(text).unwrap_or(self.categories.len()) as f64;
        }
        self.value(text)
    }

    /// Returns the value of a category that is written as a number; `None` if categories are not numbers.
    pub fn value_of_number(&self, number: f64) -> Option<f64> {
        let known = |number| self.position_of_number(number).unwrap_or(self.categories.len()) as f64;
        (self.written == Written::Number).then(|| known(number))
    }

    /// Returns the value of a category that is written as a boolean; `None` if categories are not booleans.
    pub fn value_of_boolean(&self, boolean: bool) -> Option<f64> {
        (self.written == Written::Boolean).then(|| self.value(if boolean { "true" } else { "false" }))
    }

    /// Returns the value of a category with a bin or a weight of its own.
    fn position(&self, text: &str) -> Option<usize> {
        let frequent = self.categories.iter().position(|category| category == text);
        frequent.or_else(|| Some(self.categories.len() + 1 + self.weighted_position(text)?))
    }

    fn position_of_number(&self, number: f64) -> Option<usize> {
        let frequent = self.categories.iter().position(|category| category.parse() == Ok(number));
        frequent.or_else(|| Some(self.categories.len() + 1 + self.weighted_position_of_number(number)?))
    }

    fn weighted_position(&self, text: &str) -> Option<usize> {
        match self.written {
            Written::Number => self.weighted_position_of_number(finite(text)?),
            Written::Text | Written::Boolean => {
                self.weighted.binary_search_by(|own| own.as_str().cmp(text)).ok()
            }
        }
    }

    fn weighted_position_of_number(&self, number: f64) -> Option<usize> {
        let compare = |own: &String| finite(own)?.partial_cmp(&number);
        self.weighted.binary_search_by(|own| compare(own).unwrap_or(Ordering::Less)).ok()
    }

    /// Returns the text of a value: the category's name, or for any other category the most frequent rare one. For a value beyond the
    /// last weighted category, and if there are no rare categories, it returns a text that is not in the reference.
    pub fn text(&self, value: f64) -> &str {
        let (position, count) = (value as usize, self.categories.len());
        let text = match position.cmp(&count) {
            Ordering::Less => self.categories.get(position),
            Ordering::Equal => self.rare.first(),
            Ordering::Greater => self.weighted.get(position - count - 1),
        };
        text.map_or_else(|| self.unseen(), String::as_str)
    }

    /// Returns a value whose text is not in the reference.
    pub fn unseen_value(&self) -> f64 {
        (self.categories.len() + 1 + self.weighted.len()) as f64
    }

    /// Returns the JSON of a value: the category's name, number or boolean.
    pub fn json(&self, value: f64) -> serde_json::Value {
        self.json_of(self.text(value))
    }

    /// Returns the JSON of a category's name: a number or a boolean where the categories are written so. Numbers that a reader of
    /// JSON may round stay text.
    pub fn json_of(&self, text: &str) -> serde_json::Value {
        const EXACT: f64 = (1_u64 << 53) as f64;
        let number = || text.parse().ok().and_then(serde_json::Number::from_f64);
        if text.parse().is_ok_and(|number: f64| number.abs() >= EXACT) {
            return text.into();
        }
        match self.written {
            Written::Boolean if text.eq_ignore_ascii_case("true") => true.into(),
            Written::Boolean if text.eq_ignore_ascii_case("false") => false.into(),
            Written::Number => text
                .parse::<i64>()
                .ok()
                .map(serde_json::Value::from)
                .or_else(|| number().map(serde_json::Value::Number))
                .unwrap_or_else(|| text.into()),
            Written::Text | Written::Boolean => text.into(),
        }
    }

    /// Returns a text that is written like the categories and is not in the reference.
    fn unseen(&self) -> &'static str {
        let candidates: &[&str] = match self.written {
            // Also for booleans, because both of them are usually categories.
            Written::Text | Written::Boolean => &["unseen", "never seen", "a category that was never seen"],
            Written::Number => &["-999", "-99999", "-9999999"],
        };
        let is_free = |text: &&&str| {
            self.value(text) == self.categories.len() as f64 && !self.rare.iter().any(|rare| rare == **text)
        };
        candidates.iter().find(is_free).copied().unwrap_or("\u{fffd}")
    }
}

/// Returns the order of two weighted categories.
fn order(written: Written, a: &str, b: &str) -> Ordering {
    match (written, finite(a), finite(b)) {
        (Written::Number, Some(a), Some(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn categorical(categories: &[&str], rare: &[&str]) -> Categorical {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Categorical::new(owned(categories), Vec::new(), owned(rare))
    }

    #[test]
    fn categories_are_found_by_text_number_and_boolean() {
        let text = categorical(&["no", "Yes"], &["maybe"]);
        assert_eq!(text.written, Written::Text);
        assert_eq!(["no", " Yes ", "yes", "maybe", ""].map(|t| text.value(t)), [0.0, 1.0, 2.0, 2.0, 2.0]);
        assert_eq!((text.value_of_number(1.0), text.value_of_boolean(true)), (None, None));
        let boolean = categorical(&["False", "True"], &[]);
        assert_eq!(boolean.written, Written::Boolean);
        assert_eq!(["true", "FALSE", "1"].map(|t| boolean.value(t)), [1.0, 0.0, 2.0]);
        assert_eq!(boolean.value_of_boolean(false), Some(0.0));
        let number = categorical(&["1", "2", "10"], &["3"]);
        assert_eq!(number.written, Written::Number);
        assert_eq!([2.0, 10.0, 3.0].map(|n| number.value_of_number(n)), [Some(1.0), Some(2.0), Some(3.0)]);
        assert_eq!(["2.0", "x"].map(|t| number.value(t)), [1.0, 3.0]);
    }

    #[test]
    fn leading_and_trailing_spaces_count_if_a_category_has_them() {
        let padded = categorical(&[" Gov", "Private", "Private "], &[]);
        assert_eq!([" Gov", "Private", "Private "].map(|text| padded.value(text)), [0.0, 1.0, 2.0]);
        assert_eq!(["Gov", " Private"].map(|text| padded.value(text)), [3.0, 1.0]);
        let unchanged =
            [" Gov", "Private", "Private ", "Gov", " Private"].map(|text| padded.value_of_unchanged(text));
        assert_eq!(unchanged, [0.0, 1.0, 2.0, 3.0, 3.0]);
    }

    #[test]
    fn spaces_around_numbers_and_booleans_never_count() {
        let mixed = categorical(&["2", "5+"], &[]);
        assert_eq!([" 2", "5+", " 5+"].map(|text| mixed.value_of_unchanged(text)), [0.0, 1.0, 2.0]);
        assert_eq!(categorical(&["1", "2"], &[]).value_of_unchanged("2.0 "), 1.0);
        assert_eq!(categorical(&["False", "True"], &[]).value_of_unchanged(" true"), 1.0);
    }

    #[test]
    fn categories_of_equal_numeric_value_are_distinguished_as_text() {
        for (one, other) in [("1", "01"), ("1", "1.0"), ("true", "True")] {
            let own = categorical(&[one, other], &[]);
            assert_eq!(own.written, Written::Text);
            assert_eq!([one, other].map(|text| own.value(text)), [0.0, 1.0]);
            assert_eq!([0.0, 1.0].map(|value| own.json(value)), [one, other].map(serde_json::Value::from));
        }
        assert_eq!(categorical(&["true", "True", "false"], &[]).written, Written::Text);
    }

    #[test]
    fn the_json_of_a_value_is_read_as_the_same_value() {
        for categorical in [
            categorical(&["no", "yes"], &[]),
            categorical(&["unseen", "x"], &["never seen"]),
            categorical(&["-999", "4"], &[]),
        ] {
            for value in [0.0, 1.0, 2.0, 7.0] {
                assert_eq!(categorical.value(categorical.text(value)), value.min(2.0), "{categorical:?}");
            }
            let unseen = categorical.text(categorical.unseen_value());
            assert!(categorical.value(unseen) == 2.0 && !categorical.rare.contains(&unseen.to_owned()));
        }
    }

    #[test]
    fn values_have_the_json_type_of_the_categories() {
        let number = categorical(&["1", "2.5", "1e3"], &[]);
        assert_eq!([0.0, 1.0, 2.0].map(|value| number.json(value).to_string()), ["1", "2.5", "1000.0"]);
        assert_eq!(number.json_of("x"), "x");
        // The service refuses integers that it may have rounded.
        assert_eq!(number.json_of("9007199254740993"), "9007199254740993");
        let boolean = categorical(&["False", "TRUE"], &[]);
        assert_eq!([0.0, 1.0].map(|value| boolean.json(value).to_string()), ["false", "true"]);
        assert_eq!(boolean.json(2.0), "unseen");
        let text = categorical(&["no", "true"], &["maybe"]);
        assert_eq!([0.0, 1.0, 2.0, 3.0].map(|v| text.json(v)), ["no", "true", "maybe", "unseen"]);
        assert_eq!(number.json(3.0).to_string(), "-999");
    }

    #[test]
    fn weighted_categories_have_values_after_that_of_any_other_category() {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let text = Categorical::new(owned(&["b", "a"]), owned(&["z", " d", "c"]), owned(&["rare"]));
        assert_eq!(text.weighted, [" d", "c", "z"]);
        let values = ["b", "a", "rare", " d", "c", " z ", "d", "never"].map(|t| text.value(t));
        assert_eq!(values, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 2.0, 2.0]);
        assert_eq!([" d", " z", "c"].map(|t| text.value_of_unchanged(t)), [3.0, 2.0, 4.0]);
        assert_eq!(
            [0.0, 2.0, 3.0, 5.0, 6.0].map(|value| text.text(value)),
            ["b", "rare", " d", "z", "unseen"]
        );
        assert_eq!(text.value(text.text(text.unseen_value())), 2.0);

        // As texts, 9 would stand after 100.
        let number = Categorical::new(owned(&["7", "-1"]), owned(&["100", "9", "2.50"]), owned(&["3"]));
        assert_eq!((number.written, number.weighted.join(" ")), (Written::Number, "2.50 9 100".into()));
        assert_eq!(
            ["100", "2.5", "9.0", "3", "x", "inf", "nan"].map(|t| number.value(t)),
            [5.0, 3.0, 4.0, 2.0, 2.0, 2.0, 2.0]
        );
        assert_eq!(
            [9.0, 7.0, 8.0, f64::NAN].map(|n| number.value_of_number(n)),
            [Some(4.0), Some(0.0), Some(2.0), Some(2.0)]
        );
        assert_eq!(number.json(5.0), 100);
        // One weighted category with the number of another makes all of them texts.
        let mixed = Categorical::new(owned(&["7"]), owned(&["07", "8"]), Vec::new());
        assert_eq!((mixed.written, mixed.value("07"), mixed.value("7")), (Written::Text, 2.0, 0.0));
    }

    #[test]
    fn inconsistent_weighted_categories_are_found() {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let good = Categorical::new(owned(&["1"]), owned(&["20", "3"]), owned(&["4"]));
        assert!(good.is_consistent());
        for weighted in [["20", "3"], ["3", "3"], ["1", "3"], ["3", "4"], ["3", "x"]] {
            assert!(
                !Categorical { weighted: owned(&weighted), ..good.clone() }.is_consistent(),
                "{weighted:?}"
            );
        }
    }

    #[test]
    fn an_empty_list_of_categories_is_written_as_text() {
        let none = categorical(&[], &[]);
        assert_eq!((none.written, none.value("a"), none.unseen_value()), (Written::Text, 0.0, 1.0));
        assert_eq!((none.value_of_number(1.0), none.value_of_boolean(false)), (None, None));
        assert_eq!(categorical(&["1", "inf"], &[]).written, Written::Text);
    }

    #[test]
    fn the_placeholder_for_an_unseen_category_is_not_a_category_of_the_reference() {
        let taken = categorical(&["unseen", "never seen"], &["a category that was never seen"]);
        assert_eq!(taken.text(3.0), "\u{fffd}");
        assert_eq!(categorical(&["unseen"], &["never seen"]).text(2.0), "a category that was never seen");
        assert_eq!(categorical(&["-999.0", "1.0"], &[]).text(3.0), "-99999");
    }
}
