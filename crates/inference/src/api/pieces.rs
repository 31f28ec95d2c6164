//! Parses the body of feedback before it is checked. Only the parts that the checks need are kept, so that a body does not take many
//! times its size in memory.

use serde::{
    Deserializer,
    de::{Deserialize, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Result, value::RawValue};
use std::{borrow::Cow, fmt};

/// A whole body.
pub(super) enum Body {
    /// A list.
    Many(Pieces),
    /// Any other value. It is taken as one piece of feedback, which may be invalid.
    One(Piece),
}

/// The pieces of a list.
pub(super) struct Pieces {
    /// The first pieces, up to the number that may be sent in one request.
    pub(super) first: Vec<Piece>,
    /// The number of all pieces.
    pub(super) count: usize,
}

/// One piece of feedback.
pub(super) enum Piece {
    /// An object.
    Fields(Fields),
    /// Another kind of JSON value.
    Other,
}

/// The fields of an object.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) prediction_id: Field,
    pub(super) label: Field,
    /// The predicted value, which a client sends with an id of its own.
    pub(super) prediction: Field,
    /// The model of such an id.
    pub(super) model: Field,
    /// The first field with another name.
    pub(super) unknown: Option<String>,
}

/// One field of an object.
#[derive(Default)]
pub(super) enum Field {
    /// The field is missing.
    #[default]
    Missing,
    /// A string.
    Text(String),
    /// A number or boolean, as it is written.
    Literal(String),
    /// Another kind of JSON value.
    Other,
    /// The field occurs more than once.
    Repeated,
}

impl Body {
    /// Reads a body. Pieces after the first `most` ones are counted, but not kept. With `own_ids`, a piece may have the fields of an id
    /// of the client's own.
    ///
    /// # Errors
    /// Returns an error if the body is not JSON.
    pub(super) fn parse(bytes: &[u8], most: usize, own_ids: bool) -> Result<Self> {
        let body: &RawValue = serde_json::from_slice(bytes)?;
        if !body.get().starts_with('[') {
            return Piece::parse(body, own_ids).map(Self::One);
        }
        serde_json::Deserializer::from_str(body.get()).deserialize_seq(List { most, own_ids }).map(Self::Many)
    }
}

impl Piece {
    fn parse(piece: &RawValue, own_ids: bool) -> Result<Self> {
        let object = Object { own_ids };
        match piece.get().starts_with('{') {
            true => serde_json::Deserializer::from_str(piece.get()).deserialize_map(object).map(Self::Fields),
            false => Ok(Self::Other),
        }
    }
}

impl Field {
    fn add(&mut self, value: &RawValue) -> Result<()> {
        *self = match self {
            Self::Missing => Self::parse(value)?,
            _ => Self::Repeated,
        };
        Ok(())
    }

    fn parse(value: &RawValue) -> Result<Self> {
        let text = value.get();
        Ok(match text.as_bytes().first() {
            Some(b'"') => Self::Text(serde_json::from_str(text)?),
            Some(b'{' | b'[' | b'n') => Self::Other,
            _ => Self::Literal(text.to_owned()),
        })
    }
}

struct List {
    most: usize,
    own_ids: bool,
}

impl<'de> Visitor<'de> for List {
    type Value = Pieces;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Pieces, A::Error> {
        let mut pieces = Pieces { first: Vec::new(), count: 0 };
        while let Some(piece) = items.next_element::<&RawValue>()? {
            pieces.count += 1;
            if pieces.count <= self.most {
                pieces.first.push(Piece::parse(piece, self.own_ids).map_err(serde::de::Error::custom)?);
            }
        }
        Ok(pieces)
    }
}

struct Object {
    own_ids: bool,
}

impl<'de> Visitor<'de> for Object {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some(Name(name)) = entries.next_key()? {
            let value = entries.next_value::<&RawValue>()?;
            match &*name {
                "prediction_id" => fields.prediction_id.add(value).map_err(serde::de::Error::custom)?,
                "label" => fields.label.add(value).map_err(serde::de::Error::custom)?,
                "prediction" if self.own_ids => {
                    fields.prediction.add(value).map_err(serde::de::Error::custom)?;
                }
                "model" if self.own_ids => fields.model.add(value).map_err(serde::de::Error::custom)?,
                _ if fields.unknown.is_none() => fields.unknown = Some(name.into_owned()),
                _ => {}
            }
        }
        Ok(fields)
    }
}

/// A field's name. It is borrowed unless it has escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> std::result::Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> std::result::Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
