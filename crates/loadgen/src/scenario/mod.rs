//! Defines scenarios: payloads, phases, thresholds and expectations. Values of these types have been checked.
//!
//! [`Scenario::parse`] converts text to checked types; [`library`] finds the text. What does not belong here: when requests are
//! due ([`crate::plan`]) and whether expectations were met ([`crate::judge`]).

mod check;
mod check_prometheus;
mod endpoint;
pub mod expectation;
pub mod library;
mod locate;
mod problem;
pub mod protocol;
mod raw;
mod raw_expect;
mod raw_payload;
mod reading;
mod request;
pub mod roles;
mod schema;
pub mod tables;
mod target_labels;
pub mod threshold;
pub mod values;

pub use endpoint::PREDICTION_ENDPOINT;
pub use expectation::{
    AlertPattern, Assertion, Expectation, Job, QueryAssertion, SignalAssertion, Vital, VitalAssertion,
};
pub use problem::Problem;
pub use protocol::{Datatype, Protocol, Tensors};
pub use raw_payload::RawProtocol as ProtocolName;
pub use schema::schema;
pub use tables::TableSource;
pub use target_labels::TargetLabels;
pub use threshold::{Aggregate, Comparison, Condition, Metric, Threshold};

use crate::malformed::Malformed;
use bytes::Bytes;
use driftsim::DriftSpec;
use reqwest::{Method, header::HeaderMap};
use std::time::Duration;
use thiserror::Error;

/// The default seed. It is fixed, so that runs are the same unless the scenario or `--seed` changes it.
pub const DEFAULT_SEED: u64 = 42;

/// The default timeout: longer than a useful answer takes, and short enough that a target that does not answer does not keep
/// requests in flight for long.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// The default limit on requests in flight. Each may need a connection, and a process may usually open 1,024 files, so half of
/// them are left for other purposes. At 100 requests/s, the limit is reached only if all of them time out.
pub const DEFAULT_MAX_IN_FLIGHT: usize = 512;

/// A checked scenario. Phases and payloads refer to one another by position.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// The description.
    pub description: String,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The time after which a request is given up, counted from its send.
    pub timeout: Duration,
    /// The most requests in flight at the same time; further ones are dropped and counted.
    pub max_in_flight: usize,
    /// The kinds of requests.
    pub payloads: Vec<Payload>,
    /// The phases, which run one after the other.
    pub phases: Vec<Phase>,
    /// The limits on the client's measurements.
    pub thresholds: Vec<Threshold>,
    /// What monitoring must detect.
    pub expectations: Vec<Expectation>,
}

/// One kind of request.
#[derive(Debug, Clone)]
pub struct Payload {
    /// Its name.
    pub name: String,
    /// The source of its bodies.
    pub source: Source,
    /// The protocol of its requests; `None` if they do not ask for predictions.
    pub protocol: Option<Protocol>,
    /// The HTTP method.
    pub method: Method,
    /// The path below the target's own address; may have a query.
    pub path: String,
    /// The headers of every request, which replace the usual ones of the same name.
    pub headers: HeaderMap,
    /// The environment variable from which [`Scenario::read_tokens`] reads a token.
    pub bearer_token_env: Option<String>,
    /// The statuses that are expected of its answers.
    pub expected_status: Vec<u16>,
    /// The feedback on its predictions, if there is any.
    pub feedback: Option<Feedback>,
}

/// How predictions get feedback with the true class or number of the row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feedback {
    /// How long after the prediction it is sent.
    pub after: Duration,
    /// The share of predictions that get feedback, in [0, 1].
    pub share: f64,
}

/// The source of bodies.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Rows like the model's reference.
    Model,
    /// Rows that drift from the model's reference.
    Drift(DriftSpec),
    /// Rows of a table, which may drift.
    Table(TableSource),
    /// Malformed requests of these kinds; an empty list stands for all kinds.
    Malformed(Vec<Malformed>),
    /// The same body in each request, or none.
    Fixed(Option<Body>),
}

/// A body that is written in the scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// The content.
    pub text: Bytes,
    /// The media type.
    pub content_type: String,
}

/// One phase of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// How requests are released.
    pub executor: Executor,
    /// The weight of each payload, by position; their sum is above 0.
    pub mix: Vec<u32>,
}

/// How requests are released.
#[derive(Debug, Clone, PartialEq)]
pub enum Executor {
    /// At planned instants, whether or not the target answers (open loop).
    Open {
        /// The planned rate, as a sequence of ramps.
        ramps: Vec<Ramp>,
        /// The distribution of arrivals over time.
        spacing: Spacing,
    },
    /// By users that each wait for an answer before they send the next request (closed loop).
    Closed {
        /// The number of users.
        vus: usize,
        /// The length of the phase.
        duration: Duration,
    },
}

/// A rate that changes linearly from one value to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp {
    /// The requests per second at the start.
    pub from: f64,
    /// The requests per second at the end.
    pub to: f64,
    /// The length of the ramp.
    pub duration: Duration,
}

/// The distribution of arrivals over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// Evenly spaced.
    Constant,
    /// A Poisson process, as of independent clients.
    Poisson,
}

impl Phase {
    /// Returns the length of the phase.
    pub fn duration(&self) -> Duration {
        match &self.executor {
            Executor::Open { ramps, .. } => ramps.iter().map(|ramp| ramp.duration).sum(),
            Executor::Closed { duration, .. } => *duration,
        }
    }
}

impl Scenario {
    /// Reads a scenario; `file` is only used in error messages.
    ///
    /// # Errors
    /// [`ScenarioError`] lists everything that is wrong, with file, line and field.
    pub fn parse(text: &str, file: &str) -> Result<Self, ScenarioError> {
        driftsim::yaml_bounds::check(text)
            .map_err(|(line, problem)| ScenarioError(vec![format!("{file}:{line}: {problem}")]))?;
        let raw: raw::RawScenario = serde_yaml::from_str(text)
            .map_err(|error| ScenarioError(vec![reading::problem(file, text, &error)]))?;
        check::checked(raw).map_err(|problems| located(problems, text, file))
    }

    /// Returns the total length of all phases.
    pub fn duration(&self) -> Duration {
        self.phases.iter().map(Phase::duration).sum()
    }
}

/// Everything that is wrong with a scenario, one line each: `file:line: field: problem`.
#[derive(Debug, Error)]
#[error("{}", .0.join("\n"))]
pub struct ScenarioError(pub Vec<String>);

/// Adds to each problem the line of its field.
fn located(problems: Vec<Problem>, text: &str, file: &str) -> ScenarioError {
    ScenarioError(problems.iter().map(|problem| problem.located(text, file)).collect())
}

#[cfg(test)]
mod tests;
