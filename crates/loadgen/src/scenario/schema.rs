//! Generates the JSON Schema of scenario files, which editors use for completion and to mark errors.
//!
//! Most of it is derived from the raw types. This module adds how single values are written and which fields exclude or require
//! each other. The schema does not replace the parser: it does not check names that must exist elsewhere in the file.

use super::{
    raw_expect::RawQuiet,
    raw_payload::RawTable,
    threshold::Metric,
    values::{HeaderText, Name, OrderedMap, Quantity, RampRate, Rate, Span},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The pattern of a time, as [`super::values::parse_span`] reads it. Only the parser checks that it is at most a year.
const SPAN: &str = driftsim::duration::PATTERN;

/// The pattern of a number, as Rust reads it.
const NUMBER: &str = r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?";

const COMPARISON: &str = "(<=|>=|==|<|>)";

/// Returns the schema of a scenario.
pub fn schema() -> Value {
    schemars::schema_for!(super::raw::RawScenario).to_value()
}

/// Gives a value type its own schema, with a name that editors can show in messages.
macro_rules! described {
    ($type:ty, $name:literal, $schema:expr) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

described!(
    Rate,
    "Rate",
    json_schema!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1e6, "examples": [50] })
);
described!(
    RampRate,
    "RampRate",
    json_schema!({ "type": "number", "minimum": 0, "maximum": 1e6, "examples": [200] })
);
described!(
    Span,
    "Span",
    json_schema!({ "type": "string", "pattern": whole(SPAN), "examples": ["30s", "1m30s", "250ms"] })
);
described!(HeaderText, "HeaderText", json_schema!({ "type": ["string", "number", "boolean", "null"] }));
described!(
    Quantity,
    "Quantity",
    json_schema!({ "anyOf": [{ "type": "number", "minimum": 0 }, { "type": "string", "pattern": whole(SPAN) }] })
);
// Texts in YAML need no quotes, so a number is also read as a text where a text is expected.
described!(
    Name,
    "Name",
    json_schema!({ "type": ["string", "number", "boolean"], "pattern": whole("[A-Za-z0-9_.-]+") })
);

impl JsonSchema for RawQuiet {
    fn schema_name() -> Cow<'static, str> {
        "Quiet".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = Name::json_schema(generator);
        let phase = Option::<Name>::json_schema(generator);
        let labels = labels(generator);
        let job = maybe_name(generator);
        // A number or a string is also allowed instead of a mapping.
        json_schema!({ "anyOf": [
            { "type": "string", "pattern": whole("[A-Za-z0-9_.-]+") },
            {
                "type": "object",
                "properties": {
                    "alert": with(&name, "The name of the alert"),
                    "labels": with(&labels, "Labels that an instance must have to count; it may have others"),
                    "job": with(&job, "The job whose alert counts, instead of the job of all expectations"),
                    "phase": with(&phase, "The name of the phase [default: the whole run]"),
                },
                "required": ["alert"],
                "additionalProperties": false,
            },
        ] })
    }
}

impl JsonSchema for RawTable {
    fn schema_name() -> Cow<'static, str> {
        "Table".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "minLength": 1 },
            {
                "type": "object",
                "properties": {
                    "file": { "type": "string", "minLength": 1, "description": "The path, relative to the folder of the scenario" },
                    "target": {
                        "type": ["string", "null"],
                        "description": "The column with the true class or number, if its name differs from that in the training table",
                    },
                    "missing": {
                        "type": ["array", "null"],
                        "items": { "type": "string" },
                        "description": "Texts that stand for a missing value, if they differ from those of the training table",
                    },
                    "separator": {
                        "type": ["string", "null"],
                        "description": "Field separator; \\t stands for a tab",
                        "default": ",",
                    },
                },
                "required": ["file"],
                "additionalProperties": false,
            },
        ] })
    }
}

fn with(schema: &Schema, description: &str) -> Schema {
    let mut schema = schema.clone();
    schema.insert("description".into(), description.into());
    schema
}

impl<V: JsonSchema> JsonSchema for OrderedMap<V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Map_of_{}", V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": whole("[A-Za-z0-9_.-]+") },
            "additionalProperties": generator.subschema_for::<V>(),
        })
    }
}

fn whole(pattern: &str) -> String {
    format!("^{pattern}$")
}

/// Returns the schema of any text; see [`Name`].
pub(super) fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number", "boolean"] })
}

/// Returns the schema of a text that may be left out.
pub(super) fn maybe_text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number", "boolean", "null"] })
}

/// Returns the schema of a name, such as that of a job or of a model, that may be left out.
pub(super) fn maybe_name(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = maybe_text(generator);
    schema.insert("minLength".into(), 1.into());
    schema
}

/// Returns the schema of thresholds by metric.
pub(super) fn thresholds(_: &mut SchemaGenerator) -> Schema {
    let of_metric = |metric: Metric| {
        let (pattern, example) = if metric.is_time() {
            (format!(r"^\s*(p\(\s*{NUMBER}\s*\)|avg|max)\s*{COMPARISON}{SPAN}$"), "p(99)<50ms")
        } else {
            (format!(r"^\s*(count|rate)\s*{COMPARISON}\s*{NUMBER}\s*$"), "rate<0.01")
        };
        json!({
            "type": "array",
            "description": metric.about(),
            "items": { "type": "string", "pattern": pattern, "examples": [example] },
        })
    };
    let properties: Map<String, Value> =
        Metric::all().map(|metric| (metric.name().to_owned(), of_metric(metric))).collect();
    json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// Requires exactly one of these fields; a field that is null does not count.
pub(super) fn one_of(schema: &mut Schema, fields: &[&str]) {
    let given = |field: &&str| json!({ "required": [*field], "properties": { *field: { "not": { "type": "null" } } } });
    schema.insert("oneOf".into(), fields.iter().map(given).collect());
}

/// Requires exactly one source; only table and drift may be given together.
pub(super) fn sources(schema: &mut Schema) {
    let given =
        |field: &str| json!({ "required": [field], "properties": { field: { "not": { "type": "null" } } } });
    let mut sources: Vec<Value> = ["model", "malformed", "fixed"].map(given).into();
    sources.push(json!({ "anyOf": [given("table"), given("drift")] }));
    schema.insert("oneOf".into(), sources.into());
}

/// Requires the fields of each executor, and excludes those of the others.
pub(super) fn executors(schema: &mut Schema) {
    let rule = |executor: super::raw::RawExecutor| {
        let takes = super::check::fields_of(executor);
        let needed: Vec<&str> = takes.iter().filter(|(_, needed)| *needed).map(|(field, _)| *field).collect();
        let given = needed.iter().map(|field| ((*field).to_owned(), json!({ "not": { "type": "null" } })));
        let others = super::check::EXECUTOR_FIELDS
            .iter()
            .filter(|field| !takes.iter().any(|(taken, _)| taken == *field))
            .map(|field| ((*field).to_owned(), json!({ "type": "null" })));
        json!({
            "if": { "properties": { "executor": { "const": executor } }, "required": ["executor"] },
            "then": { "required": needed, "properties": given.chain(others).collect::<Map<_, _>>() },
        })
    };
    use super::raw::RawExecutor::{ConstantArrivalRate, ConstantVus, RampingArrivalRate};
    let rules = [ConstantArrivalRate, RampingArrivalRate, ConstantVus].map(rule);
    schema.insert("allOf".into(), rules.into_iter().collect());
}

/// Returns the schema of label values by name.
pub(super) fn labels(generator: &mut SchemaGenerator) -> Schema {
    let text = text(generator);
    json_schema!({ "type": "object", "additionalProperties": text })
}

/// Returns the schema of a comparison with a number that may be left out.
pub(super) fn maybe_condition(_: &mut SchemaGenerator) -> Schema {
    let pattern = format!(r"^\s*{COMPARISON}\s*-?{NUMBER}\s*$");
    json_schema!({ "type": ["string", "null"], "pattern": pattern, "examples": ["> 0.2"] })
}

/// Requires of a query either `becomes` with `within`, or `stays`.
pub(super) fn queries(schema: &mut Schema) {
    one_of(schema, &["becomes", "stays"]);
    schema.insert("dependentRequired".into(), json!({ "becomes": ["within"], "within": ["becomes"] }));
}

/// Restricts the limits of each vital sign, and allows a class for `class_share` only.
pub(super) fn vitals(schema: &mut Schema) {
    one_of(schema, &["rises_by", "exceeds", "stays_below", "shifts_by"]);
    let limits = |limit: Value, class: Value| {
        // No value is below 0, and every value differs by 0 or more, so these limits must be above 0.
        let mut above = limit.clone();
        above["exclusiveMinimum"] = json!(0);
        let limits = [("exceeds", &limit), ("stays_below", &above), ("shifts_by", &above)]
            .map(|(field, limit)| (field.to_owned(), limit.clone()));
        json!({ "properties": limits.into_iter().chain([("class".to_owned(), class)]).collect::<Map<_, _>>() })
    };
    let rule = |vitals: Value, then: Value| json!({ "if": { "properties": { "vital": { "enum": vitals } }, "required": ["vital"] }, "then": then });
    let none = || json!({ "type": "null" });
    let ratios = json!({ "type": ["number", "null"], "maximum": 1 });
    schema.insert(
        "allOf".into(),
        json!([
            rule(json!(["latency_p95"]), limits(json!({ "type": ["string", "null"] }), none())),
            rule(json!(["throughput"]), limits(json!({ "type": ["number", "null"] }), none())),
            rule(json!(["client_error_ratio", "server_error_ratio"]), limits(ratios.clone(), none())),
            rule(json!(["class_share"]), limits(ratios, json!(true))),
        ]),
    );
}

/// Requires a fixed source for a payload whose method has no body, and the fields of its protocol.
pub(super) fn payload(schema: &mut Schema) {
    let none = json!({ "type": "null" });
    let given = |field: &str, values: Value| json!({ "properties": { field: { "enum": values } }, "required": [field] });
    let either = |fields: [&str; 2]| {
        fields.map(
            |field| json!({ "required": [field], "properties": { field: { "not": { "type": "null" } } } }),
        )
    };
    schema.insert(
        "allOf".into(),
        json!([
            {
                "if": given("method", json!(["GET", "HEAD"])),
                "then": { "properties": { "source": { "required": ["fixed"] } } },
            },
            {
                "if": given("protocol", json!(["oip-v2", "v1"])),
                "then": { "oneOf": either(["model", "path"]) },
                "else": { "properties": { "model": none } },
            },
            {
                "if": { "allOf": [given("protocol", json!(["oip-v2"])), { "properties": { "source": { "properties": { "fixed": none } } } }] },
                "else": { "properties": { "tensors": none } },
            },
        ]),
    );
}

/// Returns the schema of a factor above 1.
pub(super) fn times(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["number", "null"], "exclusiveMinimum": 1, "examples": [3] })
}

/// Returns the schema of header names, without those that follow from the body.
pub(super) fn headers(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = OrderedMap::<HeaderText>::json_schema(generator);
    let refused = json!({ "enum": ["content-length", "transfer-encoding", "upgrade"] });
    schema.insert("propertyNames".into(), json!({ "pattern": whole("[A-Za-z0-9_.-]+"), "not": refused }));
    schema
}
