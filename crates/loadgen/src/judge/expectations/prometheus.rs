//! Judges expectations on Prometheus and its Alertmanagers.

use super::{Finding, LONGEST_GAP, is_within};
use crate::{
    judge::Verdict,
    scenario::{Assertion, Expectation, QueryAssertion},
    schedule::{Schedule, Span},
    watch::{
        PrometheusWatch,
        alerts::Labels,
        instances::{AT_ONCE, AlertState, FiresWatch, LONGEST_DELIVERY, LONGEST_LAPSE, QuietWatch},
        prometheus::{LONGEST_SILENCE, Watched},
        queries::QueryWatch,
    },
};
use std::time::Duration;

/// Further times of an alert.
#[derive(Default)]
pub(super) struct AlertTimes {
    /// When the alert resolved, counted from its phase's end.
    pub(super) resolved: Option<Duration>,
    /// When an Alertmanager had the alert, counted from its phase's start.
    pub(super) notified: Option<Duration>,
}

pub(super) fn judge(
    at: usize,
    expectation: &Expectation,
    schedule: &Schedule,
    prometheus: &PrometheusWatch,
    times: &mut AlertTimes,
) -> Finding {
    let phase = expectation.phase.unwrap_or_default();
    let Span { start, end } = schedule.span(phase);
    // The run would not have started if the rules had been read before it.
    if let (Assertion::AlertFires { alert, .. } | Assertion::AlertQuiet { alert }, Some(Ok(known))) =
        (&expectation.assertion, &prometheus.rules)
        && !known.contains(&alert.name)
    {
        return (Verdict::Failed, format!("Prometheus has no alerting rule {:?}", alert.name), None);
    }
    match (&expectation.assertion, prometheus.watched(at)) {
        (Assertion::AlertFires { within, resolves, .. }, Watched::Fires(watch)) => {
            let fires = Fires { watch, within: *within, resolves: *resolves, start, end, prometheus };
            fires.judge(times)
        }
        (Assertion::AlertQuiet { .. }, Watched::Quiet(watch)) => {
            quiet(watch, expectation.phase.map(|_| start), prometheus)
        }
        (Assertion::Query { assertion, .. }, Watched::Query(watch)) => query(assertion, watch, start),
        _ => unreachable!("a watch is made for each expectation by its own assertion"),
    }
}

fn whole(time: Duration) -> String {
    format!("{:.0} s", time.as_secs_f64())
}

struct Fires<'a> {
    watch: &'a FiresWatch,
    within: Duration,
    resolves: Option<Duration>,
    start: Duration,
    end: Duration,
    prometheus: &'a PrometheusWatch,
}

impl Fires<'_> {
    fn judge(&self, times: &mut AlertTimes) -> Finding {
        let before = |was| {
            (Verdict::Failed, format!("{was} before the phase began, so the phase is not its cause"), None)
        };
        match self.watch.at_start() {
            Some(AlertState::Firing) => return before("was firing"),
            Some(AlertState::Pending) => return before("was about to fire"),
            Some(AlertState::Inactive) => {}
            None => {
                let silent = self.prometheus.answered == 0;
                let reason = unanswered(self.prometheus).filter(|_| silent);
                let otherwise = || unread_at_start("Prometheus", self.prometheus.last_error.as_deref());
                return (Verdict::CannotTell, reason.unwrap_or_else(otherwise), None);
            }
        }
        let Some(fired) = self.watch.fired else {
            if let Some(reason) = unanswered(self.prometheus) {
                return (Verdict::CannotTell, reason, None);
            }
            let never = if self.resolves.is_some() {
                "did not fire, so it could not resolve"
            } else {
                "did not fire"
            };
            return (Verdict::Failed, never.into(), None);
        };
        let after = fired - self.start;
        let steps = [self.delivery(fired, times), self.resolution(times)];
        let fired_in_time = Verdict::of(is_within(after, self.within));
        let verdict = Verdict::of_all(steps.iter().map(|(verdict, _)| *verdict).chain([fired_in_time]));
        let fired = format!("fired after {}", whole(after));
        let details = |undecided: bool| {
            let chosen =
                steps.iter().filter(move |(verdict, _)| (*verdict == Verdict::CannotTell) == undecided);
            chosen.filter_map(|(_, detail)| detail.clone())
        };
        // The reason why the expectation cannot be decided comes first if the verdict depends on it.
        let detail = if verdict == Verdict::CannotTell {
            let decided: Vec<_> = std::iter::once(fired).chain(details(false)).collect();
            details(true).chain([decided.join(", ")]).collect::<Vec<_>>().join("; ")
        } else {
            let all = std::iter::once(fired).chain(details(false)).chain(details(true));
            all.collect::<Vec<_>>().join(", ")
        };
        (verdict, detail, Some(after))
    }

    /// Judges whether the alert reached an Alertmanager in time. It passes without a detail if no Alertmanager can be reached from
    /// this machine.
    fn delivery(&self, fired: Duration, times: &mut AlertTimes) -> (Verdict, Option<String>) {
        let delivery = &self.watch.delivery;
        let deadline = fired + LONGEST_DELIVERY;
        let kept_back = delivery
            .suppressed
            .as_ref()
            .map(|(at, why)| format!("in Alertmanager after {}, but {why}", whole(*at - self.start)));
        if let Some(arrived) = delivery.arrived {
            let after = whole(arrived - self.start);
            times.notified = Some(arrived - self.start);
            let without = delivery.last_without.map_or(fired, |at| at.max(fired));
            if without >= deadline {
                let late = kept_back.map_or_else(
                    || format!("in Alertmanager after {after}, more than {} later", whole(LONGEST_DELIVERY)),
                    |words| format!("{words} until {after}"),
                );
                return (Verdict::Failed, Some(late));
            }
            // Without an answer around the deadline, the alert may have arrived in time.
            if arrived > deadline + AT_ONCE && arrived > without + LONGEST_LAPSE {
                return (Verdict::CannotTell, Some(fell_silent(self.prometheus)));
            }
            return (Verdict::Passed, Some(format!("in Alertmanager after {after}")));
        }
        if delivery.unclear.is_some() {
            let error = self.prometheus.alertmanagers.last_error.as_deref();
            return (Verdict::CannotTell, Some(unread_at_start("Alertmanager", error)));
        }
        // A resolved alert is no longer listed.
        let watched_until = match self.watch.gone {
            Some(gone) if gone < deadline => gone.saturating_sub(LONGEST_LAPSE).max(fired),
            _ => deadline,
        };
        if delivery.last_without.is_none_or(|at| at < watched_until) {
            let reach = &self.prometheus.alertmanagers;
            // An Alertmanager that this machine could never reach does not affect the verdict. One that stopped answering may be
            // broken.
            return match reach.answered > 0 && reach.failed > 0 {
                true => (Verdict::CannotTell, Some(fell_silent(self.prometheus))),
                false => (Verdict::Passed, None),
            };
        }
        let missed = kept_back.map_or_else(
            || "but did not reach Alertmanager".into(),
            |words| format!("{words}, so there was no notification"),
        );
        (Verdict::Failed, Some(missed))
    }

    /// Judges whether the alert resolved in time, if that is expected.
    fn resolution(&self, times: &mut AlertTimes) -> (Verdict, Option<String>) {
        let Some(within) = self.resolves else { return (Verdict::Passed, None) };
        let after_end = |at: Duration| match at.saturating_sub(self.end) {
            Duration::ZERO => "before the phase's end".into(),
            after => format!("{} after the phase's end", whole(after)),
        };
        if let Some(gone) = self.watch.gone {
            let after = gone.saturating_sub(self.end);
            times.resolved = Some(after);
            let verdict = Verdict::of(is_within(after, within));
            return (verdict, Some(format!("resolved {}", after_end(gone))));
        }
        match unanswered(self.prometheus) {
            Some(reason) => (Verdict::CannotTell, Some(reason)),
            None => {
                let when = self.watch.last_fired.map_or_else(String::new, after_end);
                (Verdict::Failed, Some(format!("still firing {when}")))
            }
        }
    }
}

/// Judges an alert that must stay quiet in a phase that starts at `phase`, or in the whole run.
fn quiet(watch: &QuietWatch, phase: Option<Duration>, prometheus: &PrometheusWatch) -> Finding {
    let (start, what) = phase.map_or((Duration::ZERO, "run"), |start| (start, "phase"));
    match (&watch.fired, unanswered(prometheus)) {
        (Some((at, labels)), _) => {
            let after = *at - start;
            let when = match after.as_secs() {
                0 => format!("was firing when the {what} began"),
                _ => format!("fired {} into the {what}", whole(after)),
            };
            (Verdict::Failed, format!("{when}{}", instance(labels)), Some(after))
        }
        (None, Some(reason)) => (Verdict::CannotTell, reason, None),
        (None, None) if watch.is_pending() => {
            (Verdict::CannotTell, format!("still pending at the end of the {what}"), None)
        }
        (None, None) => match &prometheus.rules {
            // An alert with a misspelt name would be quiet, too.
            Some(Err(error)) => {
                (Verdict::CannotTell, format!("the rules of Prometheus could not be read: {error}"), None)
            }
            _ => (Verdict::Passed, "quiet".into(), None),
        },
    }
}

/// Returns the labels of an instance as text.
fn instance(labels: &Labels) -> String {
    let labels: Vec<_> = labels
        .iter()
        .filter(|(name, _)| *name != "alertname")
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    if labels.is_empty() { String::new() } else { format!(": {}", labels.join(", ")) }
}

fn query(assertion: &QueryAssertion, watch: &QueryWatch, start: Duration) -> Finding {
    let error = || watch.last_error.as_deref().unwrap_or("it was not evaluated");
    if watch.answered == 0 {
        return (Verdict::CannotTell, error().to_owned(), None);
    }
    let when = |at: Duration, value: f64| format!("{} after {}", number(value), whole(at - start));
    let unread = || {
        let gap = watch.longest_gap;
        (gap > LONGEST_GAP).then(|| format!("no answer for {}: {}", whole(gap), error()))
    };
    let no_value = || (Verdict::CannotTell, "the query never had a value".to_owned(), None);
    // The missing answer may have been decisive.
    let failed = |detail, after| match unread() {
        Some(reason) => (Verdict::CannotTell, reason, after),
        None => (Verdict::Failed, detail, after),
    };
    match assertion {
        QueryAssertion::Becomes { condition, within } => match (watch.met, watch.nearest) {
            (Some((at, _)), _) if watch.held_at_start().is_none() => {
                let reason = unread_at_start("Prometheus", watch.last_error.as_deref());
                (Verdict::CannotTell, reason, Some(at - start))
            }
            (Some((at, value)), _) if watch.held_at_start() == Some(true) => {
                let detail = format!(
                    "was {} ({condition}) when the phase began, so the phase is not its cause",
                    number(value)
                );
                (Verdict::Failed, detail, Some(at - start))
            }
            (Some((at, value)), _) if is_within(at - start, *within) => {
                (Verdict::Passed, when(at, value), Some(at - start))
            }
            (Some((at, value)), _) => failed(when(at, value), Some(at - start)),
            (None, None) => no_value(),
            (None, Some(nearest)) => failed(at_nearest(nearest), None),
        },
        QueryAssertion::Stays(_) => match (watch.broken, watch.empty, watch.nearest) {
            (Some((at, value)), ..) => (Verdict::Failed, when(at, value), Some(at - start)),
            (None, Some(_), None) => no_value(),
            (None, Some(at), Some(_)) => {
                (Verdict::CannotTell, format!("no value, or NaN, after {}", whole(at - start)), None)
            }
            (None, None, nearest) => match unread() {
                Some(reason) => (Verdict::CannotTell, reason, None),
                None => {
                    let nearest = nearest.map_or("–".into(), at_nearest);
                    (Verdict::Passed, nearest, None)
                }
            },
        },
    }
}

/// Formats the value that was nearest to the limit.
fn at_nearest(value: f64) -> String {
    format!("nearest value {}", number(value))
}

/// Formats a value with a useful number of digits.
fn number(value: f64) -> String {
    let size = value.abs();
    if value == value.trunc() && size < 1e15 {
        format!("{value}")
    } else if (1e-3..1e6).contains(&size) {
        let decimals = if size >= 100.0 { 1 } else { 4 };
        format!("{value:.decimals$}").trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{value:.3e}")
    }
}

/// Returns why it cannot be decided whether an alert reached an Alertmanager in time.
fn fell_silent(prometheus: &PrometheusWatch) -> String {
    let error = prometheus.alertmanagers.last_error.as_deref().unwrap_or("no reason given");
    format!("Alertmanager stopped answering before the alert was observed there: {error}")
}

/// Returns the reason why the state at the start of a phase is not known.
fn unread_at_start(server: &str, error: Option<&str>) -> String {
    let why = error.map(|error| format!(": {error}")).unwrap_or_default();
    format!("{server} did not answer around the phase's start{why}")
}

/// Returns the reason why an alert may have fired although it was not observed.
fn unanswered(prometheus: &PrometheusWatch) -> Option<String> {
    let error = prometheus.last_error.as_deref().unwrap_or("it was not queried");
    if prometheus.answered == 0 {
        return Some(error.to_owned());
    }
    let silence = prometheus.longest_silence;
    (silence > LONGEST_SILENCE).then(|| format!("Prometheus did not answer for {}: {error}", whole(silence)))
}
