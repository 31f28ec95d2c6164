//! Queries Prometheus and its Alertmanagers every second, until the receiver is dropped.

use super::{EVERY, prometheus::PrometheusEvent, queries::QueryWatch, reader::Reader};
use crate::{
    scenario::{Assertion, Expectation},
    schedule::Schedule,
};
use std::time::{Duration, Instant};
use tokio::{sync::mpsc::UnboundedSender, time::MissedTickBehavior};

/// Starts a task for the alerts, one for the Alertmanagers and one for each query, so that a slow answer does not delay the
/// others.
pub fn ask_on(
    reader: &Reader,
    expectations: &[Expectation],
    schedule: &Schedule,
    started: Instant,
    sender: &UnboundedSender<PrometheusEvent>,
) {
    let every_second = EverySecond { reader, started, sender };
    every_second.ask(Duration::ZERO, None, |reader, asked| async move {
        Some(PrometheusEvent::Alerts(asked, reader.alerts().await?))
    });
    if expectations.iter().any(|expectation| matches!(expectation.assertion, Assertion::AlertFires { .. })) {
        every_second.ask(Duration::ZERO, None, |reader, asked| async move {
            Some(PrometheusEvent::Held(asked, reader.held().await?))
        });
    }
    for (position, expectation) in expectations.iter().enumerate() {
        let Assertion::Query { expr, assertion } = &expectation.assertion else { continue };
        let phase = expectation.phase.unwrap_or_default();
        let span = schedule.span(phase);
        let watch = QueryWatch::new(expr, assertion, span.start, span.end);
        let expr = expr.clone();
        every_second.ask(watch.from, Some(watch.until), move |reader, asked| {
            let expr = expr.clone();
            async move { Some(PrometheusEvent::Values(position, asked, reader.query(&expr).await?)) }
        });
    }
}

struct EverySecond<'a> {
    reader: &'a Reader,
    started: Instant,
    sender: &'a UnboundedSender<PrometheusEvent>,
}

impl EverySecond<'_> {
    /// Calls `question` every second from `from` to `until`, counted from the run's start, as long as the receiver exists and there
    /// is a server to query. `question` receives the time of the call.
    fn ask<Q, A>(&self, from: Duration, until: Option<Duration>, question: Q)
    where
        Q: Fn(Reader, Duration) -> A + Send + 'static,
        A: Future<Output = Option<PrometheusEvent>> + Send,
    {
        let (reader, started, sender) = (self.reader.clone(), self.started, self.sender.clone());
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval_at((started + from).into(), EVERY);
            // After a slow answer, missed questions are skipped, and the next one is again asked on a whole second, because
            // verdicts count whole seconds.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                let due = ticks.tick().await;
                if until.is_some_and(|until| due > (started + until).into()) {
                    return;
                }
                let Some(event) = question(reader.clone(), started.elapsed()).await else { return };
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
    }
}
