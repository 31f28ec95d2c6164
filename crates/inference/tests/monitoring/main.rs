//! The monitoring pack, checked with Prometheus' own tools and held against what the service really publishes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agreement;
mod compose;
mod dashboard;
mod files;
mod fleet;
mod links;
mod promql;
mod promtool;
mod receivers;
mod rules;
