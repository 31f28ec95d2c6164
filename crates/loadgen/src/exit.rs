//! Defines the exit codes.

use crate::judge::RunVerdict;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: no threshold or expectation was missed.
    Passed,
    /// 99: a threshold or an expectation was missed.
    Missed,
    /// 104: an invalid scenario or flag, or a target that cannot be used.
    BadInput,
    /// 105: the run was interrupted.
    Interrupted,
    /// 106: the generator could not keep up.
    Invalid,
}

impl Exit {
    /// Returns the number that the shell receives.
    pub fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Missed => 99,
            Self::BadInput => 104,
            Self::Interrupted => 105,
            Self::Invalid => 106,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<RunVerdict> for Exit {
    fn from(verdict: RunVerdict) -> Self {
        match verdict {
            RunVerdict::Passed => Self::Passed,
            RunVerdict::Failed => Self::Missed,
            RunVerdict::Invalid => Self::Invalid,
            RunVerdict::Interrupted => Self::Interrupted,
        }
    }
}
