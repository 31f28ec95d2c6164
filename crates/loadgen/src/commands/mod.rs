//! The subcommands of `loadgen`, each with its arguments.

pub mod check;
pub mod list;
pub mod merge;
mod preflight;
pub mod run;
pub mod schema;
