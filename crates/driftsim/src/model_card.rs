//! Loads the model whose reference rows are drawn from.

use anyhow::{Context, Result};
use cli_io::file_kind::{self, Wanted};
use model::{ModelCard, ModelFile, TrainOptions};
use std::path::Path;

/// Reads the card of a model file, or that of the built-in Iris model if there is no file.
///
/// # Errors
/// If the file cannot be read or is not a model file.
pub fn load_card(path: Option<&Path>) -> Result<ModelCard> {
    let file = match path {
        Some(path) => {
            let place = || format!("--model: {}", path.display());
            let bytes = std::fs::read(path).with_context(place)?;
            let read = || Ok(ModelFile::from_json(str::from_utf8(&bytes).context("is not text")?)?);
            read().map_err(|error| file_kind::explain(error, &bytes, Wanted::Model)).with_context(place)?
        }
        None => model::train(&model::iris::table(), &TrainOptions::new("iris"))?,
    };
    Ok(file.card)
}
