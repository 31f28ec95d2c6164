//! Loads the model card that rows are generated from.

use anyhow::{Context, Result, ensure};
use cli_io::file_kind::{self, FileKind, Wanted};
use model::{ModelCard, ModelFile, ServerModel, TrainOptions};
use std::{fs::File, io::Read, path::Path};

/// The largest file that is read, in bytes. Cards of hundreds of features are much smaller.
const LARGEST: u64 = 256 << 20;

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

/// Reads the card of a model file or of a profile, or a card as `GET /model` returns it. A profile of a model server also says how the
/// server is asked. `flag` is the flag that the path is from.
///
/// # Errors
/// Returns an error if the file cannot be read, contains no card, or the card is inconsistent.
pub fn read_card(flag: &str, path: &Path) -> Result<(ModelCard, Option<ServerModel>)> {
    let place = || format!("{flag}: {}", path.display());
    let bytes = read_bounded(path).with_context(place)?;
    let read = || {
        let text = str::from_utf8(&bytes).context("is not text")?;
        if FileKind::guess(&bytes) == Some(FileKind::Model) {
            let file = ModelFile::from_json(text)?;
            return Ok((file.card, file.server));
        }
        let card: ModelCard = serde_json::from_str(text)?;
        card.check()?;
        Ok((card, None))
    };
    read().map_err(|error| file_kind::explain(error, &bytes, Wanted::Model)).with_context(place)
}

/// Reads a file or a pipe, but not without end.
fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= LARGEST, "is larger than {} MiB, so it is not a model file", LARGEST >> 20);
    Ok(bytes)
}
