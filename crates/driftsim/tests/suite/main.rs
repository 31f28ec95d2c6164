//! Tests of the binary, and of generated rows, which are judged as the monitoring judges traffic.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cli;
#[path = "../common/mod.rs"]
mod common;
mod monitor;
mod presets;
mod properties;
mod server;
mod steady;
mod table_reference;
