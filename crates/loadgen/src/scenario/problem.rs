//! What is wrong with a part of a scenario, and where this part is in the file.

use super::{library::Found, locate::line_of};
use std::fmt::Display;
use thiserror::Error;

/// The path of a field, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {problem}")]
pub struct Problem {
    /// The path, such as `phases[1].mix.garbage`.
    pub path: String,
    /// What is wrong, and how to fix it.
    pub problem: String,
}

impl Problem {
    /// Creates the problem with the field at `path`.
    pub fn new(path: impl Into<String>, problem: impl Display) -> Self {
        Self { path: path.into(), problem: problem.to_string() }
    }

    /// Returns the problem as `file:line: path: problem`.
    pub(super) fn located(&self, text: &str, file: &str) -> String {
        let line = line_of(text, &self.path).map_or(String::new(), |line| format!("{line}:"));
        format!("{file}:{line} {self}")
    }
}

impl Found {
    /// Adds file and line to an error about a part of the scenario. Other errors stay as they are.
    pub fn locate(&self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast_ref::<Problem>() {
            Some(problem) => anyhow::Error::msg(problem.located(&self.text, &self.place)),
            None => error,
        }
    }
}
