//! Defines the fields of a scenario file; [`super::check`] checks their values.
//!
//! The comments on fields are the descriptions that editors show; see [`super::schema`].

use super::{
    schema::{
        executors, headers, labels, maybe_condition, maybe_name, maybe_text, one_of, payload, queries,
        sources, text, thresholds, times, vitals,
    },
    values::{HeaderText, Name, OrderedMap, Quantity, RampRate, Rate, Span},
};
use crate::malformed::Malformed;
use driftsim::DriftSpec;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, IntoDeserializer, Visitor, value::MapAccessDeserializer},
};
use std::fmt;

/// A traffic scenario for loadgen
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with name, payloads and phases")]
#[schemars(title = "Scenario")]
pub(super) struct RawScenario {
    /// Letters, digits, _ - .
    pub(super) name: Name,
    /// What the scenario shows
    #[serde(default)]
    #[schemars(schema_with = "text")]
    pub(super) description: String,
    /// Seed of all random numbers; the same scenario, model and seed send the same requests
    #[schemars(extend("default" = super::DEFAULT_SEED))]
    pub(super) seed: Option<u64>,
    /// The time after which a request is given up, counted from its send
    #[schemars(extend("default" = "5s"))]
    pub(super) timeout: Option<Span>,
    /// The most requests in flight; a request that is due beyond it is dropped and counted, never delayed
    #[schemars(range(min = 1, max = super::check::MAX_IN_FLIGHT), extend("default" = super::DEFAULT_MAX_IN_FLIGHT))]
    pub(super) max_in_flight: Option<u32>,
    /// The kinds of requests, by name
    #[schemars(extend("minProperties" = 1))]
    pub(super) payloads: OrderedMap<RawPayload>,
    /// The phases, which run one after the other
    #[schemars(length(min = 1))]
    pub(super) phases: Vec<RawPhase>,
    /// Limits on the client's measurements over the whole run
    #[serde(default)]
    #[schemars(schema_with = "thresholds")]
    pub(super) thresholds: OrderedMap<Vec<String>>,
    /// What monitoring must detect
    #[serde(default)]
    pub(super) expect: RawExpect,
}

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Executor")]
pub(super) enum RawExecutor {
    /// Open loop: requests are due at a constant rate, whether or not the target answers; needs rate and duration
    ConstantArrivalRate,
    /// Open loop with a changing rate; needs start_rate and stages
    RampingArrivalRate,
    /// Closed loop: each user waits for an answer before the next request; needs vus and duration
    ConstantVus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Arrival")]
pub(super) enum RawArrival {
    /// Evenly spaced
    Constant,
    /// A Poisson process, as of independent clients
    Poisson,
}

/// One phase of a scenario
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with name and executor")]
#[schemars(rename = "Phase", transform = executors)]
pub(super) struct RawPhase {
    /// Letters, digits, _ - .
    pub(super) name: Name,
    /// How requests are released
    pub(super) executor: RawExecutor,
    /// Requests per second
    pub(super) rate: Option<Rate>,
    /// Length of the phase
    pub(super) duration: Option<Span>,
    /// Requests per second at the start of the first stage
    pub(super) start_rate: Option<RampRate>,
    /// The course of the rate: each stage changes it linearly to its target
    #[schemars(length(min = 1))]
    pub(super) stages: Option<Vec<RawStage>>,
    /// Number of users
    #[schemars(range(min = 1, max = super::check::MAX_USERS))]
    pub(super) vus: Option<u32>,
    /// The distribution of arrivals over time
    #[schemars(extend("default" = "constant"))]
    pub(super) arrival: Option<RawArrival>,
    /// Weights of payloads in this phase, instead of their own
    #[schemars(extend("minProperties" = 1))]
    pub(super) mix: Option<OrderedMap<u32>>,
    /// Limits on the client's measurements over this phase
    #[serde(default)]
    #[schemars(schema_with = "thresholds")]
    pub(super) thresholds: OrderedMap<Vec<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with target and duration")]
#[schemars(rename = "Stage")]
pub(super) struct RawStage {
    /// Requests per second at the end of the stage
    pub(super) target: RampRate,
    /// Length of the stage
    pub(super) duration: Span,
}

/// What monitoring must detect
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of signals, vitals, alerts, quiet, promql and job")]
#[schemars(rename = "Expect")]
pub(super) struct RawExpect {
    /// The job whose alerts count; "*" stands for any job [default: the target's own]
    #[serde(default)]
    #[schemars(schema_with = "maybe_name")]
    pub(super) job: Option<String>,
    /// Drift, by the service's own metrics
    #[serde(default)]
    pub(super) signals: Vec<RawSignal>,
    /// Vital signs, by the service's own metrics
    #[serde(default)]
    pub(super) vitals: Vec<RawVital>,
    /// Alerts that must fire; needs --prometheus
    #[serde(default)]
    pub(super) alerts: Vec<RawAlert>,
    /// Alerts that must not fire, in the run or in one phase of it; needs --prometheus
    #[serde(default)]
    pub(super) quiet: Vec<RawQuiet>,
    /// Queries to Prometheus; needs --prometheus
    #[serde(default)]
    pub(super) promql: Vec<RawQuery>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with signal and phase")]
#[schemars(rename = "Signal", transform = |schema: &mut _| one_of(schema, &["drifts_within", "stays"]))]
pub(super) struct RawSignal {
    /// A feature, a role such as most_important_feature, prediction, confidence or distance; "*" stands for any signal with
    /// drifts_within, and for every signal with stays
    #[schemars(schema_with = "text")]
    pub(super) signal: String,
    /// The name of the phase
    pub(super) phase: Name,
    /// The signal must be drifting within this time from the phase's start
    pub(super) drifts_within: Option<Span>,
    /// The signal must never be drifting in the phase, and must be steady at its end
    pub(super) stays: Option<RawStays>,
    /// The expectation does not apply to a model that predicts one class for this share of its reference or more
    pub(super) if_class_share_below: Option<ClassShare>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Stays")]
pub(super) enum RawStays {
    Steady,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with vital and phase")]
#[schemars(rename = "VitalSign", transform = vitals)]
pub(super) struct RawVital {
    /// The vital sign
    pub(super) vital: super::Vital,
    /// The name of the phase
    pub(super) phase: Name,
    /// The class, for class_share [default: the one whose share changes most]
    #[serde(default)]
    #[schemars(schema_with = "maybe_text")]
    pub(super) class: Option<String>,
    /// The phase to compare with [default: the first one]
    pub(super) against: Option<Name>,
    /// The value must be at least this many times that of the other phase
    #[serde(default)]
    #[schemars(schema_with = "times")]
    pub(super) rises_by: Option<Quantity>,
    /// The value must be above this limit
    pub(super) exceeds: Option<Quantity>,
    /// The value must be below this limit
    pub(super) stays_below: Option<Quantity>,
    /// The value must differ from that of the other phase by at least this much, up or down
    pub(super) shifts_by: Option<Quantity>,
    /// The expectation does not apply to a model that predicts one class for this share of its reference or more
    pub(super) if_class_share_below: Option<ClassShare>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with alert, phase and fires_within")]
#[schemars(rename = "Alert")]
pub(super) struct RawAlert {
    /// The name of the alert
    pub(super) alert: Name,
    /// Labels that the firing instance must have; it may have others
    #[serde(default)]
    #[schemars(schema_with = "labels")]
    pub(super) labels: OrderedMap<String>,
    /// The job whose alert counts, instead of the job of all expectations
    #[serde(default)]
    #[schemars(schema_with = "maybe_name")]
    pub(super) job: Option<String>,
    /// The name of the phase
    pub(super) phase: Name,
    /// The alert must fire within this time from the phase's start
    pub(super) fires_within: Span,
    /// The alert must resolve within this time from the phase's end
    pub(super) resolves_within: Option<Span>,
    /// The expectation does not apply to a model that predicts one class for this share of its reference or more
    pub(super) if_class_share_below: Option<ClassShare>,
}

/// An alert that must stay quiet, given as a mapping or as its name.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    remote = "Self",
    expecting = "an alert's name, or a mapping of alert, labels, job and phase"
)]
pub(super) struct RawQuiet {
    pub(super) alert: Name,
    #[serde(default)]
    pub(super) labels: OrderedMap<String>,
    #[serde(default)]
    pub(super) job: Option<String>,
    pub(super) phase: Option<Name>,
}

impl<'de> Deserialize<'de> for RawQuiet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrMap)
    }
}

/// This is not an untagged enum, because errors in serde's enums do not have a line.
struct NameOrMap;

impl<'de> Visitor<'de> for NameOrMap {
    type Value = RawQuiet;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an alert's name, or a mapping of alert, labels, job and phase")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<RawQuiet, E> {
        let alert = Name::deserialize(name.into_deserializer())?;
        Ok(RawQuiet { alert, labels: OrderedMap::default(), job: None, phase: None })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RawQuiet, A::Error> {
        RawQuiet::deserialize(MapAccessDeserializer::new(map))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with expr and phase")]
#[schemars(rename = "Query", transform = queries)]
pub(super) struct RawQuery {
    /// A PromQL query that returns a scalar or an instant vector
    #[schemars(schema_with = "text")]
    pub(super) expr: String,
    /// The name of the phase
    pub(super) phase: Name,
    /// A series must meet this condition, such as "> 5", and must not meet it when the phase begins
    #[serde(default)]
    #[schemars(schema_with = "maybe_condition")]
    pub(super) becomes: Option<String>,
    /// The time limit for becomes, from the phase's start
    pub(super) within: Option<Span>,
    /// Every series must meet this condition, such as "< 0.2", at every evaluation in the phase
    #[serde(default)]
    #[schemars(schema_with = "maybe_condition")]
    pub(super) stays: Option<String>,
}

/// A share of the reference, above 0 and at most 1.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema)]
#[schemars(transparent, inline)]
pub struct ClassShare(#[schemars(range(max = 1), extend("exclusiveMinimum" = 0))] pub(super) f64);

impl<'de> Deserialize<'de> for ClassShare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let share = f64::deserialize(deserializer)?;
        if share > 0.0 && share <= 1.0 {
            Ok(Self(share))
        } else {
            Err(de::Error::custom(format!("must be above 0 and at most 1, got {share}")))
        }
    }
}
