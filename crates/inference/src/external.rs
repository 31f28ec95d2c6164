//! Loads an ONNX model with its profile, and tries it before the service takes its port.

use crate::{LoadedModel, Settings, load_model};
use anyhow::{Context, Result, bail, ensure};
use model::{Batch, ModelCard, ModelFile};
use onnx::{OnnxEngine, OnnxModel, Runtime};
use rand::SeedableRng;
use std::{fs, path::Path, sync::Arc, time::Duration};

/// Simulated rows that the model is tried on, and how long it may take for them.
const TRIED: usize = 64;
const LIMIT: Duration = Duration::from_secs(10);

/// Loads a model and its profile.
///
/// # Errors
/// If a file cannot be read, or the model is not the one that the profile was made with, or does not answer as the profile says.
pub(crate) fn load(model: &Path, profile: &Path, settings: &Settings) -> Result<LoadedModel> {
    let place = || format!("--model {}", model.display());
    let profile_place = || format!("--profile {}", profile.display());
    let ModelFile { card, weights, external, .. } = load_model(Some(profile)).map_err(|error| {
        let cause = error.root_cause().to_string();
        error.context(format!("{} is read as a profile: {cause}", profile_place()))
    })?;
    ensure!(
        weights.is_none(),
        "{}: is a built-in model, which needs no profile: give it with --model alone",
        profile_place()
    );
    let Some(external) = external else {
        bail!(
            "{}: was made from a table's own answers, so it does not say how this model's are read; make it with \
             inference profile --onnx {}",
            profile_place(),
            model.display()
        );
    };
    let bytes = fs::read(model).with_context(place)?;
    let runtime = Runtime::load(settings.onnxruntime.as_deref())?;
    // Large requests are scored beside the workers.
    let sessions = settings.worker_threads() + settings.max_large_in_flight.min(2);
    let loaded = OnnxModel::load(&runtime, &bytes, sessions).with_context(place)?;
    ensure!(
        loaded.sha256() == external.sha256,
        "{}: is another model than the one that --profile {} was made with (SHA-256 {:.12}… instead of {:.12}…); make the \
         profile again with inference profile --onnx {}",
        place(),
        profile.display(),
        loaded.sha256(),
        external.sha256,
        model.display()
    );
    let inputs = loaded.inputs(&card.features).with_context(place)?;
    let engine = OnnxEngine::new(Arc::new(loaded), inputs, external);
    try_out(&engine, &card).with_context(place)?;
    Ok(LoadedModel { card, engine: Arc::new(engine) })
}

/// Runs the model on simulated rows and reads its answers.
fn try_out(engine: &OnnxEngine, card: &ModelCard) -> Result<()> {
    let pool = card.pool()?;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
    let rows: Vec<Vec<Option<f64>>> = (0..TRIED)
        .map(|_| {
            let class = pool.class(rand::RngExt::random(&mut rng));
            let mut row = Vec::new();
            pool.draw(class, &mut rng, &mut row);
            row
        })
        .collect();
    let batch = Batch { rows: &rows, others: &[] };
    let answers = engine.model().run_within(engine.inputs(), batch, LIMIT)?;
    engine.outputs(answers, rows.len()).map_err(anyhow::Error::msg)?;
    Ok(())
}
