//! The monitoring pack, checked with Prometheus' own tools and held against what the service really publishes.

mod dashboard;
mod files;
mod promql;
mod rules;
