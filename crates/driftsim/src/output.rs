//! Rows as text: CSV for tables, JSONL for requests.

use crate::{Row, source::has_true_classes};
use model::{Feature, ModelCard};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;
use std::io::{self, Write};

/// The format in which rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A header, then one line per row; a missing value is an empty cell
    Csv,
    /// One JSON object per line, with `features` as /predict accepts them; a missing value is null
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
    let classes = has_true_classes(card);
    for truth in ["class", "drifted"].into_iter().skip(usize::from(!classes)) {
        let name = free_name(truth, &header);
        header.push(name);
    }
    csv.write_record(&header).map_err(io_error)?;
    for row in rows {
        let text = |(value, feature): (&Option<f64>, &Feature)| match (value, feature.categorical()) {
            (None, _) => String::new(),
            (Some(value), None) => value.to_string(),
            (Some(value), Some(categorical)) => categorical.text(*value).to_owned(),
        };
        let cells = row.values.iter().zip(&card.features).map(text);
        let class = || row.class.map_or(String::new(), |class| card.classes[class].clone());
        let truth = [classes.then(class), Some(row.drifted.to_string())];
        csv.write_record(cells.chain(truth.into_iter().flatten())).map_err(io_error)?;
    }
    csv.flush()
}

/// Returns the I/O error in an error of the csv crate, whose own conversion would turn a broken pipe into `ErrorKind::Other`.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

/// Returns the name, with underscores added until no feature has it.
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
            class: row.class.map(|class| card.classes[class].as_str()),
            drifted: row.drifted,
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// A row in JSON. The features are in an object of their own, because a feature may be called `class` or `drifted`.
#[derive(Serialize)]
struct Line<'a> {
    features: Features<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    drifted: bool,
}

/// Returns the JSON of a feature's value.
pub fn json(feature: &Feature, value: Option<f64>) -> Value {
    match (value, feature.categorical()) {
        (None, _) => Value::Null,
        (Some(value), None) => value.into(),
        (Some(value), Some(categorical)) => categorical.json(value),
    }
}

struct Features<'a> {
    card: &'a ModelCard,
    values: &'a [Option<f64>],
}

impl Serialize for Features<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len()))?;
        for (feature, value) in self.card.features.iter().zip(self.values) {
            map.serialize_entry(&feature.name, &json(feature, *value))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DriftSpec, RowSource, fixtures};

    #[test]
    fn the_class_column_is_omitted_if_true_classes_are_unknown() {
        for file in [fixtures::regression(), fixtures::without_truth()] {
            let written = |format| {
                let rows = RowSource::new(&file.card, &DriftSpec::steady(), 1).unwrap().take(3);
                let mut out = Vec::new();
                write(format, &file.card, rows, &mut out).unwrap();
                String::from_utf8(out).unwrap()
            };
            let csv = written(Format::Csv);
            assert!(csv.starts_with("area,floor,city,drifted\n"), "{csv}");
            assert!(csv.lines().skip(1).all(|line| line.split(',').count() == 4 && line.ends_with(",false")));
            let jsonl = written(Format::Jsonl);
            assert_eq!(jsonl.matches("},\"drifted\":false}").count(), 3, "{jsonl}");
        }
    }

    fn written(format: Format) -> String {
        let mut card = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card;
        card.features[0].name = "class".into();
        card.features[1].name = "width, at \"most\"".into();
        let row = Row {
            values: vec![Some(5.0), None, Some(1e21), Some(-0.25)],
            class: Some(2),
            number: None,
            drifted: true,
        };
        let mut out = Vec::new();
        write(format, &card, std::iter::once(row), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_quotes_names_and_column_names_are_unique() {
        let expected = "class,\"width, at \"\"most\"\"\",petal_length,petal_width,class_,drifted\n\
                        5,,1000000000000000000000,-0.25,virginica,true\n";
        assert_eq!(written(Format::Csv), expected);
    }

    #[test]
    fn jsonl_writes_the_features_in_the_models_order() {
        let expected = r#"{"features":{"class":5.0,"width, at \"most\"":null,"petal_length":1e+21,"petal_width":-0.25},"class":"virginica","drifted":true}"#;
        assert_eq!(written(Format::Jsonl).trim_end(), expected);
    }
}
