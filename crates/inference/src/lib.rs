//! Serves a model of tables and publishes its health as Prometheus metrics.
//!
//! Layout:
//! - [`cli`], [`settings`], [`environment`]: the command line, the flags of `serve`, and flags set by environment variables
//! - [`train`], [`profile`], [`inspect`], [`healthcheck`]: the other commands
//! - [`model_file`], `external`: load a model; [`served`]: a model with all that is needed to serve it
//! - [`watch`]: a proxy that observes a model server of another kind
//! - [`app`]: starts and stops the server; `signals`: what asks it to stop; [`connection`]: its connections
//! - [`route`], [`reason`], [`refusal`]: the closed sets of routes and error codes, and an error as the client receives it
//! - [`api`]: the HTTP handlers and their error responses
//! - [`rows`]: reads and checks the rows in a request body
//! - [`foreign`]: reads the requests and answers of model servers that are not this program
//! - [`metrics`]: the declaration of every metric, the events that change them, and the Prometheus page
//! - [`faults`]: faults that a request asks for
//! - [`permits`], [`arrivals`]: the limits on requests in flight and on arriving bodies; [`memory`]: the most memory that
//!   clients can make the service hold
//! - [`receipt`]: signed prediction ids; `secret_file`: the key that signs them; `reload`: takes a new model file; [`column_changes`]: what differs from the former one
//!
//! The service counts, but keeps no history. Verdicts are queries over the counts.

pub mod api;
pub mod app;
pub mod arrivals;
pub mod cli;
pub mod column_changes;
pub mod connection;
pub mod environment;
mod external;
pub mod faults;
pub mod foreign;
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
mod signals;
mod table_args;
pub mod train;
pub mod watch;

pub use app::Application;
pub use environment::Environment;
pub use model_file::load_model;
pub use served::LoadedModel;
pub use settings::Settings;
