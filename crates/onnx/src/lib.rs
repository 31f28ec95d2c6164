//! Scores rows with ONNX models, through ONNX Runtime, whose library is loaded when it is needed.
//!
//! Layout:
//! - [`runtime`]: finds and loads the library
//! - [`model`](mod@model): reads a model file, and runs it on rows
//! - `inputs`: converts rows into the model's inputs
//! - `outputs`: reads labels and scores from the model's outputs
//! - [`engine`]: converts labels and scores into predictions
//!
//! What does not belong here: HTTP, metrics, tables.

pub mod engine;
mod inputs;
pub mod model;
mod outputs;
pub mod runtime;

pub use engine::OnnxEngine;
pub use inputs::{Inputs, UnfitInputs};
pub use model::{LoadError, OnnxModel, RunError, sha256};
pub use outputs::{RawOutputs, Scores};
pub use runtime::{Runtime, RuntimeError};
