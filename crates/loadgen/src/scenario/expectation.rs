//! What monitoring must have noticed, or must have kept quiet about.

use super::threshold::Condition;
use schemars::JsonSchema;
use serde::Deserialize;
use std::{collections::BTreeMap, fmt, time::Duration};

/// One expectation.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// The phase it is about; `None` for the whole run.
    pub phase: Option<usize>,
    /// What is expected.
    pub demand: Demand,
}

/// What is expected.
#[derive(Debug, Clone, PartialEq)]
pub enum Demand {
    /// A signal drifts, or none does, by the service's own counters.
    Signal {
        /// The signal's name; `*` is any of them for [`SignalDemand::DriftsWithin`], all for the other.
        signal: String,
        /// What it must do.
        demand: SignalDemand,
    },
    /// A vital sign moves, by the service's own counters.
    Vital {
        /// Which one.
        vital: Vital,
        /// The class, for [`Vital::ClassShare`]; `None` is whichever moves most.
        class: Option<String>,
        /// Position of the phase it is compared with.
        against: usize,
        /// What it must do.
        demand: VitalDemand,
    },
    /// A Prometheus alert begins to fire.
    AlertFires {
        /// Which one.
        alert: AlertPattern,
        /// How soon after the phase's start.
        within: Duration,
        /// How soon after the phase's end it must have stopped again, if it must.
        resolves: Option<Duration>,
    },
    /// A Prometheus alert does not fire.
    AlertQuiet {
        /// Which one.
        alert: AlertPattern,
    },
    /// A PromQL query has a value.
    Query {
        /// The query.
        expr: String,
        /// What it must do.
        demand: QueryDemand,
    },
}

/// The instances of an alert that have this name and at least these labels.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertPattern {
    /// The alert's name.
    pub name: String,
    /// Labels without the name.
    pub labels: BTreeMap<String, String>,
}

impl AlertPattern {
    /// Whether an instance with these labels, the name among them as `alertname`, is meant.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get("alertname") == Some(&self.name)
            && self.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}

impl fmt::Display for AlertPattern {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.labels.is_empty() {
            return Ok(());
        }
        let labels: Vec<_> = self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        write!(f, "{{{}}}", labels.join(", "))
    }
}

/// What the value of a query must do.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryDemand {
    /// Meet a condition that it did not meet when the phase began.
    Becomes {
        /// The condition, which one series is to meet.
        condition: Condition,
        /// How soon after the phase's start.
        within: Duration,
    },
    /// Meet a condition throughout the phase, with every series.
    Stays(Condition),
}

/// What a signal must do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SignalDemand {
    /// Be found drifting this soon after the phase's start.
    DriftsWithin(Duration),
    /// Never be found drifting, and be steady at the phase's end.
    StaysSteady,
}

/// A vital sign of the service, over one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Vital {
    /// Requests answered per second.
    Throughput,
    /// 95th percentile of the time the service took, in seconds.
    LatencyP95,
    /// Share of 4xx answers.
    ClientErrorRatio,
    /// Share of 5xx answers.
    ServerErrorRatio,
    /// Share of a class among the predictions.
    ClassShare,
}

impl Vital {
    /// The name that scenarios use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::LatencyP95 => "latency_p95",
            Self::ClientErrorRatio => "client_error_ratio",
            Self::ServerErrorRatio => "server_error_ratio",
            Self::ClassShare => "class_share",
        }
    }
}

/// What a vital sign must do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VitalDemand {
    /// Be at least this many times what it was.
    RisesBy(f64),
    /// Be above this.
    Exceeds(f64),
    /// Be below this.
    StaysBelow(f64),
    /// Lie at least this far from what it was, in either direction.
    ShiftsBy(f64),
}
