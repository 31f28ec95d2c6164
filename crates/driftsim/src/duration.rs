//! Reads durations such as `30s`, `1m30s` and `250ms`, in scenarios and in flags.

use std::time::Duration;

/// The units and their lengths in nanoseconds. Each has one spelling, because `M` could mean months or minutes.
const UNITS: [(&str, u64); 7] = [
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// The most digits after a decimal point. With up to three, every duration is a whole number of nanoseconds.
const MOST_DECIMALS: usize = 3;

/// A regular expression for JSON Schema that matches what [`parse`] accepts: numbers with units, of which at least one is above
/// 0. It has no anchors. Its lookahead finds the number above 0, and inspects all text that follows.
pub const PATTERN: &str = r"(?=[^1-9]*[1-9])\s*([0-9]+(\.[0-9]{1,3})?\s*(us|µs|ms|s|m|h|d)\s*)+";

/// Reads a duration.
///
/// # Errors
/// Returns the reason if the text is not a duration above 0. Callers put the text itself before the reason.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(driftsim::duration::parse("1m 30s"), Ok(Duration::from_secs(90)));
/// assert!(driftsim::duration::parse("1M").unwrap_err().contains("units are us, ms, s, m, h and d"));
/// ```
pub fn parse(text: &str) -> Result<Duration, String> {
    let too_long = || format!("it must be at most {} days", u64::MAX / 86_400_000_000_000);
    let mut nanoseconds = 0_u64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("it is empty".into());
    }
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (decimals, after) = match after.strip_prefix('.') {
            Some(after) => {
                let (decimals, after) = digits(after);
                if !(1..=MOST_DECIMALS).contains(&decimals.len()) {
                    return Err(format!("a decimal point must be followed by one to {MOST_DECIMALS} digits"));
                }
                (decimals, after)
            }
            None => ("", after),
        };
        if whole.is_empty() {
            return Err("it must consist of numbers with units, such as 1m30s".into());
        }
        let after = after.trim_start();
        let end = after.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let scale = match UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, scale)) => *scale,
            None if unit.is_empty() => return Err("a unit is missing; write, for example, 30s".into()),
            None => {
                return Err(format!("units are us, ms, s, m, h and d, in lower case; {unit:?} is not one"));
            }
        };
        let thousandths: u64 =
            format!("{whole}{decimals:0<MOST_DECIMALS$}").parse().map_err(|_| too_long())?;
        let part = scale / 1_000;
        nanoseconds = thousandths
            .checked_mul(part)
            .and_then(|part| nanoseconds.checked_add(part))
            .ok_or_else(too_long)?;
        rest = after.trim_start();
    }
    if nanoseconds == 0 {
        return Err("it must be above 0".into());
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Returns the ASCII digits at the start, and what follows them.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_of_a_duration_is_read() {
        for (text, milliseconds) in [
            ("30s", 30_000),
            ("1m30s", 90_000),
            (" 1h 30 m ", 5_400_000),
            ("250ms", 250),
            ("1d", 86_400_000),
            ("1.5s", 1_500),
            ("0.25m", 15_000),
            ("0s1ms", 1),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        assert_eq!(parse("1us"), parse("1µs"));
        assert_eq!(parse("0.001us"), Ok(Duration::from_nanos(1)));
    }

    #[test]
    fn other_spellings_of_units_are_refused() {
        for text in ["1M", "30S", "5MS", "2H", "1D", "3min", "3sec", "1month", "1y", "1week", "5ns"] {
            let problem = parse(text).unwrap_err();
            assert!(
                problem.starts_with("units are us, ms, s, m, h and d, in lower case"),
                "{text}: {problem}"
            );
        }
    }

    #[test]
    fn an_invalid_duration_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("30", "unit is missing"),
            ("s", "numbers with units"),
            ("-5s", "numbers with units"),
            ("+5s", "numbers with units"),
            ("5s,", "is not one"),
            ("5.s", "one to 3 digits"),
            ("1.2345s", "one to 3 digits"),
            ("0s", "above 0"),
            ("0.000h 0ms", "above 0"),
            ("99999999999999999999s", "at most 213503 days"),
            ("9999999999d", "at most 213503 days"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(reason), "{text}: {problem}");
        }
    }
}
