//! Judges the drift of each signal in a phase with crate `drift`, from the bins that the service counted.

use super::{
    counter_increases::CounterIncreases,
    snapshot::{Counter, Expected, SignalKey},
};
use drift::{Verdict, judge};
use driftsim::counted::counted;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The verdict on one signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The rows are like the reference.
    Steady,
    /// There are too few rows, or there is no reference.
    CannotTell,
    /// The rows differ from the reference.
    Drifting,
}

/// The state of one signal, with the numbers that it follows from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalState {
    /// The verdict.
    pub state: State,
    /// Population stability index.
    pub psi: Option<f64>,
    /// The limit that the index must exceed; `None` without rows.
    pub threshold: Option<f64>,
    /// The number of rows.
    pub rows: u64,
    /// Why there is no verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Returns the state of every signal that the service publishes a reference for.
///
/// Versions of the model are judged separately, and the worst of their verdicts counts: drifting, then cannot tell, then steady.
/// A version without rows only counts if no version has rows.
pub fn states(
    increases: &CounterIncreases,
    expected: &BTreeMap<SignalKey, Expected>,
) -> BTreeMap<String, SignalState> {
    let mut states: BTreeMap<String, SignalState> = BTreeMap::new();
    for (key @ (_, signal), expected) in expected {
        let state = state(increases, key, expected);
        let weight = |state: &SignalState| (state.rows > 0, state.state);
        match states.get(signal) {
            Some(known) if weight(known) >= weight(&state) => {}
            _ => drop(states.insert(signal.clone(), state)),
        }
    }
    states
}

fn state(increases: &CounterIncreases, (version, signal): &SignalKey, expected: &Expected) -> SignalState {
    let count = |bin: &String| {
        let counter =
            Counter::SignalBin { version: version.clone(), signal: signal.clone(), bin: bin.clone() };
        increases.increases.get(&counter).copied().unwrap_or(0.0) as u64
    };
    let counts: Vec<u64> = expected.ratios.keys().map(count).collect();
    let rows = counts.iter().sum();
    let cannot_tell = |reason: String| SignalState {
        state: State::CannotTell,
        psi: None,
        threshold: None,
        rows,
        reason: Some(reason),
    };
    let (Some(reference_rows), Some(critical)) = (expected.rows, expected.critical_chi2) else {
        return cannot_tell("the service publishes no signal_reference_rows or signal_critical_chi2".into());
    };
    let ratios: Vec<f64> = expected.ratios.values().copied().collect();
    let judgement = match judge(&ratios, &counts, reference_rows, critical) {
        Ok(judgement) => judgement,
        Err(error) => return cannot_tell(error.to_string()),
    };
    let (state, reason) = match judgement.verdict {
        Verdict::Steady => (State::Steady, None),
        Verdict::Drifting => (State::Drifting, None),
        Verdict::CannotTell { rows, needs } => (
            State::CannotTell,
            Some(format!("{}, at least {needs} are needed", counted(rows, "row", "rows"))),
        ),
    };
    SignalState {
        state,
        psi: Some(judgement.psi.value),
        threshold: Some(judgement.threshold).filter(|threshold| threshold.is_finite()),
        rows,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(rows: Option<u64>) -> Expected {
        let ratios = ["low", "high"].map(|bin| (bin.to_owned(), 0.5)).into();
        Expected { ratios, critical_chi2: Some(20.0), rows }
    }

    fn increases(counts: &[(&str, &str, f64)]) -> CounterIncreases {
        let increases = counts.iter().map(|&(version, bin, count)| {
            let counter = Counter::SignalBin { version: version.into(), signal: "a".into(), bin: bin.into() };
            (counter, count)
        });
        CounterIncreases { increases: increases.collect(), ..CounterIncreases::default() }
    }

    fn state_of(counts: &[(&str, &str, f64)], versions: &[&str]) -> State {
        let expected =
            versions.iter().map(|&v| ((v.to_owned(), "a".to_owned()), expected(Some(1000)))).collect();
        states(&increases(counts), &expected)["a"].state
    }

    #[test]
    fn the_states_are_named_like_the_verdicts_of_drift() {
        assert_eq!(state_of(&[("v1", "low", 100.0), ("v1", "high", 110.0)], &["v1"]), State::Steady);
        assert_eq!(state_of(&[("v1", "low", 200.0), ("v1", "high", 1.0)], &["v1"]), State::Drifting);
        assert_eq!(state_of(&[("v1", "low", 20.0)], &["v1"]), State::CannotTell);
        assert_eq!(state_of(&[], &["v1"]), State::CannotTell);
    }

    #[test]
    fn versions_of_a_model_are_judged_separately() {
        let opposite = [("v1", "low", 200.0), ("v2", "high", 200.0)];
        assert_eq!(state_of(&opposite, &["v1", "v2"]), State::Drifting);
        let one_idle = [("v1", "low", 100.0), ("v1", "high", 100.0)];
        assert_eq!(state_of(&one_idle, &["v1", "v2"]), State::Steady);
        let one_young = [("v1", "low", 100.0), ("v1", "high", 100.0), ("v2", "low", 5.0)];
        assert_eq!(state_of(&one_young, &["v1", "v2"]), State::CannotTell);
    }

    #[test]
    fn a_missing_reference_gives_no_verdict() {
        let expected = [(("v1".to_owned(), "a".to_owned()), expected(None))].into();
        let states = states(&increases(&[("v1", "low", 500.0)]), &expected);
        assert_eq!(states["a"].state, State::CannotTell);
        assert!(states["a"].reason.as_ref().unwrap().contains("signal_reference_rows"));
    }
}
