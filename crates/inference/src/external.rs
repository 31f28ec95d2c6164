//! Loads an ONNX model with its profile, and tests it before the service listens.

use crate::{LoadedModel, Settings, model_file::read_model_file};
use anyhow::{Context, Result, anyhow, bail, ensure};
use cli_io::{
    denied,
    file_kind::{self, Wanted},
};
use model::{Batch, BatchRows, EngineError, ModelCard, ModelFile};
use onnx::{OnnxEngine, OnnxModel, RunError, Runtime};
use rand::SeedableRng;
use std::{fs, path::Path, sync::Arc, time::Duration};

/// The number of simulated rows that the model must score before it is served.
const TRIED: usize = 64;

/// The time limit for scoring the simulated rows.
const LIMIT: Duration = Duration::from_secs(10);

/// Loads a model and its profile.
///
/// # Errors
/// Returns an error if a file cannot be read, or if the model is not the one that the profile was made with or has other outputs than
/// the profile says.
pub(crate) fn load(model: &Path, profile: &Path, settings: &Settings) -> Result<LoadedModel> {
    let place = || format!("--model {}", model.display());
    let profile_place = || format!("--profile {}", profile.display());
    let ModelFile { card, weights, external, .. } = read_model_file("--profile", profile)?;
    ensure!(
        weights.is_none(),
        "{}: expected a profile, got a built-in model; give it with --model, without --profile",
        profile_place()
    );
    let Some(external) = external else {
        bail!(
            "{}: the profile was made from predictions in a table, so it does not describe the outputs of this model; make it with \
            inference profile --onnx {}",
            profile_place(),
            model.display()
        );
    };
    let bytes = fs::read(model).map_err(denied::explain).with_context(place)?;
    let sha256 = onnx::sha256(&bytes);
    ensure!(
        sha256 == external.sha256,
        "{}: expected the model that --profile {} was made with, got another one (SHA-256 {:.12}… instead of {:.12}…); make the \
        profile again with inference profile --onnx {}",
        place(),
        profile.display(),
        sha256,
        external.sha256,
        model.display()
    );
    let runtime = Runtime::load(settings.onnxruntime.as_deref())?;
    // Large requests are scored on additional threads beside the workers.
    let sessions = settings.worker_threads() + settings.max_large_in_flight.min(2);
    let loaded = read(&runtime, &bytes, sessions).with_context(place)?;
    let inputs = loaded.inputs(&card.features).with_context(place)?;
    let engine = OnnxEngine::new(Arc::new(loaded), inputs, external);
    let known_good = try_out(&engine, &card).with_context(place)?;
    Ok(LoadedModel { card, engine: Arc::new(engine.with_known_good(known_good)) })
}

/// Reads a model. If the file is not an ONNX model, the error names the format that it appears to have.
///
/// # Errors
/// Returns an error if the runtime cannot run the model.
pub(crate) fn read(runtime: &Runtime, bytes: &[u8], sessions: usize) -> Result<OnnxModel> {
    OnnxModel::load(runtime, bytes, sessions)
        .map_err(|error| file_kind::explain(error.into(), bytes, Wanted::Onnx))
}

/// Runs the model on simulated rows and reads its outputs. Returns one of the rows.
fn try_out(engine: &OnnxEngine, card: &ModelCard) -> Result<Vec<Option<f64>>> {
    let pool = card.pool()?;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
    let (mut values, mut row) = (Vec::new(), Vec::new());
    for _ in 0..TRIED {
        let class = pool.class(rand::RngExt::random(&mut rng));
        pool.draw(class, &mut rng, &mut row);
        values.extend_from_slice(&row);
    }
    let rows = BatchRows::new(&values, card.features.len());
    let batch = Batch { rows, others: &[] };
    let answers = engine.model().run_within(engine.inputs(), batch, LIMIT);
    let answers = answers.map_err(|error| match error {
        RunError::Engine(EngineError::Value { feature, problem, .. }) => {
            anyhow!("a simulated row: {:?} {problem}", card.features[feature].name)
        }
        other => other.into(),
    })?;
    engine.outputs(answers, rows.len()).map_err(anyhow::Error::msg)?;
    Ok(rows[0].to_vec())
}
