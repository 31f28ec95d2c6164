//! Loads the model to serve or to inspect.

use anyhow::{Context, Result};
use cli_io::file_kind::{self, Wanted};
use model::{ModelFile, TrainOptions, iris};
use std::path::Path;

/// Reads a model file, or trains the built-in Iris model if there is none.
///
/// # Errors
/// If the file cannot be read or is not a model file.
pub fn load_model(path: Option<&Path>) -> Result<ModelFile> {
    let Some(path) = path else {
        return model::train(&iris::table(), &TrainOptions::new("iris"))
            .context("training the built-in Iris model");
    };
    let place = || format!("--model {}", path.display());
    let bytes = std::fs::read(path).with_context(place)?;
    let read = || Ok(ModelFile::from_json(std::str::from_utf8(&bytes).context("is not text")?)?);
    read().map_err(|error| file_kind::explain(error, &bytes, Wanted::Model)).with_context(place)
}
