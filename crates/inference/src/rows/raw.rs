//! Parses any JSON body without an error, whatever its fields are. The parent module checks the result against the model.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A whole body.
pub(super) enum Body {
    Object(Fields),
    Other(Kind),
}

/// The fields of the body's object.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) features: Option<Row>,
    pub(super) instances: Option<Instances>,
    pub(super) unknown: Option<String>,
    pub(super) repeated: Option<&'static str>,
}

/// The value of `instances`.
pub(super) enum Instances {
    Rows(Vec<Row>),
    Other(Kind),
}

/// A value in the place of a row.
pub(super) enum Row {
    /// A list of numbers and nulls, which are the values of numeric features as they are.
    Numbers(Vec<Option<f64>>),
    /// A list with other values, too.
    Array(Vec<Cell>),
    Named(Vec<(String, Cell)>),
    Other(Kind),
}

/// A value in the place of a feature's.
pub(super) enum Cell {
    Number(f64),
    Text(Box<str>),
    Boolean(bool),
    Null,
    Other(Kind),
}

/// A borrowed value in the place of a feature's, wherever it was read from.
#[derive(Debug, Clone, Copy)]
pub(super) enum CellRef<'a> {
    Number(f64),
    Text(&'a str),
    Boolean(bool),
    Null,
    Other(Kind),
}

impl Cell {
    pub(super) fn as_ref(&self) -> CellRef<'_> {
        match self {
            Self::Number(number) => CellRef::Number(*number),
            Self::Text(text) => CellRef::Text(text),
            Self::Boolean(boolean) => CellRef::Boolean(*boolean),
            Self::Null => CellRef::Null,
            Self::Other(kind) => CellRef::Other(*kind),
        }
    }
}

/// A kind of JSON value, as messages call it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "a list",
            Self::Object => "an object",
        })
    }
}

/// A type that can be read from every kind of JSON value.
trait FromAny<'de>: Sized {
    fn other(kind: Kind) -> Self;

    fn text(_: &str) -> Self {
        Self::other(Kind::String)
    }

    fn boolean(_: bool) -> Self {
        Self::other(Kind::Boolean)
    }

    fn number(_: f64) -> Self {
        Self::other(Kind::Number)
    }

    fn array<A: SeqAccess<'de>>(mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::other(Kind::Array))
    }

    fn object<A: MapAccess<'de>>(mut entries: A) -> Result<Self, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::other(Kind::Object))
    }
}

impl From<Option<f64>> for Cell {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Self::Null, Self::Number)
    }
}

impl FromAny<'_> for Cell {
    fn other(kind: Kind) -> Self {
        if matches!(kind, Kind::Null) { Self::Null } else { Self::Other(kind) }
    }

    fn number(number: f64) -> Self {
        Self::Number(number)
    }

    fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    fn boolean(boolean: bool) -> Self {
        Self::Boolean(boolean)
    }
}

impl<'de> FromAny<'de> for Row {
    fn other(kind: Kind) -> Self {
        Self::Other(kind)
    }

    fn array<A: SeqAccess<'de>>(mut items: A) -> Result<Self, A::Error> {
        let mut numbers = Vec::new();
        let other = loop {
            match items.next_element()? {
                Some(Cell::Number(number)) => numbers.push(Some(number)),
                Some(Cell::Null) => numbers.push(None),
                Some(other) => break other,
                None => return Ok(Self::Numbers(numbers)),
            }
        };
        let mut cells: Vec<Cell> = numbers.into_iter().map(Cell::from).collect();
        cells.push(other);
        while let Some(cell) = items.next_element()? {
            cells.push(cell);
        }
        Ok(Self::Array(cells))
    }

    fn object<A: MapAccess<'de>>(mut entries: A) -> Result<Self, A::Error> {
        let mut cells = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            cells.push(entry);
        }
        Ok(Self::Named(cells))
    }
}

impl<'de> FromAny<'de> for Instances {
    fn other(kind: Kind) -> Self {
        Self::Other(kind)
    }

    fn array<A: SeqAccess<'de>>(mut items: A) -> Result<Self, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = items.next_element()? {
            rows.push(row);
        }
        Ok(Self::Rows(rows))
    }
}

impl<'de> FromAny<'de> for Body {
    fn other(kind: Kind) -> Self {
        Self::Other(kind)
    }

    fn object<A: MapAccess<'de>>(mut entries: A) -> Result<Self, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = entries.next_key::<String>()? {
            match name.as_str() {
                "features" => {
                    set(&mut fields.features, entries.next_value()?, "features", &mut fields.repeated)
                }
                "instances" => {
                    set(&mut fields.instances, entries.next_value()?, "instances", &mut fields.repeated)
                }
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                    fields.unknown.get_or_insert_with(|| shortened(&name));
                }
            }
        }
        Ok(Self::Object(fields))
    }
}

fn set<T>(field: &mut Option<T>, value: T, name: &'static str, repeated: &mut Option<&'static str>) {
    if field.replace(value).is_some() {
        repeated.get_or_insert(name);
    }
}

/// Returns the beginning of a long name, for error messages.
pub(super) fn shortened(name: &str) -> String {
    const LONGEST: usize = 80;
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

struct AnyVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: FromAny<'de>> Visitor<'de> for AnyVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::other(Kind::Null))
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<T, E> {
        Ok(T::boolean(boolean))
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::text(text))
    }

    fn visit_f64<E>(self, number: f64) -> Result<T, E> {
        Ok(T::number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(T::number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Ok(T::number(number as f64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<T, A::Error> {
        T::array(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<T, A::Error> {
        T::object(entries)
    }
}

macro_rules! read_anything {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(AnyVisitor(std::marker::PhantomData))
            }
        }
    )*};
}
read_anything!(Body, Instances, Row, Cell);
