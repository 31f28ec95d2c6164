//! Loads the model that is to be served or inspected.

use anyhow::{Context, Result};
use cli_io::{
    denied,
    file_kind::{self, Wanted},
};
use model::{ModelFile, TrainOptions, iris};
use std::path::Path;

/// Reads a model file, or trains the built-in Iris model if there is none.
///
/// # Errors
/// If the file cannot be read or is not a model file.
pub fn load_model(path: Option<&Path>) -> Result<ModelFile> {
    match path {
        Some(path) => read_model_file("--model", path),
        None => model::train(&iris::table(), &TrainOptions::new("iris"))
            .context("training the built-in Iris model"),
    }
}

/// Reads the model file that a flag names.
///
/// # Errors
/// If the file cannot be read or is not a model file.
pub(crate) fn read_model_file(flag: &str, path: &Path) -> Result<ModelFile> {
    let place = || format!("{flag} {}", path.display());
    let bytes = std::fs::read(path).map_err(denied::explain).with_context(place)?;
    let read = || Ok(ModelFile::from_json(std::str::from_utf8(&bytes).context("is not text")?)?);
    read().map_err(|error| file_kind::explain(error, &bytes, Wanted::Model)).with_context(place)
}
