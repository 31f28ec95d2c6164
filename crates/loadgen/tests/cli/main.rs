//! Tests of the real binary against a stub of the service.

// Helpers of tests may panic, too, but clippy only allows it in functions marked #[test].
#![allow(clippy::unwrap_used)]

mod bad_input;
mod check_and_list;
mod completions;
#[path = "../common/flats.rs"]
mod flats;
mod foreign;
mod https;
mod page;
mod requests;
mod rogues;
mod run;
mod schema;
mod shards;
mod support;
