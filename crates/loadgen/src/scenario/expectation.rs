//! Defines expectations: what monitoring must detect, and what must stay quiet.

use super::{raw_expect::ClassShare, target_labels::TargetLabels, threshold::Condition};
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
    /// The path in the scenario, such as `expect.signals[0]`.
    pub path: String,
    /// The phase it is about; `None` for the whole run.
    pub phase: Option<usize>,
    /// What is expected.
    pub assertion: Assertion,
    /// The expectation does not apply to a model that predicts one class, or numbers of one bin, for this share of its reference
    /// or more.
    pub if_class_share_below: Option<f64>,
    /// Why the expectation does not apply to the model; set by [`super::Scenario::fit`].
    pub inapplicable: Option<String>,
}

impl Expectation {
    /// Creates an expectation that applies to any model. Without a phase, it is about the whole run.
    pub fn new(path: impl Into<String>, phase: Option<usize>, assertion: Assertion) -> Self {
        Self { path: path.into(), phase, assertion, if_class_share_below: None, inapplicable: None }
    }

    pub(super) fn if_class_share_below(mut self, limit: Option<ClassShare>) -> Self {
        self.if_class_share_below = limit.map(|limit| limit.0);
        self
    }
}

/// What is expected.
#[derive(Debug, Clone, PartialEq)]
pub enum Assertion {
    /// A signal drifts or stays steady, by the service's own counters.
    Signal {
        /// The signal's name. `*` stands for any signal with [`SignalAssertion::DriftsWithin`], and for every signal with
        /// [`SignalAssertion::StaysSteady`].
        signal: String,
        /// What it must do.
        assertion: SignalAssertion,
    },
    /// A vital sign moves, by the service's own counters.
    Vital {
        /// Which one.
        vital: Vital,
        /// The class, for [`Vital::ClassShare`]; `None` stands for the class whose share changes most.
        class: Option<String>,
        /// The position of the phase that it is compared with.
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
        /// How soon after the phase's end it must have resolved, if that is expected.
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

/// The job whose alerts count. An alert without a label `job` always counts, because it may be about any job.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Job {
    /// The target's own job, as far as Prometheus knows it. Alerts must also have the target's instance and model.
    #[default]
    Target,
    /// Any job.
    Any,
    /// The job of this name.
    Named(String),
}

/// Selects the instances of an alert by its name and labels.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertPattern {
    /// The alert's name.
    pub name: String,
    /// The labels that an instance must have, apart from the name.
    pub labels: BTreeMap<String, String>,
    /// The job whose alerts count.
    pub job: Job,
    /// The values of labels that an instance may lack; see [`AlertPattern::narrow`].
    allowed: BTreeMap<String, BTreeSet<String>>,
}

impl AlertPattern {
    /// Creates a pattern of this name, these labels and this job. If `labels` has a label `job`, it replaces `job`.
    pub fn new(name: String, labels: BTreeMap<String, String>, job: Job) -> Self {
        let job = if labels.contains_key("job") { Job::Any } else { job };
        let allowed = match &job {
            Job::Named(name) => [("job".to_owned(), [name.clone()].into())].into(),
            Job::Target | Job::Any => BTreeMap::new(),
        };
        Self { name, labels, job, allowed }
    }

    /// Restricts the pattern to alerts about the target, unless the scenario names the job itself. Returns whether it was
    /// restricted.
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

    /// Returns whether the pattern selects an instance with these labels, where `alertname` is the name.
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
    /// It must meet a condition that it did not meet when the phase began.
    Becomes {
        /// The condition, which at least one series must meet.
        condition: Condition,
        /// How soon after the phase's start.
        within: Duration,
    },
    /// Every series must meet a condition throughout the phase.
    Stays(Condition),
}

/// What a signal must do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SignalAssertion {
    /// It must be drifting within this time from the phase's start.
    DriftsWithin(Duration),
    /// It must never be drifting, and must be steady at the phase's end.
    StaysSteady,
}

/// A vital sign of the service, over one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Vital {
    /// Requests answered per second.
    Throughput,
    /// The 95th percentile of the service's response time, in seconds.
    LatencyP95,
    /// The share of 4xx answers.
    ClientErrorRatio,
    /// The share of 5xx answers.
    ServerErrorRatio,
    /// The share of a class among the predictions.
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
    /// It must rise to at least this many times the value of the other phase.
    RisesBy(f64),
    /// It must be above this limit.
    Exceeds(f64),
    /// It must be below this limit.
    StaysBelow(f64),
    /// It must differ from the value of the other phase by at least this much, in either direction.
    ShiftsBy(f64),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
        labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn alerts_of_other_services_do_not_count_unless_the_scenario_names_the_job() {
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
