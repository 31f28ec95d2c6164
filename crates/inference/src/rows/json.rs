//! Parses JSON objects and lists whose values are read later. The code that reads a value also checks it, so each error names a field.

use crate::{
    reason::Reason,
    refusal::Refusal,
    rows::raw::{Kind, shortened},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// The entries of an object, in their order.
pub(super) struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Entries<'a> {
    /// Returns the names and the values.
    pub(super) fn into_vec(self) -> Vec<(Cow<'a, str>, &'a RawValue)> {
        self.0
    }
}

/// A text, which is borrowed from the body unless it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Entries<'a> {
    /// Returns the values of the known fields. A null counts as absent.
    pub(super) fn take<const N: usize>(
        self,
        known: [&str; N],
        place: &str,
    ) -> Result<[Option<&'a RawValue>; N], Refusal> {
        self.take_with(known, place, false)
    }

    /// Returns the values of the known fields, and if `lenient` is set, ignores unknown ones.
    pub(super) fn take_with<const N: usize>(
        self,
        known: [&str; N],
        place: &str,
        lenient: bool,
    ) -> Result<[Option<&'a RawValue>; N], Refusal> {
        let mut values = [None; N];
        let mut seen = [false; N];
        let path = |name: &str| {
            if place.is_empty() { shortened(name) } else { format!("{place}.{}", shortened(name)) }
        };
        for (name, value) in self.0 {
            let Some(index) = known.iter().position(|known| *known == name) else {
                if lenient {
                    continue;
                }
                let message =
                    format!("unknown field {:?}; the fields are {}", shortened(&name), known.join(", "));
                return Err(Refusal::new(Reason::UnknownField, message).at(path(&name)));
            };
            if std::mem::replace(&mut seen[index], true) {
                return Err(
                    Refusal::new(Reason::DuplicateField, format!("{name:?} is given twice")).at(path(&name))
                );
            }
            values[index] = (value.get() != "null").then_some(value);
        }
        Ok(values)
    }
}

/// The parameters of a request, an input or an output. Unknown parameters are ignored, as the protocol requires.
pub(super) struct Parameters<'a> {
    entries: Vec<(Cow<'a, str>, &'a RawValue)>,
    place: String,
}

impl<'a> Parameters<'a> {
    pub(super) fn read(parameters: Option<&'a RawValue>, place: &str) -> Result<Self, Refusal> {
        let entries = match parameters {
            Some(parameters) => object(parameters, "parameters", place)?.0,
            None => Vec::new(),
        };
        Ok(Self { entries, place: place.to_owned() })
    }

    /// Returns a boolean parameter; false if it is absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        Ok(self.optional_flag(name)?.unwrap_or(false))
    }

    pub(super) fn optional_flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        self.get(name, "true or false")
    }

    /// Returns a size in bytes.
    pub(super) fn size(&self, name: &str) -> Result<Option<usize>, Refusal> {
        self.get(name, "a number of bytes")
    }

    fn get<T: Deserialize<'a>>(&self, name: &str, what: &str) -> Result<Option<T>, Refusal> {
        let value = self.entries.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value);
        let Some(value) = value.filter(|value| value.get() != "null") else { return Ok(None) };
        serde_json::from_str(value.get()).map(Some).map_err(|_| {
            let message = format!("must be {what}, got {}", shortened(value.get()));
            Refusal::new(Reason::WrongType, message).at(format!("{}.{name}", self.place))
        })
    }
}

/// Returns the entries of a value that must be an object.
pub(super) fn object<'a>(value: &'a RawValue, what: &str, place: &str) -> Result<Entries<'a>, Refusal> {
    if !matches!(kind(value), Kind::Object) {
        return Err(wrong_type(&format!("{what} must be an object"), value, place));
    }
    serde_json::from_str(value.get()).map_err(|error| unreadable(&error, place))
}

/// Returns the items of a value that must be a list.
pub(super) fn items<'a>(value: &'a RawValue, place: &str) -> Result<Vec<&'a RawValue>, Refusal> {
    if !matches!(kind(value), Kind::Array) {
        return Err(wrong_type(&format!("{place:?} must be a list"), value, place));
    }
    serde_json::from_str(value.get()).map_err(|error| unreadable(&error, place))
}

/// Returns a value that must be a string or null.
pub(super) fn text<'a>(value: &'a RawValue, place: &str) -> Result<Option<Cow<'a, str>>, Refusal> {
    match kind(value) {
        Kind::Null => Ok(None),
        Kind::String => {
            let text: Text<'a> =
                serde_json::from_str(value.get()).map_err(|error| unreadable(&error, place))?;
            Ok(Some(text.0))
        }
        _ => Err(wrong_type("must be a string", value, place)),
    }
}

/// Returns the kind of a value from its first character.
pub(super) fn kind(value: &RawValue) -> Kind {
    match value.get().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Boolean,
        Some(b'n') => Kind::Null,
        _ => Kind::Number,
    }
}

/// Returns the refusal for an error of the parser about well-formed JSON, such as a string with half of a surrogate pair.
pub(super) fn unreadable(error: &serde_json::Error, place: &str) -> Refusal {
    let message = error.to_string();
    let reason = if message.starts_with("number out of range") {
        Reason::NumberOutOfRange
    } else {
        Reason::MalformedJson
    };
    Refusal::new(reason, format!("the value cannot be read as JSON: {message}")).at(place)
}

fn wrong_type(expected: &str, value: &RawValue, place: &str) -> Refusal {
    let refusal = Refusal::new(Reason::WrongType, format!("{expected}, got {}", kind(value)));
    if place.is_empty() { refusal } else { refusal.at(place) }
}

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((name, value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    entries.push((name.0, value));
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}
