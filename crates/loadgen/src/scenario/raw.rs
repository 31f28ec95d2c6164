//! The scenario as it is written: shapes only. [`super::check`] makes sense of them.
//!
//! Comments on fields are what editors show; see [`super::schema`].

use super::{
    schema::{
        executors, headers, job, labels, maybe_condition, maybe_text, one_of, payload, queries, sources,
        text, thresholds, times, vitals,
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
    /// What it shows
    #[serde(default)]
    #[schemars(schema_with = "text")]
    pub(super) description: String,
    /// The same scenario, model and seed send the same requests
    #[schemars(extend("default" = super::DEFAULT_SEED))]
    pub(super) seed: Option<u64>,
    /// After it a request is given up, counted from its send
    #[schemars(extend("default" = "5s"))]
    pub(super) timeout: Option<Span>,
    /// What is due beyond it is dropped and counted, never delayed
    #[schemars(range(min = 1, max = super::check::MAX_IN_FLIGHT), extend("default" = super::DEFAULT_MAX_IN_FLIGHT))]
    pub(super) max_in_flight: Option<u32>,
    /// What can be sent, by name
    #[schemars(extend("minProperties" = 1))]
    pub(super) payloads: OrderedMap<RawPayload>,
    /// What happens, one after the other
    #[schemars(length(min = 1))]
    pub(super) phases: Vec<RawPhase>,
    /// What the client must see, over the whole run
    #[serde(default)]
    #[schemars(schema_with = "thresholds")]
    pub(super) thresholds: OrderedMap<Vec<String>>,
    /// What monitoring must have noticed
    #[serde(default)]
    pub(super) expect: RawExpect,
}

/// One kind of request
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with source")]
#[schemars(rename = "Payload", transform = payload)]
pub(super) struct RawPayload {
    /// Share among the payloads; 0 for those that only a mix uses
    #[schemars(extend("default" = 1))]
    pub(super) weight: Option<u32>,
    /// Where its bodies come from
    pub(super) source: RawSource,
    /// How it is asked
    #[schemars(extend("default" = "POST"))]
    pub(super) method: Option<RawMethod>,
    /// Below the target's own address; may carry a query
    #[schemars(extend("pattern" = "^/[^\\s#]*$", "default" = "/predict"))]
    pub(super) path: Option<String>,
    /// The environment variable that holds the token for `Authorization: Bearer`
    #[schemars(extend("pattern" = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub(super) bearer_token_env: Option<String>,
    /// Sent with every request, over the usual ones
    #[serde(default)]
    #[schemars(schema_with = "headers")]
    pub(super) headers: OrderedMap<HeaderText>,
    /// What a right answer is
    #[serde(default)]
    pub(super) expect: RawAnswer,
    /// Sends the true classes or numbers of its rows to /feedback
    pub(super) feedback: Option<RawFeedback>,
}

/// Which predictions get feedback, and when
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping, such as { after: 5s, share: 0.5 }")]
#[schemars(rename = "Feedback")]
pub(super) struct RawFeedback {
    /// How long after the prediction it is sent; at once if not said
    pub(super) after: Option<Span>,
    /// The share of the predictions that get it
    #[schemars(range(min = 0, max = 1), extend("default" = 1))]
    pub(super) share: Option<f64>,
}

/// Exactly one of these; drift may stand beside table
// An enum would be the natural shape, but serde's enums lose the line of an error.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with one source, such as { model: {} }")]
#[schemars(rename = "Source", transform = sources)]
pub(super) struct RawSource {
    /// Fresh rows like the model's reference
    pub(super) model: Option<Empty>,
    /// Rows of a table, drawn at random
    pub(super) table: Option<RawTable>,
    /// Rows that drift
    pub(super) drift: Option<DriftSpec>,
    /// Requests that no model can use
    pub(super) malformed: Option<RawMalformed>,
    /// The same body each time, or none
    pub(super) fixed: Option<RawFixed>,
}

/// A CSV file, plain or compressed with gzip; written as its path, or as a mapping
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

/// A body spelt out
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping, such as { body: text }")]
#[schemars(rename = "Fixed", extend("dependentRequired" = { "content_type": ["body"] }))]
pub(super) struct RawFixed {
    /// What is sent; without it, no body
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

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "{}")]
pub(super) struct Empty {}

/// Mistakes that callers make
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping, such as {} or { kinds: [nan] }")]
#[schemars(rename = "Mistakes")]
pub(super) struct RawMalformed {
    /// Which ones; all of them if not said
    #[serde(default)]
    pub(super) kinds: Vec<Malformed>,
}

/// What a right answer is
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping, such as { status: [200] }")]
#[schemars(rename = "Answer")]
pub(super) struct RawAnswer {
    /// The statuses that are right; any other is unexpected
    #[schemars(length(min = 1), inner(range(min = 100, max = 599)), extend("default" = [200]))]
    pub(super) status: Option<Vec<u16>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Executor")]
pub(super) enum RawExecutor {
    /// Open loop: requests are due at one rate, whatever the target does; needs rate and duration
    ConstantArrivalRate,
    /// Open loop at a rate that changes; needs start_rate and stages
    RampingArrivalRate,
    /// Closed loop: each user waits for an answer before asking again; needs vus and duration
    ConstantVus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Arrival")]
pub(super) enum RawArrival {
    /// Evenly
    Constant,
    /// As independent callers come
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
    /// Requests a second
    pub(super) rate: Option<Rate>,
    /// How long it lasts
    pub(super) duration: Option<Span>,
    /// Requests a second at the first stage's start
    pub(super) start_rate: Option<RampRate>,
    /// Straight pieces of the rate's course
    #[schemars(length(min = 1))]
    pub(super) stages: Option<Vec<RawStage>>,
    /// How many users
    #[schemars(range(min = 1, max = super::check::MAX_USERS))]
    pub(super) vus: Option<u32>,
    /// How arrivals lie around the rate's course
    #[schemars(extend("default" = "constant"))]
    pub(super) arrival: Option<RawArrival>,
    /// Weights of payloads in this phase, in place of their own
    #[schemars(extend("minProperties" = 1))]
    pub(super) mix: Option<OrderedMap<u32>>,
    /// What the client must see, over this phase
    #[serde(default)]
    #[schemars(schema_with = "thresholds")]
    pub(super) thresholds: OrderedMap<Vec<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with target and duration")]
#[schemars(rename = "Stage")]
pub(super) struct RawStage {
    /// Requests a second at its end
    pub(super) target: RampRate,
    /// How long it takes
    pub(super) duration: Span,
}

/// What monitoring must have noticed
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping of signals, vitals, alerts, quiet, promql and job")]
#[schemars(rename = "Expect")]
pub(super) struct RawExpect {
    /// The job whose alerts count; "*" is any, and the target's own if not said
    #[serde(default)]
    #[schemars(schema_with = "job")]
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
    /// A feature, a role such as most_important_feature, prediction, confidence or distance; "*" is any of them for
    /// drifts_within, every one for stays
    #[schemars(schema_with = "text")]
    pub(super) signal: String,
    /// The phase's name
    pub(super) phase: Name,
    /// It is found drifting this soon after the phase's start
    pub(super) drifts_within: Option<Span>,
    /// It is never found drifting in the phase, and steady at its end
    pub(super) stays: Option<RawStays>,
    /// It is expected only of a model that predicts no class for this share of its reference or more
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
    /// Which one
    pub(super) vital: super::Vital,
    /// The phase's name
    pub(super) phase: Name,
    /// The class, for class_share; whichever moves most if not said
    #[serde(default)]
    #[schemars(schema_with = "maybe_text")]
    pub(super) class: Option<String>,
    /// The phase to compare with; the first one if not said
    pub(super) against: Option<Name>,
    /// It is at least so many times what it was
    #[serde(default)]
    #[schemars(schema_with = "times")]
    pub(super) rises_by: Option<Quantity>,
    /// It is above that
    pub(super) exceeds: Option<Quantity>,
    /// It is below that
    pub(super) stays_below: Option<Quantity>,
    /// It lies at least so far from what it was, up or down
    pub(super) shifts_by: Option<Quantity>,
    /// It is expected only of a model that predicts no class for this share of its reference or more
    pub(super) if_class_share_below: Option<ClassShare>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with alert, phase and fires_within")]
#[schemars(rename = "Alert")]
pub(super) struct RawAlert {
    /// The alert's name
    pub(super) alert: Name,
    /// The instance that must fire has at least these labels
    #[serde(default)]
    #[schemars(schema_with = "labels")]
    pub(super) labels: OrderedMap<String>,
    /// The job whose alert counts, in place of that of all expectations
    #[serde(default)]
    #[schemars(schema_with = "job")]
    pub(super) job: Option<String>,
    /// The phase's name
    pub(super) phase: Name,
    /// It fires this soon after the phase's start
    pub(super) fires_within: Span,
    /// It is gone again this soon after the phase's end
    pub(super) resolves_within: Option<Span>,
    /// It is expected only of a model that predicts no class for this share of its reference or more
    pub(super) if_class_share_below: Option<ClassShare>,
}

/// Written as a mapping, or as the alert's name alone.
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

/// An untagged enum would be the natural shape, but serde's enums lose the line of an error.
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
    /// PromQL that gives a scalar or an instant vector
    #[schemars(schema_with = "text")]
    pub(super) expr: String,
    /// The phase's name
    pub(super) phase: Name,
    /// A series comes to meet this, such as "> 5"
    #[serde(default)]
    #[schemars(schema_with = "maybe_condition")]
    pub(super) becomes: Option<String>,
    /// How soon after the phase's start, for becomes
    pub(super) within: Option<Span>,
    /// Every series meets this, such as "< 0.2", at every evaluation in the phase
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
