//! The JSON Schema of drift specs, for the schemas of files that contain one. Most of it is derived from the types in the parent
//! module; this module adds what derives cannot express.

use super::{Factor, NamedShares, NonZero, Patterns, Positive, RawClassShares, RawOperation, RawSpec, Share};
use crate::{ClassShares, DriftSpec, Operation, presets};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use std::borrow::Cow;

/// Gives `$type` the schema of `$raw`, with exactly one of `$fields`.
macro_rules! as_raw {
    ($type:ty, $name:literal, $raw:ty, $fields:expr) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let mut schema = <$raw>::json_schema(generator);
                let given = |field: &str| {
                    let given = json!({ field: { "not": { "type": "null" } } });
                    json!({ "required": [field], "properties": given })
                };
                schema.insert("oneOf".into(), $fields.into_iter().map(given).collect::<Value>());
                schema
            }
        }
    };
}

as_raw!(DriftSpec, "Drift", RawSpec, ["preset", "operations"]);
as_raw!(
    Operation,
    "Operation",
    RawOperation,
    ["shift", "scale", "noise", "extreme", "shuffle", "class_shares", "relabel"]
);
as_raw!(ClassShares, "ClassShares", RawClassShares, ["named", "last"]);

/// A type that is written as a single value.
macro_rules! value {
    ($type:ty, $schema:expr) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

value!(Share, json_schema!({ "type": "number", "minimum": 0, "maximum": 1 }));
value!(NonZero, json_schema!({ "type": "number", "not": { "const": 0 } }));
value!(Positive, json_schema!({ "type": "number", "exclusiveMinimum": 0 }));
value!(Factor, json_schema!({ "type": "number", "not": { "enum": [0, 1] } }));
value!(
    Patterns,
    json_schema!({
        "type": ["string", "array"],
        "items": { "type": ["string", "number", "boolean"] },
        "minItems": 1,
        "examples": ["petal*", ["sepal_length", "sepal_width"]],
    })
);
value!(
    NamedShares,
    json_schema!({
        "type": "object",
        "minProperties": 1,
        "additionalProperties": { "type": "number", "minimum": 0, "maximum": 1 },
    })
);

/// Returns the built-in presets.
pub(crate) fn preset_names(_: &mut SchemaGenerator) -> Schema {
    let names = presets().into_iter().map(|preset| Value::from(preset.name));
    json_schema!({ "enum": names.chain([Value::Null]).collect::<Vec<_>>() })
}

/// Returns the schema of any text, with or without quotes.
pub(crate) fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number", "boolean", "null"] })
}
