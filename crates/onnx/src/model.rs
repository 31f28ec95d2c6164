//! Reads a model from the content of a file, and runs it on rows.

use crate::{Inputs, RawOutputs, Runtime, UnfitInputs, outputs::Roles};
use model::{Batch, EngineError, Feature};
use ort::session::{RunOptions, Session, builder::GraphOptimizationLevel};
use sha2::{Digest, Sha256};
use std::{
    cell::Cell,
    sync::{
        Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};
use thiserror::Error;

/// The greatest number of rows that are passed to the model at once, which limits its memory.
const MOST_ROWS: usize = 1024;

/// A model that is ready to run.
#[derive(Debug)]
pub struct OnnxModel {
    sessions: Vec<Mutex<Session>>,
    roles: Roles,
    sha256: String,
}

/// Why a model file cannot be used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file is not a model, or this runtime cannot run it.
    #[error("cannot be run by ONNX Runtime: {0}")]
    Unreadable(String),
    /// The model has parts in other files.
    #[error(
        "keeps its weights in other files (external data), which are not read; save it as one file: \
         torch.onnx.export(…, external_data=False) or onnx.save(model, path, save_as_external_data=False)"
    )]
    ExternalData,
    /// None of the model's outputs can be read.
    #[error("{0}")]
    Outputs(String),
}

/// Why a model returned no outputs.
#[derive(Debug, Error)]
pub enum RunError {
    /// A row has a value that the model cannot take, or the model failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The model exceeded the time limit.
    #[error("did not finish {rows} rows within {limit:?}")]
    TimedOut {
        /// The number of rows.
        rows: usize,
        /// The time limit.
        limit: Duration,
    },
}

impl OnnxModel {
    /// Reads a model from the content of its file. It can run on as many threads at once as there are `sessions`.
    ///
    /// # Errors
    /// Returns an error if the runtime cannot run the model, or if none of its outputs can be read.
    pub fn load(runtime: &Runtime, bytes: &[u8], sessions: usize) -> Result<Self, LoadError> {
        let open = || -> Result<Session, LoadError> {
            let open = || -> ort::Result<Session> {
                Session::builder(&runtime.0)?
                    .with_optimization_level(GraphOptimizationLevel::Level3)?
                    .with_intra_threads(1)?
                    .with_inter_threads(1)?
                    .commit_from_memory(bytes)
            };
            open().map_err(|error| explained(&error.to_string()))
        };
        let first = open()?;
        let roles = Roles::new(first.outputs()).map_err(LoadError::Outputs)?;
        let others = (1..sessions.max(1)).map(|_| open());
        let sessions = std::iter::once(Ok(first)).chain(others);
        let sessions = sessions.map(|session| session.map(Mutex::new)).collect::<Result<_, _>>()?;
        Ok(Self { sessions, roles, sha256: sha256(bytes) })
    }

    /// Returns the SHA-256 of the model's file, in hex digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Assigns the features to the model's inputs.
    ///
    /// # Errors
    /// Returns an error if the features do not fit the model's inputs.
    pub fn inputs(&self, features: &[Feature]) -> Result<Inputs, UnfitInputs> {
        Inputs::new(self.session().inputs(), features)
    }

    /// Runs the model on some rows.
    ///
    /// # Errors
    /// Returns an error if a row has a value that the model cannot take, or if the model fails.
    pub fn run(&self, inputs: &Inputs, batch: Batch) -> Result<RawOutputs, EngineError> {
        self.run_with(inputs, batch, None)
    }

    /// Runs the model on some rows, and stops it when it takes longer than `limit`.
    ///
    /// # Errors
    /// Returns the errors of [`OnnxModel::run`], and an error if the model was stopped.
    pub fn run_within(&self, inputs: &Inputs, batch: Batch, limit: Duration) -> Result<RawOutputs, RunError> {
        let failed = |error: ort::Error| EngineError::Failed(error.to_string());
        let options = RunOptions::new().map_err(failed)?;
        let (done, is_done) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let options = &options;
            let watch = scope.spawn(move || {
                let timed_out = is_done.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
                timed_out && options.terminate().is_ok()
            });
            let outputs = self.run_with(inputs, batch, Some(options));
            drop(done);
            match (outputs, watch.join().unwrap_or(false)) {
                (Err(_), true) => Err(RunError::TimedOut { rows: batch.rows.len(), limit }),
                (outputs, _) => Ok(outputs?),
            }
        })
    }

    fn run_with(
        &self,
        inputs: &Inputs,
        batch: Batch,
        options: Option<&RunOptions>,
    ) -> Result<RawOutputs, EngineError> {
        let together = inputs.rows.unwrap_or(MOST_ROWS).max(1);
        let rows = batch.rows.len();
        let mut all = RawOutputs::default();
        let mut session = self.session();
        for first in (0..rows).step_by(together) {
            let count = together.min(rows - first);
            let tensors = inputs.tensors(batch, first, count)?;
            let outputs = match options {
                Some(options) => session.run_with_options(tensors, options),
                None => session.run(tensors),
            };
            let outputs = outputs.map_err(|error| EngineError::Failed(plain(&error.to_string())))?;
            // A model that takes a fixed number of rows also returns outputs for that number.
            let outputs = self
                .roles
                .read(&outputs, inputs.rows.unwrap_or(count), count)
                .map_err(EngineError::Failed)?;
            all.append(outputs).map_err(EngineError::Failed)?;
        }
        Ok(all)
    }

    /// Returns a session that no other thread is using: the one of this thread if it is free, or another one.
    fn session(&self) -> MutexGuard<'_, Session> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: Cell<Option<usize>> = const { Cell::new(None) };
        }
        let thread = THREAD.with(|own| {
            let number = own.get().unwrap_or_else(|| THREADS.fetch_add(1, Ordering::Relaxed));
            own.set(Some(number));
            number
        });
        let count = self.sessions.len();
        let free = (0..count).find_map(|step| match self.sessions[(thread + step) % count].try_lock() {
            Ok(session) => Some(session),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        free.unwrap_or_else(|| self.sessions[thread % count].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Returns the SHA-256 of a model's file, in hex digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl RawOutputs {
    fn append(&mut self, other: Self) -> Result<(), String> {
        if let Some(labels) = other.labels {
            self.labels.get_or_insert_default().extend(labels);
        }
        let Some(scores) = other.scores else { return Ok(()) };
        match &mut self.scores {
            None => self.scores = Some(scores),
            Some(own) if own.columns == scores.columns && own.names == scores.names => {
                own.values.extend(scores.values);
            }
            Some(own) => {
                return Err(format!("output {:?} has different shapes for different rows", own.output));
            }
        }
        Ok(())
    }
}

/// Returns the error for a model that the runtime could not load.
fn explained(message: &str) -> LoadError {
    let external = ["external data", "External data", "external_data", "model_path must not be empty"];
    if external.iter().any(|part| message.contains(part)) {
        return LoadError::ExternalData;
    }
    LoadError::Unreadable(plain(message))
}

/// Returns a message of the runtime without the place in its source code and the signature of the function there.
fn plain(message: &str) -> String {
    let message = message.trim();
    let Some((before, place)) = message.split_once("/onnxruntime_src/") else { return message.to_owned() };
    let Some(start) = place.find('(') else { return message.to_owned() };
    let mut depth = 0;
    let end = place[start..].char_indices().find(|&(_, c)| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    });
    let after = end.map_or("", |(at, _)| place[start + at + 1..].trim_start());
    format!("{before}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_out_source_locations_of_the_runtime() {
        let message = "Load failed:/onnxruntime_src/onnxruntime/core/graph/model.cc:256 onnxruntime::Model::Model(onnx::ModelProto&&, \
                       const std::function<void(int)>&) Unsupported model IR version: 99, max supported IR version: 14";
        assert_eq!(
            plain(message),
            "Load failed:Unsupported model IR version: 99, max supported IR version: 14"
        );
        assert_eq!(plain(" the graph is not acyclic. "), "the graph is not acyclic.");
    }
}
