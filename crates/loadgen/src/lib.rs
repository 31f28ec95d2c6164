//! Runs traffic scenarios against an inference service, measures it, and checks whether monitoring detects what they cause.
//!
//! Layout:
//! - [`scenario`]: scenarios, read from YAML and checked; [`malformed`]: requests that are invalid for every model
//! - [`plan`]: when each request is due and what it contains, computed from the scenario, the model card and the seed
//! - [`schedule`]: when each phase starts and ends
//! - [`connect`]: how servers are reached
//! - [`engine`]: sends requests at the planned instants and records their results
//! - [`watch`]: reads the service's metrics, Prometheus and Alertmanager during the run
//! - [`judge`]: judges the run by its thresholds and expectations
//! - [`report`]: progress, summary, JSON
//! - [`session`]: follows a run and connects the other parts
//! - [`timeline`], [`page`]: the course of a run, and the page that shows it, live or as the HTML report
//! - [`serve`], [`metrics`]: serve the live page and the load generator's own metrics
//! - [`cli`], [`commands`], [`exit`]: the command line, its subcommands and exit codes; [`text`]: numbers and tables
//!
//! Invariants:
//! - Every offered request is counted as exactly one of completed, failed, timed out, dropped, interrupted.
//! - Response time starts at the planned instant, even if the request was sent late.
//! - The same scenario, model and seed give the same requests in the same order.
//! - An expectation that was not checked is never reported as passed.
//!
//! The crate uses the service over HTTP only, never as a library.

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
