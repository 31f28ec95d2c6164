//! Large requests: a few at a time, scored beside the workers instead of on them, so that others don't have to wait.
//!
//! A large request has a place of its own kind until its answer is sent, which bounds memory; and while it computes it
//! has one of the cores that are granted to large requests, which leaves the others to the workers.

use super::{ApiError, Reason, State, body::Body, sent};
use crate::in_flight::Place;
use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{self, Bytes, Data},
};
use tokio::time::{Instant, timeout_at};

/// A large request whose turn it is.
pub(super) struct Large {
    place: Place,
    core: Place,
}

/// Waits for a turn, until the deadline.
pub(super) async fn turn(
    mut body: Body,
    state: &State,
    deadline: Instant,
) -> Result<(Bytes, Large), ApiError> {
    body.wait_its_turn(state)?;
    let turn = async { Large { place: state.large.wait().await, core: state.cores.wait().await } };
    let turn = timeout_at(deadline, turn).await.map_err(|_| {
        ApiError::new(
            Reason::Overloaded,
            "too many large requests at a time; try again shortly, or send fewer rows",
        )
    })?;
    // From here on the body counts as part of a large request.
    Ok((body.bytes, turn))
}

impl Large {
    /// Works beside the workers, and answers.
    pub(super) async fn work(
        self,
        state: &Data<State>,
        place: Place,
        status: StatusCode,
        work: impl FnOnce(&State) -> Result<Vec<u8>, ApiError> + Send + 'static,
    ) -> Result<HttpResponse, ApiError> {
        let state = Data::clone(state);
        let Self { place: large, core } = self;
        // The places go along: where the client hangs up, the work goes on, and so does what it takes.
        let worked = web::block(move || {
            let answer = work(&state);
            drop(core);
            (answer, large, place)
        });
        let (answer, large, place) = worked.await.map_err(ApiError::internal)?;
        Ok(sent::json(status, answer?, (large, place)))
    }
}
