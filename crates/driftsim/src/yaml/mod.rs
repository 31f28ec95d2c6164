//! Reads drift specs from YAML. Every value and mapping is checked while it is read, so that errors have a line number. With
//! `serde(untagged)`, `flatten` and `try_from` they would have none.

mod schema;

use crate::{ClassShares, DriftSpec, Operation, SpecError, yaml_bounds};
use schema::{preset_names, text};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use std::{fmt, marker::PhantomData};

/// The error allowed in the sum of shares, because decimal fractions are not exact in an `f64`.
const SUM_TOLERANCE: f64 = 1e-9;

impl DriftSpec {
    /// Reads a spec. `file` is only used in error messages.
    ///
    /// # Errors
    /// Returns [`SpecError::Yaml`], which names file, line and field.
    pub fn from_yaml(text: &str, file: &str) -> Result<Self, SpecError> {
        yaml_bounds::check(text).map_err(|(line, problem)| SpecError::Yaml {
            file: file.to_owned(),
            line,
            problem,
        })?;
        serde_yaml::from_str(text).map_err(|error| {
            if let Some((line, problem)) = yaml_bounds::tab_indented(text, &error) {
                return SpecError::Yaml { file: file.to_owned(), line, problem };
            }
            let line = error.location().map_or(1, |location| location.line());
            let problem = error.to_string();
            // The line stands before the message already.
            let end = error.location().and_then(|_| problem.rfind(" at line ")).unwrap_or(problem.len());
            SpecError::Yaml { file: file.to_owned(), line, problem: problem[..end].to_owned() }
        })
    }
}

impl<'de> Deserialize<'de> for DriftSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked::<RawSpec, _, _>(deserializer)
    }
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked::<RawOperation, _, _>(deserializer)
    }
}

impl<'de> Deserialize<'de> for ClassShares {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked::<RawClassShares, _, _>(deserializer)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSpec {
    /// A built-in drift
    #[serde(default)]
    #[schemars(schema_with = "preset_names")]
    preset: Option<String>,
    /// A description for people
    #[serde(default)]
    #[schemars(schema_with = "text")]
    description: Option<String>,
    /// Share of the rows that drift; all rows by default
    share: Option<Share>,
    /// What happens to the rows that drift, in this order
    #[schemars(length(min = 1))]
    operations: Option<Vec<Operation>>,
}

impl TryFrom<RawSpec> for DriftSpec {
    type Error = String;

    fn try_from(raw: RawSpec) -> Result<Self, String> {
        let mut spec = match (raw.preset, raw.operations) {
            (Some(name), None) => Self::preset(&name).map_err(|error| error.to_string())?,
            (None, Some(operations)) => Self { description: String::new(), share: 1.0, operations },
            (Some(_), Some(_)) => {
                return Err("`preset` and `operations` cannot be used together; keep one of them".into());
            }
            (None, None) => {
                return Err("expected `preset` or `operations`, got neither; add `preset` (a built-in name) or `operations` (a list)".into());
            }
        };
        if spec.operations.is_empty() {
            return Err("operations: the list is empty; add what happens to the rows that drift".into());
        }
        if spec.operations.iter().filter(|o| matches!(o, Operation::ClassShares(_))).count() > 1 {
            return Err(
                "operations: `class_shares` may occur only once; put the shares of all classes into one item"
                    .into(),
            );
        }
        spec.description = raw.description.unwrap_or(spec.description);
        spec.share = raw.share.map_or(spec.share, |share| share.0);
        Ok(spec)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawOperation {
    /// Adds a multiple of each column's standard deviation
    shift: Option<RawShift>,
    /// Multiplies by a factor, like a change of unit
    scale: Option<RawScale>,
    /// Adds Gaussian noise
    noise: Option<RawNoise>,
    /// Replaces the value by one that is uniform in the feature's extreme range
    extreme: Option<RawFeatures>,
    /// Replaces the value by that of another row: same marginal distribution, no correlation with other features
    shuffle: Option<RawFeatures>,
    /// Draws rows with other shares of the classes
    class_shares: Option<ClassShares>,
    /// Gives each row another true class, drawn with equal probabilities; its values stay
    relabel: Option<RawRelabel>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Relabel")]
struct RawRelabel {}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Shift")]
struct RawShift {
    /// A name, a pattern such as "petal*", or a list of them
    features: Patterns,
    /// How many standard deviations
    by_sd: NonZero,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Scale")]
struct RawScale {
    /// A name, a pattern such as "petal*", or a list of them
    features: Patterns,
    /// The factor, which is neither 0 nor 1
    factor: Factor,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Noise")]
struct RawNoise {
    /// A name, a pattern such as "petal*", or a list of them
    features: Patterns,
    /// How many standard deviations
    by_sd: Positive,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Features")]
struct RawFeatures {
    /// A name, a pattern such as "petal*", or a list of them
    features: Patterns,
}

impl TryFrom<RawOperation> for Operation {
    type Error = String;

    fn try_from(raw: RawOperation) -> Result<Self, String> {
        let given = [
            raw.shift.map(|r| Self::Shift { features: r.features.0, by_sd: r.by_sd.0 }),
            raw.scale.map(|r| Self::Scale { features: r.features.0, factor: r.factor.0 }),
            raw.noise.map(|r| Self::Noise { features: r.features.0, by_sd: r.by_sd.0 }),
            raw.extreme.map(|r| Self::Extreme { features: r.features.0 }),
            raw.shuffle.map(|r| Self::Shuffle { features: r.features.0 }),
            raw.class_shares.map(Self::ClassShares),
            raw.relabel.map(|RawRelabel {}| Self::Relabel),
        ];
        let mut given = given.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(operation), None) => Ok(operation),
            _ => Err("expected exactly one of `shift`, `scale`, `noise`, `extreme`, `shuffle`, `class_shares` and \
            `relabel`; write several operations as several list items"
                .into()),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawClassShares {
    /// Classes and their shares; the other classes share the rest
    named: Option<NamedShares>,
    /// The share of the model's last class
    last: Option<Share>,
}

impl TryFrom<RawClassShares> for ClassShares {
    type Error = String;

    fn try_from(raw: RawClassShares) -> Result<Self, String> {
        match (raw.named, raw.last) {
            (Some(NamedShares(shares)), None) => {
                let sum: f64 = shares.iter().map(|(_, share)| share).sum();
                if shares.is_empty() {
                    Err("named: expected at least one class, got none; write, for example, `{ named: { virginica: 0.9 } }`".into())
                } else if sum > 1.0 + SUM_TOLERANCE {
                    Err(format!("named: the shares must add up to at most 1, got {sum}"))
                } else {
                    Ok(Self::Named(shares))
                }
            }
            (None, Some(share)) => Ok(Self::Last(share.0)),
            _ => Err("expected exactly one of `named` (classes and their shares) and `last` (the last class's share)".into()),
        }
    }
}

/// Reads a mapping as `Raw` and checks it while the reader is still at its position, which errors then have.
fn checked<'de, Raw, T, D>(deserializer: D) -> Result<T, D::Error>
where
    Raw: Deserialize<'de>,
    T: TryFrom<Raw, Error = String>,
    D: Deserializer<'de>,
{
    struct Mapping<Raw, T>(PhantomData<(Raw, T)>);

    impl<'de, Raw: Deserialize<'de>, T: TryFrom<Raw, Error = String>> Visitor<'de> for Mapping<Raw, T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a mapping")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::try_from(Raw::deserialize(MapAccessDeserializer::new(map))?).map_err(A::Error::custom)
        }
    }

    deserializer.deserialize_map(Mapping(PhantomData))
}

/// Reads a number and checks that it satisfies a condition.
struct Number {
    holds: fn(f64) -> bool,
    condition: &'static str,
}

impl Visitor<'_> for Number {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number that is {}", self.condition)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
        if value.is_finite() && (self.holds)(value) {
            Ok(value)
        } else {
            Err(E::custom(format_args!("must be {}, got {value}", self.condition)))
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<f64, E> {
        self.visit_f64(value as f64)
    }
}

macro_rules! number {
    ($name:ident, $holds:expr, $condition:literal) => {
        pub(crate) struct $name(f64);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_f64(Number { holds: $holds, condition: $condition }).map(Self)
            }
        }
    };
}

number!(Share, |share| (0.0..=1.0).contains(&share), "in [0, 1]");
number!(NonZero, |number| number != 0.0, "finite and not 0");
number!(Positive, |number| number > 0.0, "finite and above 0");
number!(Factor, |factor| factor != 0.0 && factor != 1.0, "finite and neither 0 nor 1");

/// One pattern, or a list of them.
pub(crate) struct Patterns(Vec<String>);

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Patterns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a feature's name, a pattern such as \"petal*\", or a list of them")
            }

            fn visit_str<E: Error>(self, pattern: &str) -> Result<Patterns, E> {
                Ok(Patterns(vec![pattern.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Patterns, A::Error> {
                let mut patterns = Vec::new();
                while let Some(pattern) = list.next_element()? {
                    patterns.push(pattern);
                }
                if patterns.is_empty() {
                    return Err(A::Error::custom(
                        "the list is empty; name a feature, or write \"*\" for all",
                    ));
                }
                Ok(Patterns(patterns))
            }
        }

        deserializer.deserialize_any(OneOrMany)
    }
}

/// Class names and shares, in the order of the file.
pub(crate) struct NamedShares(Vec<(String, f64)>);

impl<'de> Deserialize<'de> for NamedShares {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shares;

        impl<'de> Visitor<'de> for Shares {
            type Value = NamedShares;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of class names to shares")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NamedShares, A::Error> {
                let mut shares: Vec<(String, f64)> = Vec::new();
                while let Some((class, share)) = map.next_entry::<String, Share>()? {
                    if shares.iter().any(|(known, _)| *known == class) {
                        return Err(A::Error::custom(format_args!(
                            "class {class:?} occurs twice; remove one of them"
                        )));
                    }
                    shares.push((class, share.0));
                }
                Ok(NamedShares(shares))
            }
        }

        deserializer.deserialize_map(Shares)
    }
}

#[cfg(test)]
mod tests;
