//! What the shell is told.

use crate::report::RunVerdict;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: all good.
    Passed,
    /// 99: a threshold or an expectation was missed.
    Missed,
    /// 104: a bad scenario or flag, or a target that can't be played against.
    BadInput,
    /// 105: interrupted.
    Interrupted,
    /// 106: the generator itself could not keep up.
    Invalid,
}

impl Exit {
    /// The number.
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
