//! The scenario as it is written: shapes only. [`super::check`] makes sense of them.

use super::values::{HeaderText, Name, OrderedMap, Quantity, RampRate, Rate, Span};
use crate::malformed::Malformed;
use driftsim::DriftSpec;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScenario {
    pub(super) name: Name,
    #[serde(default)]
    pub(super) description: String,
    pub(super) seed: Option<u64>,
    pub(super) timeout: Option<Span>,
    pub(super) max_in_flight: Option<u32>,
    pub(super) payloads: OrderedMap<RawPayload>,
    pub(super) phases: Vec<RawPhase>,
    #[serde(default)]
    pub(super) thresholds: OrderedMap<Vec<String>>,
    #[serde(default)]
    pub(super) expect: RawExpect,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPayload {
    pub(super) weight: Option<u32>,
    pub(super) source: RawSource,
    #[serde(default)]
    pub(super) headers: OrderedMap<HeaderText>,
    #[serde(default)]
    pub(super) expect: RawAnswer,
}

/// One of its keys. An enum would be the natural shape, but serde's enums lose the line of an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSource {
    pub(super) model: Option<Empty>,
    pub(super) drift: Option<DriftSpec>,
    pub(super) malformed: Option<RawMalformed>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMalformed {
    #[serde(default)]
    pub(super) kinds: Vec<Malformed>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAnswer {
    pub(super) status: Option<Vec<u16>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawExecutor {
    ConstantArrivalRate,
    RampingArrivalRate,
    ConstantVus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawArrival {
    Constant,
    Poisson,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPhase {
    pub(super) name: Name,
    pub(super) executor: RawExecutor,
    pub(super) rate: Option<Rate>,
    pub(super) duration: Option<Span>,
    pub(super) start_rate: Option<RampRate>,
    pub(super) stages: Option<Vec<RawStage>>,
    pub(super) vus: Option<u32>,
    pub(super) arrival: Option<RawArrival>,
    pub(super) mix: Option<OrderedMap<u32>>,
    #[serde(default)]
    pub(super) thresholds: OrderedMap<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStage {
    pub(super) target: RampRate,
    pub(super) duration: Span,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExpect {
    #[serde(default)]
    pub(super) signals: Vec<RawSignal>,
    #[serde(default)]
    pub(super) vitals: Vec<RawVital>,
    #[serde(default)]
    pub(super) alerts: Vec<RawAlert>,
    #[serde(default)]
    pub(super) quiet: Vec<Name>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSignal {
    pub(super) signal: String,
    pub(super) phase: Name,
    pub(super) drifts_within: Option<Span>,
    pub(super) stays: Option<RawStays>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawStays {
    Steady,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVital {
    pub(super) vital: super::Vital,
    pub(super) phase: Name,
    pub(super) class: Option<String>,
    pub(super) against: Option<Name>,
    pub(super) rises_by: Option<Quantity>,
    pub(super) exceeds: Option<Quantity>,
    pub(super) stays_below: Option<Quantity>,
    pub(super) shifts_by: Option<Quantity>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlert {
    pub(super) alert: Name,
    pub(super) phase: Name,
    pub(super) fires_within: Span,
}
