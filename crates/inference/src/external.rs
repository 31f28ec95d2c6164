//! Loads an ONNX model with its profile, and tries it before the service takes its port.

use crate::{LoadedModel, Settings, model_file::read_model_file};
use anyhow::{Context, Result, anyhow, bail, ensure};
use cli_io::file_kind::{self, Wanted};
use model::{Batch, BatchRows, EngineError, ModelCard, ModelFile};
use onnx::{OnnxEngine, OnnxModel, RunError, Runtime};
use rand::SeedableRng;
use std::{fs, path::Path, sync::Arc, time::Duration};

/// Simulated rows that the model must score before it is served.
const TRIED: usize = 64;

/// The time limit for scoring them.
const LIMIT: Duration = Duration::from_secs(10);

/// Loads a model and its profile.
///
/// # Errors
/// If a file cannot be read, or the model is not the one that the profile was made with, or does not answer as the profile says.
pub(crate) fn load(model: &Path, profile: &Path, settings: &Settings) -> Result<LoadedModel> {
    let place = || format!("--model {}", model.display());
    let profile_place = || format!("--profile {}", profile.display());
    let ModelFile { card, weights, external, .. } = read_model_file("--profile", profile)?;
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
    let sha256 = onnx::sha256(&bytes);
    ensure!(
        sha256 == external.sha256,
        "{}: is another model than the one that --profile {} was made with (SHA-256 {:.12}… instead of {:.12}…); make the \
         profile again with inference profile --onnx {}",
        place(),
        profile.display(),
        sha256,
        external.sha256,
        model.display()
    );
    let runtime = Runtime::load(settings.onnxruntime.as_deref())?;
    // Large requests are scored beside the workers.
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
/// If it is not a model that the runtime can run.
pub(crate) fn read(runtime: &Runtime, bytes: &[u8], sessions: usize) -> Result<OnnxModel> {
    OnnxModel::load(runtime, bytes, sessions)
        .map_err(|error| file_kind::explain(error.into(), bytes, Wanted::Onnx))
}

/// Runs the model on simulated rows and reads its answers. Returns one of the rows.
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
