//! Finds the line numbers of a table's records. Those of the csv crate are too low after empty lines: it reports the position
//! before the empty lines that it skips, and before the line feed that follows a carriage return.

use memchr::memchr_iter;

/// Returns the position at which the record begins that the csv crate reads from position `start` on: after any empty lines,
/// and after the line feed that follows a carriage return.
pub fn record_start(text: &[u8], start: usize) -> usize {
    let is_line_end = |byte: &&u8| matches!(byte, b'\n' | b'\r');
    start + text[start..].iter().take_while(is_line_end).count()
}

/// Returns the number of line ends in `text`. They are line feeds, or carriage returns if there are no line feeds.
pub fn line_ends(text: &[u8]) -> u64 {
    let line_feeds = memchr_iter(b'\n', text).count();
    let ends = if line_feeds > 0 { line_feeds } else { memchr_iter(b'\r', text).count() };
    ends as u64
}

/// Counts lines from one record of a text to the next.
#[derive(Debug)]
pub struct LineCounter<'a> {
    text: &'a [u8],
    position: usize,
    line: u64,
}

impl<'a> LineCounter<'a> {
    /// Starts at line 1 of `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, position: 0, line: 1 }
    }

    /// Returns the line of the record that the csv crate reads from position `start` on. `start` must not be smaller than in the
    /// call before.
    pub fn line_of(&mut self, start: u64) -> u64 {
        let start = record_start(self.text, (start as usize).min(self.text.len()));
        self.line += line_ends(&self.text[self.position..start]);
        self.position = start;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_and_all_kinds_of_line_ends_are_counted() {
        for (text, starts) in [
            ("a\nb\n\n\nc\n", [(0, 1), (2, 2), (4, 5)]),
            ("a\r\nb\r\n\r\n\r\nc\r\n", [(0, 1), (2, 2), (5, 5)]),
            ("a\rb\r\r\rc\r", [(0, 1), (2, 2), (4, 5)]),
        ] {
            let mut lines = LineCounter::new(text.as_bytes());
            assert_eq!(starts.map(|(start, _)| (start, lines.line_of(start))), starts, "{text:?}");
        }
    }
}
