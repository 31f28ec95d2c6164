//! Finds the line of the value at a path such as `phases[1].mix.garbage` in a YAML text, and of a key that occurs twice.

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{cell::RefCell, fmt};

/// Returns the line of the value at `path`, or of the longest beginning of the path that exists.
///
/// serde_yaml does not store positions, but its errors have one. So the text is read again by a visitor that follows the path
/// and fails at its end.
pub(super) fn line_of(text: &str, path: &str) -> Option<usize> {
    let steps: Vec<Step> = path.split(['.', '[']).filter(|part| !part.is_empty()).map(Step::of).collect();
    (0..=steps.len()).rev().find_map(|length| {
        let reader = serde_yaml::Deserializer::from_str(text);
        let error = Follow(&steps[..length]).deserialize(reader).err()?;
        // The position of an error in the YAML itself is not that of the path.
        error.to_string().contains(FOUND).then(|| error.location().map(|found| found.line()))?
    })
}

/// The error message of the visitor at the end of the path.
const FOUND: &str = "the path ends here";

enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

impl<'a> Step<'a> {
    fn of(part: &'a str) -> Self {
        part.strip_suffix(']').and_then(|digits| digits.parse().ok()).map_or(Self::Key(part), Self::Item)
    }
}

struct Follow<'a>(&'a [Step<'a>]);

impl<'de> DeserializeSeed<'de> for Follow<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Follow<'_> {
    fn arrived<E: de::Error>(&self) -> Result<(), E> {
        if self.0.is_empty() { Err(E::custom(FOUND)) } else { Ok(()) }
    }
}

impl<'de> Visitor<'de> for Follow<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.arrived()?;
        while let Some(key) = map.next_key::<String>()? {
            match self.0 {
                [Step::Key(wanted), rest @ ..] if *wanted == key => map.next_value_seed(Follow(rest))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.arrived()?;
        let mut at = 0;
        loop {
            let more = match self.0 {
                [Step::Item(wanted), rest @ ..] if *wanted == at => seq.next_element_seed(Follow(rest))?,
                _ => seq.next_element::<IgnoredAny>()?.map(drop),
            };
            if more.is_none() {
                return Ok(());
            }
            at += 1;
        }
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.arrived()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.arrived()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.arrived()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.arrived()
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.arrived()
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.arrived()
    }
}

/// Returns the path and the line of the first key that occurs a second time in its mapping.
pub(super) fn repeated_key(text: &str) -> Option<(String, usize)> {
    let repeated = RefCell::new(None);
    let reader = serde_yaml::Deserializer::from_str(text);
    let error = Unique { path: String::new(), repeated: &repeated }.deserialize(reader).err()?;
    // The position of another error is not that of the key.
    Some((repeated.into_inner()?, error.location()?.line()))
}

/// A value that fails at a repeated key, and stores its path.
struct Unique<'a> {
    path: String,
    repeated: &'a RefCell<Option<String>>,
}

/// A key, which fails if it is one of those before.
struct UniqueKey<'a> {
    before: &'a [String],
    of: &'a Unique<'a>,
}

impl Unique<'_> {
    fn child(&self, path: String) -> Self {
        Self { path, repeated: self.repeated }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut before = Vec::new();
        while let Some(key) = map.next_key_seed(UniqueKey { before: &before, of: &self })? {
            map.next_value_seed(self.child(self.path_of(&key)))?;
            before.push(key);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut at = 0;
        while seq.next_element_seed(self.child(format!("{}[{at}]", self.path)))?.is_some() {
            at += 1;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for UniqueKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for UniqueKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<String, E> {
        if self.before.iter().any(|before| before == key) {
            self.of.repeated.replace(Some(self.of.path_of(key)));
            return Err(E::custom("the key occurs twice"));
        }
        Ok(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name: x\nphases:\n  - { name: a, rate: 5 }\n  - name: b\n    mix:\n      good: 1\n      bad: 2\n    arrival: ~\n";

    #[test]
    fn the_line_of_a_key_or_item_is_found() {
        assert_eq!(line_of(TEXT, "name"), Some(1));
        assert_eq!(line_of(TEXT, "phases[0].rate"), Some(3));
        assert_eq!(line_of(TEXT, "phases[1].name"), Some(4));
        assert_eq!(line_of(TEXT, "phases[1].mix.bad"), Some(7));
        assert_eq!(line_of(TEXT, "phases[1].arrival"), Some(8));
    }

    #[test]
    fn a_missing_field_has_the_line_of_its_parent() {
        assert_eq!(line_of(TEXT, "phases[1].duration"), Some(4));
        assert_eq!(line_of(TEXT, "phases[1].mix.ugly"), Some(6));
        assert_eq!(line_of(TEXT, "thresholds.dropped"), Some(1));
    }

    #[test]
    fn the_second_one_of_two_equal_keys_is_found() {
        let found = |text: &str| repeated_key(text);
        assert_eq!(found(TEXT), None);
        assert_eq!(found("name: x\nname: y\n"), Some(("name".into(), 2)));
        let nested = format!("{TEXT}    # a comment\n    mix: {{ good: 1 }}\n");
        assert_eq!(found(&nested), Some(("phases[1].mix".into(), 10)));
        assert_eq!(found("a: [ { b: 1 }, { b: 2,\n 'b': 3 } ]\n"), Some(("a[1].b".into(), 2)));
        assert_eq!(found("a: [\nb: 1\nb: 1"), None, "an error of the YAML itself comes first");
    }
}
