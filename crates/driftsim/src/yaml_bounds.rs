//! Bounds on YAML text, checked before it is read: its size and how deeply its collections are nested.
//!
//! The YAML reader takes time quadratic in the depth of nesting: half a minute for 100 kB of `[`. So another parser first reads
//! the text event by event and stops at the limit. It has to be a parser, because brackets in quoted texts, comments and block
//! texts are not nesting.
//!
//! Aliases are not followed here, because the reader itself limits how often they are repeated.

use saphyr_parser::{Event, Parser};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The greatest size of a file. It leaves room for scenarios with request bodies that are larger than a service accepts.
pub const MOST_BYTES: usize = 32 << 20;

/// The greatest depth of nesting. A scenario that contains a drift spec needs nine levels.
pub const MOST_DEPTH: usize = 32;

/// The greatest number of characters after an error of the event parser with which the text is still given to the reader. The reader
/// may accept what the event parser refuses, and it is fast on so few characters at any depth.
const MOST_UNREAD: usize = 4 << 10;

/// The message of the event parser about flow collections beyond its own limit, which is above [`MOST_DEPTH`].
const ITS_LIMIT: &str = "recursion limit exceeded";

/// Reads a file, but not much more than [`MOST_BYTES`] of it; [`check`] then refuses the text as too large.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Checks the size and the nesting of a YAML text. A text that is not YAML passes if little text follows its first error, because
/// the reader's message is better.
///
/// # Errors
/// Returns the line, from 1, and the problem with its remedy.
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

/// Returns the line, from 1, and the problem with its remedy, if a line that is indented with a tab is the reason for an error in the
/// syntax of a YAML text.
pub fn tab_indented(text: &str, error: &serde_yaml::Error) -> Option<(usize, String)> {
    let at = error.location()?.line();
    let message = error.to_string();
    // Other errors are about values. A tab in a block of text is then valid.
    if !SYNTAX_ERRORS.iter().any(|part| message.contains(part)) {
        return None;
    }
    let indented = |line: &&str| line[..line.len() - line.trim_start().len()].contains('\t');
    let lines: Vec<&str> = text.lines().take(at).collect();
    let is_last = lines.len() == at && lines.last().is_some_and(indented);
    let line = if is_last { at } else { lines.iter().position(indented)? + 1 };
    Some((line, "the line is indented with a tab, which YAML does not allow; use spaces instead".to_owned()))
}

/// Parts of the reader's messages about text that is not YAML.
const SYNTAX_ERRORS: [&str; 3] = ["while scanning", "while parsing", "did not find expected"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

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
            // The line of a flow collection may be a few lines too great, because the parser reads ahead.
            assert!((line..line + 256).contains(&found), "{found}, not {line}: {}", &text[..40]);
        }
    }

    #[test]
    fn brackets_in_text_and_comments_do_not_count_as_nesting() {
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
    fn a_line_that_is_indented_with_a_tab_is_found() {
        let found = |text: &str| {
            let error = serde_yaml::from_str::<BTreeMap<String, serde_yaml::Value>>(text).unwrap_err();
            tab_indented(text, &error).map(|(line, _)| line)
        };
        for (text, line) in [
            ("a:\n\tb: 1\n", 2),
            ("a:\n  b: 1\n\tc: 1\n", 3),
            ("a:\n  b: 1\n  \tc: 1\n  d: 1\n", 3),
            ("a:\n  - b: 1\n\t  c: 1\n", 3),
            ("a: x\n\tb: 1\nc: 1\n", 2),
        ] {
            assert_eq!(found(text), Some(line), "{text:?}");
        }
        for text in ["a: [\nb: 1\n", "a: |\n  x\n  \ty\n? [1]\n: 1\n", "- a\n", "a:\t1\nb: [\n"] {
            assert_eq!(found(text), None, "{text:?}");
        }
    }

    #[test]
    fn files_that_are_too_large_or_not_yaml_are_refused() {
        let (line, problem) = check(&" ".repeat(MOST_BYTES + 1)).unwrap_err();
        assert_eq!((line, problem.as_str()), (1, "the file is larger than 32 MiB; split it"));
        assert_eq!(check("a: 'x"), Ok(()));
        // The reader must not be given deep nesting that follows an error of the event parser.
        let (line, problem) = check(&format!("a: *b c\nd: {}", "[".repeat(100_000))).unwrap_err();
        assert!(line == 1 && problem.contains("not readable as YAML"), "{line}: {problem}");
    }
}
