//! Serves a tabular classifier and publishes its health as Prometheus metrics.
//!
//! Layout:
//! - [`cli`], [`settings`]: the command line; [`train`], [`profile`], [`inspect`], [`healthcheck`] are the
//!   commands beside `serve`; [`model_file`], `external`: load the model; [`served`]: a model as it is served; [`environment`]: flags set by environment variables
//! - [`app`]: the server, its start and its graceful stop; [`connection`]: its connections
//! - [`route`], [`reason`], [`refusal`]: the closed sets of routes and error codes, and an error as the client receives it
//! - [`api`]: the HTTP handlers and their error responses
//! - [`rows`]: from a request body to checked rows
//! - [`metrics`]: the declaration of every metric, the events that change them, and the Prometheus page
//! - [`faults`]: faults that a request asks for
//! - [`permits`], [`arrivals`]: the limits on requests in flight and on arriving bodies; [`memory`]: the most memory that
//!   clients can make the service hold
//! - [`receipt`]: signed prediction ids; `secret_file`: the key that signs them; `reload`: takes a new model file; [`column_changes`]: what differs from the former one
//!
//! The service counts and keeps no history. Verdicts are queries over the counts.

pub mod api;
pub mod app;
pub mod arrivals;
pub mod cli;
pub mod column_changes;
pub mod connection;
pub mod environment;
mod external;
pub mod faults;
pub mod healthcheck;
pub mod inspect;
pub mod memory;
pub mod metrics;
pub mod model_file;
pub mod permits;
pub mod profile;
mod progress;
pub mod reason;
pub mod receipt;
pub mod refusal;
mod reload;
pub mod route;
pub mod rows;
mod secret_file;
pub mod served;
pub mod settings;
mod table_args;
pub mod train;

pub use app::Application;
pub use environment::Environment;
pub use model_file::load_model;
pub use served::LoadedModel;
pub use settings::Settings;
