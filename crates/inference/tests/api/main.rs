//! Black-box tests, which send HTTP requests to a real service on a free port.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod awkward;
mod bad_input;
mod binary;
mod categories;
mod check;
mod clock;
mod connections;
mod docs;
mod faults;
mod feedback;
mod frames;
mod harness;
mod lifecycle;
mod memory;
mod oip;
mod onnx;
mod pipes;
mod predict;
mod program;
mod raw;
mod readme;
mod reload;
mod train;
mod upstream;
mod upstream_tls;
mod vitals;
