//! The queue between the proxy and the observer.
//!
//! The observer takes all observations at once and then pauses for a moment. If it were woken for each of them, waking it would take more
//! time than observing.

use super::observer::Observation;
use std::{
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The greatest number of observations that wait.
const MOST: usize = 8192;

/// The pause of the observer after it has taken observations.
const PAUSE: Duration = Duration::from_millis(2);

/// Observations that wait for the observer.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<Observation>,
    /// Whether the observer sleeps until there is an observation.
    is_asleep: bool,
}

impl Queue {
    /// Adds an observation.
    ///
    /// # Errors
    /// Returns the observation if too many are waiting.
    pub(super) fn push(&self, observation: Observation) -> Result<(), Box<Observation>> {
        let mut state = self.lock();
        if state.waiting.len() >= MOST {
            return Err(Box::new(observation));
        }
        state.waiting.push(observation);
        if mem::take(&mut state.is_asleep) {
            drop(state);
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits for observations, and exchanges them for the empty list `taken`.
    pub(super) fn take(&self, taken: &mut Vec<Observation>) {
        std::thread::sleep(PAUSE);
        let mut state = self.lock();
        while state.waiting.is_empty() {
            state.is_asleep = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        mem::swap(&mut state.waiting, taken);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
