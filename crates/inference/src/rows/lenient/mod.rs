//! Reads the rows of requests to model servers that are not this program. These servers define their own bodies, so any JSON is accepted
//! from which it is certain which value belongs to which feature: rows as lists or objects, one list per feature, in a field of any name.
//!
//! The readers of this service's own requests stay as strict as they are: they never call this module.

mod container;

use super::{
    Form, ParsedRows,
    check::value,
    raw::{CellRef, Kind, shortened},
};
use crate::{reason::Reason, refusal::Refusal};
use container::{container, no_rows};
use model::{Feature, ModelCard, OtherCategory, Values, card::Written};
use serde_json::Value;
use std::borrow::Cow;

/// The greatest number of fields within fields that lead to the rows.
const DEEPEST: usize = 4;

/// Reads the rows of a JSON body. `field` is the field that contains them, if that is known.
///
/// # Errors
/// Returns an error that names the field if the body is not JSON, or if it is not certain which values belong to which features.
pub fn json(body: &[u8], card: &ModelCard, field: Option<&str>) -> Result<ParsedRows, Refusal> {
    let root = parse(body)?;
    let mut rows = Rows { field, ..Rows::new(card) };
    rows.read(&root, "", 0)?;
    rows.finished()
}

/// Reads the rows of a CSV body with a header.
///
/// # Errors
/// Returns an error that names the line if the body is not such a table, or lacks a feature.
pub fn csv(body: &[u8], card: &ModelCard) -> Result<ParsedRows, Refusal> {
    let malformed = |error: csv::Error| {
        Refusal::new(Reason::MalformedRequest, format!("the body cannot be read as CSV: {error}"))
    };
    let mut reader = csv::ReaderBuilder::new().from_reader(body);
    let header = reader.headers().map_err(malformed)?.clone();
    let names: Vec<&str> = header.iter().map(str::trim).collect();
    let mut rows = Rows::new(card);
    let columns = rows.columns(&names, "the header")?;
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(malformed)?;
        for (feature, &column) in columns.iter().enumerate() {
            let text = column.and_then(|column| record.get(column)).unwrap_or_default();
            let place = || format!("row {}, column {:?}", index + 1, card.features[feature].name);
            let missing = text.trim().is_empty() || text.trim().eq_ignore_ascii_case("nan");
            rows.push(if missing { CellRef::Null } else { CellRef::Text(text) }, feature, place)?;
        }
        rows.count += 1;
    }
    rows.finished()
}

/// Parses JSON. Python's parser and writer also use the words NaN and Infinity; NaN is read as null. A byte order mark, as .NET may write
/// one, is skipped.
pub(crate) fn parse(body: &[u8]) -> Result<Value, Refusal> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    serde_json::from_slice(body).or_else(|error| {
        let repaired = with_null_for_nan(body).and_then(|body| serde_json::from_slice(&body).ok());
        repaired.ok_or_else(|| super::unreadable(body, &error))
    })
}

/// Returns the text with `null` in place of each NaN outside strings; `None` if there is no NaN.
pub(crate) fn with_null_for_nan(json: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(json, b"NaN")?;
    let mut text = Vec::with_capacity(json.len() + 16);
    let (mut rest, mut in_string) = (json, false);
    while let Some((&byte, after)) = rest.split_first() {
        let mut taken = 1;
        match byte {
            b'"' => in_string = !in_string,
            // Only strings have escapes.
            b'\\' => taken = rest.len().min(2),
            b'N' if !in_string && after.starts_with(b"aN") => {
                text.extend_from_slice(b"null");
                rest = &rest[3..];
                continue;
            }
            _ => {}
        }
        text.extend_from_slice(&rest[..taken]);
        rest = &rest[taken..];
    }
    Some(text)
}

/// Converts a cell where servers accept a value of another JSON type for a feature: numbers and booleans written as text, 0 and 1 for
/// booleans, and numbers for texts.
pub(super) fn converted<'a>(cell: CellRef<'a>, feature: &Feature, text: &'a mut String) -> CellRef<'a> {
    match (&feature.values, cell) {
        (Values::Numeric(_), CellRef::Boolean(boolean)) => CellRef::Number(f64::from(u8::from(boolean))),
        (Values::Numeric(_), CellRef::Text(own)) => match own.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => CellRef::Number(number),
            Ok(number) if number.is_nan() => CellRef::Null,
            _ if own.trim().is_empty() => CellRef::Null,
            _ => cell,
        },
        (Values::Categorical(own), CellRef::Number(number)) => match own.written {
            Written::Boolean if number == 0.0 || number == 1.0 => CellRef::Boolean(number == 1.0),
            Written::Text => {
                *text = number.to_string();
                CellRef::Text(text)
            }
            Written::Boolean | Written::Number => cell,
        },
        _ => cell,
    }
}

/// The rows that were read.
struct Rows<'a> {
    card: &'a ModelCard,
    /// The field that contains the rows, if that is known.
    field: Option<&'a str>,
    values: Vec<Option<f64>>,
    others: Vec<OtherCategory>,
    /// The number of rows that are complete.
    count: usize,
}

impl<'a> Rows<'a> {
    fn new(card: &'a ModelCard) -> Self {
        Self { card, field: None, values: Vec::new(), others: Vec::new(), count: 0 }
    }

    fn finished(self) -> Result<ParsedRows, Refusal> {
        if self.count == 0 {
            return Err(Refusal::new(Reason::EmptyBatch, "the body has no rows"));
        }
        let mut others = self.others;
        others.sort_unstable_by_key(|other| (other.row, other.feature));
        Ok(ParsedRows {
            values: self.values,
            features: self.card.features.len(),
            others,
            form: Form::List("rows"),
        })
    }

    /// Adds the value of the next feature of the row that is being read.
    fn push(&mut self, cell: CellRef<'_>, feature: usize, place: impl Fn() -> String) -> Result<(), Refusal> {
        let mut text = String::new();
        let cell = converted(cell, &self.card.features[feature], &mut text);
        let read = value(cell, [self.count, feature], self.card, &mut self.others, place)?;
        self.values.push(read);
        Ok(())
    }

    /// Finds the rows in a value and reads them.
    fn read(&mut self, value: &Value, place: &str, depth: usize) -> Result<(), Refusal> {
        match value {
            Value::Array(items) => self.read_list(items, place),
            Value::Object(fields) => {
                if let (Some(Value::Array(names)), Some(Value::Array(data))) =
                    (fields.get("columns"), fields.get("data"))
                {
                    return self.read_split(names, data, [&below(place, "columns"), &below(place, "data")]);
                }
                if self.card.features.iter().any(|feature| fields.contains_key(&feature.name)) {
                    return self.read_named(fields, place);
                }
                let known = self.field.and_then(|field| fields.get_key_value(field));
                let known = known.filter(|(_, value)| value.is_array() || value.is_object());
                let (name, inner) = match known {
                    Some((name, inner)) => (name.as_str(), inner),
                    None => container(fields, place, self.card)?,
                };
                if depth == DEEPEST {
                    return Err(no_rows(self.card, place));
                }
                match self.named_lists(fields, inner) {
                    Some((names, rows)) => {
                        self.read_split(names, &rows, [&below(place, "names"), &below(place, name)])
                    }
                    None => self.read(inner, &below(place, name), depth + 1),
                }
            }
            _ => Err(no_rows(self.card, place)),
        }
    }

    /// Reads a list: of rows, of the values of one row, or of one value per row if there is one feature.
    fn read_list(&mut self, items: &[Value], place: &str) -> Result<(), Refusal> {
        let width = self.card.features.len();
        let is_row = |item: &Value| item.is_array() || item.is_object();
        if items.is_empty() {
            return Err(Refusal::new(Reason::EmptyBatch, "the list has no rows").at(named(place)));
        }
        if !items.iter().any(is_row) && width > 1 {
            return self.read_row(items, place);
        }
        for (index, item) in items.iter().enumerate() {
            self.read_item(item, &format!("{place}[{index}]"), 0)?;
        }
        Ok(())
    }

    /// Reads a value that stands for one row.
    fn read_item(&mut self, item: &Value, place: &str, depth: usize) -> Result<(), Refusal> {
        match item {
            // A row within a list of one element, as of shape [n, 1, features].
            Value::Array(cells) if cells.len() == 1 && cells[0].is_array() && depth < DEEPEST => {
                self.read_item(&cells[0], place, depth + 1)
            }
            Value::Array(cells) => self.read_row(cells, place),
            Value::Object(fields) => {
                let known = self.card.features.iter().any(|feature| fields.contains_key(&feature.name));
                match fields.iter().next() {
                    // An instance of TensorFlow Serving, which names the tensor of all features.
                    Some((name, inner @ Value::Array(_))) if !known && fields.len() == 1 => {
                        self.read_item(inner, &below(place, name), depth + 1)
                    }
                    _ => self.read_fields(fields, place),
                }
            }
            scalar if self.card.features.len() == 1 => self.read_row(std::slice::from_ref(scalar), place),
            _ => Err(no_rows(self.card, place)),
        }
    }

    fn read_row(&mut self, cells: &[Value], place: &str) -> Result<(), Refusal> {
        let expected = self.card.features.len();
        if cells.len() != expected {
            let message = format!("expected {expected} values, one per column, got {}", cells.len());
            return Err(Refusal::new(Reason::WrongFeatureCount, message).at(named(place)));
        }
        for (feature, cell) in cells.iter().enumerate() {
            self.push(scalar(cell), feature, || format!("{place}[{feature}]"))?;
        }
        self.count += 1;
        Ok(())
    }

    /// Reads an object with the names of features: one row, or one list per feature.
    fn read_named(&mut self, fields: &serde_json::Map<String, Value>, place: &str) -> Result<(), Refusal> {
        let is_column = |feature: &Feature| {
            fields.get(&feature.name).is_some_and(|value| value.is_array() || value.is_object())
        };
        if !self.card.features.iter().any(is_column) {
            return self.read_fields(fields, place);
        }
        let names: Vec<&str> = fields.keys().map(String::as_str).collect();
        let positions = self.columns(&names, place)?;
        let mut columns: Vec<Option<Vec<&Value>>> = Vec::new();
        let mut rows: Option<(usize, &str)> = None;
        for position in positions {
            let Some(name) = position.map(|position| names[position]) else {
                columns.push(None);
                continue;
            };
            let column = column(&fields[name]);
            let (count, first) = *rows.get_or_insert((column.len(), name));
            if column.len() != count {
                let message = format!("has {} values, but {first:?} has {count}", column.len());
                return Err(Refusal::new(Reason::WrongShape, message).at(below(place, name)));
            }
            columns.push(Some(column));
        }
        for row in 0..rows.map_or(0, |(count, _)| count) {
            for (feature, column) in columns.iter().enumerate() {
                let cell = column.as_ref().map_or(CellRef::Null, |column| scalar(column[row]));
                let name = &self.card.features[feature].name;
                self.push(cell, feature, || format!("{}[{row}]", below(place, name)))?;
            }
            self.count += 1;
        }
        Ok(())
    }

    /// Reads one row of named values.
    fn read_fields(&mut self, fields: &serde_json::Map<String, Value>, place: &str) -> Result<(), Refusal> {
        let card = self.card;
        let absent = card.features.iter().filter(|feature| !fields.contains_key(&feature.name));
        let is_unknown = |name: &&String| !card.features.iter().any(|feature| feature.name == **name);
        // Unknown names are other data of the server's, unless one of them may stand for a feature that is absent.
        self.check_absent(absent, || fields.keys().find(is_unknown).map(String::as_str), place)?;
        for (feature, own) in card.features.iter().enumerate() {
            let cell = fields.get(&own.name).map_or(CellRef::Null, scalar);
            self.push(cell, feature, || below(place, &own.name))?;
        }
        self.count += 1;
        Ok(())
    }

    /// Returns the names of columns beside rows that are lists of as many values, and these rows: `{"names": […], "ndarray": [[…], …]}`, as in
    /// Seldon's V1 protocol. Without the name of a feature among them, they only count the columns (`t:0`).
    fn named_lists<'v>(
        &self,
        fields: &'v serde_json::Map<String, Value>,
        rows: &'v Value,
    ) -> Option<(&'v [Value], Cow<'v, [Value]>)> {
        let (names, items) = (fields.get("names")?.as_array()?, rows.as_array()?);
        let is_feature = |name: &Value| self.card.features.iter().any(|feature| *name == *feature.name);
        let is_scalar = |value: &Value| !value.is_array() && !value.is_object();
        let is_row = |item: &Value| {
            item.as_array().is_some_and(|cells| cells.len() == names.len() && cells.iter().all(is_scalar))
        };
        if !names.iter().any(is_feature) || items.is_empty() {
            None
        } else if items.iter().all(is_row) {
            Some((names, Cow::Borrowed(items)))
        } else if is_row(rows) {
            Some((names, Cow::Owned(vec![rows.clone()])))
        } else {
            None
        }
    }

    /// Reads rows as lists of values in the order of `names`, such as `{"columns": […], "data": [[…], …]}`. `places` are those of names and rows.
    fn read_split(&mut self, names: &[Value], data: &[Value], places: [&str; 2]) -> Result<(), Refusal> {
        let names: Vec<&str> = names.iter().map(|name| name.as_str().unwrap_or_default()).collect();
        let columns = self.columns(&names, places[0])?;
        for (index, row) in data.iter().enumerate() {
            let place = format!("{}[{index}]", places[1]);
            let cells = row.as_array().filter(|cells| cells.len() == names.len()).ok_or_else(|| {
                let message = format!("expected a list of {} values, one per column", names.len());
                Refusal::new(Reason::WrongFeatureCount, message).at(place.clone())
            })?;
            for (feature, &column) in columns.iter().enumerate() {
                let cell = column.map_or(CellRef::Null, |column| scalar(&cells[column]));
                self.push(cell, feature, || format!("{place}[{}]", column.unwrap_or_default()))?;
            }
            self.count += 1;
        }
        Ok(())
    }

    /// Returns the position of each feature's name; `None` for a feature that may be missing and is not named.
    fn columns(&self, names: &[&str], place: &str) -> Result<Vec<Option<usize>>, Refusal> {
        let card = self.card;
        let position = |feature: &Feature| names.iter().position(|name| *name == feature.name);
        let is_unknown = |name: &&&str| !card.features.iter().any(|feature| feature.name == **name);
        let absent = card.features.iter().filter(|feature| position(feature).is_none());
        self.check_absent(absent, || names.iter().find(is_unknown).copied(), place)?;
        Ok(card.features.iter().map(position).collect())
    }

    fn check_absent<'n>(
        &self,
        mut absent: impl Iterator<Item = &'a Feature>,
        unknown: impl FnOnce() -> Option<&'n str>,
        place: &str,
    ) -> Result<(), Refusal> {
        let Some(first) = absent.next() else { return Ok(()) };
        let unknown = unknown();
        let needed = std::iter::once(first).chain(absent).find(|feature| !feature.may_be_missing());
        match (needed, unknown) {
            (None, None) => Ok(()),
            (needed, unknown) => {
                Err(absent_feature(needed.unwrap_or(first), unknown, self.card, &named(place)))
            }
        }
    }
}

/// Returns the refusal of a request that lacks a feature.
pub(super) fn absent_feature(
    feature: &Feature,
    unknown: Option<&str>,
    card: &ModelCard,
    place: &str,
) -> Refusal {
    let names = card.features.iter().map(|feature| feature.name.as_str()).collect::<Vec<_>>().join(", ");
    let instead = unknown.map_or(String::new(), |name| {
        format!("; {:?} is unknown, so name its feature when the profile is made (--inputs)", shortened(name))
    });
    let message = format!("{:?} is missing; the columns are {names}{instead}", feature.name);
    Refusal::new(Reason::MissingFeature, message).at(place)
}

/// Returns the values of a column: a list, or an object of values by row number, as pandas writes it.
fn column(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => {
            let mut rows: Vec<_> = fields.iter().collect();
            rows.sort_by_key(|(name, _)| (name.parse::<u64>().unwrap_or(u64::MAX), *name));
            rows.into_iter().map(|(_, value)| value).collect()
        }
        scalar => vec![scalar],
    }
}

/// Returns the cell of a value, which may be in a list of one element.
fn scalar(value: &Value) -> CellRef<'_> {
    match value {
        Value::Null => CellRef::Null,
        Value::Bool(boolean) => CellRef::Boolean(*boolean),
        Value::Number(number) => number.as_f64().map_or(CellRef::Other(Kind::Number), CellRef::Number),
        Value::String(text) => CellRef::Text(text),
        Value::Array(items) if items.len() == 1 => scalar(&items[0]),
        Value::Array(_) => CellRef::Other(Kind::Array),
        Value::Object(_) => CellRef::Other(Kind::Object),
    }
}

fn below(place: &str, name: &str) -> String {
    if place.is_empty() { shortened(name) } else { format!("{place}.{}", shortened(name)) }
}

fn named(place: &str) -> Cow<'_, str> {
    if place.is_empty() { "body".into() } else { place.into() }
}

#[cfg(test)]
mod tests;
