//! Scenarios: payloads, phases, thresholds and expectations. Values of these types are checked.
//!
//! [`Scenario::parse`] goes from text to checked types; [`library`] finds the text. What does not belong here: when
//! anything happens ([`crate::plan`]) and whether it went well ([`crate::judge`]).

mod check;
mod check_prometheus;
pub mod expectation;
pub mod library;
mod locate;
mod raw;
mod reading;
pub(crate) mod request;
pub mod roles;
mod schema;
pub mod tables;
mod target_labels;
pub mod threshold;
pub mod values;

pub use expectation::{
    AlertPattern, Assertion, Expectation, Job, QueryAssertion, SignalAssertion, Vital, VitalAssertion,
};
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

/// Draws are the same on every run unless the scenario or `--seed` says otherwise.
pub const DEFAULT_SEED: u64 = 42;

/// Longer than any answer worth waiting for, and short enough that a dead target does not tie requests up for long.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// A request in flight may hold a connection of its own, and a process may usually open 1,024 files: half of them
/// leaves room. It takes 100 requests/s that all run into the default timeout to get there.
pub const DEFAULT_MAX_IN_FLIGHT: usize = 512;

/// A checked scenario. Phases and payloads refer to one another by position.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub description: String,
    /// Where all draws start from.
    pub seed: u64,
    /// After this a request is given up, counted from its send.
    pub timeout: Duration,
    /// How many requests may be under way at once; further ones are dropped and counted.
    pub max_in_flight: usize,
    /// What can be sent.
    pub payloads: Vec<Payload>,
    /// What happens, one after the other.
    pub phases: Vec<Phase>,
    /// What the client must see.
    pub thresholds: Vec<Threshold>,
    /// What monitoring must notice.
    pub expectations: Vec<Expectation>,
}

/// One kind of request.
#[derive(Debug, Clone)]
pub struct Payload {
    /// Its name.
    pub name: String,
    /// Where its bodies come from.
    pub source: Source,
    /// How it is asked.
    pub method: Method,
    /// Below the target's own address; may carry a query.
    pub path: String,
    /// Sent with every request, over the usual ones.
    pub headers: HeaderMap,
    /// The environment variable that [`Scenario::read_tokens`] reads an authorization from.
    pub bearer_token_env: Option<String>,
    /// The statuses that are a right answer to it.
    pub expected_status: Vec<u16>,
    /// Which of its predictions get feedback, and when.
    pub feedback: Option<Feedback>,
}

/// Which predictions get feedback with the true class or number of the row, and when.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feedback {
    /// How long after the prediction it is sent.
    pub after: Duration,
    /// The share of the predictions that get it, in [0, 1].
    pub share: f64,
}

/// Where bodies come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Rows like the model's reference.
    Model,
    /// Rows like the model's reference, but for a drift.
    Drift(DriftSpec),
    /// Rows of a table, which may drift.
    Table(TableSource),
    /// Requests that no model can use; no kinds means all.
    Malformed(Vec<Malformed>),
    /// The same body each time, or none.
    Fixed(Option<Body>),
}

/// A body that the scenario spells out.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// What is sent.
    pub text: Bytes,
    /// The media type it is declared as.
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
    /// At planned instants, whatever the target does.
    Open {
        /// Straight pieces of the rate's course.
        ramps: Vec<Ramp>,
        /// How arrivals lie around that course.
        spacing: Spacing,
    },
    /// By users who each wait for an answer before they send the next request.
    Closed {
        /// How many users.
        vus: usize,
        /// For how long.
        duration: Duration,
    },
}

/// A rate going straight from one value to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp {
    /// Requests per second at its start.
    pub from: f64,
    /// Requests per second at its end.
    pub to: f64,
    /// How long it takes.
    pub duration: Duration,
}

/// How arrivals lie around the rate's course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// Evenly.
    Constant,
    /// As independent callers come: a Poisson process.
    Poisson,
}

impl Phase {
    /// Returns how long it lasts.
    pub fn duration(&self) -> Duration {
        match &self.executor {
            Executor::Open { ramps, .. } => ramps.iter().map(|ramp| ramp.duration).sum(),
            Executor::Closed { duration, .. } => *duration,
        }
    }
}

impl Scenario {
    /// Reads a scenario; `file` is only used to name the place of an error.
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

    /// Returns how long all phases last together.
    pub fn duration(&self) -> Duration {
        self.phases.iter().map(Phase::duration).sum()
    }
}

/// Everything that is wrong with a scenario, one line each: `file:line: field: problem`.
#[derive(Debug, Error)]
#[error("{}", .0.join("\n"))]
pub struct ScenarioError(pub Vec<String>);

/// Finds the lines of problems whose fields are known.
fn located(problems: Vec<check::Problem>, text: &str, file: &str) -> ScenarioError {
    let line = |path: &str| locate::line_of(text, path).map_or(String::new(), |line| format!("{line}:"));
    let lines = problems.iter().map(|p| format!("{file}:{} {}: {}", line(&p.path), p.path, p.problem));
    ScenarioError(lines.collect())
}

#[cfg(test)]
mod tests;
