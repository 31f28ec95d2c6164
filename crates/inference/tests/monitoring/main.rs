//! Tests of the monitoring pack. They use Prometheus' own tools, and compare the pack with the metrics that the service publishes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agreement;
mod compose;
mod dashboard;
mod demo;
mod files;
mod fleet;
mod links;
mod promql;
mod promtool;
mod receivers;
mod rules;
