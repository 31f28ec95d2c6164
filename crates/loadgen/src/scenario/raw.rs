//! Defines the fields of a scenario file; [`super::check`] checks their values. The fields of payloads are in [`super::raw_payload`],
//! and those of expectations in [`super::raw_expect`].
//!
//! The comments on fields are the descriptions that editors show; see [`super::schema`].

use super::{
    raw_expect::RawExpect,
    raw_payload::RawPayload,
    schema::{executors, text, thresholds},
    values::{Name, OrderedMap, RampRate, Rate, Span},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
