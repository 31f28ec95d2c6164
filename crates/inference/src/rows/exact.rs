//! Refuses integers that a double-precision number cannot hold exactly, such as identifiers of 17 digits. Otherwise they would be scored
//! as another number without an error.
//!
//! The JSON parser has already rounded them when the rows are built. So the rows are searched for large numbers, and if there is one, the
//! body is searched for its digits. A number with a decimal point or an exponent does not count as an integer, because its sender accepts
//! rounding.

use super::{ParsedRows, raw::shortened};
use crate::{reason::Reason, refusal::Refusal};
use model::ModelCard;
use std::collections::HashMap;

/// The number up to which a double-precision number holds every integer: 2⁵³.
pub(super) const LARGEST_EXACT: u64 = 1 << 53;

/// Returns whether a number may be the rounded value of another integer. 2⁵³ may be, because 2⁵³ + 1 is rounded to it.
pub(super) fn may_be_rounded(number: f64) -> bool {
    number.abs() >= LARGEST_EXACT as f64
}

/// Returns the refusal of an integer.
pub(super) fn refusal(digits: &str, remedy: &str) -> Refusal {
    let message = format!("{} is beyond 2^53, where integers are rounded; {remedy}", shortened(digits));
    Refusal::new(Reason::NumberOutOfRange, message)
}

impl ParsedRows {
    /// Checks that no numeric value was written in `body`, which is valid JSON, as an integer beyond 2⁵³.
    pub(super) fn exact(self, body: &[u8], card: &ModelCard) -> Result<Self, Refusal> {
        // The values of categorical features are positions, which are small.
        let suspect = |value: &Option<f64>| value.is_some_and(may_be_rounded);
        if !self.values.iter().any(suspect) {
            return Ok(self);
        }
        let integers = large_integers(body);
        for (index, row) in self.rows().iter().enumerate() {
            for (feature, value) in card.features.iter().zip(row) {
                let Some(digits) = value.and_then(|value| integers.get(&value.to_bits())) else { continue };
                let remedy = "send it with a decimal point or an exponent if that is acceptable";
                return Err(refusal(digits, remedy).at(format!("{}.{}", self.place(index), feature.name)));
            }
        }
        Ok(self)
    }
}

/// Returns the integers beyond 2⁵³ in a JSON text, outside strings, by the bits of the number that they are rounded to.
fn large_integers(body: &[u8]) -> HashMap<u64, &str> {
    let mut found = HashMap::new();
    let mut rest = body;
    while let Some((&first, after)) = rest.split_first() {
        rest = match first {
            b'"' => after_string(after),
            b'-' | b'0'..=b'9' => {
                let is_number = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let end = rest.iter().position(|byte| !is_number(byte)).unwrap_or(rest.len());
                let (token, after) = rest.split_at(end);
                let token = std::str::from_utf8(token).unwrap_or_default();
                let digits = token.strip_prefix('-').unwrap_or(token);
                let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
                // An integer that does not fit into 128 bits is large, too.
                let is_large = || digits.parse().map_or(true, |number: u128| number > LARGEST_EXACT.into());
                if is_integer
                    && is_large()
                    && let Ok(number) = token.parse::<f64>()
                {
                    found.insert(number.to_bits(), token);
                }
                after
            }
            _ => after,
        };
    }
    found
}

/// Returns the bytes after the quotation mark that ends a string.
fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'"' => return after,
            b'\\' => after.get(1..).unwrap_or_default(),
            _ => after,
        };
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_found_outside_strings_and_only_beyond_two_to_the_53rd() {
        let body = br#"{"9007199254740993":"-9007199254740995 \" 9007199254740997","a":[9007199254740992,-9007199254740993,
            9007199254740999.0,9.1e15,1e20,100000000000000000000000000000000000000000,{"b":18446744073709551615}]}"#;
        let mut found: Vec<&str> = large_integers(body).into_values().collect();
        found.sort_unstable();
        let expected =
            ["-9007199254740993", "100000000000000000000000000000000000000000", "18446744073709551615"];
        assert_eq!(found, expected);
    }
}
