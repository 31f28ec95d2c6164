//! Parses any JSON body. The parent module checks the result against the model.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The body of a request.
pub(super) enum Body {
    Object(Fields),
    Other(Kind),
}

/// The fields of the body's object.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) features: Option<RawRows>,
    pub(super) instances: Option<Instances>,
    pub(super) unknown: Option<String>,
    pub(super) repeated: Option<&'static str>,
}

/// The value of `instances`.
pub(super) enum Instances {
    Rows(RawRows),
    Other(Kind),
}

/// Rows as they were sent.
#[derive(Default)]
pub(super) struct RawRows {
    pub(super) rows: Vec<Row>,
    /// The values of all rows that are [`Row::Numbers`], row by row. A list per row would take much of the time of a batch.
    pub(super) numbers: Vec<Option<f64>>,
}

/// A value where a row is expected.
pub(super) enum Row {
    /// A list of this many numbers and nulls, which are in [`RawRows::numbers`].
    Numbers(usize),
    /// A list that also has other values.
    Array(Vec<Cell>),
    Named(Vec<(String, Cell)>),
    Other(Kind),
}

/// A value where the value of a feature is expected.
pub(super) enum Cell {
    Number(f64),
    Text(Box<str>),
    Boolean(bool),
    Null,
    Other(Kind),
}

/// A borrowed value where the value of a feature is expected, from any protocol.
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

/// A kind of JSON value, with its name in messages.
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

/// Reads a value from every kind of JSON value.
trait ReadAny<'de>: Sized {
    type Value;

    fn other(self, kind: Kind) -> Self::Value;

    fn text(self, _: &str) -> Self::Value {
        self.other(Kind::String)
    }

    fn boolean(self, _: bool) -> Self::Value {
        self.other(Kind::Boolean)
    }

    fn number(self, _: f64) -> Self::Value {
        self.other(Kind::Number)
    }

    fn array<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.other(Kind::Array))
    }

    fn object<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.other(Kind::Object))
    }
}

impl From<Option<f64>> for Cell {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Self::Null, Self::Number)
    }
}

struct CellReader;

impl ReadAny<'_> for CellReader {
    type Value = Cell;

    fn other(self, kind: Kind) -> Cell {
        if matches!(kind, Kind::Null) { Cell::Null } else { Cell::Other(kind) }
    }

    fn number(self, number: f64) -> Cell {
        Cell::Number(number)
    }

    fn text(self, text: &str) -> Cell {
        Cell::Text(text.into())
    }

    fn boolean(self, boolean: bool) -> Cell {
        Cell::Boolean(boolean)
    }
}

/// Reads a row; one that has only numbers and nulls is added to `numbers`.
struct RowReader<'a> {
    numbers: &'a mut Vec<Option<f64>>,
}

impl<'de> ReadAny<'de> for RowReader<'_> {
    type Value = Row;

    fn other(self, kind: Kind) -> Row {
        Row::Other(kind)
    }

    fn array<A: SeqAccess<'de>>(self, mut items: A) -> Result<Row, A::Error> {
        let start = self.numbers.len();
        let other = loop {
            match items.next_element()? {
                Some(Cell::Number(number)) => self.numbers.push(Some(number)),
                Some(Cell::Null) => self.numbers.push(None),
                Some(other) => break other,
                None => return Ok(Row::Numbers(self.numbers.len() - start)),
            }
        };
        let mut cells: Vec<Cell> = self.numbers.drain(start..).map(Cell::from).collect();
        cells.push(other);
        while let Some(cell) = items.next_element()? {
            cells.push(cell);
        }
        Ok(Row::Array(cells))
    }

    fn object<A: MapAccess<'de>>(self, mut entries: A) -> Result<Row, A::Error> {
        let mut cells = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            cells.push(entry);
        }
        Ok(Row::Named(cells))
    }
}

struct InstancesReader;

impl<'de> ReadAny<'de> for InstancesReader {
    type Value = Instances;

    fn other(self, kind: Kind) -> Instances {
        Instances::Other(kind)
    }

    fn array<A: SeqAccess<'de>>(self, mut items: A) -> Result<Instances, A::Error> {
        let mut raw = RawRows::default();
        while let Some(row) = items.next_element_seed(AnyVisitor(RowReader { numbers: &mut raw.numbers }))? {
            raw.rows.push(row);
        }
        Ok(Instances::Rows(raw))
    }
}

struct BodyReader;

impl<'de> ReadAny<'de> for BodyReader {
    type Value = Body;

    fn other(self, kind: Kind) -> Body {
        Body::Other(kind)
    }

    fn object<A: MapAccess<'de>>(self, mut entries: A) -> Result<Body, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = entries.next_key::<String>()? {
            match name.as_str() {
                "features" => {
                    let mut numbers = Vec::new();
                    let row = entries.next_value_seed(AnyVisitor(RowReader { numbers: &mut numbers }))?;
                    let row = RawRows { rows: vec![row], numbers };
                    set(&mut fields.features, row, "features", &mut fields.repeated)
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
        Ok(Body::Object(fields))
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

struct AnyVisitor<R>(R);

impl<'de, R: ReadAny<'de>> Visitor<'de> for AnyVisitor<R> {
    type Value = R::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<R::Value, E> {
        Ok(self.0.other(Kind::Null))
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<R::Value, E> {
        Ok(self.0.boolean(boolean))
    }

    fn visit_str<E>(self, text: &str) -> Result<R::Value, E> {
        Ok(self.0.text(text))
    }

    fn visit_f64<E>(self, number: f64) -> Result<R::Value, E> {
        Ok(self.0.number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<R::Value, E> {
        Ok(self.0.number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<R::Value, E> {
        Ok(self.0.number(number as f64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<R::Value, A::Error> {
        self.0.array(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<R::Value, A::Error> {
        self.0.object(entries)
    }
}

impl<'de, R: ReadAny<'de>> DeserializeSeed<'de> for AnyVisitor<R> {
    type Value = R::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<R::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! read_anything {
    ($($type:ty: $reader:ident),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                AnyVisitor($reader).deserialize(deserializer)
            }
        }
    )*};
}
read_anything!(Body: BodyReader, Instances: InstancesReader, Cell: CellReader);
