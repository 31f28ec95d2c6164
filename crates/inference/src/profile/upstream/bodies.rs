//! Writes rows as request bodies in the forms that servers take.

use crate::foreign::Protocol;
use model::{Batch, Feature, ServerForm, ServerInput, Values, card::Written};
use serde_json::{Map, Number, Value, json};

/// The form of a request body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// Rows in JSON that the protocol or the server defines
    Rows(ServerForm),
    /// `{"instances": [{"x": […]}, …]}`, for this name of the tensor
    TensorInstances(String),
    /// `{"dataframe_split": {"columns": […], "data": [[…], …]}}`
    Split,
    /// `{"inputs": […]}` of MLflow, rows without names
    Inputs,
    /// One tensor of all columns, with this name and datatype
    Matrix(String, String),
    /// One tensor per column, with the datatypes of the columns in their order
    Columns(Vec<String>),
}

/// The columns of requests, and the outputs to request.
pub(super) struct Layout<'a> {
    /// The features in the order of the server's columns, with their positions in the table.
    pub(super) columns: Vec<(&'a ServerInput, usize, &'a Feature)>,
    /// The outputs to name in requests of the Open Inference Protocol; empty for the server's default.
    pub(super) outputs: Vec<&'a str>,
}

impl Form {
    /// Returns the forms to try in a protocol, the likeliest first.
    pub(super) fn of(protocol: Protocol, layout: &Layout, tensor: Option<&str>) -> Vec<Self> {
        let is_text = |feature: &Feature| matches!(&feature.values, Values::Categorical(own) if own.written == Written::Text);
        let has_texts = layout.columns.iter().any(|(_, _, feature)| is_text(feature));
        let rows = |field: Option<&str>, named, listed| {
            Self::Rows(ServerForm { field: field.map(str::to_owned), named, listed })
        };
        match (protocol, tensor) {
            (Protocol::Native, Some(_)) => {
                vec![
                    rows(tensor, false, true),
                    rows(tensor, true, true),
                    rows(tensor, false, false),
                    rows(tensor, true, false),
                ]
            }
            (Protocol::Native, None) => vec![
                rows(Some("instances"), false, true),
                rows(Some("instances"), true, true),
                rows(None, true, false),
                rows(None, true, true),
                rows(Some("features"), false, false),
                rows(Some("features"), true, false),
                rows(Some("data"), false, true),
                rows(Some("data"), true, true),
                rows(None, false, true),
            ],
            (Protocol::V1, Some(name)) => vec![Self::TensorInstances(name.to_owned())],
            (Protocol::V1, None) => {
                let mut forms =
                    vec![rows(Some("instances"), false, true), rows(Some("instances"), true, true)];
                if has_texts {
                    forms.reverse();
                }
                forms
            }
            (Protocol::Mlflow, _) => vec![Self::Split, Self::Inputs],
            (Protocol::OipV2, _) => {
                let columns = || {
                    Self::Columns(layout.columns.iter().map(|(_, _, feature)| datatype(feature)).collect())
                };
                let matrix = |name: &str| Self::Matrix(name.to_owned(), "FP64".to_owned());
                match tensor {
                    Some(name) => vec![matrix(name)],
                    None if has_texts => vec![columns()],
                    None => vec![matrix("input-0"), columns()],
                }
            }
        }
    }

    /// Returns whether a body has one row.
    pub(super) fn is_single(&self) -> bool {
        matches!(self, Self::Rows(ServerForm { listed: false, .. }))
    }

    /// Returns the form as a profile has it, if the protocol does not define it.
    pub(super) fn of_server(&self) -> Option<ServerForm> {
        match self {
            Self::Rows(form) => Some(form.clone()),
            _ => None,
        }
    }

    /// Returns the form as a note describes it.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Rows(form) if form.listed => form.to_string(),
            Self::Rows(form) => format!("{form}, one row each"),
            Self::TensorInstances(name) => format!("{{\"instances\": [{{{name:?}: […]}}, …]}}"),
            Self::Split => "{\"dataframe_split\": …}".into(),
            Self::Inputs => "{\"inputs\": [[…], …]}".into(),
            Self::Matrix(name, datatype) => format!("one tensor {name:?} of {datatype}, rows × columns"),
            Self::Columns(_) => "one tensor per column".into(),
        }
    }

    /// Returns the body with the rows from `first` to before `end`.
    pub(super) fn body(&self, layout: &Layout, batch: Batch, first: usize, end: usize) -> Vec<u8> {
        let cell = |row: usize, &(_, at, feature): &(&ServerInput, usize, &Feature)| {
            json_value(batch, row, at, feature)
        };
        let list = |row: usize| {
            Value::from(layout.columns.iter().map(|column| cell(row, column)).collect::<Vec<_>>())
        };
        let named = |row: usize| {
            let fields = layout.columns.iter().map(|column| (column.0.name.clone(), cell(row, column)));
            Value::Object(fields.collect::<Map<_, _>>())
        };
        let all = |of: &dyn Fn(usize) -> Value| Value::from((first..end).map(of).collect::<Vec<_>>());
        let body = match self {
            Self::TensorInstances(name) => {
                let tensor = |row| Value::Object(Map::from_iter([(name.clone(), list(row))]));
                json!({ "instances": all(&tensor) })
            }
            Self::Rows(ServerForm { field, named: is_named, listed }) => {
                let row: &dyn Fn(usize) -> Value = if *is_named { &named } else { &list };
                let rows = if *listed { all(row) } else { row(first) };
                match field {
                    Some(name) => Value::Object(Map::from_iter([(name.clone(), rows)])),
                    None => rows,
                }
            }
            Self::Split => {
                let names: Vec<&str> =
                    layout.columns.iter().map(|(input, _, _)| input.name.as_str()).collect();
                json!({ "dataframe_split": { "columns": names, "data": all(&list) } })
            }
            Self::Inputs => json!({ "inputs": all(&list) }),
            Self::Matrix(name, datatype) => {
                let elements = (first..end).flat_map(|row| {
                    layout
                        .columns
                        .iter()
                        .map(move |&(_, at, feature)| element(batch, row, at, feature, datatype))
                });
                let shape = [end - first, layout.columns.len()];
                let data = elements.collect::<Vec<_>>();
                self.tensors(
                    layout,
                    vec![json!({ "name": name, "shape": shape, "datatype": datatype, "data": data })],
                )
            }
            Self::Columns(datatypes) => {
                let tensor = |(&(input, at, feature), datatype): (
                    &(&ServerInput, usize, &Feature),
                    &String,
                )| {
                    let data: Vec<Value> =
                        (first..end).map(|row| element(batch, row, at, feature, datatype)).collect();
                    json!({ "name": input.name, "shape": [end - first, 1], "datatype": datatype, "data": data })
                };
                self.tensors(layout, layout.columns.iter().zip(datatypes).map(tensor).collect())
            }
        };
        body.to_string().into_bytes()
    }

    fn tensors(&self, layout: &Layout, inputs: Vec<Value>) -> Value {
        let mut body = json!({ "inputs": inputs });
        if matches!(self, Self::Columns(_)) {
            // MLServer then gives the model a data frame with the names of the columns. Other servers ignore it.
            body["parameters"] = json!({ "content_type": "pd" });
        }
        if !layout.outputs.is_empty() {
            body["outputs"] = layout.outputs.iter().map(|name| json!({ "name": name })).collect();
        }
        body
    }
}

/// Returns the datatype of a column if the server does not declare it.
fn datatype(feature: &Feature) -> String {
    let whole = |text: &String| text.parse::<i64>().is_ok();
    match &feature.values {
        Values::Numeric(_) => "FP64",
        Values::Categorical(own) => match own.written {
            Written::Text => "BYTES",
            Written::Boolean => "BOOL",
            Written::Number if own.categories.iter().chain(&own.rare).all(whole) => "INT64",
            Written::Number => "FP64",
        },
    }
    .to_owned()
}

/// Returns a value as an element of a tensor.
fn element(batch: Batch, row: usize, at: usize, feature: &Feature, datatype: &str) -> Value {
    let value = json_value(batch, row, at, feature);
    match (datatype, value) {
        (_, Value::Null) => Value::Null,
        ("BYTES", Value::String(text)) => text.into(),
        ("BYTES", other) => other.to_string().into(),
        ("BOOL", Value::Number(number)) => (number.as_f64() == Some(1.0)).into(),
        ("BOOL", other) => other,
        (_, Value::Bool(boolean)) => u8::from(boolean).into(),
        (name, Value::Number(number)) if name.contains("INT") => {
            number.as_f64().filter(|own| own.fract() == 0.0).map_or(number.into(), |own| (own as i64).into())
        }
        (_, other) => other,
    }
}

/// Returns a value as JSON: whole numbers of a column of whole numbers without a decimal point, because some servers check this.
fn json_value(batch: Batch, row: usize, at: usize, feature: &Feature) -> Value {
    let Some(value) = batch.rows[row][at] else { return Value::Null };
    match &feature.values {
        Values::Numeric(numeric) if numeric.decimals == Some(0) && value.abs() < 2_f64.powi(53) => {
            Value::from(value as i64)
        }
        Values::Numeric(_) => Number::from_f64(value).map_or(Value::Null, Value::Number),
        Values::Categorical(own) => own.json_of(batch.other(row, at).unwrap_or_else(|| own.text(value))),
    }
}
