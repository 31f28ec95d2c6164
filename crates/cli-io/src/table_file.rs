//! Opens tables, which are files or standard input, plain or compressed with gzip.

use crate::file_kind::{FileKind, HEAD, Wanted, WrongKind};
use anyhow::{Context, Error, Result, bail};
use flate2::read::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Reads a field separator from the value of a flag: one ASCII character, or `\t` for a tab.
///
/// # Errors
/// If it is a letter, a digit, a quote or the end of a line, or not a single ASCII character.
pub fn separator(text: &str) -> Result<u8> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] if !byte.is_ascii_alphanumeric() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => bail!("must be one character that is not a letter, a digit or a quote, such as ; or \\t"),
    }
}

/// An open table.
pub struct TableFile {
    flag: &'static str,
    /// The name of the file in messages.
    pub place: String,
    head: Vec<u8>,
    rest: Option<Box<dyn Read>>,
}

impl TableFile {
    /// Opens the file that a flag names; `-` is standard input.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn open(flag: &'static str, path: &Path) -> Result<Self> {
        let (place, input): (String, Box<dyn Read>) = if path == Path::new("-") {
            ("standard input".to_owned(), Box::new(io::stdin()))
        } else {
            let place = path.display().to_string();
            let file = File::open(path).with_context(|| format!("{flag} {place}: cannot be read"))?;
            (place, Box::new(file))
        };
        Self::new(flag, place, input)
    }

    fn new(flag: &'static str, place: String, mut input: Box<dyn Read>) -> Result<Self> {
        let unread = || format!("{flag} {place}: cannot be read");
        let mut head = first_bytes(&mut input).with_context(unread)?;
        if head.starts_with(b"\x1f\x8b") {
            input = Box::new(MultiGzDecoder::new(io::Cursor::new(head).chain(input)));
            head = first_bytes(&mut input).with_context(|| {
                format!("{flag} {place}: is compressed with gzip but damaged; create the file again")
            })?;
        }
        // Without this, UTF-16 would be read as the encoding of another text, or as names and cells with zeros between their letters.
        if let Some(kind @ (FileKind::Utf16 | FileKind::Utf16Le | FileKind::Utf16Be)) = FileKind::guess(&head)
        {
            bail!("{flag} {place}: seems to be {kind}; {}", kind.remedy(Wanted::Table));
        }
        Ok(Self { flag, place, head, rest: Some(input) })
    }

    /// Returns the uncompressed text. A second call returns only its first bytes.
    pub fn text(&mut self) -> impl Read + use<> {
        io::Cursor::new(self.head.clone()).chain(self.rest.take().unwrap_or_else(|| Box::new(io::empty())))
    }

    /// Adds to a reader's error what the file seems to be and what to do with it, if it does not seem to be a table.
    pub fn explain(&self, error: Error) -> Error {
        match WrongKind::of(&self.head, Wanted::Table) {
            Some(wrong) => wrong.explain(error).context(format!("{} {}", self.flag, self.place)),
            None => error,
        }
    }
}

fn first_bytes(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    input.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn text_of(bytes: &[u8]) -> Result<String> {
        let mut table = TableFile::new("--data", "d".into(), Box::new(io::Cursor::new(bytes.to_vec())))?;
        let mut text = String::new();
        table.text().read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn compressed_and_plain_tables_have_the_same_text() {
        let long = "a,b\n1,2\n".repeat(20_000);
        for text in ["", "a,b\n1,2\n", &long] {
            assert_eq!(text_of(text.as_bytes()).unwrap(), text);
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(text.as_bytes()).unwrap();
            let mut compressed = encoder.finish().unwrap();
            assert_eq!(text_of(&compressed).unwrap(), text);
            // Compressed files that were joined with `cat` are read to the end.
            compressed.extend(compressed.clone());
            assert_eq!(text_of(&compressed).unwrap().len(), 2 * text.len());
        }
    }

    #[test]
    fn tables_in_utf_16_are_refused_with_the_command_that_converts_them() {
        let text = "größe,class\n1,a\n2,b\n";
        let units: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for (mark, bytes, encoding) in [
            (&b"\xff\xfe"[..], &little, "UTF-16"),
            (b"\xfe\xff", &big, "UTF-16"),
            (b"", &little, "UTF-16LE"),
            (b"", &big, "UTF-16BE"),
        ] {
            let bytes = [mark, bytes].concat();
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&bytes).unwrap();
            for bytes in [bytes, encoder.finish().unwrap()] {
                assert_eq!(
                    text_of(&bytes).unwrap_err().to_string(),
                    format!(
                        "--data d: seems to be text in UTF-16; save it as UTF-8, or convert it: iconv -f {encoding} -t UTF-8"
                    )
                );
            }
        }
    }

    #[test]
    fn damaged_gzip_data_and_other_kinds_of_files_are_reported() {
        let error = text_of(b"\x1f\x8b\x08\x00damaged").unwrap_err();
        assert!(
            format!("{error:#}")
                .starts_with("--data d: is compressed with gzip but damaged; create the file again"),
            "{error:#}"
        );
        let table =
            TableFile::new("--data", "d".into(), Box::new(io::Cursor::new(b"PAR1\x15".to_vec()))).unwrap();
        let error = format!("{:#}", table.explain(anyhow::anyhow!("no column")));
        assert!(error.starts_with("--data d: seems to be a Parquet table"), "{error}");
    }
}
