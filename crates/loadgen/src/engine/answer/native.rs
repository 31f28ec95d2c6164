//! Reads an answer of the native protocol: an object with a prediction or with a list of predictions, or a list alone.

use super::{
    Found,
    prediction::{List, Prediction},
};
use serde::{
    Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// The fields by one of which an answer of the native protocol has a prediction, if it has no `predictions`. Services that were
/// written for one model use different names. `prediction` is the first.
const FIELDS: [&str; 26] = [
    "prediction",
    "predict",
    "predicted",
    "predicted_class",
    "predicted_label",
    "predicted_value",
    "class",
    "class_name",
    "classes",
    "label",
    "labels",
    "result",
    "results",
    "output",
    "outputs",
    "response",
    "data",
    "value",
    "y_pred",
    "score",
    "scores",
    "confidence",
    "probability",
    "probabilities",
    "proba",
    "probs",
];

/// Reads an answer of the native protocol, which may also have its prediction in the field `own`.
#[derive(Clone, Copy)]
pub(super) struct Native<'a> {
    pub(super) own: Option<&'a str>,
}

impl Native<'_> {
    pub(super) fn read(self, body: &[u8]) -> serde_json::Result<Found> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let found = json.deserialize_any(self)?;
        json.end()?;
        Ok(found)
    }
}

impl<'de> Visitor<'de> for Native<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a prediction or a list of predictions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Found, A::Error> {
        List::count(list).map(|list| Found::List(list.0))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let (mut seen, mut one, mut list) = (0_u32, false, None);
        while let Some(key) = map.next_key_seed(self)? {
            match key {
                Key::List if list.is_some() => return Err(de::Error::duplicate_field("predictions")),
                Key::List => list = Some(map.next_value::<List>()?.0),
                Key::One(at) if seen & (1 << at) != 0 => return Err(de::Error::custom("duplicate field")),
                Key::One(at) => {
                    seen |= 1 << at;
                    one |= map.next_value::<Prediction>()?.0;
                }
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        match (one, list) {
            // An answer has either the parts of one prediction or a list.
            (_, Some(_)) if seen & 1 != 0 => Err(de::Error::custom("both prediction and predictions")),
            (_, Some(list)) => Ok(Found::List(list)),
            (true, None) => Ok(Found::One),
            (false, None) => Err(de::Error::missing_field("prediction")),
        }
    }
}

pub(super) enum Key {
    List,
    /// The position in [`FIELDS`], or the one after the last for the answer's own field.
    One(usize),
    Other,
}

impl<'de> DeserializeSeed<'de> for Native<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_identifier(KeyVisitor(self))
    }
}

struct KeyVisitor<'a>(Native<'a>);

impl Visitor<'_> for KeyVisitor<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a field")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Key, E> {
        Ok(match FIELDS.iter().position(|field| *field == key) {
            Some(at) => Key::One(at),
            None if key == "predictions" => Key::List,
            None if self.0.own == Some(key) => Key::One(FIELDS.len()),
            None => Key::Other,
        })
    }
}
