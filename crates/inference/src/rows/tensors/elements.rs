//! Reads the elements of a tensor. Numbers in binary form are decoded when a row is built.

use super::{Data, Input, datatype::Datatype};
use crate::{
    reason::Reason,
    refusal::Refusal,
    rows::{
        json,
        raw::{CellRef, Kind, shortened},
    },
};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// A fault in an element. The caller adds its place.
#[derive(Debug)]
pub(super) struct Fault {
    reason: Reason,
    message: String,
}

impl Fault {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    pub(super) fn at(self, place: String) -> Refusal {
        Refusal::new(self.reason, self.message).at(place)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.reason, refusal.message)
    }
}

/// The elements of a tensor. Their number is that of its shape.
pub(super) enum Elements<'a> {
    /// Numbers and booleans in binary form.
    Binary {
        datatype: Datatype,
        width: usize,
        bytes: &'a [u8],
    },
    Numbers(Vec<Option<f64>>),
    Booleans(Vec<Option<bool>>),
    Texts(Vec<Option<Cow<'a, str>>>),
}

impl<'a> Elements<'a> {
    /// Reads the data of an input.
    pub(super) fn read(input: &Input<'a>) -> Result<Self, Refusal> {
        let count = input.shape.iter().product();
        match (input.data, input.datatype.width()) {
            (Data::Binary(bytes), Some(width)) => Ok(Self::Binary { datatype: input.datatype, width, bytes }),
            (Data::Binary(bytes), None) => texts(bytes, count, input).map(Self::Texts),
            (Data::Json(data), _) => Self::from_json(data, count, input),
        }
    }

    /// Returns one element.
    pub(super) fn get(&self, position: usize) -> Result<CellRef<'_>, Fault> {
        let cell = match self {
            Self::Binary { datatype, width, bytes } => {
                let bytes = &bytes[position * width..(position + 1) * width];
                if *datatype == Datatype::Bool {
                    Some(CellRef::Boolean(bytes != [0]))
                } else {
                    datatype.number(bytes)?.map(CellRef::Number)
                }
            }
            Self::Numbers(numbers) => numbers[position].map(CellRef::Number),
            Self::Booleans(booleans) => booleans[position].map(CellRef::Boolean),
            Self::Texts(texts) => texts[position].as_deref().map(CellRef::Text),
        };
        Ok(cell.unwrap_or(CellRef::Null))
    }

    fn from_json(data: &'a RawValue, count: usize, input: &Input<'a>) -> Result<Self, Refusal> {
        // `Input::read` has checked that the data have at least a byte per element.
        let elements = match input.datatype {
            Datatype::Bytes => Self::Texts(Vec::with_capacity(count)),
            Datatype::Bool => Self::Booleans(Vec::with_capacity(count)),
            _ => Self::Numbers(Vec::with_capacity(count)),
        };
        let mut reader = Reader { elements, count, input, flat: None, refusal: None };
        let mut json = serde_json::Deserializer::from_str(data.get());
        if let Err(error) = (Nested { reader: &mut reader, depth: 0 }).deserialize(&mut json) {
            let place = format!("{}.{}.data", input.list, shortened(&input.name));
            return Err(reader.refusal.unwrap_or_else(|| json::unreadable(&error, &place)));
        }
        let got = reader.elements.len();
        if got != count {
            return Err(wrong_count(input, count, got));
        }
        Ok(reader.elements)
    }

    fn len(&self) -> usize {
        match self {
            Self::Binary { width, bytes, .. } => bytes.len() / width,
            Self::Numbers(numbers) => numbers.len(),
            Self::Booleans(booleans) => booleans.len(),
            Self::Texts(texts) => texts.len(),
        }
    }
}

fn wrong_count(input: &Input<'_>, count: usize, got: usize) -> Refusal {
    let message = format!("shape {:?} has {count} elements, but the data have {got}", input.shape);
    Refusal::new(Reason::WrongDataSize, message).at(format!("{}.{}.data", input.list, shortened(&input.name)))
}

/// Reads texts in binary form. Each text follows its length in four bytes.
fn texts<'a>(
    mut bytes: &'a [u8],
    count: usize,
    input: &Input<'a>,
) -> Result<Vec<Option<Cow<'a, str>>>, Refusal> {
    // A text takes at least four bytes.
    let mut texts = Vec::with_capacity(count.min(bytes.len() / 4));
    while !bytes.is_empty() {
        let position = texts.len();
        if position == count {
            let message = format!("shape {:?} has {count} elements, but the data have more", input.shape);
            return Err(Refusal::new(Reason::WrongDataSize, message).at(input.place(position)));
        }
        let text = bytes.split_first_chunk::<4>().and_then(|(length, rest)| {
            rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
        });
        let Some((text, rest)) = text else {
            let message = "the data end within an element; an element is its length in four bytes, little-endian, followed by its bytes";
            return Err(Refusal::new(Reason::WrongDataSize, message).at(input.place(position)));
        };
        let text = std::str::from_utf8(text).map_err(|_| {
            Refusal::new(Reason::WrongType, "must be a text in UTF-8").at(input.place(position))
        })?;
        texts.push(Some(Cow::Borrowed(text)));
        bytes = rest;
    }
    if texts.len() != count {
        return Err(wrong_count(input, count, texts.len()));
    }
    Ok(texts)
}

/// Reads the elements of one tensor from JSON.
struct Reader<'r, 'a> {
    elements: Elements<'a>,
    count: usize,
    input: &'r Input<'a>,
    /// Whether the elements are one flat list, which the first element shows.
    flat: Option<bool>,
    refusal: Option<Refusal>,
}

/// A value at any depth of nested lists.
struct Nested<'r, 'i, 'a> {
    reader: &'r mut Reader<'i, 'a>,
    depth: usize,
}

/// One element of JSON.
enum Scalar<'a> {
    Null,
    Boolean(bool),
    Whole(i128),
    Number(f64),
    Text(Cow<'a, str>),
}

impl<'a> Nested<'_, '_, 'a> {
    fn refuse<T, E: Error>(self, refusal: Refusal) -> Result<T, E> {
        self.reader.refusal.get_or_insert(refusal);
        Err(E::custom("refused"))
    }

    fn wrong_shape<T, E: Error>(self) -> Result<T, E> {
        let shape = &self.reader.input.shape;
        let name = shortened(&self.reader.input.name);
        let message = format!("the data must be one flat list, or lists nested like shape {shape:?}");
        let place = format!("{}.{name}.data", self.reader.input.list);
        self.refuse(Refusal::new(Reason::WrongShape, message).at(place))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'a>) -> Result<(), E> {
        let (dimensions, datatype) = (self.reader.input.shape.len(), self.reader.input.datatype);
        let flat = self.depth == 1;
        let at_its_depth = flat || self.depth == dimensions;
        if !at_its_depth || *self.reader.flat.get_or_insert(flat) != flat {
            return self.wrong_shape();
        }
        let position = self.reader.elements.len();
        if position == self.reader.count {
            let message = format!(
                "shape {:?} has {position} elements, but the data have more",
                self.reader.input.shape
            );
            let place = self.reader.input.place(position);
            return self.refuse(Refusal::new(Reason::WrongDataSize, message).at(place));
        }
        let pushed = push(&mut self.reader.elements, datatype, scalar);
        match pushed {
            Ok(()) => Ok(()),
            Err(fault) => {
                let place = self.reader.input.place(position);
                self.refuse(fault.at(place))
            }
        }
    }
}

fn push<'a>(elements: &mut Elements<'a>, datatype: Datatype, scalar: Scalar<'a>) -> Result<(), Fault> {
    let wrong = |expected: &str, scalar: &Scalar<'_>| {
        let message = format!("must be {expected} for {datatype}, got {}", scalar.kind());
        Err(Fault::new(Reason::WrongType, message))
    };
    match (elements, scalar) {
        (Elements::Numbers(numbers), Scalar::Null) => numbers.push(None),
        (Elements::Booleans(booleans), Scalar::Null) => booleans.push(None),
        (Elements::Texts(texts), Scalar::Null) => texts.push(None),
        (Elements::Texts(texts), Scalar::Text(text)) => texts.push(Some(text)),
        (Elements::Booleans(booleans), Scalar::Boolean(boolean)) => booleans.push(Some(boolean)),
        (Elements::Numbers(numbers), Scalar::Whole(number)) => {
            let is_integer = matches!(datatype, Datatype::Integer { .. });
            numbers.push(Some(if is_integer { datatype.check_range(number)? } else { number as f64 }));
        }
        (Elements::Numbers(numbers), Scalar::Number(number)) => numbers.push(Some(match datatype {
            Datatype::Integer { .. } if number.fract() != 0.0 => {
                let message = format!("must be a whole number for {datatype}, got {number}");
                return Err(Fault::new(Reason::WrongType, message));
            }
            // Saturates beyond i128, which is out of every range.
            Datatype::Integer { .. } => datatype.check_range(number as i128)?,
            _ => number,
        })),
        (Elements::Texts(_), scalar) => return wrong("a string", &scalar),
        (Elements::Booleans(_), scalar) => return wrong("true or false", &scalar),
        (Elements::Numbers(_) | Elements::Binary { .. }, scalar) => return wrong("a number", &scalar),
    }
    Ok(())
}

impl Scalar<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Boolean(_) => Kind::Boolean,
            Self::Whole(_) | Self::Number(_) => Kind::Number,
            Self::Text(_) => Kind::String,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Nested<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of elements")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, boolean: bool) -> Result<(), E> {
        self.scalar(Scalar::Boolean(boolean))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.scalar(Scalar::Whole(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.scalar(Scalar::Whole(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.scalar(Scalar::Number(number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        self.scalar(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.scalar(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let shape = &self.reader.input.shape;
        if self.depth == shape.len() || (self.depth > 0 && self.reader.flat == Some(true)) {
            return self.wrong_shape();
        }
        let expected = shape[self.depth];
        let mut count = 0;
        while items.next_element_seed(Nested { reader: &mut *self.reader, depth: self.depth + 1 })?.is_some()
        {
            count += 1;
        }
        // The caller checks the length of a flat list.
        if self.depth > 0 && count != expected {
            return self.wrong_shape();
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.wrong_shape()
    }
}
