//! Tests of `inference watch` between real clients and real servers, on free ports.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod faults;
mod feedback;
mod limits;
mod message;
mod models;
mod observed;
mod servers;
mod sink;
mod support;
mod transparency;
mod upgrade;
mod upstream;
