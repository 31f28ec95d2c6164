//! Reloads the model files when the process receives SIGHUP.

use crate::api::State;
use anyhow::{Context, Result};
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Returns the stream of SIGHUP signals. From then on the signal does not end the process.
///
/// # Errors
/// If the handler cannot be installed.
pub(crate) fn hangups() -> Result<Signal> {
    signal(SignalKind::hangup()).context("signal handlers cannot be installed")
}

/// Reads the model again at each signal. Failures are counted and logged by the state.
pub(crate) async fn on_hangup(mut hangups: Signal, state: Arc<State>) {
    while hangups.recv().await.is_some() {
        let state = Arc::clone(&state);
        if let Err(error) = tokio::task::spawn_blocking(move || drop(state.reload())).await {
            tracing::error!(%error, "reading the model again failed");
        }
    }
}
