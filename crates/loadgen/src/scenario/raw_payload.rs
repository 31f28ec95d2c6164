//! Defines the fields of a payload in a scenario file: the source of the bodies, the protocol, and the expected answer.
//!
//! The comments on fields are the descriptions that editors show; see [`super::schema`].

use super::{
    schema::{headers, maybe_name, maybe_text, payload, sources},
    values::{HeaderText, OrderedMap, Span},
};
use crate::malformed::Malformed;
use driftsim::DriftSpec;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor, value::MapAccessDeserializer},
};
use std::fmt;

/// One kind of request
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with source")]
#[schemars(rename = "Payload", transform = payload)]
pub(super) struct RawPayload {
    /// Weight among the payloads; 0 for those that only the mix of a phase uses
    #[schemars(extend("default" = 1))]
    pub(super) weight: Option<u32>,
    /// The source of the bodies
    pub(super) source: RawSource,
    /// The protocol of the prediction requests
    #[schemars(extend("default" = "native"))]
    pub(super) protocol: Option<RawProtocol>,
    /// The name of the model in the path of oip-v2 and v1
    #[serde(default)]
    #[schemars(schema_with = "maybe_name")]
    pub(super) model: Option<String>,
    /// How rows are written as tensors of oip-v2
    pub(super) tensors: Option<RawTensors>,
    /// HTTP method
    #[schemars(extend("default" = "POST"))]
    pub(super) method: Option<RawMethod>,
    /// Path below the target's own address; may have a query [default: that of the protocol]
    #[schemars(extend("pattern" = "^/[^\\s#]*$"))]
    pub(super) path: Option<String>,
    /// The environment variable that holds the token for `Authorization: Bearer`
    #[schemars(extend("pattern" = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub(super) bearer_token_env: Option<String>,
    /// Headers of every request; they replace the usual ones of the same name
    #[serde(default)]
    #[schemars(schema_with = "headers")]
    pub(super) headers: OrderedMap<HeaderText>,
    /// The expected answer
    #[serde(default)]
    pub(super) expect: RawAnswer,
    /// Send the true classes or numbers of the rows to /feedback, or to the address of --feedback
    pub(super) feedback: Option<RawFeedback>,
}

/// A protocol of prediction requests
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Protocol")]
pub enum RawProtocol {
    /// {"features": […]} to /predict
    Native,
    /// The Open Inference Protocol v2 of MLServer, Triton and KServe: tensors to /v2/models/NAME/infer
    OipV2,
    /// TensorFlow Serving and KServe V1: {"instances": [[…]]} to /v1/models/NAME:predict
    V1,
    /// MLflow: {"dataframe_split": {…}} to /invocations
    Mlflow,
}

/// How rows are written as tensors
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping, such as { matrix: input-0, datatype: FP32 }")]
#[schemars(rename = "Tensors")]
pub(super) struct RawTensors {
    /// Send all features as one tensor of this name [default: one tensor per feature, with its name]
    #[serde(default)]
    #[schemars(schema_with = "maybe_name")]
    pub(super) matrix: Option<String>,
    /// The datatype of numbers
    #[schemars(extend("default" = "FP64"))]
    pub(super) datatype: Option<RawDatatype>,
    /// The outputs to request, such as predict_proba [default: those that the server returns by itself]
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub(super) outputs: Vec<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(rename = "Datatype")]
pub(super) enum RawDatatype {
    Fp32,
    Fp64,
}

/// How many predictions get feedback, and when
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping, such as { after: 5s, share: 0.5 }")]
#[schemars(rename = "Feedback")]
pub(super) struct RawFeedback {
    /// Time from the prediction to the feedback [default: at once]
    pub(super) after: Option<Span>,
    /// The share of predictions that get feedback
    #[schemars(range(min = 0, max = 1), extend("default" = 1))]
    pub(super) share: Option<f64>,
}

/// Exactly one of these; only drift and table may be given together
// This is not an enum, because errors in serde's enums do not have a line.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with one source, such as { model: {} }")]
#[schemars(rename = "Source", transform = sources)]
pub(super) struct RawSource {
    /// Generated rows like the model's reference
    pub(super) model: Option<Empty>,
    /// Rows of a table, drawn at random
    pub(super) table: Option<RawTable>,
    /// Rows that drift
    pub(super) drift: Option<DriftSpec>,
    /// Malformed requests
    pub(super) malformed: Option<RawMalformed>,
    /// The same body in each request, or none
    pub(super) fixed: Option<RawFixed>,
}

/// A CSV file, plain or compressed with gzip; given as its path, or as a mapping
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(
    deny_unknown_fields,
    remote = "Self",
    expecting = "the path of a CSV file, or a mapping of file, target, missing and separator"
)]
pub(super) struct RawTable {
    pub(super) file: String,
    #[serde(default)]
    pub(super) target: Option<String>,
    #[serde(default)]
    pub(super) missing: Option<Vec<String>>,
    #[serde(default)]
    pub(super) separator: Option<String>,
}

impl<'de> Deserialize<'de> for RawTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PathOrMap)
    }
}

struct PathOrMap;

impl<'de> Visitor<'de> for PathOrMap {
    type Value = RawTable;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the path of a CSV file, or a mapping of file, target, missing and separator")
    }

    fn visit_str<E: de::Error>(self, path: &str) -> Result<RawTable, E> {
        Ok(RawTable { file: path.to_owned(), ..RawTable::default() })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RawTable, A::Error> {
        RawTable::deserialize(MapAccessDeserializer::new(map))
    }
}

/// A body that is written in the scenario
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping, such as { body: text }")]
#[schemars(rename = "Fixed", extend("dependentRequired" = { "content_type": ["body"] }))]
pub(super) struct RawFixed {
    /// The body [default: no body]
    #[serde(default)]
    #[schemars(schema_with = "maybe_text")]
    pub(super) body: Option<String>,
    /// The media type of the body
    #[schemars(extend("default" = "application/json"))]
    pub(super) content_type: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(rename = "Method")]
pub(super) enum RawMethod {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl RawMethod {
    pub(super) fn is_post(self) -> bool {
        matches!(self, Self::Post)
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "{}")]
pub(super) struct Empty {}

/// Mistakes that clients make
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping, such as {} or { kinds: [nan] }")]
#[schemars(rename = "Mistakes")]
pub(super) struct RawMalformed {
    /// The kinds of mistakes [default: all]
    #[serde(default)]
    pub(super) kinds: Vec<Malformed>,
}

/// The expected answer
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping, such as { status: [200] }")]
#[schemars(rename = "Answer")]
pub(super) struct RawAnswer {
    /// The expected statuses; an answer with another one counts as unexpected
    #[schemars(length(min = 1), inner(range(min = 100, max = 599)), extend("default" = [200]))]
    pub(super) status: Option<Vec<u16>>,
}
