//! Runs traffic scenarios against an inference service, measures it, and checks whether monitoring detects what they cause.
//!
//! Layout:
//! - [`scenario`]: scenarios, read from YAML and checked; [`malformed`]: requests that are invalid for every model
//! - [`plan`]: what is due when and what it carries, from the scenario, the model card and the seed alone
//! - [`schedule`]: when each phase starts and ends
//! - [`connect`]: how servers are reached
//! - [`engine`]: sends requests at the planned instants and records their results
//! - [`watch`]: what monitoring can see meanwhile
//! - [`judge`]: whether it went well
//! - [`report`]: progress, summary, JSON
//! - [`session`]: a run as it is followed
//! - [`timeline`], [`page`]: its course and verdict as a page, live or left behind as the HTML report
//! - [`serve`], [`metrics`]: the live page and own metrics over HTTP
//! - [`cli`], [`commands`], [`exit`]: the command line, its subcommands and exit codes; [`text`]: numbers and tables
//!
//! Invariants:
//! - Every offered request is counted as exactly one of completed, failed, timed out, dropped, interrupted.
//! - Response time starts at the planned instant, whatever the generator or the target did before.
//! - The same scenario, model and seed give the same requests in the same order.
//! - What was not looked at is never reported as passed.
//!
//! The service is known over HTTP alone.

pub mod cli;
pub mod commands;
pub mod connect;
pub mod engine;
pub mod exit;
pub mod judge;
pub mod malformed;
pub mod metrics;
pub mod page;
pub mod plan;
pub mod report;
pub mod scenario;
pub mod schedule;
pub mod serve;
pub mod session;
pub mod text;
pub mod timeline;
pub mod watch;

pub use cli::run;
pub use exit::Exit;
