//! Stores what the scenario's expectations need of the answers of Prometheus and its Alertmanagers.

use super::{
    alertmanager::{Asked, Reach},
    alerts::Alerts,
    instances::{FiresWatch, QuietWatch},
    queries::{NoValue, QueryWatch},
};
use crate::{
    scenario::{Assertion, Expectation, TargetLabels},
    schedule::{Schedule, Span},
};
use std::{collections::BTreeSet, time::Duration};

/// The longest time without an answer about alerts for which they still count as observed without a gap: three evaluation
/// intervals of 5 s.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(15);

/// How long after a deadline the answer about it may arrive: a question may be asked a second late, and its answer may take two
/// seconds.
pub const SETTLING: Duration = Duration::from_secs(3);

/// An answer of Prometheus or of its Alertmanagers, with the time of the question, counted from the run's start.
#[derive(Debug)]
pub enum PrometheusEvent {
    /// The alerts.
    Alerts(Duration, Result<Alerts, String>),
    /// The alerts that the Alertmanagers have.
    Held(Duration, Asked),
    /// The values of the query of the expectation at this position.
    Values(usize, Duration, Result<Vec<f64>, NoValue>),
}

/// The observations for one expectation.
#[derive(Debug, Clone)]
pub enum Watched {
    /// Nothing, because the expectation is not about Prometheus.
    Nothing,
    /// An alert that must fire.
    Fires(FiresWatch),
    /// An alert that must stay quiet.
    Quiet(QuietWatch),
    /// A query.
    Query(QueryWatch),
}

/// What Prometheus and its Alertmanagers reported during a run.
#[derive(Debug)]
pub struct PrometheusWatch {
    watched: Vec<Watched>,
    last_answer: Option<Duration>,
    /// The longest time without an answer about alerts.
    pub longest_silence: Duration,
    /// The number of answered questions about alerts.
    pub answered: u64,
    /// The number of questions about alerts without an answer.
    pub failed: u64,
    /// The last error.
    pub last_error: Option<String>,
    /// The names of the alerts that Prometheus has rules for, or the error if they could not be read; `None` without Prometheus.
    pub rules: Option<Result<BTreeSet<String>, String>>,
    /// How many rounds of queries to Alertmanagers were answered.
    pub alertmanagers: Reach,
    /// The labels of alerts that count, for expectations that do not name a job.
    pub target: Option<TargetLabels>,
}

impl PrometheusWatch {
    /// Creates the observations for these expectations.
    pub fn new(expectations: &[Expectation], schedule: &Schedule) -> Self {
        let watched = expectations.iter().map(|expectation| {
            let whole = Span { start: Duration::ZERO, end: schedule.end() };
            let Span { start: from, end: until } =
                expectation.phase.map_or(whole, |phase| schedule.span(phase));
            match &expectation.assertion {
                Assertion::AlertFires { alert, within, resolves } => {
                    Watched::Fires(FiresWatch::new(alert, *within, *resolves, from, until))
                }
                Assertion::AlertQuiet { alert } => {
                    Watched::Quiet(QuietWatch::new(alert, from, until, expectation.phase.is_none()))
                }
                Assertion::Query { expr, assertion } => {
                    Watched::Query(QueryWatch::new(expr, assertion, from, until))
                }
                Assertion::Signal { .. } | Assertion::Vital { .. } => Watched::Nothing,
            }
        });
        Self {
            watched: watched.collect(),
            last_answer: None,
            longest_silence: Duration::ZERO,
            answered: 0,
            failed: 0,
            last_error: None,
            rules: None,
            alertmanagers: Reach::default(),
            target: None,
        }
    }

    /// Ignores alerts about other services than the target, unless the scenario names the job itself.
    pub fn narrow(&mut self, target: TargetLabels) {
        let mut narrowed = false;
        for watched in &mut self.watched {
            narrowed |= match watched {
                Watched::Fires(watch) => watch.narrow(&target),
                Watched::Quiet(watch) => watch.narrow(&target),
                Watched::Query(_) | Watched::Nothing => false,
            };
        }
        self.target = narrowed.then_some(target);
    }

    /// Returns the observations for the expectation at this position.
    pub fn watched(&self, at: usize) -> &Watched {
        &self.watched[at]
    }

    /// Returns whether any alert is expected to fire, so that it matters whether it reaches an Alertmanager.
    pub fn expects_alerts(&self) -> bool {
        self.watched.iter().any(|watched| matches!(watched, Watched::Fires(_)))
    }

    /// Adds an answer.
    pub fn observe(&mut self, event: PrometheusEvent) {
        match event {
            PrometheusEvent::Alerts(at, alerts) => self.alerts(at, alerts),
            PrometheusEvent::Held(at, asked) => {
                self.alertmanagers.observe(&asked);
                for watched in &mut self.watched {
                    if let (Watched::Fires(watch), Some(held)) = (watched, &asked.held) {
                        watch.observe_held(at, held);
                    }
                }
            }
            PrometheusEvent::Values(position, at, values) => {
                if let Watched::Query(watch) = &mut self.watched[position] {
                    watch.observe(at, values);
                }
            }
        }
    }

    /// Ends the observation at `at`; no further answers follow.
    pub fn close(&mut self, at: Duration) {
        self.longest_silence = self.longest_silence.max(self.silence(at));
        for watched in &mut self.watched {
            if let Watched::Query(watch) = watched {
                watch.note_gap(at);
            }
        }
    }

    fn alerts(&mut self, at: Duration, alerts: Result<Alerts, String>) {
        self.longest_silence = self.longest_silence.max(self.silence(at));
        let alerts = match alerts {
            Ok(alerts) => alerts,
            Err(error) => {
                self.failed += 1;
                self.last_error = Some(error);
                return;
            }
        };
        self.answered += 1;
        self.last_answer = Some(at);
        for watched in &mut self.watched {
            match watched {
                Watched::Fires(watch) => watch.observe(at, &alerts),
                Watched::Quiet(watch) => watch.observe(at, &alerts),
                Watched::Query(_) | Watched::Nothing => {}
            }
        }
    }

    fn silence(&self, now: Duration) -> Duration {
        now.saturating_sub(self.last_answer.unwrap_or_default())
    }

    /// Returns which events may still occur at `now`, and until when. It returns none if Prometheus has not answered for too long.
    pub fn awaited(&self, now: Duration) -> Vec<(String, Duration)> {
        if self.answered == 0 || self.silence(now) > LONGEST_SILENCE {
            return Vec::new();
        }
        (0..self.watched.len()).filter_map(|at| self.awaited_of(at, now)).collect()
    }

    /// Returns which event the expectation at this position still waits for at `now`, and until when.
    pub fn awaited_of(&self, at: usize, now: Duration) -> Option<(String, Duration)> {
        let now = now.saturating_sub(SETTLING);
        let awaited = match &self.watched[at] {
            Watched::Fires(watch) => watch.awaited(now, self.alertmanagers.answered > 0),
            Watched::Quiet(watch) => watch.awaited(now),
            Watched::Query(watch) => watch.awaited(now),
            Watched::Nothing => None,
        };
        awaited.map(|(what, until)| (what, until + SETTLING))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_longest_time_without_an_answer_is_measured() {
        let mut watch = PrometheusWatch::new(&[], &Schedule::default());
        watch.observe(PrometheusEvent::Alerts(at(1), Ok(Alerts::default())));
        watch.observe(PrometheusEvent::Alerts(at(5), Err("refused".into())));
        watch.observe(PrometheusEvent::Alerts(at(8), Ok(Alerts::default())));
        assert_eq!((watch.longest_silence, watch.answered, watch.failed), (at(7), 2, 1));
    }
}
