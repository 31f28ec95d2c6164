//! Generates rows that drift on purpose, with the ground truth.
//!
//! A [`RowSource`] draws rows that are like a model's reference and alters some of them as a [`DriftSpec`] says. Each row has its
//! true class and whether it drifted, so that the verdicts of a monitor can be compared with the truth.
//!
//! Layout:
//! - [`spec`], `yaml`, [`preset`]: drift specifications and their YAML form
//! - [`source`]: the rows themselves, reproducible by seed
//! - `origin`, [`table_rows`]: what rows are drawn from, the pool of a model card or a table
//! - `records`: reads the records of a table as rows of a model; `unknown_labels` counts labels that are not classes of the model
//! - [`model_card`]: the model whose reference rows follow
//! - [`duration`], [`counted`], [`yaml_bounds`]: how durations and counts are written, and how large a YAML text may be
//! - [`roles`]: names that stand for a feature of any model
//! - `drifted_distribution`: a model's features and classes as a spec changes them
//! - [`output`], [`cli`]: rows as CSV or JSONL, and the command line
//! - [`check`]: judges a table, or the counts of a server, against a model or another table
//!
//! What does not belong here: the formulas that judge whether rows drifted (crate `drift`), and sending rows anywhere.
//!
//! ```
//! let file = model::train(&model::iris::table(), &model::TrainOptions::new("iris"))?;
//! let spec = driftsim::DriftSpec::preset("giant")?;
//! for row in driftsim::RowSource::new(&file.card, &spec, 42)?.take(3) {
//!     assert!(row.drifted && row.values.iter().flatten().all(|&size| size >= 3.0));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod check;
pub mod cli;
pub mod counted;
mod drifted_distribution;
pub mod duration;
#[cfg(test)]
mod fixtures;
pub mod model_card;
mod origin;
pub mod output;
pub mod preset;
mod records;
pub mod roles;
pub mod source;
pub mod spec;
pub mod table_rows;
mod unknown_labels;
mod yaml;
pub mod yaml_bounds;

pub use cli::run;
pub use model_card::load_card;
pub use preset::{Preset, presets};
pub use records::Interface;
pub use source::{Row, RowSource};
pub use spec::{ClassShares, DriftSpec, Operation, SpecError};
pub use table_rows::{TableOptions, TableRows};
