//! Serves a tabular classifier and publishes its vital signs.
//!
//! Layout:
//! - [`cli`], [`settings`]: what was typed, and what follows from it; [`train`], [`inspect`], [`healthcheck`] are the
//!   commands beside `serve`; [`environment`]: flags that variables set
//! - [`app`]: one server, from build to graceful stop; [`connection`]: its connections
//! - [`api`]: the routes and their errors
//! - [`rows`]: from a request body to checked rows
//! - [`metrics`], [`process`]: every metric name; events in, the Prometheus page out
//! - [`instrument`]: counts and times what each route answers
//! - [`faults`]: faults on demand
//! - [`in_flight`], [`arrivals`]: the limits on work at a time and on bodies in arrival
//! - [`receipt`]: prediction ids that prove themselves; [`receipt_key`]: the key that signs them
//!
//! The service keeps no window and no history: it counts. Verdicts are queries over those counts.

pub mod api;
pub mod app;
pub mod arrivals;
pub mod cli;
pub mod connection;
pub mod environment;
pub mod faults;
pub mod healthcheck;
pub mod in_flight;
pub mod inspect;
pub mod instrument;
pub mod metrics;
pub mod process;
pub mod receipt;
pub mod receipt_key;
pub mod rows;
pub mod settings;
pub mod train;

pub use app::Application;
pub use environment::Environment;
pub use settings::Settings;
