//! Injects the faults that a request asks for, for drills. Requests use the headers of Envoy's HTTP fault filter.
//!
//! `x-envoy-fault-delay-request: 200` delays the answer by 200 ms, `x-envoy-fault-abort-request: 503` answers 503; with both,
//! the delay comes first. Faults are injected only with `--allow-fault-injection`. Without it, the headers are counted as ignored.
//! A request with an invalid header is refused, and counted like any other refused request.

use crate::{
    metrics::{FaultKind, FaultOutcome, Metrics},
    reason::Reason,
    refusal::Refusal,
};
use actix_web::http::StatusCode;
use cli_io::printable::quoted;
use std::time::Duration;

const ABORT: &str = "x-envoy-fault-abort-request";
const DELAY: &str = "x-envoy-fault-delay-request";

/// The faults to inject into the answer to one request.
#[derive(Debug, Default, PartialEq)]
pub struct Faults {
    /// The time by which the answer is delayed.
    pub delay: Option<Duration>,
    /// The error status that is sent instead of a prediction.
    pub abort: Option<StatusCode>,
}

impl Faults {
    /// Reads and counts the fault headers; `header` returns the value of a header. Returns no faults unless `allowed`.
    ///
    /// # Errors
    /// Returns an error if a header is not a number of milliseconds, or not a status from 400 to 599.
    pub fn from_headers<'a>(
        header: impl Fn(&'static str) -> Option<&'a [u8]>,
        allowed: bool,
        metrics: &Metrics,
    ) -> Result<Self, Refusal> {
        let count = |kind, present| {
            if present {
                metrics.fault(kind, if allowed { FaultOutcome::Injected } else { FaultOutcome::Ignored });
            }
        };
        if !allowed {
            count(FaultKind::Delay, header(DELAY).is_some());
            count(FaultKind::Abort, header(ABORT).is_some());
            return Ok(Self::default());
        }
        let faults = Self {
            delay: number(header(DELAY), DELAY, 0..=u64::MAX, "a whole number of milliseconds")?
                .map(Duration::from_millis),
            abort: number(header(ABORT), ABORT, 400..=599, "an error status, from 400 to 599")?
                .and_then(|status| StatusCode::from_u16(status as u16).ok()),
        };
        count(FaultKind::Delay, faults.delay.is_some());
        count(FaultKind::Abort, faults.abort.is_some());
        Ok(faults)
    }
}

/// Returns the refusal of a request whose header asks for an error status.
pub fn injected() -> Refusal {
    Refusal::new(Reason::FaultInjected, "this error was injected because a fault header asks for it")
}

fn number(
    value: Option<&[u8]>,
    name: &'static str,
    range: std::ops::RangeInclusive<u64>,
    what: &str,
) -> Result<Option<u64>, Refusal> {
    let Some(value) = value else { return Ok(None) };
    let number = std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .filter(|n| range.contains(n));
    number.map(Some).ok_or_else(|| {
        Refusal::new(
            Reason::BadFaultHeader,
            format!("{name} must be {what}, got {}", quoted(&String::from_utf8_lossy(value))),
        )
        .at(name)
    })
}
