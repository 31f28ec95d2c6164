//! Reads requests of TensorFlow Serving (`instances`) and of MLflow (`dataframe_split`, `dataframe_records`, `instances`,
//! `inputs`).

use super::{
    Form, ParsedRows,
    check::{check_instances, value},
    json::{self, items, object},
    raw::{Cell, Instances, Kind, shortened},
};
use crate::{reason::Reason, refusal::Refusal};
use model::ModelCard;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Reads `{"instances": […]}`, a list of rows as lists or as objects.
///
/// # Errors
/// Returns an error if the body is not JSON, or does not contain rows with the features of this model.
pub fn instances(body: &[u8], card: &ModelCard) -> Result<ParsedRows, Refusal> {
    let root = serde_json::from_slice(body).map_err(|error| super::unreadable(body, &error))?;
    let [rows, _] = object(root, "the body", "")?.take(["instances", "signature_name"], "")?;
    let rows = rows.ok_or_else(|| missing("\"instances\" is missing", "instances"))?;
    rows_of(rows, "instances", card)?.exact(body, card)
}

/// Reads one of MLflow's four forms.
///
/// # Errors
/// Returns the errors of [`instances`].
pub fn dataframe(body: &[u8], card: &ModelCard) -> Result<ParsedRows, Refusal> {
    let root = serde_json::from_slice(body).map_err(|error| super::unreadable(body, &error))?;
    let known = ["dataframe_split", "dataframe_records", "instances", "inputs", "params"];
    let [split, records, instances, inputs, _] = object(root, "the body", "")?.take(known, "")?;
    let parsed = match (split, records, instances, inputs) {
        (Some(split), None, None, None) => read_split(split, card),
        (None, Some(rows), None, None) => rows_of(rows, "dataframe_records", card),
        (None, None, Some(rows), None) => rows_of(rows, "instances", card),
        (None, None, None, Some(rows)) if matches!(json::kind(rows), Kind::Object) => {
            read_columns(rows, card)
        }
        (None, None, None, Some(rows)) => rows_of(rows, "inputs", card),
        _ => Err(missing(
            "expected exactly one of \"dataframe_split\", \"dataframe_records\", \"instances\" and \"inputs\"",
            "dataframe_split",
        )),
    };
    parsed?.exact(body, card)
}

fn missing(message: &str, field: &str) -> Refusal {
    Refusal::new(Reason::MissingField, message).at(field)
}

fn rows_of(rows: &RawValue, list: &'static str, card: &ModelCard) -> Result<ParsedRows, Refusal> {
    let rows: Instances = read(rows, list)?;
    check_instances(rows, list, card)
}

fn read<T: DeserializeOwned>(value: &RawValue, place: &str) -> Result<T, Refusal> {
    serde_json::from_str(value.get()).map_err(|error| json::unreadable(&error, place))
}

/// Reads `{"columns": […], "data": [[…], …]}`.
fn read_split(split: &RawValue, card: &ModelCard) -> Result<ParsedRows, Refusal> {
    const DATA: &str = "dataframe_split.data";
    let fields = object(split, "\"dataframe_split\"", "dataframe_split")?;
    let [columns, data, _] = fields.take(["columns", "data", "index"], "dataframe_split")?;
    let data = data.ok_or_else(|| missing("\"dataframe_split\" has no \"data\"", DATA))?;
    let place = "dataframe_split.columns";
    let columns = columns.ok_or_else(|| missing("\"dataframe_split\" has no \"columns\"", place))?;
    let mut names = Vec::new();
    for name in items(columns, place)? {
        names.push(json::text(name, place)?.unwrap_or_default().into_owned());
    }
    let columns = positions(&names, place, card)?;
    let (mut values, mut others) = (Vec::new(), Vec::new());
    for (index, row) in items(data, DATA)?.into_iter().enumerate() {
        let place = format!("{DATA}[{index}]");
        let cells: Vec<Cell> =
            items(row, &place)?.into_iter().map(|cell| read(cell, &place)).collect::<Result<_, _>>()?;
        if cells.len() != names.len() {
            let message = format!("expected {} values, one per column, got {}", names.len(), cells.len());
            return Err(Refusal::new(Reason::WrongFeatureCount, message).at(place));
        }
        for (feature, at) in columns.iter().enumerate() {
            values.push(match at {
                Some(at) => value(cells[*at].as_ref(), [index, feature], card, &mut others, || {
                    format!("{place}[{at}]")
                })?,
                None => None,
            });
        }
    }
    not_empty(ParsedRows { values, features: columns.len(), others, form: Form::List(DATA) }, DATA)
}

/// Reads `{"age": […], "city": […]}`, one list per feature.
fn read_columns(inputs: &RawValue, card: &ModelCard) -> Result<ParsedRows, Refusal> {
    let entries = object(inputs, "\"inputs\"", "inputs")?.into_vec();
    let names: Vec<String> = entries.iter().map(|(name, _)| name.clone().into_owned()).collect();
    let columns = positions(&names, "inputs", card)?;
    let mut cells: Vec<Vec<Cell>> = Vec::new();
    for (name, column) in &entries {
        let place = format!("inputs.{}", shortened(name));
        items(column, &place)?;
        cells.push(read(column, &place)?);
        let (first, got) = (cells[0].len(), cells[cells.len() - 1].len());
        if got != first {
            let message = format!("has {got} values, but {:?} has {first}", shortened(&names[0]));
            return Err(Refusal::new(Reason::WrongShape, message).at(place));
        }
    }
    let (mut values, mut others) = (Vec::new(), Vec::new());
    let mut value = |index: usize, feature: usize, at: Option<usize>| match at {
        Some(at) => value(cells[at][index].as_ref(), [index, feature], card, &mut others, || {
            format!("inputs.{}[{index}]", card.features[feature].name)
        }),
        None => Ok(None),
    };
    for index in 0..cells.first().map_or(0, Vec::len) {
        for (feature, &at) in columns.iter().enumerate() {
            values.push(value(index, feature, at)?);
        }
    }
    not_empty(ParsedRows { values, features: columns.len(), others, form: Form::List("inputs") }, "inputs")
}

/// Returns the position of each feature's column; `None` for a feature that may be missing and has no column.
fn positions(names: &[String], place: &str, card: &ModelCard) -> Result<Vec<Option<usize>>, Refusal> {
    let known = || card.features.iter().map(|feature| feature.name.as_str()).collect::<Vec<_>>().join(", ");
    let mut columns = vec![None; card.features.len()];
    for (at, name) in names.iter().enumerate() {
        let Some(feature) = card.features.iter().position(|feature| feature.name == *name) else {
            let message = format!("unknown feature {:?}; the features are {}", shortened(name), known());
            return Err(Refusal::new(Reason::UnknownFeature, message).at(place));
        };
        if columns[feature].replace(at).is_some() {
            return Err(Refusal::new(Reason::DuplicateField, format!("{name:?} is given twice")).at(place));
        }
    }
    for (feature, column) in card.features.iter().zip(&columns) {
        if column.is_none() && !feature.may_be_missing() {
            let message = format!("{:?} is missing; the features are {}", feature.name, known());
            return Err(Refusal::new(Reason::MissingFeature, message).at(place));
        }
    }
    Ok(columns)
}

fn not_empty(parsed: ParsedRows, list: &str) -> Result<ParsedRows, Refusal> {
    if parsed.values.is_empty() {
        return Err(Refusal::new(Reason::EmptyBatch, format!("{list:?} has no rows")).at(list));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests;
