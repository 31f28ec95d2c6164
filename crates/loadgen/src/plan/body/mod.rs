//! Writes the body of a request for one prediction, in the format of a protocol.
//!
//! All formats have the values of a row in a fixed order, with text between them that is the same in each request. So a body is
//! written from pieces that are prepared once.

use super::Model;
use crate::scenario::{Protocol, Tensors};
use bytes::Bytes;
use driftsim::{TableRows, output::json};
use model::{Feature, ServerForm, ServerModel, ServerProtocol};
use serde_json::{Value, json as object};
use std::sync::Arc;

/// Writes rows of a model in the format of a protocol.
#[derive(Debug, Clone)]
pub struct BodyWriter {
    model: Arc<Model>,
    columns: Vec<Column>,
    protocol: Protocol,
    form: ServerForm,
    pieces: Vec<String>,
    /// The table that rows are from, whose rare categories have texts that the card lacks.
    table: Option<Arc<TableRows>>,
}

/// One value of a request's row.
#[derive(Debug, Clone)]
struct Column {
    /// The name in requests.
    name: String,
    /// The position of its feature in the model's rows.
    feature: usize,
    kind: Kind,
}

/// The type of a column's values in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Boolean,
    Text,
}

impl BodyWriter {
    /// Creates a writer for a model. Names and order are those of its server, if they are known.
    ///
    /// # Errors
    /// If the protocol has no place for the values of a feature; the error names the first such feature.
    pub fn new(protocol: &Protocol, model: &Arc<Model>) -> Result<Self, String> {
        let card = &model.card;
        let protocol = as_served(protocol, model.server.as_ref());
        let columns = columns(model);
        if let Protocol::OipV2(Tensors { matrix: Some(matrix), .. }) = &protocol
            && let Some(column) = columns.iter().find(|column| column.kind != Kind::Number)
        {
            return Err(format!(
                "tensors.matrix: tensor {matrix:?} would have the values of all features as numbers, but feature {:?} of model {} has {}; \
                 leave `matrix` out to send one tensor per feature",
                column.name,
                card.name,
                if column.kind == Kind::Text { "texts" } else { "booleans" }
            ));
        }
        let form = form(&protocol, model.server.as_ref());
        let pieces = pieces(&protocol, &form, &columns);
        Ok(Self { model: Arc::clone(model), columns, protocol, form, pieces, table: None })
    }

    /// Returns the writer for rows of a table, which writes rare categories as they are in the table.
    pub fn with_table(self, table: Arc<TableRows>) -> Self {
        Self { table: Some(table), ..self }
    }

    /// Returns the JSON of a column's value.
    fn value(&self, column: &Column, row: &[Option<f64>]) -> Value {
        let (feature, value) = (&self.model.card.features[column.feature], row[column.feature]);
        let other = || self.table.as_ref()?.other_text(column.feature, value?);
        match (feature.categorical(), other()) {
            (Some(categorical), Some(text)) => categorical.json_of(text),
            _ => json(feature, value),
        }
    }

    /// Returns the body of a valid request for one row; a missing value is `null`.
    pub fn row(&self, row: &[Option<f64>]) -> Bytes {
        let length: usize = self.pieces.iter().map(String::len).sum();
        let mut body = Vec::with_capacity(length + 8 * row.len());
        for (piece, column) in self.pieces.iter().zip(&self.columns) {
            body.extend_from_slice(piece.as_bytes());
            let (feature, value) = (&self.model.card.features[column.feature], row[column.feature]);
            // Writing into memory cannot fail.
            let _ = match (value, feature.categorical()) {
                (Some(number), None) => serde_json::to_writer(&mut body, &number),
                _ => {
                    let value = self.value(column, row);
                    if value.is_string() && column.kind != Kind::Text && self.has_datatypes() {
                        return self.row_of_other_types(row);
                    }
                    serde_json::to_writer(&mut body, &value)
                }
            };
        }
        body.extend_from_slice(self.end().as_bytes());
        Bytes::from(body)
    }

    /// Returns whether each feature is sent with a datatype of its own.
    fn has_datatypes(&self) -> bool {
        matches!(self.protocol, Protocol::OipV2(Tensors { matrix: None, .. }))
    }

    /// Returns the body for a row with a text in place of a boolean or a number, such as a category that the reference does not have.
    fn row_of_other_types(&self, row: &[Option<f64>]) -> Bytes {
        let texts = self.texts(row);
        let mut other = self.clone();
        for (column, text) in other.columns.iter_mut().zip(&texts) {
            if text.starts_with('"') {
                column.kind = Kind::Text;
            }
        }
        other.body(&texts).into()
    }

    /// Returns the values of a row as JSON texts, in the order of the requests.
    pub fn texts(&self, row: &[Option<f64>]) -> Vec<String> {
        self.columns.iter().map(|column| self.value(column, row).to_string()).collect()
    }

    /// Returns the features in the order of the requests.
    pub fn features(&self) -> impl DoubleEndedIterator<Item = &Feature> + ExactSizeIterator {
        self.columns.iter().map(|column| &self.model.card.features[column.feature])
    }

    /// Returns a body with these JSON texts as values. There may be fewer or more of them than the model has features.
    pub fn body(&self, texts: &[String]) -> String {
        let mut columns = self.columns.clone();
        columns.truncate(texts.len());
        let extra = || Column { name: "extra".into(), feature: usize::MAX, kind: Kind::Number };
        columns.resize_with(texts.len(), extra);
        let pieces = pieces(&self.protocol, &self.form, &columns);
        let values = texts.iter().map(String::as_str).chain([""]);
        pieces.iter().zip(values).flat_map(|(piece, value)| [piece.as_str(), value]).collect()
    }

    /// Returns a body with these JSON texts as values, without the value at `position`. The other values keep their names.
    pub fn body_without(&self, position: usize, texts: &[String]) -> String {
        let mut shorter = self.clone();
        let mut texts = texts.to_vec();
        shorter.columns.remove(position);
        texts.remove(position);
        shorter.body(&texts)
    }

    /// Returns a body with these JSON texts as values, in which the value at `position` has another name.
    pub fn body_with_name(&self, position: usize, name: &str, texts: &[String]) -> String {
        let mut other = self.clone();
        name.clone_into(&mut other.columns[position].name);
        other.body(texts)
    }

    /// Returns the shape of a body as text for people.
    pub fn described(&self) -> String {
        match &self.protocol {
            Protocol::Native | Protocol::V1 => self.form.to_string(),
            Protocol::OipV2(Tensors { matrix: Some(name), .. }) => format!("one tensor {name:?}"),
            Protocol::OipV2(_) => "one tensor per feature".into(),
            Protocol::Mlflow => "{\"dataframe_split\": …}".into(),
        }
    }

    /// Returns the field of the body's object that has the rows; `None` if the rows are the body.
    pub fn field(&self) -> Option<&str> {
        match self.protocol {
            Protocol::Native | Protocol::V1 => self.form.field.as_deref(),
            Protocol::OipV2(_) => Some("inputs"),
            Protocol::Mlflow => Some("dataframe_split"),
        }
    }

    /// Returns the name of the first value, if values have names.
    pub fn first_name(&self) -> Option<&str> {
        self.columns.first().filter(|_| self.names_values()).map(|column| column.name.as_str())
    }

    /// Returns whether each value has a name, so that servers can accept a row without some of them.
    pub fn names_values(&self) -> bool {
        match &self.protocol {
            Protocol::Native | Protocol::V1 => self.form.named,
            Protocol::Mlflow => true,
            Protocol::OipV2(tensors) => tensors.matrix.is_none(),
        }
    }

    /// Returns whether each row is an object, in which servers ignore a value with another name.
    pub fn has_row_objects(&self) -> bool {
        matches!(self.protocol, Protocol::Native | Protocol::V1) && self.form.named
    }

    /// Returns whether a body is one row that is an object, with nothing around it.
    pub fn is_row_object(&self) -> bool {
        self.has_row_objects() && self.form.field.is_none() && !self.form.listed
    }

    /// Returns whether a column has this name.
    pub fn has_column(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name)
    }

    /// Returns the end of a body, after the last value.
    pub fn end(&self) -> &str {
        self.pieces.last().map_or("", String::as_str)
    }
}

/// Returns the columns of requests, in the order of the server.
fn columns(model: &Model) -> Vec<Column> {
    let features = &model.card.features;
    let column = |name: &str, feature: usize| Column {
        name: name.to_owned(),
        feature,
        kind: Kind::of(&features[feature]),
    };
    let position = |name: &str| features.iter().position(|feature| feature.name == name);
    match &model.server {
        None => features.iter().enumerate().map(|(at, feature)| column(&feature.name, at)).collect(),
        // A checked profile has one input per feature.
        Some(server) => server
            .inputs
            .iter()
            .filter_map(|input| Some(column(&input.name, position(&input.feature)?)))
            .collect(),
    }
}

/// Returns the form of rows in JSON: that of the server, if the protocol leaves it to the server.
fn form(protocol: &Protocol, server: Option<&ServerModel>) -> ServerForm {
    let own = server.and_then(|server| server.form.clone());
    let instances = |own: &ServerForm| own.field.as_deref() == Some("instances") && own.listed;
    match protocol {
        Protocol::V1 => own.filter(instances).unwrap_or_else(|| ServerForm {
            field: Some("instances".into()),
            named: false,
            listed: true,
        }),
        _ => {
            // The form of another protocol is not what a native server takes.
            let protocol = server.and_then(|server| server.protocol);
            own.filter(|_| protocol.is_none_or(|protocol| protocol == ServerProtocol::Native))
                .unwrap_or_else(|| ServerForm { field: Some("features".into()), named: false, listed: false })
        }
    }
}

/// Returns the protocol with the names of tensors that the profile of a server has, unless the payload names others.
fn as_served(protocol: &Protocol, server: Option<&ServerModel>) -> Protocol {
    let (Protocol::OipV2(tensors), Some(server)) = (protocol, server) else { return protocol.clone() };
    let mut tensors = tensors.clone();
    tensors.matrix = tensors.matrix.or_else(|| server.tensor.clone());
    if tensors.outputs.is_empty() {
        tensors.outputs.extend(server.output.iter().chain(&server.probabilities_output).cloned());
    }
    Protocol::OipV2(tensors)
}

impl Kind {
    fn of(feature: &Feature) -> Self {
        let Some(categorical) = feature.categorical() else { return Self::Number };
        match categorical.json(0.0) {
            Value::Number(_) => Self::Number,
            Value::Bool(_) => Self::Boolean,
            _ => Self::Text,
        }
    }
}

/// Returns the text before each value, and that after the last one.
fn pieces(protocol: &Protocol, form: &ServerForm, columns: &[Column]) -> Vec<String> {
    let [start, between, end] = match protocol {
        Protocol::Native | Protocol::V1 => return row_pieces(form, columns),
        Protocol::Mlflow => {
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            let names = object!(names);
            [format!("{{\"dataframe_split\":{{\"columns\":{names},\"data\":[["), ",".into(), "]]}}".into()]
        }
        Protocol::OipV2(tensors) => return tensor_pieces(tensors, columns),
    };
    let mut pieces = vec![between; columns.len() + 1];
    pieces[columns.len()] = end;
    if columns.is_empty() {
        pieces[0].insert_str(0, &start);
    } else {
        pieces[0] = start;
    }
    pieces
}

/// Returns the pieces of a row in JSON that the server defines.
fn row_pieces(form: &ServerForm, columns: &[Column]) -> Vec<String> {
    let (open, close) = if form.named { ("{", "}") } else { ("[", "]") };
    let (list, end_of_list) = if form.listed { ("[", "]") } else { ("", "") };
    let (field, end_of_field) = match &form.field {
        Some(name) => (format!("{{{}:", Value::from(name.as_str())), "}"),
        None => (String::new(), ""),
    };
    let start = format!("{field}{list}{open}");
    let end = format!("{close}{end_of_list}{end_of_field}");
    if columns.is_empty() {
        return vec![start + &end];
    }
    let before = |(at, column): (usize, &Column)| {
        let before = if at == 0 { start.as_str() } else { "," };
        let name = if form.named { format!("{}:", Value::from(column.name.as_str())) } else { String::new() };
        format!("{before}{name}")
    };
    columns.iter().enumerate().map(before).chain([end]).collect()
}

fn tensor_pieces(tensors: &Tensors, columns: &[Column]) -> Vec<String> {
    let outputs: Vec<Value> = tensors.outputs.iter().map(|name| object!({ "name": name })).collect();
    let outputs = match outputs.as_slice() {
        [] => String::new(),
        outputs => format!(",\"outputs\":{}", Value::from(outputs)),
    };
    let head = |name: &str, width: usize, datatype: &str| {
        let name = Value::from(name);
        format!("{{\"name\":{name},\"shape\":[1,{width}],\"datatype\":\"{datatype}\",\"data\":[")
    };
    if columns.is_empty() {
        return vec![format!("{{\"inputs\":[]{outputs}}}")];
    }
    let mut pieces = Vec::with_capacity(columns.len() + 1);
    match &tensors.matrix {
        Some(name) => {
            pieces.push(format!("{{\"inputs\":[{}", head(name, columns.len(), tensors.datatype.name())));
            pieces.resize(columns.len(), ",".into());
        }
        None => {
            for (at, column) in columns.iter().enumerate() {
                let datatype = match column.kind {
                    Kind::Number => tensors.datatype.name(),
                    Kind::Boolean => "BOOL",
                    Kind::Text => "BYTES",
                };
                // MLServer reads several tensors as the columns of a table only if the request says so.
                let before =
                    if at == 0 { "{\"parameters\":{\"content_type\":\"pd\"},\"inputs\":[" } else { "]}," };
                pieces.push(format!("{before}{}", head(&column.name, 1, datatype)));
            }
        }
    }
    pieces.push(format!("]}}]{outputs}}}"));
    pieces
}

/// Returns the model as a server describes it that takes rows in this form, with columns that are named by `name`.
#[cfg(test)]
pub(crate) fn in_form(
    mut model: Model,
    name: impl Fn(&str) -> String,
    field: Option<&str>,
    named: bool,
    listed: bool,
) -> Arc<Model> {
    let input = |own: &Feature| model::ServerInput { name: name(&own.name), feature: own.name.clone() };
    model.server = Some(ServerModel {
        protocol: None,
        inputs: model.card.features.iter().map(input).collect(),
        tensor: None,
        form: Some(ServerForm { field: field.map(str::to_owned), named, listed }),
        output: None,
        probabilities_output: None,
        labels: model.card.classes.clone(),
        probabilities: model::ServerProbabilities::PerClass,
        logits: false,
    });
    Arc::new(model)
}

#[cfg(test)]
mod tests;
