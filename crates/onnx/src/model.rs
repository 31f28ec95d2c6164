//! Reads a model file, and runs it on rows.

use crate::{Answers, Inputs, Runtime, UnfitInputs, outputs::Roles};
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

/// The most rows that are handed to the model at a time, which bounds the memory that it takes.
const MOST_ROWS: usize = 1024;

/// A model, ready to run.
#[derive(Debug)]
pub struct OnnxModel {
    sessions: Vec<Mutex<Session>>,
    roles: Roles,
    sha256: String,
}

/// Why a model file cannot be used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// It is not a model, or one that this runtime cannot run.
    #[error("cannot be run by ONNX Runtime: {0}")]
    Unreadable(String),
    /// It has parts in other files.
    #[error(
        "keeps its weights in other files (external data), which are not read; save it as one file: \
         torch.onnx.export(…, external_data=False) or onnx.save(model, path, save_as_external_data=False)"
    )]
    ExternalData,
    /// None of its outputs can be read.
    #[error("{0}")]
    Outputs(String),
}

/// Why a model did not answer.
#[derive(Debug, Error)]
pub enum RunError {
    /// A row has a value that the model cannot take, or the model failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It did not answer within the time limit.
    #[error("did not answer {rows} rows within {limit:?}")]
    TimedOut {
        /// The number of rows.
        rows: usize,
        /// The time limit.
        limit: Duration,
    },
}

impl OnnxModel {
    /// Reads a model from the content of its file, for as many threads as there are `sessions`.
    ///
    /// # Errors
    /// If it is not a model that the runtime can run, or none of its outputs can be read.
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

    /// Finds the input of each feature.
    ///
    /// # Errors
    /// If the features do not fit the model's inputs.
    pub fn inputs(&self, features: &[Feature]) -> Result<Inputs, UnfitInputs> {
        Inputs::new(self.session().inputs(), features)
    }

    /// Runs the model on some rows.
    ///
    /// # Errors
    /// If a row has a value that the model cannot take, or the model fails.
    pub fn run(&self, inputs: &Inputs, batch: Batch) -> Result<Answers, EngineError> {
        self.run_with(inputs, batch, None)
    }

    /// Runs the model on some rows, and ends it when it takes longer than `limit`.
    ///
    /// # Errors
    /// As [`OnnxModel::run`], and if it was ended.
    pub fn run_within(&self, inputs: &Inputs, batch: Batch, limit: Duration) -> Result<Answers, RunError> {
        let failed = |error: ort::Error| EngineError::Failed(error.to_string());
        let options = RunOptions::new().map_err(failed)?;
        let (done, is_done) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let options = &options;
            let watch = scope.spawn(move || {
                let timed_out = is_done.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
                timed_out && options.terminate().is_ok()
            });
            let answers = self.run_with(inputs, batch, Some(options));
            drop(done);
            match (answers, watch.join().unwrap_or(false)) {
                (Err(_), true) => Err(RunError::TimedOut { rows: batch.rows.len(), limit }),
                (answers, _) => Ok(answers?),
            }
        })
    }

    fn run_with(
        &self,
        inputs: &Inputs,
        batch: Batch,
        options: Option<&RunOptions>,
    ) -> Result<Answers, EngineError> {
        let together = inputs.rows.unwrap_or(MOST_ROWS).max(1);
        let rows = batch.rows.len();
        let mut all = Answers::default();
        let mut session = self.session();
        for first in (0..rows).step_by(together) {
            let count = together.min(rows - first);
            let tensors = inputs.tensors(batch, first, count)?;
            let outputs = match options {
                Some(options) => session.run_with_options(tensors, options),
                None => session.run(tensors),
            };
            let outputs = outputs.map_err(|error| EngineError::Failed(plain(&error.to_string())))?;
            // A model that takes a fixed number of rows answers for that number.
            let answers = self
                .roles
                .read(&outputs, inputs.rows.unwrap_or(count), count)
                .map_err(EngineError::Failed)?;
            all.append(answers).map_err(EngineError::Failed)?;
        }
        Ok(all)
    }

    /// Returns a session that no other thread uses: that of this thread, or else a free one.
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

impl Answers {
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
            Some(own) => return Err(format!("output {:?} has another form for other rows", own.output)),
        }
        Ok(())
    }
}

/// Returns the error of a model that the runtime does not load.
fn explained(message: &str) -> LoadError {
    let external = ["external data", "External data", "external_data", "model_path must not be empty"];
    if external.iter().any(|part| message.contains(part)) {
        return LoadError::ExternalData;
    }
    LoadError::Unreadable(plain(message))
}

/// Returns a message of the runtime without the place in its source code and the signature there.
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
    fn places_in_the_source_code_of_the_runtime_are_left_out() {
        let message = "Load failed:/onnxruntime_src/onnxruntime/core/graph/model.cc:256 onnxruntime::Model::Model(onnx::ModelProto&&, \
                       const std::function<void(int)>&) Unsupported model IR version: 99, max supported IR version: 14";
        assert_eq!(
            plain(message),
            "Load failed:Unsupported model IR version: 99, max supported IR version: 14"
        );
        assert_eq!(plain(" the graph is not acyclic. "), "the graph is not acyclic.");
    }
}
