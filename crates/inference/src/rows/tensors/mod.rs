//! Reads the rows of requests of the [Open Inference Protocol](https://github.com/kserve/open-inference-protocol) with the binary tensor
//! extension. HTTP does not belong here.
//!
//! Layout:
//! - this module: reads the request, and matches inputs with features
//! - [`datatype`]: defines the datatypes of tensors and decodes their elements
//! - `elements`: reads the data of a tensor, as JSON or in binary form
//! - [`answer`]: reads the tensors of an answer of another server
//!
//! There are two steps, so that a request with too many rows is refused before its rows take memory: [`InferRequest::parse`] reads the JSON and checks shapes and sizes, and [`InferRequest::rows`] reads the elements.

pub mod answer;
pub mod datatype;
mod elements;

use super::{
    Form, ParsedRows,
    check::value,
    json::{self, Parameters, items, object},
    lenient,
    native::example_value,
    raw::{CellRef, shortened},
};
use crate::{reason::Reason, refusal::Refusal};
use datatype::Datatype;
use elements::Elements;
use model::{ModelCard, Values};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The header with the number of bytes of a body that are JSON. Tensors in binary form follow the JSON.
pub const HEADER_LENGTH: &str = "Inference-Header-Content-Length";

/// A request whose shapes and sizes have been checked. Its elements have not been read yet.
#[derive(Debug)]
pub struct InferRequest<'a> {
    /// The id that the answer repeats.
    pub id: Option<Cow<'a, str>>,
    /// The outputs that the client requests; empty for the default outputs.
    pub outputs: Vec<WantedOutput>,
    /// Whether the default outputs are sent in binary form.
    pub binary_outputs: bool,
    inputs: Vec<Input<'a>>,
    layout: Layout,
    /// Whether the request is to another server, which may accept more than this service.
    lenient: bool,
}

/// An output that the client requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedOutput {
    /// The name. The model may not have an output of this name.
    pub name: String,
    /// Whether it is sent in binary form.
    pub binary: bool,
}

/// One tensor.
#[derive(Debug)]
struct Input<'a> {
    /// The list of the request or the answer that contains it, for messages.
    list: &'static str,
    name: Cow<'a, str>,
    datatype: Datatype,
    /// The shape. It has one or two dimensions, each at least 1.
    shape: Vec<usize>,
    data: Data<'a>,
}

/// The elements of a tensor before they are read.
#[derive(Debug, Clone, Copy)]
enum Data<'a> {
    Json(&'a RawValue),
    Binary(&'a [u8]),
}

/// The assignment of elements to features.
#[derive(Debug)]
enum Layout {
    /// One tensor has all features, row by row.
    Matrix { rows: usize },
    /// Each feature has an input; `None` for a feature that may be missing and has none.
    Columns { rows: usize, inputs: Vec<Option<usize>> },
}

impl<'a> InferRequest<'a> {
    /// Reads a body, of which the first `header_length` bytes are JSON. If it is `None`, the whole body is JSON.
    ///
    /// # Errors
    /// Returns an error that names the input if the body is not a request of the protocol, or if its inputs are not the features of this
    /// model.
    pub fn parse(body: &'a [u8], header_length: Option<usize>, card: &ModelCard) -> Result<Self, Refusal> {
        Self::read(body, header_length, card, false)
    }

    /// Reads a body that was sent to another server. Unknown fields are ignored, and unknown inputs if every feature has an input.
    ///
    /// # Errors
    /// Returns an error that names the input if it is not certain which elements belong to which features.
    pub fn parse_foreign(
        body: &'a [u8],
        header_length: Option<usize>,
        card: &ModelCard,
    ) -> Result<Self, Refusal> {
        Self::read(body, header_length, card, true)
    }

    fn read(
        body: &'a [u8],
        header_length: Option<usize>,
        card: &ModelCard,
        lenient: bool,
    ) -> Result<Self, Refusal> {
        let (header, mut binary) = split(body, header_length)?;
        let root = serde_json::from_slice(header).map_err(|error| super::unreadable(header, &error))?;
        let fields = object(root, "the body", "")?;
        let known = ["id", "parameters", "inputs", "outputs", "model_name", "model_version"];
        let [id, parameters, inputs, outputs, _, _] = fields.take_with(known, "", lenient)?;
        let id = id.map(|id| json::text(id, "id")).transpose();
        let id = if lenient { id.unwrap_or_default() } else { id? }.flatten();
        let binary_outputs = Parameters::read(parameters, "parameters")?.flag("binary_data_output")?;
        // The outputs of another server are found in its answer.
        let outputs = if lenient { Vec::new() } else { read_outputs(outputs, binary_outputs)? };
        let Some(inputs) = inputs else {
            let message = format!("\"inputs\" is missing; send {}", example(card));
            return Err(Refusal::new(Reason::MissingField, message).at("inputs"));
        };
        let mut read = Vec::new();
        for (index, input) in items(inputs, "inputs")?.into_iter().enumerate() {
            let input = Input::read(input, ("inputs", index), header_length.is_some(), &mut binary, lenient)?;
            // A further input would be unknown or a duplicate, so the rest of a long list is not read.
            if read.len() > card.features.len() && !lenient {
                break;
            }
            read.push(input);
        }
        let layout = Layout::of(&read, card, lenient)?;
        if !binary.is_empty() {
            let message = format!(
                "the body has {} bytes more than the sum of the \"binary_data_size\" of the inputs",
                binary.len()
            );
            return Err(Refusal::new(Reason::WrongDataSize, message).at("inputs"));
        }
        Ok(Self { id, outputs, binary_outputs, inputs: read, layout, lenient })
    }

    /// Returns the number of rows, which is at least one.
    pub fn row_count(&self) -> usize {
        match self.layout {
            Layout::Matrix { rows } | Layout::Columns { rows, .. } => rows,
        }
    }

    /// Reads the elements.
    ///
    /// # Errors
    /// Returns an error that names the element if the data do not fit their shape, or if an element is not a value of its feature.
    pub fn rows(&self, card: &ModelCard) -> Result<ParsedRows, Refusal> {
        let read = |input: &Input<'a>| Elements::read(input);
        let elements = self.inputs.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let width = card.features.len();
        // These are, for each feature, its input, the position of its first value there, and the distance to the next value.
        let sources: Vec<Option<(usize, usize, usize)>> = match &self.layout {
            Layout::Matrix { .. } => (0..width).map(|feature| Some((0, feature, width))).collect(),
            Layout::Columns { inputs, .. } => inputs.iter().map(|at| at.map(|at| (at, 0, 1))).collect(),
        };
        let mut others = Vec::new();
        let mut cell = |row: usize, feature: usize| {
            let Some((at, first, step)) = sources[feature] else { return Ok(None) };
            let (input, position) = (&self.inputs[at], first + row * step);
            let place = || input.place(position);
            let mut cell = elements[at].get(position).map_err(|fault| fault.at(place()))?;
            let mut text = String::new();
            if self.lenient {
                cell = lenient::converted(cell, &card.features[feature], &mut text);
            }
            value(cell, [row, feature], card, &mut others, place).map_err(|refusal| {
                let one_each = matches!(self.layout, Layout::Matrix { .. }) && width > 1;
                explain(refusal, cell, &card.features[feature], one_each)
            })
        };
        let mut values = Vec::with_capacity(self.row_count() * width);
        for row in 0..self.row_count() {
            for feature in 0..width {
                values.push(cell(row, feature)?);
            }
        }
        Ok(ParsedRows { values, features: width, others, form: Form::List("rows") })
    }
}

/// Divides a body into its JSON and its tensors in binary form.
pub(crate) fn split(body: &[u8], header_length: Option<usize>) -> Result<(&[u8], &[u8]), Refusal> {
    let Some(length) = header_length else { return Ok((body, &[])) };
    body.split_at_checked(length).ok_or_else(|| {
        let message = format!(
            "expected at least {length} bytes, the declared length of the JSON, got {} bytes",
            body.len()
        );
        Refusal::new(Reason::WrongDataSize, message).at(HEADER_LENGTH)
    })
}

/// Adds to the refusal of a value how to send it in a tensor.
fn explain(mut refusal: Refusal, cell: CellRef<'_>, feature: &model::Feature, one_each: bool) -> Refusal {
    let name = &feature.name;
    let datatype = match (&feature.values, cell) {
        (Values::Numeric(_), _) => "a numeric datatype such as FP64",
        (Values::Categorical(own), _) if own.json(0.0).is_boolean() => "BOOL or BYTES",
        (Values::Categorical(own), _) if own.json(0.0).is_number() => "BYTES or a numeric datatype",
        (Values::Categorical(_), _) => "BYTES",
    };
    let input = if one_each { "as a separate input, " } else { "" };
    refusal.message = format!("{name:?} {}; send it {input}with {datatype}", refusal.message);
    refusal
}

impl<'a> Input<'a> {
    /// Reads one tensor. If its elements are in binary form, it removes them from the beginning of the binary data.
    fn read(
        input: &'a RawValue,
        (list, index): (&'static str, usize),
        has_header_length: bool,
        binary: &mut &'a [u8],
        lenient: bool,
    ) -> Result<Self, Refusal> {
        let place = format!("{list}[{index}]");
        let fields = object(input, "a tensor", &place)?;
        let [name, shape, datatype, parameters, data] =
            fields.take_with(["name", "shape", "datatype", "parameters", "data"], &place, lenient)?;
        let missing = |field: &str| {
            let message = format!("{place} has no {field:?}");
            Refusal::new(Reason::MissingField, message).at(format!("{place}.{field}"))
        };
        let name = name.map(|name| json::text(name, &format!("{place}.name"))).transpose()?.flatten();
        let name = name.ok_or_else(|| missing("name"))?;
        let place = format!("{list}.{}", shortened(&name));
        let datatype = Datatype::read(datatype.ok_or_else(|| missing("datatype"))?, &place)?;
        let shape = read_shape(shape.ok_or_else(|| missing("shape"))?, &place)?;
        // Checked by `read_shape`.
        let count: usize = shape.iter().product();
        let size = Parameters::read(parameters, &format!("{place}.parameters"))?.size("binary_data_size")?;
        let wrong = |message| Err(Refusal::new(Reason::WrongDataSize, message).at(place.clone()));
        let data = match (data, size) {
            (Some(_), Some(_)) => {
                let message =
                    "expected \"data\" or the parameter \"binary_data_size\", got both; remove one of them";
                return Err(Refusal::new(Reason::DuplicateField, message).at(place));
            }
            (None, None) => return Err(missing("data")),
            (Some(data), None) => Data::Json(data),
            (None, Some(_)) if !has_header_length => {
                return wrong(format!("data in binary form need the header {HEADER_LENGTH}"));
            }
            (None, Some(size)) => {
                let Some((own, rest)) = binary.split_at_checked(size) else {
                    return wrong(format!(
                        "\"binary_data_size\" is {size}, but only {} bytes follow in the body",
                        binary.len()
                    ));
                };
                let expected = datatype.width().map(|width| count.saturating_mul(width));
                if expected.is_some_and(|expected| expected != size) {
                    return wrong(format!(
                        "shape {shape:?} of {datatype} takes {} bytes, but \"binary_data_size\" is {size}",
                        expected.unwrap_or_default()
                    ));
                }
                *binary = rest;
                Data::Binary(own)
            }
        };
        let at_most = match data {
            Data::Json(data) => data.get().len(),
            Data::Binary(data) => data.len(),
        };
        if count > at_most {
            return wrong(format!("shape {shape:?} has {count} elements, but the data have fewer"));
        }
        Ok(Self { list, name, datatype, shape, data })
    }

    /// Returns the path of an element.
    fn place(&self, position: usize) -> String {
        let (list, name) = (self.list, shortened(&self.name));
        match self.shape[..] {
            [_, columns] if columns > 1 => {
                format!("{list}.{name}.data[{}][{}]", position / columns, position % columns)
            }
            _ => format!("{list}.{name}.data[{position}]"),
        }
    }
}

/// Reads a shape of one or two dimensions whose product does not overflow.
fn read_shape(shape: &RawValue, place: &str) -> Result<Vec<usize>, Refusal> {
    let refuse =
        |message: String| Err(Refusal::new(Reason::WrongShape, message).at(format!("{place}.shape")));
    let Ok(shape) = serde_json::from_str::<Vec<i64>>(shape.get()) else {
        return refuse("the shape must be a list of whole numbers such as [2,1]".to_owned());
    };
    if !(1..=2).contains(&shape.len()) {
        return refuse(format!("the shape must have one or two dimensions, got {}", shape.len()));
    }
    if let Some(negative) = shape.iter().find(|&&size| size < 0) {
        return refuse(format!("the shape must not be negative, got {negative}"));
    }
    if shape.contains(&0) {
        let message = format!("the shape {shape:?} has no elements; send at least one row");
        return Err(Refusal::new(Reason::EmptyBatch, message).at(format!("{place}.shape")));
    }
    let shape: Vec<usize> =
        shape.into_iter().map(|size| usize::try_from(size).unwrap_or(usize::MAX)).collect();
    if shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size)).is_none() {
        return refuse(format!("the shape {shape:?} has more elements than any body can have"));
    }
    Ok(shape)
}

fn read_outputs(outputs: Option<&RawValue>, binary: bool) -> Result<Vec<WantedOutput>, Refusal> {
    let Some(outputs) = outputs else { return Ok(Vec::new()) };
    let mut read = Vec::new();
    for (index, output) in items(outputs, "outputs")?.into_iter().enumerate() {
        let place = format!("outputs[{index}]");
        // MLServer's client also sends the fields shape, datatype and data, all of them null.
        let [name, parameters, _, _, _] = object(output, "an output", &place)?
            .take(["name", "parameters", "shape", "datatype", "data"], &place)?;
        let name = name.map(|name| json::text(name, &format!("{place}.name"))).transpose()?.flatten();
        let Some(name) = name else {
            let message = format!("{place} has no \"name\"");
            return Err(Refusal::new(Reason::MissingField, message).at(format!("{place}.name")));
        };
        let parameters = Parameters::read(parameters, &format!("{place}.parameters"))?;
        let binary = parameters.optional_flag("binary_data")?.unwrap_or(binary);
        read.push(WantedOutput { name: name.into_owned(), binary });
    }
    Ok(read)
}

impl Layout {
    fn of(inputs: &[Input<'_>], card: &ModelCard, lenient: bool) -> Result<Self, Refusal> {
        let width = card.features.len();
        let position = |name: &str| card.features.iter().position(|feature| feature.name == name);
        match inputs {
            [] => {
                let message = format!("\"inputs\" is empty; send {}", example(card));
                Err(Refusal::new(Reason::EmptyBatch, message).at("inputs"))
            }
            [one] if width > 1 => match one.shape[..] {
                [rows, columns] if columns == width => Ok(Self::Matrix { rows }),
                [rows, 1] if position(&one.name).is_some() => Self::columns(inputs, rows, card, lenient),
                [rows] if position(&one.name).is_some() => Self::columns(inputs, rows, card, lenient),
                [columns] if columns == width => Ok(Self::Matrix { rows: 1 }),
                [_, got] | [got] => Err(wrong_width(one, got, card)),
                _ => unreachable!("`read_shape` accepts one or two dimensions"),
            },
            [one]
                if position(&one.name).is_none() && one.shape.get(1).is_none_or(|&columns| columns == 1) =>
            {
                Ok(Self::Matrix { rows: one.shape[0] })
            }
            [first, ..] => {
                let known = inputs.iter().find(|input| position(&input.name).is_some()).unwrap_or(first);
                Self::columns(inputs, known.shape[0], card, lenient)
            }
        }
    }

    fn columns(inputs: &[Input<'_>], rows: usize, card: &ModelCard, lenient: bool) -> Result<Self, Refusal> {
        let names =
            || card.features.iter().map(|feature| feature.name.as_str()).collect::<Vec<_>>().join(", ");
        let mut places = vec![None; card.features.len()];
        let mut ignored: Option<&Input<'_>> = None;
        for (at, input) in inputs.iter().enumerate() {
            let name = shortened(&input.name);
            let place = format!("inputs.{name}");
            let Some(feature) = card.features.iter().position(|feature| feature.name == input.name) else {
                if lenient {
                    ignored.get_or_insert(input);
                    continue;
                }
                let message = format!("unknown input {name:?}; the inputs are {}", names());
                return Err(Refusal::new(Reason::UnknownFeature, message).at(place));
            };
            if places[feature].replace(at).is_some() {
                return Err(
                    Refusal::new(Reason::DuplicateField, format!("input {name:?} is given twice")).at(place)
                );
            }
            let refuse =
                |message| Err(Refusal::new(Reason::WrongShape, message).at(format!("{place}.shape")));
            if let Some(&columns) = input.shape.get(1).filter(|&&columns| columns != 1) {
                return refuse(format!(
                    "input {name:?} is one feature, so its shape must be [n] or [n,1], got {columns} columns"
                ));
            }
            if input.shape[0] != rows {
                return refuse(format!(
                    "input {name:?} has {} rows, but {:?} has {rows}; all inputs need the same number",
                    input.shape[0],
                    shortened(&inputs[0].name)
                ));
            }
        }
        if let Some(unknown) = ignored
            && let Some(absent) = places.iter().position(Option::is_none)
        {
            let (absent, unknown) = (&card.features[absent], Some(&*unknown.name));
            return Err(lenient::absent_feature(absent, unknown, card, "inputs"));
        }
        for (feature, place) in card.features.iter().zip(&places) {
            // A feature with missing values in the reference may be left out.
            if place.is_none() && !feature.may_be_missing() {
                let message = format!("input {:?} is missing; the inputs are {}", feature.name, names());
                let place = format!("inputs.{}", feature.name);
                return Err(Refusal::new(Reason::MissingFeature, message).at(place));
            }
        }
        Ok(Self::Columns { rows, inputs: places })
    }
}

fn wrong_width(input: &Input<'_>, got: usize, card: &ModelCard) -> Refusal {
    let width = card.features.len();
    let names: Vec<&str> = card.features.iter().map(|feature| feature.name.as_str()).collect();
    let message = format!(
        "expected {width} features, got {got}; send one input of shape [n,{width}], or an input of shape [n,1] for each of {}",
        names.join(", ")
    );
    Refusal::new(Reason::WrongFeatureCount, message).at(format!("inputs.{}", shortened(&input.name)))
}

/// Returns a valid request for messages and documentation: the row of [`super::example`], with one input per feature.
pub fn example(card: &ModelCard) -> String {
    let inputs: Vec<String> = card
        .features
        .iter()
        .map(|feature| {
            let (datatype, value) = match &feature.values {
                Values::Numeric(_) => ("FP64", example_value(feature)),
                Values::Categorical(own) => ("BYTES", serde_json::Value::from(own.text(0.0)).to_string()),
            };
            let name = serde_json::Value::from(feature.name.as_str());
            format!("{{\"name\":{name},\"shape\":[1,1],\"datatype\":\"{datatype}\",\"data\":[{value}]}}")
        })
        .collect();
    format!("{{\"inputs\":[{}]}}", inputs.join(","))
}

#[cfg(test)]
mod tests;
