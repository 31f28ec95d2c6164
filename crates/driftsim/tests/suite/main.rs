//! The tests of the crate as its users see it: the binary, and rows judged by a model's own verdicts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cli;
#[path = "../common/mod.rs"]
mod common;
mod monitor;
mod presets;
mod properties;
mod steady;
