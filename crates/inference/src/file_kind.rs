//! Guesses what a file is that is not a model file of this program, so that the error can say what to do.

use std::fmt;

/// What users have instead of a model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Nothing at all
    Empty,
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
    /// A table as text
    Table,
    /// A web page
    Html,
    /// JSON of another kind
    Json,
    /// YAML
    Yaml,
}

impl FileKind {
    /// What the first bytes of a file look like, if like anything known.
    pub fn guess(bytes: &[u8]) -> Option<Self> {
        let text = &bytes[..bytes.len().min(64 << 10)];
        let trimmed = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii();
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        let contains = |part: &str| memchr::memmem::find(text, part.as_bytes()).is_some();
        let lower = trimmed[..trimmed.len().min(16)].to_ascii_lowercase();
        Some(match () {
            () if trimmed.is_empty() => Self::Empty,
            () if starts(b"\x89HDF\r\n\x1a\n") => Self::Hdf5,
            () if starts(b"PK\x03\x04") => Self::Zip,
            () if starts(b"PAR1") => Self::Parquet,
            () if starts(b"\x1f\x8b")
                || starts(b"\xfd7zXZ")
                || starts(b"BZh")
                || starts(b"\x28\xb5\x2f\xfd") =>
            {
                Self::Compressed
            }
            // zlib's two bytes are short, so its check of them is made, too (RFC 1950, section 2.2).
            () if starts(b"\x78") && bytes.len() > 2 && (0x7800 + u32::from(bytes[1])).is_multiple_of(31) => {
                Self::Compressed
            }
            () if starts(b"\x80") && matches!(bytes.get(1), Some(2..=5)) => Self::Pickle,
            () if bytes.len() > 9 && bytes[8] == b'{' && bytes[7] == 0 && bytes[6] == 0 => Self::Safetensors,
            () if contains("\"gradient_booster\"") || (starts(b"{") && contains("gradient_booster")) => {
                Self::XgBoost
            }
            () if lower.starts_with(b"<!doctype html") || lower.starts_with(b"<html") => Self::Html,
            // The version of the format, and the producer as its second field.
            () if starts(b"\x08") && bytes.get(2) == Some(&0x12) => Self::Onnx,
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

    /// What to do with it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Table => {
                "train a model on it with `inference train --data FILE --target COLUMN --out MODEL`"
            }
            Self::Compressed => {
                "decompress it first; what is served is a model file that `inference train` wrote"
            }
            Self::Empty | Self::Html | Self::Json | Self::Yaml => {
                "give a model file that `inference train --data TABLE --target COLUMN --out MODEL` wrote"
            }
            Self::Parquet => "write the table as CSV, and train a model on it with `inference train`",
            Self::Zip
            | Self::Pickle
            | Self::Onnx
            | Self::XgBoost
            | Self::LightGbm
            | Self::Hdf5
            | Self::Safetensors => {
                "models of other libraries can't be served yet; train one on the same table with `inference train`"
            }
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an empty file",
            Self::Pickle => "a Python pickle, as joblib or scikit-learn writes",
            Self::Onnx => "an ONNX model",
            Self::XgBoost => "an XGBoost model",
            Self::LightGbm => "a LightGBM model",
            Self::Zip => "a ZIP archive, such as a PyTorch or Keras model or a spreadsheet",
            Self::Hdf5 => "an HDF5 file, such as a Keras model",
            Self::Safetensors => "a safetensors file",
            Self::Compressed => "a compressed file",
            Self::Parquet => "a Parquet table",
            Self::Table => "a table",
            Self::Html => "a web page",
            Self::Json => "JSON of another kind",
            Self::Yaml => "YAML",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_their_first_bytes() {
        let cases: [(&[u8], Option<FileKind>); 22] = [
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
            (b"a,b,c\n1,2,3\n", Some(FileKind::Table)),
            (b"\xef\xbb\xbfa;b\n1;2\n", Some(FileKind::Table)),
            (b"<!DOCTYPE html>\n<p>", Some(FileKind::Html)),
            (b"{\"a\":1}", Some(FileKind::Json)),
            (b"name: x\nphases: []\n", Some(FileKind::Yaml)),
            (b"nothing known\n", None),
            (b"\xff\xfe\x00\x01", None),
        ];
        for (bytes, kind) in cases {
            assert_eq!(FileKind::guess(bytes), kind, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
