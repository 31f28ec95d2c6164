//! The real binary against a stand-in for the service.

// Helpers of tests may panic as tests do; clippy knows only functions marked #[test].
#![allow(clippy::unwrap_used)]

mod bad_input;
mod check_and_list;
mod completions;
#[path = "../common/flats.rs"]
mod flats;
mod https;
mod page;
mod requests;
mod rogues;
mod run;
mod schema;
mod shards;
mod support;
