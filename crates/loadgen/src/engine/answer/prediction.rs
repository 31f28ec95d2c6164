//! Finds out whether a JSON value is a prediction, and counts the predictions in a list.

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// Whether a value is a prediction: a number, a text, a boolean, an object, or a list with anything in it. `null` and empty texts,
/// lists and objects are not.
pub(super) struct Prediction(pub(super) bool);

impl<'de> Deserialize<'de> for Prediction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PredictionVisitor)
    }
}

struct PredictionVisitor;

impl<'de> Visitor<'de> for PredictionVisitor {
    type Value = Prediction;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a prediction")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Prediction, E> {
        Ok(Prediction(true))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Prediction, E> {
        Ok(Prediction(true))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Prediction, E> {
        Ok(Prediction(true))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Prediction, E> {
        Ok(Prediction(true))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Prediction, E> {
        Ok(Prediction(!text.is_empty()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Prediction, E> {
        Ok(Prediction(false))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Prediction, A::Error> {
        let mut found = false;
        while let Some(Prediction(one)) = list.next_element()? {
            found |= one;
        }
        Ok(Prediction(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Prediction, A::Error> {
        let mut found = false;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            found = true;
        }
        Ok(Prediction(found))
    }
}

/// The length of a list in which each item is a prediction.
pub(super) struct List(pub(super) usize);

impl List {
    pub(super) fn count<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut count = 0;
        while let Some(Prediction(one)) = list.next_element()? {
            if !one {
                return Err(de::Error::custom("not a prediction"));
            }
            count += 1;
        }
        Ok(Self(count))
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of predictions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<List, A::Error> {
        List::count(list)
    }
}
