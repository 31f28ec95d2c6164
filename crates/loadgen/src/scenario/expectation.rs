//! What monitoring must detect, and what must stay quiet.

use super::{raw::ClassShare, target_labels::TargetLabels, threshold::Condition};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

/// One expectation.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// The phase it is about; `None` for the whole run.
    pub phase: Option<usize>,
    /// What is expected.
    pub assertion: Assertion,
    /// It is expected only of a model that predicts no class, or numbers of no bin, for this share of its reference or more.
    pub if_class_share_below: Option<f64>,
    /// Why it cannot be expected of the model; found by [`super::Scenario::fit`].
    pub inapplicable: Option<String>,
}

impl Expectation {
    /// Creates an expectation of any model; without a phase it is about the whole run.
    pub fn new(phase: Option<usize>, assertion: Assertion) -> Self {
        Self { phase, assertion, if_class_share_below: None, inapplicable: None }
    }

    pub(super) fn if_class_share_below(mut self, limit: Option<ClassShare>) -> Self {
        self.if_class_share_below = limit.map(|limit| limit.0);
        self
    }
}

/// What is expected.
#[derive(Debug, Clone, PartialEq)]
pub enum Assertion {
    /// A signal drifts, or none does, by the service's own counters.
    Signal {
        /// The signal's name; `*` is any of them for [`SignalAssertion::DriftsWithin`], all for the other.
        signal: String,
        /// What it must do.
        assertion: SignalAssertion,
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
        assertion: VitalAssertion,
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
        assertion: QueryAssertion,
    },
}

/// Of which job an alert counts. One without a label `job` could be about any, and always counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Job {
    /// The target's own, as far as Prometheus knows it; so for its instance and model.
    #[default]
    Target,
    /// Whichever.
    Any,
    /// This one.
    Named(String),
}

/// The instances of an alert that have this name and at least these labels.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertPattern {
    /// The alert's name.
    pub name: String,
    /// Labels without the name.
    pub labels: BTreeMap<String, String>,
    /// Of which job.
    pub job: Job,
    /// Values that a label must have where it is there; see [`AlertPattern::narrow`].
    allowed: BTreeMap<String, BTreeSet<String>>,
}

impl AlertPattern {
    /// Creates a pattern of this name, these labels and this job. A label `job` also names the job.
    pub fn new(name: String, labels: BTreeMap<String, String>, job: Job) -> Self {
        let job = if labels.contains_key("job") { Job::Any } else { job };
        let allowed = match &job {
            Job::Named(name) => [("job".to_owned(), [name.clone()].into())].into(),
            Job::Target | Job::Any => BTreeMap::new(),
        };
        Self { name, labels, job, allowed }
    }

    /// Leaves out what is about other services than the target, unless the scenario names the job itself; says whether it
    /// did.
    pub fn narrow(&mut self, target: &TargetLabels) -> bool {
        let is_narrowed = self.job == Job::Target;
        if is_narrowed {
            let known = target
                .allowed()
                .into_iter()
                .filter(|(label, values)| !values.is_empty() && !self.labels.contains_key(*label));
            self.allowed = known.map(|(label, values)| (label.to_owned(), values.clone())).collect();
        }
        is_narrowed
    }

    /// Returns whether an instance with these labels, the name among them as `alertname`, is meant.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get("alertname") == Some(&self.name)
            && self.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
            && self
                .allowed
                .iter()
                .all(|(name, values)| labels.get(name).is_none_or(|value| values.contains(value)))
    }
}

impl fmt::Display for AlertPattern {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.labels.is_empty() {
            let labels: Vec<_> =
                self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            write!(f, "{{{}}}", labels.join(", "))?;
        }
        match &self.job {
            Job::Any if !self.labels.contains_key("job") => f.write_str(" of any job"),
            Job::Named(job) => write!(f, " of job {job}"),
            Job::Target | Job::Any => Ok(()),
        }
    }
}

/// What the value of a query must do.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryAssertion {
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
pub enum SignalAssertion {
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
    /// Returns the name that scenarios use.
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
pub enum VitalAssertion {
    /// Be at least this many times what it was.
    RisesBy(f64),
    /// Be above this.
    Exceeds(f64),
    /// Be below this.
    StaysBelow(f64),
    /// Lie at least this far from what it was, in either direction.
    ShiftsBy(f64),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
        labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn alerts_of_other_services_are_left_out_unless_the_scenario_names_the_job() {
        let set = |value: &str| BTreeSet::from([value.to_owned()]);
        let target = TargetLabels { jobs: set("own"), instances: set("a:1"), models: set("iris") };
        let matches = |given: &[(&str, &str)], job: Job, alert: &[(&str, &str)]| {
            let mut pattern = AlertPattern::new("A".into(), labels(given), job);
            pattern.narrow(&target);
            pattern.matches(&labels(&[&[("alertname", "A")], alert].concat()))
        };
        for (alert, counts) in [
            (&[][..], true),
            (&[("job", "own")], true),
            (&[("job", "own"), ("instance", "a:1"), ("model", "iris")], true),
            (&[("job", "other")], false),
            (&[("job", "own"), ("instance", "b:1")], false),
            (&[("model", "telco")], false),
        ] {
            assert_eq!(matches(&[], Job::Target, alert), counts, "{alert:?}");
            assert!(matches(&[], Job::Any, alert), "{alert:?}");
        }
        assert!(matches(&[], Job::Named("other".into()), &[("job", "other"), ("instance", "b:1")]));
        assert!(!matches(&[], Job::Named("other".into()), &[("job", "own")]));
        assert!(matches(&[("job", "other")], Job::Target, &[("job", "other"), ("model", "telco")]));
        assert!(!matches(&[("job", "other")], Job::Target, &[]));
        assert!(matches(&[("model", "telco")], Job::Target, &[("job", "own"), ("model", "telco")]));
        assert!(!matches(&[("model", "telco")], Job::Target, &[("job", "other"), ("model", "telco")]));
    }
}
