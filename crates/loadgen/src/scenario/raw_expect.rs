//! Defines the fields of the expectations in a scenario file: what monitoring must detect.
//!
//! The comments on fields are the descriptions that editors show; see [`super::schema`].

use super::{
    schema::{labels, maybe_condition, maybe_name, maybe_text, one_of, queries, text, times, vitals},
    values::{Name, OrderedMap, Quantity, Span},
};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, IntoDeserializer, Visitor, value::MapAccessDeserializer},
};
use std::fmt;

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
