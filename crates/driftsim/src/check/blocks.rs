//! Cuts the text of a table into blocks of whole records, so that several threads can read them.
//!
//! What does not belong here: fields and their values, which the csv crate reads from each block.

use anyhow::{Context, Result, ensure};
use cli_io::table_lines::{line_ends, record_start};
use memchr::{memchr, memchr_iter, memrchr};
use std::{io::Read, mem};

/// The number of bytes that are read at once: few enough for the cache of a core, and enough that the cost of passing a block to
/// another thread does not matter.
const BLOCK: usize = 256 << 10;

/// The longest record, in bytes. A quote that is never closed turns the rest of a file into one record.
const LONGEST_RECORD: usize = 16 << 20;

/// The byte order mark that some spreadsheets write before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whole records of a table, as text.
#[derive(Debug, PartialEq)]
pub(super) struct Block {
    pub(super) text: Vec<u8>,
    /// The line of the table on which the text begins, from 1.
    pub(super) line: u64,
}

/// Reads a table block by block, in constant memory.
pub(super) struct Blocks<'a, R> {
    input: R,
    place: &'a str,
    separator: u8,
    /// The beginning of the next block.
    rest: Vec<u8>,
    line: u64,
    ended: bool,
    /// The number of bytes that are read at once.
    size: usize,
}

impl<'a, R: Read> Blocks<'a, R> {
    /// Starts to read a table; `place` is its name in messages.
    pub(super) fn new(input: R, place: &'a str, separator: u8) -> Self {
        Self { input, place, separator, rest: Vec::new(), line: 1, ended: false, size: BLOCK }
    }

    fn read(&mut self) -> Result<Block> {
        let mut text = mem::take(&mut self.rest);
        loop {
            text.reserve(self.size);
            let read = self.input.by_ref().take(self.size as u64).read_to_end(&mut text);
            let read = read.with_context(|| format!("{}: cannot be read", self.place))?;
            self.ended = read < self.size;
            if self.line == 1 && text.starts_with(BYTE_ORDER_MARK) {
                text.drain(..BYTE_ORDER_MARK.len());
            }
            let end = if self.ended { Some(text.len()) } else { last_record_end(&text, self.separator) };
            if let Some(end) = end {
                self.rest = text.split_off(end);
                break;
            }
            ensure!(
                text.len() <= LONGEST_RECORD,
                "{}:{}: the row is longer than {} MiB; probably a quotation mark is missing at the end of a field",
                self.place,
                self.line,
                LONGEST_RECORD >> 20
            );
        }
        let block = Block { line: self.line, text };
        self.line += line_ends(&block.text);
        Ok(block)
    }
}

impl<R: Read> Iterator for Blocks<'_, R> {
    type Item = Result<Block>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let block = self.read();
        self.ended |= block.is_err();
        Some(block)
    }
}

impl Block {
    /// Returns the line of the record that the csv crate reads from position `start` on.
    pub(super) fn line_of(&self, start: usize) -> u64 {
        self.line + line_ends(&self.text[..record_start(&self.text, start)])
    }

    /// Removes the text before the record that the csv crate reads from position `start` on.
    pub(super) fn remove_before(&mut self, start: usize) {
        let start = record_start(&self.text, start);
        self.line += line_ends(&self.text[..start]);
        self.text.drain(..start);
    }
}

/// Returns the end of the last record that is complete in `text`, which begins with a record. As in the csv crate, a quotation
/// mark opens a quoted field only at the start of the field, and two of them within it stand for one.
fn last_record_end(text: &[u8], separator: u8) -> Option<usize> {
    let opens = |&at: &usize| at == 0 || matches!(text[at - 1], b'\n' | b'\r') || text[at - 1] == separator;
    let mut last = None;
    let mut start = 0;
    loop {
        let opening = memchr_iter(b'"', &text[start..]).map(|at| start + at).find(opens);
        let unquoted = &text[start..opening.unwrap_or(text.len())];
        // A carriage return at the very end may be followed by a line feed in the next block.
        let returns = unquoted.strip_suffix(b"\r").unwrap_or(unquoted);
        let end = memrchr(b'\n', unquoted).or_else(|| memrchr(b'\r', returns));
        last = end.map(|end| start + end + 1).or(last);
        let Some(closed) = opening.and_then(|opening| quoted_end(text, opening + 1)) else { return last };
        start = closed;
    }
}

/// Returns the position behind the quotation mark that closes a quoted field, if there is one from `start` on.
fn quoted_end(text: &[u8], mut start: usize) -> Option<usize> {
    loop {
        let quote = start + memchr(b'"', &text[start..])?;
        if text.get(quote + 1) != Some(&b'"') {
            return Some(quote + 1);
        }
        start = quote + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use csv::{ByteRecord, ReaderBuilder};
    use proptest::prelude::*;

    fn blocks(text: &[u8], size: usize) -> Result<Vec<Block>> {
        Blocks { size, ..Blocks::new(text, "t.csv", b',') }.collect()
    }

    fn records(text: &[u8]) -> Vec<ByteRecord> {
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
        reader.into_byte_records().map(Result::unwrap).collect()
    }

    /// The records of a table that is read in blocks, each with its line.
    fn records_with_lines(text: &[u8], size: usize) -> Vec<(u64, ByteRecord)> {
        let blocks = blocks(text, size).unwrap();
        let of_block = |block: &Block| {
            let at = |record: &ByteRecord| block.line_of(record.position().unwrap().byte() as usize);
            records(&block.text).into_iter().map(|record| (at(&record), record)).collect::<Vec<_>>()
        };
        blocks.iter().flat_map(of_block).collect()
    }

    #[test]
    fn records_have_the_line_on_which_they_begin() {
        let unix = "a,b\n\"1\n2\",3\n\n\n4,\"\"\"\n\"\n5,6";
        for (text, name) in
            [(unix.to_owned(), "LF"), (unix.replace('\n', "\r\n"), "CRLF"), (unix.replace('\n', "\r"), "CR")]
        {
            for size in [1, 3, 7, 1000] {
                for start in ["", "\u{feff}"] {
                    let read = records_with_lines(format!("{start}{text}").as_bytes(), size);
                    let lines: Vec<u64> = read.iter().map(|(line, _)| *line).collect();
                    assert_eq!(lines, [1, 2, 6, 8], "{name}, blocks of {size} bytes");
                }
            }
        }
    }

    #[test]
    fn the_header_is_removed_with_its_line_end() {
        for text in ["a,b\n1,2\n", "\n\na,b\r\n\r\n1,2\n"] {
            let mut block = blocks(text.as_bytes(), 1000).unwrap().remove(0);
            let (line, header) = (block.line_of(text.find("1,2").unwrap()), text.find("b").unwrap() + 2);
            block.remove_before(header);
            assert_eq!(block, Block { text: b"1,2\n".to_vec(), line });
        }
    }

    #[test]
    fn a_missing_closing_quotation_mark_ends_reading_at_the_longest_row() {
        let text = format!("a,b\n1,2\n\"3,{}", "4,5\n".repeat(LONGEST_RECORD / 2));
        let blocks: Vec<_> = Blocks::new(text.as_bytes(), "t.csv", b',').collect();
        let error = blocks.last().unwrap().as_ref().unwrap_err().to_string();
        assert_eq!(
            error,
            "t.csv:3: the row is longer than 16 MiB; probably a quotation mark is missing at the end of a field"
        );
        assert!(blocks.len() <= 2);
    }

    proptest! {
        /// The texts include malformed CSV, with quotation marks within fields and carriage returns without line feeds.
        #[test]
        fn blocks_have_the_records_of_the_whole_text(text in "[ab,,\"\"\r\n\n]{0,60}", size in 1_usize..20) {
            let whole = records(text.as_bytes());
            let read: Vec<ByteRecord> =
                records_with_lines(text.as_bytes(), size).into_iter().map(|(_, record)| record).collect();
            prop_assert_eq!(read, whole);
        }
    }
}
