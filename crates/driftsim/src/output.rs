//! Rows as text: CSV for tables, JSONL for requests.

use crate::Row;
use model::ModelCard;
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::io::{self, Write};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A header, then one line a row; a missing value is an empty cell
    Csv,
    /// One JSON object per line, whose `features` /predict understands; a missing value is null
    Jsonl,
}

/// Writes rows of the model that `card` describes.
pub(crate) fn write(
    format: Format,
    card: &ModelCard,
    rows: impl Iterator<Item = Row>,
    out: &mut impl Write,
) -> io::Result<()> {
    match format {
        Format::Csv => write_csv(card, rows, out),
        Format::Jsonl => write_jsonl(card, rows, out),
    }?;
    out.flush()
}

fn write_csv(card: &ModelCard, rows: impl Iterator<Item = Row>, out: &mut impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    let mut header: Vec<String> = card.features.iter().map(|feature| feature.name.clone()).collect();
    for truth in ["class", "drifted"] {
        let name = free_name(truth, &header);
        header.push(name);
    }
    csv.write_record(&header).map_err(io_error)?;
    for row in rows {
        let cells = row.values.iter().map(|value| value.map(|value| value.to_string()).unwrap_or_default());
        let truth = [card.classes[row.class].clone(), row.drifted.to_string()];
        csv.write_record(cells.chain(truth)).map_err(io_error)?;
    }
    csv.flush()
}

/// Returns what really happened: csv's own conversion hides a broken pipe behind "other".
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

/// Returns the name, with as many underscores behind it as it takes to be no feature's.
fn free_name(name: &str, taken: &[String]) -> String {
    let mut name = name.to_owned();
    while taken.contains(&name) {
        name.push('_');
    }
    name
}

fn write_jsonl(card: &ModelCard, rows: impl Iterator<Item = Row>, out: &mut impl Write) -> io::Result<()> {
    for row in rows {
        let line = Line {
            features: Features { card, values: &row.values },
            class: &card.classes[row.class],
            drifted: row.drifted,
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// A row in JSON. Features stand apart, so none can collide with the truth about the row.
#[derive(Serialize)]
struct Line<'a> {
    features: Features<'a>,
    class: &'a str,
    drifted: bool,
}

struct Features<'a> {
    card: &'a ModelCard,
    values: &'a [Option<f64>],
}

impl Serialize for Features<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len()))?;
        for (feature, value) in self.card.features.iter().zip(self.values) {
            map.serialize_entry(&feature.name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format) -> String {
        let mut card = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card;
        card.features[0].name = "class".into();
        card.features[1].name = "width, at \"most\"".into();
        let row = Row { values: vec![Some(5.0), None, Some(1e21), Some(-0.25)], class: 2, drifted: true };
        let mut out = Vec::new();
        write(format, &card, std::iter::once(row), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_quotes_names_and_keeps_them_apart() {
        let expected = "class,\"width, at \"\"most\"\"\",petal_length,petal_width,class_,drifted\n\
                        5,,1000000000000000000000,-0.25,virginica,true\n";
        assert_eq!(written(Format::Csv), expected);
    }

    #[test]
    fn jsonl_keeps_the_features_in_their_order() {
        let expected = r#"{"features":{"class":5.0,"width, at \"most\"":null,"petal_length":1e+21,"petal_width":-0.25},"class":"virginica","drifted":true}"#;
        assert_eq!(written(Format::Jsonl).trim_end(), expected);
    }
}
