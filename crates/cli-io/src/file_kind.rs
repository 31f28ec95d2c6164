//! Guesses the kind of a file that cannot be read as expected, so that the error can say what to do.

use crate::encoding::is_utf16;
use anyhow::{Error, anyhow};
use std::fmt;

/// The number of bytes at the start of a file that its kind is guessed from.
pub const HEAD: usize = 64 << 10;

/// The kind of file that a program expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A model file that `inference train` or `inference profile` wrote
    Model,
    /// An ONNX model
    Onnx,
    /// A table as CSV
    Table,
    /// A scenario for `loadgen run`
    Scenario,
    /// A drift specification for `driftsim generate`
    DriftSpec,
    /// A report that `loadgen run --json` wrote
    Report,
    /// What a table or the counts of a server are judged against: a model file, a model card, or a table
    Reference,
}

/// The kinds of files that are recognised by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Nothing at all
    Empty,
    /// A model file that `inference train` or `inference profile` wrote
    Model,
    /// Python's serialisation, as joblib and scikit-learn write it
    Pickle,
    /// An ONNX model
    Onnx,
    /// XGBoost, as JSON or UBJSON
    XgBoost,
    /// LightGBM's text format
    LightGbm,
    /// A ZIP archive: PyTorch, Keras, NumPy or a spreadsheet
    Zip,
    /// HDF5, as Keras wrote it
    Hdf5,
    /// Safetensors
    Safetensors,
    /// A file compressed with gzip, zlib, xz, bzip2 or zstd
    Compressed,
    /// A Parquet table
    Parquet,
    /// An Arrow, Feather or ORC table
    Arrow,
    /// A spreadsheet in Excel's former format
    Spreadsheet,
    /// A SQLite database
    Sqlite,
    /// A NumPy array
    Numpy,
    /// A CatBoost model
    CatBoost,
    /// A TensorFlow Lite model
    TfLite,
    /// A GGUF model
    Gguf,
    /// A table as text
    Table,
    /// Text in UTF-16 that begins with a byte order mark, as some spreadsheets write it
    Utf16,
    /// Text in UTF-16 without a byte order mark, the less significant byte of each character first
    Utf16Le,
    /// Text in UTF-16 without a byte order mark, the more significant byte of each character first
    Utf16Be,
    /// A web page
    Html,
    /// A JSON file of another kind
    Json,
    /// YAML
    Yaml,
}

impl FileKind {
    /// Returns the kind of a file by its first bytes, or `None` if no known kind starts so.
    pub fn guess(bytes: &[u8]) -> Option<Self> {
        let text = &bytes[..bytes.len().min(HEAD)];
        let trimmed = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii();
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        let contains = |part: &str| memchr::memmem::find(text, part.as_bytes()).is_some();
        let lower = trimmed[..trimmed.len().min(16)].to_ascii_lowercase();
        Some(match () {
            () if trimmed.is_empty() => Self::Empty,
            () if starts(b"\x89HDF\r\n\x1a\n") => Self::Hdf5,
            () if starts(b"PK\x03\x04") => Self::Zip,
            () if starts(b"PAR1") => Self::Parquet,
            () if starts(b"ARROW1") || starts(b"FEA1") || is_orc(bytes) => Self::Arrow,
            () if starts(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") => Self::Spreadsheet,
            () if starts(b"SQLite format 3\0") => Self::Sqlite,
            () if starts(b"\x93NUMPY") => Self::Numpy,
            () if starts(b"CBM1") => Self::CatBoost,
            () if bytes.get(4..8) == Some(b"TFL3") => Self::TfLite,
            () if starts(b"GGUF") => Self::Gguf,
            () if starts(b"\x1f\x8b")
                || starts(b"\xfd7zXZ")
                || starts(b"BZh")
                || starts(b"\x28\xb5\x2f\xfd") =>
            {
                Self::Compressed
            }
            // zlib's header has two bytes: `x`, and a byte such that both together are a multiple of 31 (RFC 1950, section 2.2).
            // Bit 5 announces a preset dictionary, which files do not have. Without this condition, a table that begins with `x `
            // or `x?` would be taken for compressed data.
            () if starts(b"\x78")
                && bytes.len() > 2
                && bytes[1] & 0x20 == 0
                && (0x7800 + u32::from(bytes[1])).is_multiple_of(31) =>
            {
                Self::Compressed
            }
            () if starts(b"\x80") && matches!(bytes.get(1), Some(2..=5)) => Self::Pickle,
            () if bytes.len() > 9 && bytes[8] == b'{' && bytes[7] == 0 && bytes[6] == 0 => Self::Safetensors,
            () if starts(b"\xff\xfe") || starts(b"\xfe\xff") => Self::Utf16,
            () if trimmed.starts_with(b"{") && contains("gradient_booster") => Self::XgBoost,
            () if is_model(trimmed) => Self::Model,
            () if lower.starts_with(b"<!doctype html") || lower.starts_with(b"<html") => Self::Html,
            // The first field is the version of the format, the second one the producer.
            () if starts(b"\x08") && bytes.get(2) == Some(&0x12) => Self::Onnx,
            () if is_utf16(text, u16::from_le_bytes) => Self::Utf16Le,
            () if is_utf16(text, u16::from_be_bytes) => Self::Utf16Be,
            () if trimmed.starts_with(b"{") || trimmed.starts_with(b"[") => Self::Json,
            () => return Self::guess_text(std::str::from_utf8(trimmed).ok()?),
        })
    }

    fn guess_text(text: &str) -> Option<Self> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let first = lines.next()?;
        if first == "tree" && text.contains("\nversion=v") {
            return Some(Self::LightGbm);
        }
        let second = lines.next().unwrap_or_default();
        let columns = |line: &str, separator| line.matches(separator).count();
        if [',', ';', '\t']
            .iter()
            .any(|&mark| columns(first, mark) > 0 && columns(first, mark) == columns(second, mark))
        {
            return Some(Self::Table);
        }
        let is_key = |line: &str| line.split_once(':').is_some_and(|(key, _)| !key.trim().is_empty());
        (is_key(first) || first == "---").then_some(Self::Yaml)
    }

    /// Returns whether the guess is certain: no other kind of file has these bytes in this place.
    pub fn is_certain(self) -> bool {
        !matches!(self, Self::Empty | Self::Table | Self::Json | Self::Yaml)
    }

    /// Returns what the user can do with a file of this kind where a `wanted` file is needed.
    pub fn remedy(self, wanted: Wanted) -> &'static str {
        match (wanted, self) {
            (_, Self::Utf16) => "save it as UTF-8, or convert it: iconv -f UTF-16 -t UTF-8",
            (_, Self::Utf16Le) => "save it as UTF-8, or convert it: iconv -f UTF-16LE -t UTF-8",
            (_, Self::Utf16Be) => "save it as UTF-8, or convert it: iconv -f UTF-16BE -t UTF-8",
            (Wanted::Model, Self::Table) => {
                "train a model on it with `inference train --data FILE --target COLUMN --out MODEL`"
            }
            (Wanted::Model, kind) if kind.is_foreign_table() => {
                "write the table as CSV, and train a model on it with `inference train`"
            }
            (Wanted::Reference, kind) if kind.is_foreign_table() => {
                "save the table as CSV, for example with pandas: `frame.to_csv(\"table.csv\", index=False)`"
            }
            (Wanted::Reference, Self::Zip) => {
                "save a spreadsheet as CSV; convert a model to ONNX, and describe it with `inference profile`"
            }
            (Wanted::Reference, Self::Compressed) => "decompress it first, or compress it with gzip",
            (Wanted::Model | Wanted::Reference, Self::Onnx) => {
                "describe it with `inference profile --onnx FILE --data TABLE --target COLUMN --out CARD`; then give CARD here, \
                or `--model FILE --profile CARD` to `inference serve`"
            }
            (Wanted::Model | Wanted::Reference | Wanted::Onnx, kind) if kind.is_foreign_model() => {
                "convert it to ONNX (skl2onnx, onnxmltools, torch.onnx.export, or CatBoost's save_model with format=\"onnx\"), \
                 and describe it with `inference profile`"
            }
            (Wanted::Onnx, Self::Model) => {
                "give a model file of `inference train` with --model alone, without --profile"
            }
            (Wanted::Onnx, _) => "give a model in the ONNX format",
            (Wanted::Model, _) => {
                "give a model file that `inference train --data TABLE --target COLUMN --out MODEL` wrote"
            }
            (Wanted::Table, Self::Compressed) => "decompress it first",
            (Wanted::Table, kind)
                if kind.is_foreign_table() || matches!(kind, Self::Zip | Self::Hdf5 | Self::Json) =>
            {
                "save the table as CSV, for example with pandas: `frame.to_csv(\"table.csv\", index=False)`"
            }
            (Wanted::Table, Self::Model) => {
                "give a table as CSV; `inference inspect --model FILE` describes a model"
            }
            (Wanted::Table, _) => "give a table as CSV",
            (Wanted::Scenario, _) => "give a scenario in YAML; `loadgen list` lists the built-in ones",
            (Wanted::DriftSpec, _) => "give a drift specification in YAML; `driftsim list` lists the presets",
            (Wanted::Report, _) => "give a report that `loadgen run --json FILE` wrote",
            (Wanted::Reference, _) => {
                "give a model file of `inference train`, a profile of `inference profile`, a model card as GET /model of `inference serve` \
                 returns it, or a table as CSV"
            }
        }
    }

    /// Returns whether the file is a table in a binary format.
    fn is_foreign_table(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow | Self::Spreadsheet | Self::Sqlite | Self::Numpy)
    }

    /// Returns whether the file is a model of another library, or an archive that such libraries write.
    fn is_foreign_model(self) -> bool {
        matches!(
            self,
            Self::Pickle
                | Self::Onnx
                | Self::XgBoost
                | Self::LightGbm
                | Self::Zip
                | Self::Hdf5
                | Self::Safetensors
                | Self::CatBoost
                | Self::TfLite
                | Self::Gguf
        )
    }
}

/// The error about a file that is not of the wanted kind.
#[derive(Debug)]
pub struct WrongKind(FileKind, Wanted);

impl WrongKind {
    /// Guesses the kind of a file from its first [`HEAD`] bytes. Returns `None` if that is the wanted kind, or no known one.
    pub fn of(bytes: &[u8], wanted: Wanted) -> Option<Self> {
        let kind = FileKind::guess(bytes)?;
        // The readers of YAML and CSV report an empty file themselves, and the line of an error.
        let is_wanted = match wanted {
            Wanted::Model => kind == FileKind::Model,
            // The first bytes of an ONNX model can look like YAML.
            Wanted::Onnx => matches!(kind, FileKind::Onnx | FileKind::Yaml),
            Wanted::Table => matches!(kind, FileKind::Table | FileKind::Yaml | FileKind::Empty),
            // JSON is valid YAML.
            Wanted::Scenario | Wanted::DriftSpec => !kind.is_certain(),
            Wanted::Report => kind == FileKind::Json,
            Wanted::Reference => matches!(kind, FileKind::Model | FileKind::Table | FileKind::Yaml),
        };
        (!is_wanted).then_some(Self(kind, wanted))
    }

    /// Adds to a reader's error what the file seems to be and what to do with it. If the guess is certain, it replaces the error,
    /// because the message of a CSV reader about a ZIP archive would be misleading.
    pub fn explain(self, error: Error) -> Error {
        let Self(kind, wanted) = self;
        let message = format!("seems to be {kind}; {}", kind.remedy(wanted));
        if kind.is_certain() { anyhow!(message) } else { error.context(message) }
    }
}

/// Adds an explanation to a reader's error if the file, whose first bytes are given, seems to be of another kind.
pub fn explain(error: Error, bytes: &[u8], wanted: Wanted) -> Error {
    match WrongKind::of(bytes, wanted) {
        Some(wrong) => wrong.explain(error),
        None => error,
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an empty file",
            Self::Model => "a model file of `inference train` or `inference profile`",
            Self::Pickle => "a Python pickle, as joblib or scikit-learn writes",
            Self::Onnx => "an ONNX model",
            Self::XgBoost => "an XGBoost model",
            Self::LightGbm => "a LightGBM model",
            Self::Zip => "a ZIP archive, such as a PyTorch or Keras model or a spreadsheet",
            Self::Hdf5 => "an HDF5 file, such as a Keras model",
            Self::Safetensors => "a safetensors file",
            Self::Compressed => "a compressed file",
            Self::Parquet => "a Parquet table",
            Self::Arrow => "an Arrow, Feather or ORC table",
            Self::Spreadsheet => "an Excel spreadsheet",
            Self::Sqlite => "a SQLite database",
            Self::Numpy => "a NumPy array",
            Self::CatBoost => "a CatBoost model",
            Self::TfLite => "a TensorFlow Lite model",
            Self::Gguf => "a GGUF model",
            Self::Table => "a table",
            Self::Utf16 | Self::Utf16Le | Self::Utf16Be => "text in UTF-16",
            Self::Html => "a web page",
            Self::Json => "a JSON file of another kind",
            Self::Yaml => "YAML",
        })
    }
}

/// Returns whether a file is an ORC table: it begins with the letters `ORC` and contains control characters. A text can begin
/// with the same letters, but does not contain control characters.
fn is_orc(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(HEAD)];
    let is_binary = |&byte: &u8| byte < 0x20 && !byte.is_ascii_whitespace();
    head.starts_with(b"ORC") && head.iter().any(is_binary)
}

/// Returns whether a text begins like a model file of `inference train`.
fn is_model(text: &[u8]) -> bool {
    let object = text.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    object.is_some_and(|fields| {
        fields.starts_with(b"\"format\"") && memchr::memmem::find(text, b"\"card\"").is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_file_is_guessed_from_its_first_bytes() {
        let cases: [(&[u8], Option<FileKind>); 39] = [
            (b"x ,y\n1 ,2\n", Some(FileKind::Table)),
            (b"", Some(FileKind::Empty)),
            (b" \n", Some(FileKind::Empty)),
            (b"\x80\x04\x95\x10\x00", Some(FileKind::Pickle)),
            (b"\x80\x05\x95\x10\x00", Some(FileKind::Pickle)),
            (b"\x78\x9c\x01\x02", Some(FileKind::Compressed)),
            (b"\x1f\x8b\x08\x00", Some(FileKind::Compressed)),
            (b"\x08\x0a\x12\x08skl2onnx\x1a", Some(FileKind::Onnx)),
            (b"\x08\x07\x12\x07pytorch\x1a", Some(FileKind::Onnx)),
            (b"{\"learner\":{\"gradient_booster\":{}}}", Some(FileKind::XgBoost)),
            (b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{gradient_booster", Some(FileKind::XgBoost)),
            (b"tree\nversion=v4\nnum_class=1\n", Some(FileKind::LightGbm)),
            (b"PK\x03\x04\x00", Some(FileKind::Zip)),
            (b"\x89HDF\r\n\x1a\n\x00", Some(FileKind::Hdf5)),
            (b"\x40\x00\x00\x00\x00\x00\x00\x00{\"a\":", Some(FileKind::Safetensors)),
            (b"PAR1\x15", Some(FileKind::Parquet)),
            (b"ARROW1\0\0", Some(FileKind::Arrow)),
            (b"ORC\x0a\x03\0", Some(FileKind::Arrow)),
            (b"ORCID,name\r\n1,\tx\r\n", Some(FileKind::Table)),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", Some(FileKind::Spreadsheet)),
            (b"SQLite format 3\0", Some(FileKind::Sqlite)),
            (b"\x93NUMPY\x01", Some(FileKind::Numpy)),
            (b"CBM1\0", Some(FileKind::CatBoost)),
            (b"\x1c\0\0\0TFL3", Some(FileKind::TfLite)),
            (b"GGUF\x03", Some(FileKind::Gguf)),
            (b"a,b,c\n1,2,3\n", Some(FileKind::Table)),
            (b"\xef\xbb\xbfa;b\n1;2\n", Some(FileKind::Table)),
            (b"<!DOCTYPE html>\n<p>", Some(FileKind::Html)),
            (b"{\"a\":1}", Some(FileKind::Json)),
            (b"name: x\nphases: []\n", Some(FileKind::Yaml)),
            (b"nothing known\n", None),
            (b"\xff\xfea\x00,\x00", Some(FileKind::Utf16)),
            (b"\xfe\xff\x00a\x00,", Some(FileKind::Utf16)),
            (b"a\x00,\x00\xe4\x00\n\x001\x00,\x002\x00\n\x00", Some(FileKind::Utf16Le)),
            (b"\x00a\x00,\x00b\x00\n\x001\x00,\x002\x00\n", Some(FileKind::Utf16Be)),
            (b"{\x00\"\x00a\x00\"\x00:\x001\x00,\x00", Some(FileKind::Utf16Le)),
            (b"a\x00b\x00\x00\x00", None),
            (b"{\"format\":2,\"card\":{\"name\":\"iris\"", Some(FileKind::Model)),
            (b"\xfd\xfe\x00\x01", None),
        ];
        for (bytes, kind) in cases {
            assert_eq!(FileKind::guess(bytes), kind, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn an_error_names_the_kind_of_the_file_and_a_remedy() {
        let explained = |bytes, wanted| format!("{:#}", explain(anyhow!("no column \"y\""), bytes, wanted));
        for (bytes, wanted, expected) in [
            (&b"PAR1\x15"[..], Wanted::Table, "seems to be a Parquet table; save the table as CSV"),
            (b"PAR1\x15", Wanted::Reference, "seems to be a Parquet table; save the table as CSV"),
            (
                b"PK\x03\x04",
                Wanted::Reference,
                "seems to be a ZIP archive, such as a PyTorch or Keras model or a spreadsheet; save a spreadsheet as CSV",
            ),
            (
                b"\x80\x04\x95",
                Wanted::Reference,
                "seems to be a Python pickle, as joblib or scikit-learn writes; convert it to ONNX",
            ),
            (b"{\"a\": 1}", Wanted::Reference, "seems to be a JSON file of another kind; give a model file"),
            (b"a,b\n1,2\n", Wanted::Reference, "no column"),
            (b"PAR1\x15", Wanted::Model, "seems to be a Parquet table; write the table as CSV, and train"),
            (b"\x80\x04\x95", Wanted::Table, "seems to be a Python pickle"),
            (b"PK\x03\x04", Wanted::Report, "seems to be a ZIP archive"),
            (
                b"{\"format\": 2, \"card\": {",
                Wanted::Table,
                "seems to be a model file of `inference train` or `inference profile`; give a table",
            ),
            (b"a,b\n1,2\n", Wanted::Report, "seems to be a table; give a report"),
            // For these files, the reader's own error is kept.
            (b"a,b\n1,2\n", Wanted::Table, "no column"),
            (b"name: x\n", Wanted::Table, "no column"),
            (b"", Wanted::Table, "no column"),
            (b"{\"format\": 3, \"card\": {", Wanted::Model, "no column"),
        ] {
            let explained = explained(bytes, wanted);
            assert!(explained.starts_with(expected), "{wanted:?}: {explained}");
        }
        // An uncertain guess keeps the reader's error.
        assert!(explained(b"{\"a\": 1}", Wanted::Table).ends_with(": no column \"y\""));
    }
}
