//! Defines the types of single values of a scenario, which are checked while they are read.
//!
//! The checks are in serde's visitors, because an error that is raised there has the line and path of the value. Later, only
//! those of the surrounding block are known.

use cli_io::printable::quoted;
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};
use std::{fmt, marker::PhantomData, time::Duration};

/// Requests per second, above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(pub f64);

/// Requests per second at the end of a ramp: 0 or above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RampRate(pub f64);

/// A time above 0, written `30s` or `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span(pub Duration);

/// A name that can be used as a label value and on the command line without quotes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub String);

/// A number, or a duration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantity {
    /// The number, or the duration in seconds.
    pub value: f64,
    /// Whether it was written as a duration.
    pub is_time: bool,
}

/// The value of a header. Numbers need no quotes.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderText(pub String);

/// A mapping that keeps its order and does not accept a key that occurs twice.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderedMap<V>(pub Vec<(String, V)>);

/// The highest rate, in requests per second. A higher one is probably a typing error.
const MAX_RATE: f64 = 1e6;

/// The longest duration. A longer one probably has a wrong unit.
const MAX_SPAN: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads a duration such as `30s` or `1m30s`.
///
/// # Errors
/// If the text is not a duration, or if it is 0 or longer than a year.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let got = quoted(text);
    let span = driftsim::duration::parse(text)
        .map_err(|problem| format!("must be a duration such as 30s or 1m30s, got {got}: {problem}"))?;
    if span > MAX_SPAN {
        return Err(format!("must be at most a year, got {got}"));
    }
    Ok(span)
}

fn rate(number: f64) -> Result<Rate, String> {
    if number.is_nan() || number <= 0.0 {
        return Err(format!("must be above 0, got {number}"));
    }
    at_most(number).map(Rate)
}

fn ramp_rate(number: f64) -> Result<RampRate, String> {
    if number.is_nan() || number < 0.0 {
        return Err(format!("must be 0 or above, got {number}"));
    }
    at_most(number).map(RampRate)
}

fn at_most(number: f64) -> Result<f64, String> {
    if number > MAX_RATE { Err(format!("must be at most {MAX_RATE}, got {number:e}")) } else { Ok(number) }
}

fn name(text: &str) -> Result<Name, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if text.is_empty() || !text.chars().all(allowed) {
        return Err(format!("must be letters, digits, `_`, `-` or `.`, got {text:?}"));
    }
    Ok(Name(text.to_owned()))
}

/// Converts a number to `T`, or returns an error message.
type NumberCheck<T> = fn(f64) -> Result<T, String>;
/// Converts a text to `T`, or returns an error message.
type TextCheck<T> = fn(&str) -> Result<T, String>;

/// Reads a number or a text. If one of the two functions is `None`, values of its kind are rejected.
struct Checked<T> {
    expecting: &'static str,
    number: Option<NumberCheck<T>>,
    text: Option<TextCheck<T>>,
}

impl<'de, T> Visitor<'de> for Checked<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        match self.number {
            Some(check) => check(number).map_err(E::custom),
            None => Err(E::invalid_type(de::Unexpected::Float(number), &self)),
        }
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        match self.number {
            Some(_) => self.visit_f64(number as f64),
            None => Err(E::invalid_type(de::Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        match self.number {
            Some(_) => self.visit_f64(number as f64),
            None => Err(E::invalid_type(de::Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        match self.text {
            Some(check) => check(text).map_err(E::custom),
            None => Err(E::invalid_type(de::Unexpected::Str(text), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "a number of requests per second";
        deserializer.deserialize_any(Checked { expecting, number: Some(rate), text: None })
    }
}

impl<'de> Deserialize<'de> for RampRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "a number of requests per second";
        deserializer.deserialize_any(Checked { expecting, number: Some(ramp_rate), text: None })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Checked {
            expecting: "a duration with its unit, such as 30s",
            number: None,
            text: Some(|text| parse_span(text).map(Span)),
        })
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Checked { expecting: "a name", number: None, text: Some(name) })
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Checked {
            expecting: "a number, or a duration such as 250ms",
            number: Some(|value| {
                if value.is_finite() && value >= 0.0 {
                    Ok(Self { value, is_time: false })
                } else {
                    Err(format!("must be a number of 0 or above, got {value}"))
                }
            }),
            text: Some(|text| parse_span(text).map(|span| Self { value: span.as_secs_f64(), is_time: true })),
        })
    }
}

impl<'de> Deserialize<'de> for HeaderText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The text is kept as it is written. As a number, 1.0 would become 1, and long ones would lose digits.
        deserializer.deserialize_str(Checked {
            expecting: "the value of a header",
            number: None,
            text: Some(|text| Ok(Self(text.to_owned()))),
        })
    }
}

impl<V> Default for OrderedMap<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for OrderedMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MapVisitor(PhantomData))
    }
}

struct MapVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for MapVisitor<V> {
    type Value = OrderedMap<V>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a mapping of names")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries: Vec<(String, V)> = Vec::new();
        while let Some(Name(key)) = map.next_key()? {
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(de::Error::custom(format!("`{key}` occurs twice; remove one or rename it")));
            }
            entries.push((key, map.next_value()?));
        }
        Ok(OrderedMap(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T: for<'de> Deserialize<'de> + fmt::Debug>(yaml: &str) -> String {
        serde_yaml::from_str::<T>(yaml).unwrap_err().to_string()
    }

    #[test]
    fn rates_and_durations_are_checked() {
        assert_eq!(serde_yaml::from_str::<Rate>("50").unwrap(), Rate(50.0));
        assert!(refusal::<Rate>("-5").starts_with("must be above 0, got -5"));
        assert!(refusal::<Rate>(".nan").contains("must be above 0"));
        assert!(refusal::<Rate>("1e9").contains("at most"));
        assert_eq!(serde_yaml::from_str::<RampRate>("0").unwrap(), RampRate(0.0));
        assert_eq!(serde_yaml::from_str::<Span>("1m30s").unwrap(), Span(Duration::from_secs(90)));
        assert!(refusal::<Span>("30").contains("a duration with its unit"));
        assert!(refusal::<Span>("0s").contains("must be above 0"));
        assert!(refusal::<Span>("1M").contains("got \"1M\": units are us, ms, s, m, h and d, in lower case"));
        assert!(refusal::<Span>("30S").contains("in lower case"));
        assert!(refusal::<Span>("9000h").contains("at most a year"));
    }

    #[test]
    fn a_quantity_is_a_number_or_a_duration() {
        assert_eq!(
            serde_yaml::from_str::<Quantity>("250ms").unwrap(),
            Quantity { value: 0.25, is_time: true }
        );
        assert_eq!(serde_yaml::from_str::<Quantity>("3").unwrap(), Quantity { value: 3.0, is_time: false });
    }

    #[test]
    fn header_values_may_be_numbers_without_quotes() {
        let headers: OrderedMap<HeaderText> =
            serde_yaml::from_str("{ a: 503, b: 'x y', c: 1.0, d: 12345678901234567890123, e: true }")
                .unwrap();
        let values: Vec<_> = headers.0.iter().map(|(_, value)| value.0.as_str()).collect();
        assert_eq!(values, ["503", "x y", "1.0", "12345678901234567890123", "true"]);
    }

    #[test]
    fn a_map_keeps_its_order_and_rejects_duplicate_keys() {
        let map: OrderedMap<u32> = serde_yaml::from_str("{ b: 1, a: 2 }").unwrap();
        assert_eq!(map.0, [("b".to_owned(), 1), ("a".to_owned(), 2)]);
        assert!(refusal::<OrderedMap<u32>>("a: 1\na: 2").contains("`a` occurs twice"));
    }
}
