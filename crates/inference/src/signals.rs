//! What asks a process to stop: signals, or a future in tests.

use anyhow::{Context, Result};
use std::future::{Future, pending};
use tokio::signal::unix::{SignalKind, signal};

/// Returns a function that waits for the next SIGTERM or SIGINT, and returns its name.
///
/// # Errors
/// Returns an error if signal handlers cannot be installed.
pub(crate) fn stops() -> Result<impl AsyncFnMut() -> &'static str> {
    let watch = |kind| signal(kind).context("signal handlers cannot be installed");
    let (mut terminate, mut interrupt) = (watch(SignalKind::terminate())?, watch(SignalKind::interrupt())?);
    Ok(async move || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// Returns a function that waits for a future, and after that forever.
pub(crate) fn once(stop: impl Future<Output = &'static str> + 'static) -> impl AsyncFnMut() -> &'static str {
    let mut stop = Some(stop);
    async move || match stop.take() {
        Some(stop) => stop.await,
        None => pending().await,
    }
}
