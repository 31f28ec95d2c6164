//! Limits large requests and scores them on threads beside the workers, so that small requests do not have to wait.
//!
//! A large request waits in a queue of limited bytes. It then holds three permits: the one that every request in flight holds; one of
//! the few for large requests until its answer is sent, which limits memory; and one for a core while it computes, which leaves the
//! other cores to the workers.

use super::{ApiError, State, sent};
use crate::{permits::Permit, reason::Reason, refusal::Refusal};
use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{self, Data},
};
use tokio::time::{Instant, timeout_at};

/// The unit in which queued bytes are counted.
pub(super) const UNIT: usize = 1 << 10;

/// The permits of a large request.
pub(super) struct Large {
    large: Permit,
    core: Permit,
    in_flight: Permit,
}

/// Waits for the permits of a large request, until the deadline.
pub(super) async fn turn(bytes: usize, state: &State, deadline: Instant) -> Result<Large, Refusal> {
    let overloaded = || {
        let message = "too many concurrent large requests; try again shortly, or send fewer rows";
        Refusal::new(Reason::Overloaded, message)
    };
    let queued = state.queued.try_acquire_many(bytes.div_ceil(UNIT)).ok_or_else(overloaded)?;
    let turn = async { (state.large.acquire().await, state.cores.acquire().await) };
    let (large, core) = timeout_at(deadline, turn).await.map_err(|_| overloaded())?;
    // From here on, the body counts as memory of a large request and not of the queue.
    drop(queued);
    Ok(Large { large, core, in_flight: state.admit()? })
}

impl Large {
    /// Does the work on another thread and returns the answer.
    pub(super) async fn work<A: Into<sent::AnswerBody> + Send + 'static>(
        self,
        state: &Data<State>,
        status: StatusCode,
        work: impl FnOnce(&State) -> Result<A, Refusal> + Send + 'static,
    ) -> Result<HttpResponse, ApiError> {
        let state = Data::clone(state);
        let Self { large, core, in_flight } = self;
        // The closure owns the permits, because the work continues after the client disconnects.
        let worked = web::block(move || {
            let answer = work(&state);
            drop(core);
            (answer, large, in_flight)
        });
        let (answer, large, in_flight) = worked.await.map_err(Refusal::internal)?;
        Ok(sent::answer(status, answer?, (large, in_flight)))
    }
}
