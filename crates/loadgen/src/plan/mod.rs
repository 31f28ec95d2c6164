//! What is due when, and what it carries: a function of the scenario, the model card and the seed.
//!
//! A plan is walked, never written down: its memory does not grow with the length of the run.

pub mod arrivals;
pub mod requests;

pub use arrivals::Arrivals;
pub use requests::{Draft, Drafts};

use crate::scenario::{Executor, Scenario};
use model::ModelCard;
use requests::{Purpose, stream};
use std::{sync::Arc, time::Duration};

/// A scenario bound to a model and a seed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The scenario.
    pub scenario: Arc<Scenario>,
    /// The model that rows are drawn for.
    pub card: Arc<ModelCard>,
    /// Where all draws start from.
    pub seed: u64,
}

impl Plan {
    /// Binds a scenario to a model.
    ///
    /// # Errors
    /// In words, when a payload does not fit the model.
    pub fn new(scenario: Arc<Scenario>, card: Arc<ModelCard>, seed: u64) -> Result<Self, String> {
        let plan = Self { scenario, card, seed };
        for phase in 0..plan.scenario.phases.len() {
            plan.drafts(phase, 0)?;
        }
        Ok(plan)
    }

    /// When each phase starts, counted from the run's start, with the run's end after the last.
    pub fn boundaries(&self) -> Vec<Duration> {
        let mut end = Duration::ZERO;
        let ends = self.scenario.phases.iter().map(|phase| {
            end += phase.duration();
            end
        });
        std::iter::once(Duration::ZERO).chain(ends).collect()
    }

    /// The arrivals of an open phase, counted from its start; `None` for a closed one.
    pub fn arrivals(&self, phase: usize) -> Option<Arrivals> {
        match &self.scenario.phases[phase].executor {
            Executor::Open { ramps, spacing } => {
                Some(Arrivals::new(ramps, *spacing, stream(self.seed, phase, 0, Purpose::Arrivals)))
            }
            Executor::Closed { .. } => None,
        }
    }

    /// The requests of a phase, for one of its users (0 in an open phase).
    ///
    /// # Errors
    /// In words, when a payload does not fit the model; not after [`Plan::new`] found them all to fit.
    pub fn drafts(&self, phase: usize, vu: usize) -> Result<Drafts, String> {
        let scenario = &self.scenario;
        Drafts::new(&scenario.phases[phase], phase, vu, &scenario.payloads, &self.card, self.seed)
    }
}
