//! Finds the lines of a table's records. The csv crate reports the position before the empty lines that it skips, and before the line
//! feed after a carriage return, so its own line numbers are too low there.

use memchr::memchr_iter;

/// Returns where the record begins that the csv crate reads from position `start` on: behind empty lines, and behind the line feed
/// after a carriage return.
pub fn record_start(text: &[u8], start: usize) -> usize {
    let is_line_end = |byte: &&u8| matches!(byte, b'\n' | b'\r');
    start + text[start..].iter().take_while(is_line_end).count()
}

/// Returns the number of lines that end in `text`: with a line feed, or with a carriage return where there is no line feed.
pub fn line_ends(text: &[u8]) -> u64 {
    let line_feeds = memchr_iter(b'\n', text).count();
    let ends = if line_feeds > 0 { line_feeds } else { memchr_iter(b'\r', text).count() };
    ends as u64
}

/// Counts the lines of a text up to one record after the other.
#[derive(Debug)]
pub struct LineCounter<'a> {
    text: &'a [u8],
    position: usize,
    line: u64,
}

impl<'a> LineCounter<'a> {
    /// Starts at line 1 of a text.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, position: 0, line: 1 }
    }

    /// Returns the line of the record that the csv crate reads from position `start` on, which must not lie before that of the
    /// last call.
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
    fn lines_are_counted_over_empty_lines_and_all_kinds_of_line_ends() {
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
