//! Reads the tensors of an answer of the Open Inference Protocol.

use super::{Elements, Input, items, object, split};
use crate::{
    reason::Reason,
    refusal::Refusal,
    rows::{lenient, raw::CellRef},
};
use serde_json::value::RawValue;

/// A tensor of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The name.
    pub name: String,
    /// The shape, of one or two dimensions, each at least 1.
    pub shape: Vec<usize>,
    /// The elements, row by row.
    pub values: TensorValues,
}

/// The elements of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorValues {
    /// Numbers. NaN stands for an element without a value.
    Numbers(Vec<f64>),
    /// Texts, and booleans as `true` or `false`.
    Texts(Vec<String>),
}

/// Reads the tensors of an answer, of which the first `header_length` bytes are JSON. If it is `None`, the whole answer is JSON. Tensors
/// of more than two dimensions are left out, if they are written as JSON.
///
/// # Errors
/// Returns an error that names the output if the body is not an answer of the protocol, or if no output can be read.
pub fn outputs(body: &[u8], header_length: Option<usize>) -> Result<Vec<Tensor>, Refusal> {
    let (header, mut binary) = split(body, header_length)?;
    let repaired = lenient::with_null_for_nan(header);
    let root: &RawValue = serde_json::from_slice(header)
        .or_else(|error| repaired.as_deref().map_or(Err(error), serde_json::from_slice))
        .map_err(|error| crate::rows::unreadable(header, &error))?;
    let [outputs] = object(root, "the answer", "")?.take_with(["outputs"], "", true)?;
    let Some(outputs) = outputs else {
        return Err(Refusal::new(Reason::MissingField, "the answer has no \"outputs\"").at("outputs"));
    };
    let (mut tensors, mut problem) = (Vec::new(), None);
    for (index, output) in items(outputs, "outputs")?.into_iter().enumerate() {
        let place = ("outputs", index);
        let read = Input::read(output, place, header_length.is_some(), &mut binary, true)
            .and_then(|own| tensor(&own));
        match read {
            Ok(tensor) => tensors.push(tensor),
            // The positions of the tensors that follow in binary form are not known.
            Err(refusal) if !binary.is_empty() => return Err(refusal),
            Err(refusal) => problem = problem.or(Some(refusal)),
        }
    }
    match problem {
        Some(refusal) if tensors.is_empty() => Err(refusal),
        _ => Ok(tensors),
    }
}

fn tensor(input: &Input<'_>) -> Result<Tensor, Refusal> {
    let elements = Elements::read(input)?;
    let count = input.shape.iter().product();
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    for position in 0..count {
        match elements.get(position).map_err(|fault| fault.at(input.place(position)))? {
            CellRef::Number(number) => numbers.push(number),
            CellRef::Null | CellRef::Other(_) => numbers.push(f64::NAN),
            CellRef::Text(text) => texts.push(text.to_owned()),
            CellRef::Boolean(boolean) => texts.push(boolean.to_string()),
        }
    }
    let values = if numbers.len() == count {
        TensorValues::Numbers(numbers)
    } else if texts.len() == count {
        TensorValues::Texts(texts)
    } else {
        let message = "has elements without a value";
        return Err(Refusal::new(Reason::MissingValue, message).at(input.place(0)));
    };
    Ok(Tensor { name: input.name.clone().into_owned(), shape: input.shape.clone(), values })
}
