//! Makes foreign text safe to print: text from a file, a header or another program.
//!
//! A terminal acts on control characters, so a column name or a class name could recolour, move or hide the text around it,
//! and Unicode's bidirectional controls could reorder it. Such characters are shown as escapes (`\u{1b}`). The length is
//! bounded, because a quote that is never closed turns the rest of a file into one cell.
//!
//! What does not belong here: escaping for HTML, JSON or metrics, which have rules of their own.

use std::borrow::Cow;

/// The most characters of one foreign text within a message.
pub const MOST_QUOTED: usize = 100;

/// The most characters of a whole message: about two screens of a terminal.
pub const MOST_MESSAGE: usize = 8_000;

/// Returns `text` as one line that is safe to print, cut after `most` characters.
///
/// Line ends, control characters and bidirectional controls become escapes. The end states how many characters were cut.
///
/// ```
/// use cli_io::printable::printable;
/// assert_eq!(printable("a\u{1b}[31mb\nc", 80), r"a\u{1b}[31mb\nc");
/// assert_eq!(printable("abcdef", 3), "abc… (3 more characters)");
/// ```
pub fn printable(text: &str, most: usize) -> String {
    let end = text.char_indices().nth(most).map_or(text.len(), |(at, _)| at);
    let (shown, cut) = text.split_at(end);
    let mut printable = String::with_capacity(shown.len());
    for character in shown.chars() {
        match character {
            unsafe_character if is_unsafe(unsafe_character) => {
                printable.extend(unsafe_character.escape_debug())
            }
            safe => printable.push(safe),
        }
    }
    if !cut.is_empty() {
        printable += &format!("… ({} more characters)", cut.chars().count());
    }
    printable
}

/// Returns a message of several lines that is safe to print. It keeps its line feeds; otherwise it is treated as in
/// [`printable`].
///
/// Of a message longer than [`MOST_MESSAGE`] characters the middle is left out, because a message begins with the place of an
/// error and ends with the remedy.
pub fn printable_message(text: &str) -> String {
    let length = text.chars().count();
    let shortened: Cow<str> = if length <= MOST_MESSAGE {
        text.into()
    } else {
        let half = MOST_MESSAGE / 2;
        let head: String = text.chars().take(half).collect();
        let tail: String = text.chars().skip(length - half).collect();
        format!("{head}… ({} characters left out) …{tail}", length - 2 * half).into()
    };
    printable_lines(&shortened)
}

/// Returns `text` with each line made safe as in [`printable`], but not cut. It is for tables and summaries, whose cells are
/// already bounded.
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(|line| printable(line, usize::MAX)).collect::<Vec<_>>().join("\n")
}

/// Returns `text` in quotation marks with escapes as in Rust, cut after [`MOST_QUOTED`] characters.
///
/// ```
/// use cli_io::printable::quoted;
/// assert_eq!(quoted("n/a"), r#""n/a""#);
/// assert_eq!(quoted(&"x".repeat(1000)), format!("\"{}\"… (900 more characters)", "x".repeat(100)));
/// ```
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(MOST_QUOTED) {
        None => format!("{text:?}"),
        Some((end, _)) => {
            let (shown, cut) = text.split_at(end);
            format!("{shown:?}… ({} more characters)", cut.chars().count())
        }
    }
}

/// Returns a text, quoted if a shell would not read it as one word.
///
/// ```
/// use cli_io::printable::shell_word;
/// assert_eq!(["age", "a b", "it's"].map(shell_word), ["age", "'a b'", r"'it'\''s'"]);
/// ```
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Returns whether a terminal would act on the character instead of showing it: C0, DEL and C1 controls, the line and
/// paragraph separators, and the controls of Unicode's bidirectional algorithm (UAX #9).
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_character_becomes_an_escape() {
        let controls = ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}');
        let bidirectional =
            ['\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}'];
        for character in controls.chain(bidirectional).chain(['\u{2028}', '\u{2029}']) {
            let text = format!("a{character}b");
            for printed in [printable(&text, 10), quoted(&text), printable_lines(&text.replace('\n', "\r"))] {
                assert!(printed.contains('\\') && !printed.chars().any(is_unsafe), "{printed:?}");
            }
        }
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        let text = "sepal_length in cm: «größer als» 5 % · 日本語 \"quoted\" C:\\x";
        assert_eq!(printable(text, 100), text);
        assert_eq!(printable_message(&format!("{text}\n{text}\n")), format!("{text}\n{text}\n"));
    }

    #[test]
    fn a_long_message_keeps_its_start_and_its_end() {
        let message = format!("data.csv:3: column \"a\": {} is not a number", "\u{1b}é".repeat(1_000_000));
        let printed = printable_message(&message);
        assert!(printed.starts_with("data.csv:3: column") && printed.ends_with("is not a number"));
        assert!(printed.contains("characters left out") && printed.chars().count() < 8 * MOST_MESSAGE);
    }
}
