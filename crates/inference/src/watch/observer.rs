//! Reads the copies of requests and answers on a thread of its own, and counts their rows and outputs.

use super::{
    Shared,
    copy::{Copy, NotCopied},
    headers::BodyHeaders,
};
use crate::{foreign::Protocol, metrics::WatchOutcome};
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use model::Output;
use std::{
    borrow::Cow,
    collections::HashMap,
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

/// How often the same fault of a model is logged at most.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// A request for predictions and its answer.
pub(super) struct Observation {
    pub(super) model: usize,
    pub(super) protocol: Protocol,
    pub(super) status: u16,
    pub(super) request: Copy,
    pub(super) request_headers: BodyHeaders,
    pub(super) answer: Copy,
    pub(super) answer_headers: BodyHeaders,
    /// The outputs, if the answer was already read.
    pub(super) outputs: Option<Vec<Output>>,
}

/// The outcome of an observation, and what did not fit.
type Observed = Result<WatchOutcome, (WatchOutcome, String)>;

/// Observes until the process ends. A fault of the observer ends one observation, not the thread.
pub(super) fn run(shared: &Shared) -> ! {
    let mut logged: HashMap<(usize, WatchOutcome), Instant> = HashMap::new();
    let mut observations = Vec::new();
    loop {
        shared.queue.take(&mut observations);
        for observation in observations.drain(..) {
            one(&observation, shared, &mut logged);
        }
    }
}

fn one(observation: &Observation, shared: &Shared, logged: &mut HashMap<(usize, WatchOutcome), Instant>) {
    let model = observation.model;
    let observed = catch_unwind(AssertUnwindSafe(|| observe(observation, shared)))
        .unwrap_or_else(|_| Err((WatchOutcome::Internal, "the observer failed".to_owned())));
    let (outcome, problem) = match observed {
        Ok(outcome) => (outcome, None),
        Err((outcome, problem)) => (outcome, Some(problem)),
    };
    shared.outcome(model, outcome);
    let Some(problem) = problem else { return };
    let is_due = logged.get(&(model, outcome)).is_none_or(|last| last.elapsed() >= LOG_EVERY);
    if is_due {
        logged.insert((model, outcome), Instant::now());
        let card = shared.models[model].reader.card();
        tracing::warn!(
            model = card.name,
            version = card.version,
            outcome = outcome.as_str(),
            problem,
            "a prediction passed, but was not observed"
        );
    }
}

fn observe(observation: &Observation, shared: &Shared) -> Observed {
    let model = &shared.models[observation.model];
    let status = observation.status;
    let is_refused = matches!(status, 400 | 422);
    if !is_refused && !(200..300).contains(&status) {
        return Ok(WatchOutcome::UpstreamError);
    }
    let limit = shared.body_limit;
    let body = body(&observation.request, &observation.request_headers, limit)?;
    let headers = &observation.request_headers;
    let rows =
        model.reader.rows(observation.protocol, headers.content_type.as_deref(), headers.json_length, &body);
    let rows = match rows {
        Ok(rows) => rows,
        // Our reading agrees with the server's.
        Err(refusal) if is_refused => {
            shared.state.metrics.rejected(refusal.reason);
            return Ok(WatchOutcome::Refused);
        }
        Err(refusal) => {
            let place = refusal.field.map(|field| format!("{field}: ")).unwrap_or_default();
            let problem = format!("the request does not fit the profile: {place}{}", refusal.message);
            return Err((WatchOutcome::NotReadable, problem));
        }
    };
    // Rows that are refused, such as for a missing value, are a sign of drift, too.
    model.described.metrics.observed_all(rows.rows());
    if is_refused {
        return Ok(WatchOutcome::Refused);
    }
    let outputs = match &observation.outputs {
        Some(outputs) => outputs.clone(),
        None => {
            let headers = &observation.answer_headers;
            let body = self::body(&observation.answer, headers, limit)?;
            let outputs = model.reader.outputs(observation.protocol, headers.json_length, &body);
            outputs.map_err(|problem| {
                (WatchOutcome::UnknownShape, format!("the answer does not fit the profile: {problem}"))
            })?
        }
    };
    if outputs.len() != rows.rows().len() {
        let problem =
            format!("the request has {} rows, but the answer has {}", rows.rows().len(), outputs.len());
        return Err((WatchOutcome::UnknownShape, problem));
    }
    let predictions = model.distances.predictions(rows.rows(), outputs);
    let predictions = predictions.map_err(|error| (WatchOutcome::NotReadable, error.to_string()))?;
    model.described.metrics.predicted_all(&predictions);
    Ok(WatchOutcome::Observed)
}

/// Returns the decoded body.
pub(super) fn body<'a>(
    copy: &'a Copy,
    headers: &BodyHeaders,
    limit: usize,
) -> Result<Cow<'a, [u8]>, (WatchOutcome, String)> {
    let bytes = copy.bytes().map_err(|reason| match reason {
        NotCopied::TooLarge => {
            (WatchOutcome::TooLarge, format!("a body is larger than {limit} bytes; see --body-limit"))
        }
        NotCopied::NoMemory => (
            WatchOutcome::NoMemory,
            "bodies that are not observed yet take all the memory for them; see --copy-memory".to_owned(),
        ),
    })?;
    decode(bytes, headers.content_encoding.as_deref(), limit)
}

/// Returns the decoded bytes of a body.
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    encoding: Option<&str>,
    limit: usize,
) -> Result<Cow<'a, [u8]>, (WatchOutcome, String)> {
    let read = |decoder: &mut dyn Read| {
        let mut decoded = Vec::new();
        let read = decoder.take(limit as u64 + 1).read_to_end(&mut decoded);
        match read {
            Err(error) => Err((WatchOutcome::NotReadable, format!("a body cannot be decompressed: {error}"))),
            Ok(length) if length > limit => Err((
                WatchOutcome::TooLarge,
                format!("a body is larger than {limit} bytes; see --body-limit"),
            )),
            Ok(_) => Ok(Cow::Owned(decoded)),
        }
    };
    match encoding.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "identity") => Ok(Cow::Borrowed(bytes)),
        Some("gzip" | "x-gzip") => read(&mut GzDecoder::new(bytes)),
        Some("deflate") => match read(&mut ZlibDecoder::new(bytes)) {
            // Some servers leave out the frame that HTTP asks for, and clients accept this.
            Err((WatchOutcome::NotReadable, _)) => read(&mut DeflateDecoder::new(bytes)),
            decoded => decoded,
        },
        Some(other) => Err((
            WatchOutcome::Encoded,
            format!(
                "a body has the encoding {other:?}, but the watcher reads only gzip and deflate; let the clients send Accept-Encoding: gzip, \
                 or turn this encoding off"
            ),
        )),
    }
}
