//! Finds the named values of an answer in JSON: lists of predictions, objects per row, and one list per name.

use super::{
    answer::{Answer, Field, FieldValues, is_prediction, is_probability},
    excerpt,
};
use crate::rows::lenient;
use onnx::engine::unlike_probabilities;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The name of values that stand in a list without a name of their own.
const UNNAMED: &str = "predictions";

/// Fields that contain the answer of known servers, and of many hand-written services.
const CONTAINERS: [&str; 7] = ["predictions", "outputs", "results", "result", "data", "output", "response"];

/// The greatest number of objects within objects that lead to the values.
const DEEPEST: usize = 4;

/// Reads an answer.
///
/// # Errors
/// Returns what cannot be read.
pub(super) fn read(body: &[u8]) -> Result<Answer, String> {
    let root = lenient::parse(body)
        .map_err(|refusal| format!("expected JSON, got {} ({})", excerpt(body), refusal.message))?;
    let answer = found(&root, UNNAMED, 0)?;
    if answer.rows == 0 || answer.fields.is_empty() {
        return Err(format!("found no prediction in {}", excerpt(body)));
    }
    Ok(answer)
}

/// Values and their names or paths, sorted by name.
type Named<'a> = Vec<(Cow<'a, str>, &'a Value)>;

fn found(value: &Value, name: &str, depth: usize) -> Result<Answer, String> {
    match value {
        Value::Array(items) => of_list(items, name),
        Value::Object(fields) => of_object(fields, name, depth),
        Value::Null => Err(format!("{name:?} is null")),
        scalar => {
            let field = of_rows(name, &[scalar]);
            Ok(Answer { rows: 1, fields: field.into_iter().collect() })
        }
    }
}

/// Reads a list with one item per row.
fn of_list(items: &[Value], name: &str) -> Result<Answer, String> {
    if items.is_empty() {
        return Err(format!("{name:?} is an empty list"));
    }
    if !items.iter().all(Value::is_object) {
        let rows: Vec<&Value> = items.iter().collect();
        let field = of_rows(name, &rows);
        let field = field.ok_or_else(|| {
            format!(
                "{name:?}: expected as many numbers, texts or lists of numbers as rows, all of the same form"
            )
        })?;
        return Ok(Answer { rows: items.len(), fields: vec![field] });
    }
    let maps: Vec<&Map<String, Value>> = items.iter().filter_map(Value::as_object).collect();
    if let Some(field) = probabilities(name, &maps) {
        return Ok(Answer { rows: items.len(), fields: vec![field] });
    }
    let rows: Vec<Named<'_>> = maps.into_iter().map(flat).collect();
    let mut fields = Vec::new();
    for (at, (own, _)) in rows[0].iter().enumerate() {
        // A field that some rows lack, or that has another form in some rows, is not read.
        let values: Option<Vec<&Value>> = rows.iter().map(|row| value_of(row, own, at)).collect();
        fields.extend(values.and_then(|values| of_rows(own, &values)));
    }
    Ok(Answer { rows: rows.len(), fields })
}

/// Reads an object: the answer to one row, one list per name, or a wrapper of either.
fn of_object(fields: &Map<String, Value>, name: &str, depth: usize) -> Result<Answer, String> {
    if let Some(field) = probabilities(name, &[fields]) {
        return Ok(Answer { rows: 1, fields: vec![field] });
    }
    let flat = flat(fields);
    // Lists of names such as `prediction` have one item per row, unless a scalar shows that there is only one row.
    let is_scalar = |value: &Value| !value.is_array() && !value.is_object() && !value.is_null();
    let predictions = flat.iter().filter(|(name, _)| is_prediction(name)).map(|(_, value)| *value);
    if predictions.clone().any(is_scalar) {
        return Ok(one_row(&flat));
    }
    let contains = |value: &Value| {
        value.is_object() || value.as_array().is_some_and(|items| items.iter().any(Value::is_object))
    };
    let inner = CONTAINERS.iter().find_map(|name| {
        let (name, inner) = fields.get_key_value(*name)?;
        (contains(inner) && depth < DEEPEST).then_some((name, inner))
    });
    if let Some((name, inner)) = inner {
        return found(inner, name, depth + 1);
    }
    let longest = predictions.filter_map(|value| Some(value.as_array()?.len())).max();
    if let Some(rows) = longest.filter(|&rows| rows > 0) {
        let of_column = |(name, value): &(Cow<'_, str>, &Value)| {
            let items = value.as_array().filter(|items| items.len() == rows)?;
            of_rows(name, &items.iter().collect::<Vec<_>>())
        };
        return Ok(Answer { rows, fields: flat.iter().filter_map(of_column).collect() });
    }
    let matrices: Vec<(&String, &Vec<Value>)> = fields
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_array()?)))
        .filter(|(_, items)| !items.is_empty() && items.iter().all(Value::is_array))
        .collect();
    if let Some(&(_, first)) = matrices.first() {
        let rows = first.len();
        let same = matrices.iter().filter(|(_, items)| items.len() == rows);
        let fields = same.filter_map(|(name, items)| of_rows(name, &items.iter().collect::<Vec<_>>()));
        return Ok(Answer { rows, fields: fields.collect() });
    }
    let wrapped: Vec<(&String, &Value)> = fields.iter().filter(|(_, value)| contains(value)).collect();
    match wrapped.as_slice() {
        [(inner_name, inner)] if depth < DEEPEST && !is_probability(inner_name) => {
            found(inner, inner_name, depth + 1)
        }
        _ => {
            let answer = one_row(&flat);
            if answer.fields.is_empty() {
                Err(format!("{name:?} has no values that can be read"))
            } else {
                Ok(answer)
            }
        }
    }
}

/// Returns the field of objects that map each class to its probability and have no other entries.
fn probabilities(name: &str, rows: &[&Map<String, Value>]) -> Option<Field> {
    let is_other = |name: &String| is_prediction(name) || is_probability(name);
    let is_distribution = |row: &&Map<String, Value>| {
        row.len() > 1
            && row.values().all(Value::is_number)
            && !row.keys().any(is_other)
            && unlike_probabilities(&row.values().filter_map(Value::as_f64).collect::<Vec<_>>()).is_none()
    };
    rows.iter().all(is_distribution).then(|| of_maps(name, rows)).flatten()
}

fn one_row(flat: &Named<'_>) -> Answer {
    let fields = flat.iter().filter_map(|(name, value)| of_rows(name, &[value])).collect();
    Answer { rows: 1, fields }
}

/// Returns the fields, and in place of objects their fields, except of those that map classes to probabilities.
fn flat(fields: &Map<String, Value>) -> Named<'_> {
    let mut all = Vec::with_capacity(fields.len());
    let mut is_sorted = true;
    for (name, value) in fields {
        match value {
            Value::Object(inner) if !is_map(name, inner) => {
                let inner = flat(inner).into_iter();
                all.extend(inner.map(|(own, value)| (Cow::Owned(format!("{name}.{own}")), value)));
                is_sorted = false;
            }
            _ => all.push((Cow::Borrowed(name.as_str()), value)),
        }
    }
    if !is_sorted {
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        // The later one of two equal paths counts.
        all.dedup_by(|next, kept| {
            let is_equal = next.0 == kept.0;
            if is_equal {
                kept.1 = next.1;
            }
            is_equal
        });
    }
    all
}

/// Returns the value of a name, which is at the position `at` in rows of the same form.
fn value_of<'a>(row: &Named<'a>, name: &str, at: usize) -> Option<&'a Value> {
    let is_it = |(own, _): &&(Cow<'_, str>, &Value)| own == name;
    row.get(at).filter(is_it).or_else(|| row.iter().find(is_it)).map(|(_, value)| *value)
}

fn is_map(name: &str, fields: &Map<String, Value>) -> bool {
    !fields.is_empty() && fields.values().all(Value::is_number) && is_probability(name)
}

/// Returns the field of one value per row: a number, a text, a boolean, a list of numbers, or numbers by name.
fn of_rows(name: &str, rows: &[&Value]) -> Option<Field> {
    let first = rows.first()?;
    match first {
        Value::Array(items) if items.len() == 1 => {
            let inner: Option<Vec<&Value>> = rows
                .iter()
                .map(|row| row.as_array().filter(|items| items.len() == 1).map(|items| &items[0]))
                .collect();
            of_rows(name, &inner?)
        }
        Value::Array(items) => {
            let columns = items.len();
            let mut values = Vec::with_capacity(columns * rows.len());
            for row in rows {
                let items = row.as_array().filter(|items| items.len() == columns && columns > 0)?;
                for item in items {
                    values.push(number(item)?);
                }
            }
            Some(Field { name: name.to_owned(), columns, names: None, values: FieldValues::Numbers(values) })
        }
        Value::Object(_) => {
            let maps: Option<Vec<&Map<String, Value>>> = rows.iter().map(|row| row.as_object()).collect();
            of_maps(name, &maps?)
        }
        Value::Null if rows.len() == 1 => None,
        Value::Number(_) | Value::Null => {
            let numbers: Option<Vec<f64>> = rows.iter().map(|value| number(value)).collect();
            Some(Field {
                name: name.to_owned(),
                columns: 1,
                names: None,
                values: FieldValues::Numbers(numbers?),
            })
        }
        Value::String(_) | Value::Bool(_) => {
            let text = |value: &&Value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Bool(boolean) => Some(boolean.to_string()),
                _ => None,
            };
            let texts: Option<Vec<String>> = rows.iter().map(text).collect();
            Some(Field { name: name.to_owned(), columns: 1, names: None, values: FieldValues::Texts(texts?) })
        }
    }
}

/// Returns the field of one object with numbers per row.
fn of_maps(name: &str, rows: &[&Map<String, Value>]) -> Option<Field> {
    let names: Vec<String> = rows.first()?.keys().cloned().collect();
    let columns = names.len();
    let mut values = Vec::with_capacity(columns * rows.len());
    for row in rows.iter().filter(|row| row.len() == columns && columns > 0) {
        for name in &names {
            values.push(number(row.get(name)?)?);
        }
    }
    let is_whole = columns > 0 && values.len() == columns * rows.len();
    let field =
        Field { name: name.to_owned(), columns, names: Some(names), values: FieldValues::Numbers(values) };
    is_whole.then_some(field)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => Some(f64::NAN),
        _ => value.as_f64(),
    }
}
