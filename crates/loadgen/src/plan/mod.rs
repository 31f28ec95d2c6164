//! The plan of a run: when each request is due and what it contains, from the scenario, the model card and the seed. [`body`] writes
//! the rows in the format of each protocol.
//!
//! A plan is generated step by step: its memory does not grow with the length of the run.

pub mod arrivals;
pub mod body;
pub mod prepared;
pub mod shard;

pub use arrivals::Arrivals;
pub use prepared::{PreparedRequest, PreparedRequests};
pub use shard::Shard;

use crate::{
    scenario::{Executor, Problem, Scenario},
    schedule::Schedule,
};
use anyhow::bail;
use model::{ModelCard, ServerModel};
use prepared::{Purpose, stream};
use std::{sync::Arc, time::Duration};

/// A model, and how the server that serves it is asked.
#[derive(Debug, Clone)]
pub struct Model {
    /// What rows are drawn from.
    pub card: ModelCard,
    /// The names and the order of the features in requests, if they are not those of the card; from a profile of the server.
    pub server: Option<ServerModel>,
}

impl From<ModelCard> for Model {
    /// Returns a model that is asked with the names and the order of the card.
    fn from(card: ModelCard) -> Self {
        Self { card, server: None }
    }
}

/// A scenario together with a seed and, unless all bodies are fixed, a model.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The scenario.
    pub scenario: Arc<Scenario>,
    /// The model that rows are drawn for, if the scenario needs one.
    pub model: Option<Arc<Model>>,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The part of the plan that this machine sends.
    pub shard: Shard,
}

impl Plan {
    /// Creates the plan of a scenario for a model.
    ///
    /// # Errors
    /// If a payload does not fit the model, or needs one and there is none, or if this part's share of `max_in_flight` is 0.
    pub fn new(
        scenario: Arc<Scenario>,
        model: Option<Arc<Model>>,
        seed: u64,
        shard: Shard,
    ) -> anyhow::Result<Self> {
        let plan = Self { scenario, model, seed, shard };
        if plan.max_in_flight() == 0 {
            let all = plan.scenario.max_in_flight;
            bail!(
                "--shard {shard}: max_in_flight is {all} for all parts together, so this part may not send any request; raise \
                max_in_flight in the scenario, or divide the run into fewer parts"
            );
        }
        for phase in 0..plan.scenario.phases.len() {
            plan.requests(phase, 0)?;
        }
        Ok(plan)
    }

    /// Returns when each phase starts and ends.
    pub fn schedule(&self) -> Schedule {
        Schedule::new(self.scenario.phases.iter().map(|phase| phase.duration()))
    }

    /// Returns this part's requests of an open-loop phase with their instants, counted from the phase's start; `None` for a
    /// closed-loop phase.
    ///
    /// # Errors
    /// If a payload does not fit the model, which [`Plan::new`] has already checked.
    pub fn releases(&self, phase: usize) -> Result<Option<Releases>, Problem> {
        let Executor::Open { ramps, spacing } = &self.scenario.phases[phase].executor else {
            return Ok(None);
        };
        let arrivals = Arrivals::new(ramps, *spacing, stream(self.seed, phase, 0, Purpose::Arrivals));
        Ok(Some(Releases { arrivals, requests: self.requests(phase, 0)?, next: 0, shard: self.shard }))
    }

    /// Returns how many requests may be in flight in this part. The limits of all parts add up to that of the scenario.
    pub fn max_in_flight(&self) -> usize {
        self.shard.share(self.scenario.max_in_flight)
    }

    /// Returns the requests of a phase for one of its users; an open-loop phase has the single user 0.
    ///
    /// # Errors
    /// If a payload does not fit the model, which [`Plan::new`] has already checked.
    pub fn requests(&self, phase: usize, vu: usize) -> Result<PreparedRequests, Problem> {
        let scenario = &self.scenario;
        let model = self.model.as_ref();
        PreparedRequests::new(&scenario.phases[phase], phase, vu, &scenario.payloads, model, self.seed)
    }
}

/// The requests of one part of an open-loop phase, with the instants at which they are due. It always generates the whole plan
/// and returns one part of it, so that all parts together are the requests that a single machine would send.
pub struct Releases {
    arrivals: Arrivals,
    requests: PreparedRequests,
    next: u64,
    shard: Shard,
}

impl Iterator for Releases {
    type Item = (Duration, PreparedRequest);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let due = self.arrivals.next()?;
            let mine = self.shard.takes(self.next);
            self.next += 1;
            if mine {
                return Some((due, self.requests.draw()));
            }
            self.requests.pass();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "
name: x
payloads:
  good: { weight: 3, source: { model: {} } }
  odd: { source: { drift: { preset: giant } } }
  bad: { source: { malformed: {} } }
phases:
  - { name: a, executor: constant-arrival-rate, rate: 100, duration: 3s, arrival: poisson }
  - { name: b, executor: constant-arrival-rate, rate: 100, duration: 1s }
";

    fn plan(shard: &str) -> Plan {
        let card = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card;
        let scenario = Scenario::parse(YAML, "x").unwrap();
        Plan::new(Arc::new(scenario), Some(Arc::new(card.into())), 7, shard.parse().unwrap()).unwrap()
    }

    #[test]
    fn all_parts_together_are_the_requests_of_the_whole_plan() {
        for phase in 0..2 {
            let releases = |shard: &str| plan(shard).releases(phase).unwrap().unwrap().collect::<Vec<_>>();
            let whole = releases("1/1");
            assert!(whole.len() > 90);
            let mut parts: Vec<_> = ["1/3", "2/3", "3/3"].into_iter().flat_map(releases).collect();
            parts.sort_by_key(|(due, _)| *due);
            assert_eq!(parts, whole);
        }
    }

    #[test]
    fn the_limits_of_all_parts_on_requests_in_flight_add_up() {
        assert_eq!(["1/3", "2/3", "3/3"].map(|shard| plan(shard).max_in_flight()), [171, 171, 170]);
        let tiny =
            Arc::new(Scenario::parse(&YAML.replace("name: x", "name: x\nmax_in_flight: 2"), "x").unwrap());
        let Plan { model, .. } = plan("1/1");
        let error = Plan::new(tiny, model, 7, "3/3".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("--shard 3/3: max_in_flight is 2"), "{error}");
    }
}
