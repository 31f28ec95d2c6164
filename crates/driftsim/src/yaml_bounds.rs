//! Bounds on YAML text, checked before it is read: its size and how deeply its collections are nested.
//!
//! The YAML reader needs time quadratic in the depth of nesting before it reports anything: 100 kB of `[` keep it busy for
//! half a minute. So the text is first walked event by event, by a parser that stops at the limit. Brackets in quoted
//! texts, comments and block texts are not nesting, which only a parser can know.
//!
//! Aliases are not followed here: the reader itself bounds how often they are repeated.

use saphyr_parser::{Event, Parser};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The largest file. A scenario may contain bodies that are larger than a service accepts.
pub const MOST_BYTES: usize = 32 << 20;

/// The deepest nesting. A scenario with a drift of its own needs nine levels.
pub const MOST_DEPTH: usize = 32;

/// The most characters after an error of the walking parser that are still given to the reader. It may accept what that parser
/// refuses, and it is fast on so few characters, however deeply they are nested.
const MOST_UNREAD: usize = 4 << 10;

/// The message of the walking parser about flow collections beyond its own limit, which is above [`MOST_DEPTH`].
const ITS_LIMIT: &str = "recursion limit exceeded";

/// Reads a file, and stops beyond [`MOST_BYTES`]; [`check`] then refuses what was read.
///
/// # Errors
/// When the file cannot be read.
pub fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Checks size and nesting of a YAML text. A text that is not YAML passes if little follows its first error, because the message of
/// the reader is better.
///
/// # Errors
/// The line, from 1, and the problem with its remedy.
pub fn check(text: &str) -> Result<(), (usize, String)> {
    if text.len() > MOST_BYTES {
        let problem = format!("the file is larger than {} MiB; split it", MOST_BYTES >> 20);
        return Err((1, problem));
    }
    let too_deep = |line| {
        let problem = format!(
            "lists and mappings are nested more than {MOST_DEPTH} deep; close the brackets, or indent less"
        );
        Err((line, problem))
    };
    let mut depth = 0_usize;
    for event in Parser::new_from_str(text) {
        match event {
            Ok((Event::MappingStart(..) | Event::SequenceStart(..), span)) => {
                depth += 1;
                if depth > MOST_DEPTH {
                    return too_deep(span.start.line());
                }
            }
            Ok((Event::MappingEnd | Event::SequenceEnd, _)) => depth = depth.saturating_sub(1),
            Ok(_) => {}
            Err(error) if error.info() == ITS_LIMIT => return too_deep(error.marker().line()),
            Err(error) => {
                let marker = error.marker();
                let unread = text.chars().skip(marker.index()).take(MOST_UNREAD + 1).count();
                if unread <= MOST_UNREAD {
                    return Ok(());
                }
                return Err((marker.line(), format!("not readable as YAML: {}", error.info())));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_beyond_the_limit_is_refused_with_its_line() {
        let many = 100_000;
        for (text, line) in [
            ("[".repeat(many), 1),
            ("{a: ".repeat(many), 1),
            ("- ".repeat(many), 1),
            ("? ".repeat(many), 1),
            ("[\n".repeat(many), MOST_DEPTH + 1),
            (format!("name: x\npayloads:\n  p: {}", "[{a: ".repeat(many)), 3),
            (format!("a: &a {}{}\nb: *a\n", "[".repeat(40), "]".repeat(40)), 1),
        ] {
            let (found, problem) = check(&text).unwrap_err();
            assert!(problem.contains("nested more than 32 deep"), "{problem}");
            // Flow collections may be noticed a few lines late, because the parser reads ahead.
            assert!((line..line + 256).contains(&found), "{found}, not {line}: {}", &text[..40]);
        }
    }

    #[test]
    fn brackets_that_open_no_collection_pass() {
        let many = "[{".repeat(1000);
        for text in [
            format!("a: \"{many}\""),
            format!("a: '{many}'"),
            format!("# {many}\na: 1 # {many}\n"),
            format!("a: |\n  {many}\n  {many}\nb: >-\n  {many}\n"),
            format!("a: x{many}\n"),
            format!("a: x\n  {many}\n"),
            format!("a: {{ b: \"{many}\" }} # {many}\n"),
            "- [ { a: [1] }, 'it''s [' ]\n".repeat(1000),
        ] {
            assert_eq!(check(&text), Ok(()), "{}", &text[..20]);
            serde_yaml::from_str::<serde_yaml::Value>(&text).unwrap();
        }
        let (open, close) = ("[".repeat(MOST_DEPTH), "]".repeat(MOST_DEPTH));
        assert_eq!(check(&format!("{open}{close}")), Ok(()));
        assert!(check(&format!("[{open}{close}]")).is_err());
    }

    #[test]
    fn what_is_too_large_or_no_yaml() {
        let (line, problem) = check(&" ".repeat(MOST_BYTES + 1)).unwrap_err();
        assert_eq!((line, problem.as_str()), (1, "the file is larger than 32 MiB; split it"));
        assert_eq!(check("a: 'x"), Ok(()));
        // The reader must not get to deep nesting behind what only the walking parser refuses.
        let (line, problem) = check(&format!("a: *b c\nd: {}", "[".repeat(100_000))).unwrap_err();
        assert!(line == 1 && problem.contains("not readable as YAML"), "{line}: {problem}");
    }
}
