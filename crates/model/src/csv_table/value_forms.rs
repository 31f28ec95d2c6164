//! Recognises texts that are dates, times, numbers in other notations, or the usual placeholders of a missing value.

/// The greatest length of a date or a number, in bytes. Longer texts are not examined.
const LONGEST: usize = 48;

/// Texts that usually stand for a missing value, in lower case.
const PLACEHOLDERS: [&str; 10] = ["na", "n/a", "nan", "null", "none", "missing", "unknown", "?", ".", "-"];

const CURRENCIES: [char; 6] = ['$', '€', '£', '¥', '₹', '¢'];

/// Separators of thousands. In texts with a decimal comma, a dot is one, too.
const GROUPERS: [char; 7] = [',', '_', '\'', '\u{2019}', ' ', '\u{a0}', '\u{202f}'];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// A notation of numbers that is recognised but not read as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberForm {
    DecimalComma,
    Grouped,
    Currency,
    Percent,
    Minus,
}

impl NumberForm {
    pub(super) const ALL: [Self; 5] =
        [Self::DecimalComma, Self::Grouped, Self::Currency, Self::Percent, Self::Minus];

    /// Returns a description of the notation for error messages.
    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::DecimalComma => "a number with a decimal comma",
            Self::Grouped => "a number with a thousands separator",
            Self::Currency => "a number with a currency sign",
            Self::Percent => "a number with a percent sign",
            Self::Minus => "a number with the minus sign U+2212",
        }
    }
}

/// Returns whether a text usually stands for a missing value.
pub(super) fn is_placeholder(text: &str) -> bool {
    PLACEHOLDERS.iter().any(|placeholder| text.eq_ignore_ascii_case(placeholder))
}

/// Returns the notation of a number that is not a plain one, and the same number written plainly.
pub(super) fn number_form(text: &str) -> Option<(NumberForm, String)> {
    if text.len() > LONGEST || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (mut negative, mut typographic, mut currency) = (false, false, false);
    let mut rest = text;
    // A sign may stand before or after the currency.
    for _ in 0..2 {
        if let Some(after) = rest.strip_prefix(['-', '\u{2212}']) {
            if negative {
                return None;
            }
            (negative, typographic) = (true, rest.starts_with('\u{2212}'));
            rest = after.trim_start();
        }
        if let Some(after) = rest.strip_prefix(CURRENCIES) {
            if currency {
                return None;
            }
            (currency, rest) = (true, after.trim_start());
        }
    }
    if let (false, Some(before)) = (currency, rest.strip_suffix(CURRENCIES)) {
        (currency, rest) = (true, before.trim_end());
    }
    let percent = rest.strip_suffix('%');
    let (form, plain) = unsigned(percent.unwrap_or(rest).trim_end())?;
    let form = match form {
        _ if currency => NumberForm::Currency,
        _ if percent.is_some() => NumberForm::Percent,
        Some(form) => form,
        None if typographic => NumberForm::Minus,
        None => return None,
    };
    Some((form, if negative { format!("-{plain}") } else { plain }))
}

/// Returns the notation of a number without a sign, `None` for a plain one, and the number written plainly.
fn unsigned(text: &str) -> Option<(Option<NumberForm>, String)> {
    if text.starts_with(|c: char| c.is_ascii_digit() || c == '.') && text.parse::<f64>().is_ok() {
        return Some((None, text.to_owned()));
    }
    let (whole, fraction) =
        text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    if fraction.is_none_or(is_digits)
        && let Some(whole) = GROUPERS.iter().find_map(|&grouper| ungrouped(whole, grouper))
    {
        let plain = fraction.map_or(whole.clone(), |fraction| format!("{whole}.{fraction}"));
        return Some((Some(NumberForm::Grouped), plain));
    }
    let (whole, fraction) = text.split_once(',')?;
    let groupers = ['.', '\'', '\u{2019}', ' ', '\u{a0}', '\u{202f}'];
    let whole = if whole.is_empty() || is_digits(whole) {
        whole.to_owned()
    } else {
        groupers.iter().find_map(|&grouper| ungrouped(whole, grouper))?
    };
    is_digits(fraction).then(|| (Some(NumberForm::DecimalComma), format!("{whole}.{fraction}")))
}

/// Returns the digits of an integer whose thousands are separated by `grouper`.
fn ungrouped(text: &str, grouper: char) -> Option<String> {
    let (first, others) = text.split_once(grouper)?;
    // The comma in `0,123` is a decimal comma.
    let first_fits = is_digits(first) && first.len() <= 3 && (grouper != ',' || !first.starts_with('0'));
    let fits = first_fits && others.split(grouper).all(|group| group.len() == 3 && is_digits(group));
    fits.then(|| text.chars().filter(char::is_ascii_digit).collect())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether a text looks like a date or a time of day: numbers between dashes, slashes or dots, a month's name with a day
/// or a year, a year with a month, or hours and minutes.
pub(super) fn is_date(text: &str) -> bool {
    if text.len() > LONGEST || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let date = text.split(['T', ' ']).next().unwrap_or_default();
    is_numeric_date(date)
        || is_month(date) && date.len() == text.len()
        || is_time(text)
        || is_named_date(text)
}

/// Returns whether a text is three numbers, as in `2024-01-31`, `31.1.2024` and `1/2/24`.
fn is_numeric_date(text: &str) -> bool {
    let mut separators = text.chars().filter(|c| matches!(c, '-' | '/' | '.'));
    let pair = (separators.next(), separators.next(), separators.next());
    let same = matches!(pair, (Some(first), Some(second), None) if first == second);
    same && text.split(['-', '/', '.']).all(|part| is_digits(part) && part.len() <= 4)
}

/// Returns whether a text is a year and a month, as in `2019-04` and `04/2019`.
fn is_month(text: &str) -> bool {
    let is_year = |part: &str| part.len() == 4 && is_digits(part) && part.starts_with(['1', '2']);
    let is_month =
        |part: &str| part.len() == 2 && part.parse().is_ok_and(|month: u8| (1..=12).contains(&month));
    text.split_once(['-', '/']).is_some_and(|(a, b)| is_year(a) && is_month(b) || is_month(a) && is_year(b))
}

/// Returns whether a text is hours and minutes, optionally with seconds, AM or PM, and a zone, as in `17:06`, `5:06:30 PM` and
/// `17:06:00Z`.
fn is_time(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.')).unwrap_or(text.len());
    let (clock, zone) = text.split_at(end);
    let mut parts = clock.split(':');
    let below = |part: Option<&str>, lengths: [usize; 2], limit: u8| {
        part.is_some_and(|part| {
            lengths.contains(&part.len()) && part.parse().is_ok_and(|number: u8| number < limit)
        })
    };
    let minutes = below(parts.next(), [1, 2], 24) && below(parts.next(), [2, 2], 60);
    let seconds = parts.next().map(|seconds| seconds.split('.').next());
    minutes
        && seconds.is_none_or(|seconds| below(seconds, [2, 2], 61))
        && parts.next().is_none()
        && is_zone(zone.trim())
}

/// Returns whether a text is empty, AM or PM, or a zone such as `Z`, `UTC` and `+02:00`.
fn is_zone(text: &str) -> bool {
    let named = ["", "am", "pm", "a.m.", "p.m.", "z", "utc", "gmt"];
    named.iter().any(|name| text.eq_ignore_ascii_case(name))
        || text.strip_prefix(['+', '-']).is_some_and(|offset| {
            matches!(offset.len(), 2..=5) && offset.bytes().all(|byte| byte.is_ascii_digit() || byte == b':')
        })
}

/// Returns whether a text is a month's name with a day, a year or both, optionally with a day of the week and a time.
fn is_named_date(text: &str) -> bool {
    let clock = text.find(':').map_or(text.len(), |colon| {
        text[..colon].rfind(|c: char| !c.is_ascii_digit()).map_or(0, |before| before + 1)
    });
    if !text.is_char_boundary(clock) {
        return false;
    }
    let date = text[..clock].trim_end_matches(['T', 't', ' ']);
    let (mut months, mut numbers) = (0, 0);
    for part in date.split([' ', '-', '/', '.', ',']).filter(|part| !part.is_empty()) {
        if is_name_of(part, &MONTHS) {
            months += 1;
        } else if is_day_or_year(part) {
            numbers += 1;
        } else if !is_name_of(part, &WEEKDAYS) {
            return false;
        }
    }
    months == 1 && matches!(numbers, 1..=2)
}

/// Returns whether a text is one of the names, in full or shortened to three or four letters.
fn is_name_of(text: &str, names: &[&str]) -> bool {
    let short = matches!(text.len(), 3..=4);
    names.iter().any(|name| {
        let head = if short { name.get(..text.len()) } else { Some(*name) };
        text.eq_ignore_ascii_case(name) || head.is_some_and(|head| text.eq_ignore_ascii_case(head))
    })
}

/// Returns whether a text is a number of one, two or four digits, optionally with the ending of an English ordinal.
fn is_day_or_year(text: &str) -> bool {
    let digits = ["st", "nd", "rd", "th"].iter().find_map(|ending| text.strip_suffix(ending));
    let digits = digits.unwrap_or(text);
    is_digits(digits) && matches!(digits.len(), 1 | 2 | 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_recognised() {
        for date in [
            "2024-01-31",
            "31.1.2024",
            "1/2/24",
            "2024-01-31 10:00",
            "2019-04-15T17:06:00Z",
            "2019-04-15T17:06:00.123+02:00",
            "15-Apr-19",
            "Apr-2019",
            "Sept 2019",
            "2019-04",
            "2019/12",
            "04/2019",
            "April 15, 2019",
            "15th April 2019",
            "Mon, 15 Apr 2019",
            "Mon, 15 Apr 2019 17:06:00 GMT",
            "17:06",
            "7:06:30",
            "17:06:30.5",
            "5:06 PM",
            "17:06:00Z",
        ] {
            assert!(is_date(date), "{date}");
        }
    }

    #[test]
    fn other_texts_are_not_dates() {
        for other in [
            "1.5",
            "10-20",
            "a-b-c",
            "1-2/3",
            "192.168.0.1",
            "12345-1-1",
            "20190415",
            "2019-13",
            "3019-04",
            "2019-20",
            "March",
            "Monday 15",
            "May Day 1 east",
            "Mayor 5",
            "25:06",
            "17:60",
            "17:6",
            "16:9 wide",
            "1:2:3:4",
            "a:b",
            "é:15",
            "A4",
            "",
            "—12:30—",
        ] {
            assert!(!is_date(other), "{other}");
        }
    }

    #[test]
    fn numbers_in_other_notations_are_recognised_and_converted() {
        use NumberForm::{Currency, DecimalComma, Grouped, Minus, Percent};
        for (text, form, plain) in [
            ("14,23", DecimalComma, "14.23"),
            ("-0,5", DecimalComma, "-0.5"),
            ("0,123", DecimalComma, "0.123"),
            ("1.234.567,8", DecimalComma, "1234567.8"),
            ("59,000", Grouped, "59000"),
            ("1,234,567.50", Grouped, "1234567.50"),
            ("1_000", Grouped, "1000"),
            ("1'000", Grouped, "1000"),
            ("12\u{202f}345", Grouped, "12345"),
            ("$59000", Currency, "59000"),
            ("-$59,000.10", Currency, "-59000.10"),
            ("$-5", Currency, "-5"),
            ("12,50 €", Currency, "12.50"),
            ("85%", Percent, "85"),
            ("8,5 %", Percent, "8.5"),
            ("\u{2212}3.5", Minus, "-3.5"),
            ("\u{2212}1e5", Minus, "-1e5"),
        ] {
            assert_eq!(number_form(text), Some((form, plain.to_owned())), "{text}");
        }
        for text in [
            "1.5",
            "-3",
            "1e5",
            "1,2,3",
            "12,34,56",
            "1_00",
            "$",
            "%",
            "a,5",
            "10-20",
            "--5",
            "$$5",
            "A1",
            "inf",
            "2019-04-15",
            "1.2.3",
        ] {
            assert_eq!(number_form(text), None, "{text}");
        }
    }

    #[test]
    fn placeholders_are_recognised_in_any_case() {
        assert!(
            ["NA", "?", ".", "-", "NULL", "nan", "None", "missing", "Unknown"].map(is_placeholder)
                == [true; 9]
        );
        assert!(["", "no", "--", "NAN1"].map(is_placeholder) == [false; 4]);
    }
}
