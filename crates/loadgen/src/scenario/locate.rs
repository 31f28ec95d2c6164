//! Finds the line of the value at a path such as `phases[1].mix.garbage` in a YAML text.

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::line_of;

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
}
