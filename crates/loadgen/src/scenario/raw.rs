//! The scenario as it is written: shapes only. [`super::check`] makes sense of them.

use super::values::{HeaderText, Name, OrderedMap, Quantity, RampRate, Rate, Span};
use crate::malformed::Malformed;
use driftsim::DriftSpec;
use serde::{
    Deserialize, Deserializer,
    de::{self, IntoDeserializer, Visitor, value::MapAccessDeserializer},
};
use std::fmt;

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
    pub(super) quiet: Vec<RawQuiet>,
    #[serde(default)]
    pub(super) promql: Vec<RawQuery>,
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
    #[serde(default)]
    pub(super) labels: OrderedMap<String>,
    pub(super) phase: Name,
    pub(super) fires_within: Span,
    pub(super) resolves_within: Option<Span>,
}

/// Written as a mapping, or as the alert's name alone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub(super) struct RawQuiet {
    pub(super) alert: Name,
    #[serde(default)]
    pub(super) labels: OrderedMap<String>,
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
        f.write_str("an alert's name, or a mapping of alert, labels and phase")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<RawQuiet, E> {
        let alert = Name::deserialize(name.into_deserializer())?;
        Ok(RawQuiet { alert, labels: OrderedMap::default(), phase: None })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RawQuiet, A::Error> {
        RawQuiet::deserialize(MapAccessDeserializer::new(map))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQuery {
    pub(super) expr: String,
    pub(super) phase: Name,
    pub(super) becomes: Option<String>,
    pub(super) within: Option<Span>,
    pub(super) stays: Option<String>,
}
