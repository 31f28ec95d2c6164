//! Judges the expectations of a scenario by what monitoring detected.

mod prometheus;

use super::Verdict;
use crate::{
    scenario::{Assertion, Expectation, QueryAssertion, SignalAssertion, Vital, VitalAssertion},
    schedule::{Schedule, Span},
    text,
    watch::{PhaseWatch, PrometheusWatch, State, Vitals, instances::AT_ONCE},
};
use driftsim::counted::counted;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, time::Duration};

/// The longest time between two readings for which the service still counts as observed without a gap.
const LONGEST_GAP: Duration = Duration::from_secs(3);

/// The fewest requests for a verdict on a ratio or a percentile. With 20, a single error is 5 %.
const FEWEST_REQUESTS: f64 = 20.0;

/// The outcome of an expectation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpectationOutcome {
    /// `signal`, `vital`, `alert`, `quiet` or `promql`.
    pub kind: Cow<'static, str>,
    /// The phase; `None` for the whole run.
    pub phase: Option<String>,
    /// A description of what was expected.
    pub expected: String,
    /// Whether the expectation was met.
    pub verdict: Verdict,
    /// What was observed.
    pub detail: String,
    /// Seconds from the phase's start until the event.
    pub after: Option<f64>,
    /// Seconds from the phase's end until the alert resolved; 0 if it resolved before.
    pub resolved_after: Option<f64>,
    /// Seconds from the phase's start until an Alertmanager notified about the alert.
    pub notified_after: Option<f64>,
    /// Whether something was expected to stay quiet.
    pub calm: bool,
}

impl ExpectationOutcome {
    /// Returns the verdict as text.
    pub fn word(&self) -> &'static str {
        match (self.verdict, self.calm) {
            (Verdict::Passed, false) => "DETECTED",
            (Verdict::CannotTell, _) => "CANNOT TELL",
            (Verdict::Failed, false) => "MISSED",
            (Verdict::Passed, true) => "as expected",
            (Verdict::Failed, true) => "UNEXPECTED",
            (Verdict::NotChecked, _) => "not checked",
        }
    }
}

/// What monitoring showed during a run.
pub struct Observations<'a> {
    /// The service's own metrics, by phase.
    pub phases: &'a [PhaseWatch],
    /// The phases' names.
    pub names: &'a [String],
    /// When each phase starts and ends.
    pub schedule: &'a Schedule,
    /// The answers of Prometheus; `None` without a server.
    pub prometheus: Option<&'a PrometheusWatch>,
    /// When the run was interrupted, if it was.
    pub interrupted: Option<Duration>,
}

/// The verdict on an expectation, its detail, and the time from the phase's start until the event.
type Finding = (Verdict, String, Option<Duration>);

/// Judges the expectation at position `at` of the scenario.
pub fn judge(at: usize, expectation: &Expectation, seen: &Observations) -> ExpectationOutcome {
    let phase = expectation.phase.unwrap_or_default();
    let mut times = prometheus::AlertTimes::default();
    let (mut verdict, mut detail, after) = match &expectation.assertion {
        Assertion::Signal { signal, assertion } => self::signal(signal, *assertion, &seen.phases[phase]),
        Assertion::Vital { vital, class, against, assertion } => {
            let (now, before) = (&seen.phases[phase], &seen.phases[*against]);
            self::vital(*vital, class.as_deref(), *assertion, now, before)
        }
        Assertion::AlertFires { .. } | Assertion::AlertQuiet { .. } | Assertion::Query { .. } => {
            match seen.prometheus {
                None => (Verdict::NotChecked, "needs --prometheus".into(), None),
                Some(watch) => prometheus::judge(at, expectation, seen.schedule, watch, &mut times),
            }
        }
    };
    let calm = is_calm(&expectation.assertion);
    if verdict == Verdict::Passed
        && calm
        && matches!(expectation.assertion, Assertion::Signal { .. } | Assertion::Vital { .. })
        && let Some(gap) = unread(&seen.phases[phase])
    {
        (verdict, detail) = (Verdict::CannotTell, gap);
    }
    if let Some(reason) = &expectation.inapplicable {
        (verdict, detail) = (Verdict::NotChecked, reason.clone());
    }
    // Half a phase can show that an event occurred, but not that none did.
    if (verdict.is_missed() || calm)
        && let Some(at) = seen.interrupted.filter(|at| *at < settled(expectation, seen.schedule))
    {
        verdict = Verdict::NotChecked;
        let started = expectation.phase.is_none_or(|phase| at > seen.schedule.span(phase).start);
        detail = match started {
            true => format!("interrupted; until then: {detail}"),
            false => "interrupted before this phase".to_owned(),
        };
    }
    ExpectationOutcome {
        kind: kind(&expectation.assertion).into(),
        phase: expectation.phase.map(|phase| seen.names[phase].clone()),
        expected: in_words(expectation, seen.names),
        verdict,
        detail,
        after: after.map(|after| after.as_secs_f64()),
        resolved_after: times.resolved.map(|after| after.as_secs_f64()),
        notified_after: times.notified.map(|after| after.as_secs_f64()),
        calm,
    }
}

/// Returns the latest time of the events that decide an expectation.
fn settled(expectation: &Expectation, schedule: &Schedule) -> Duration {
    let Some(phase) = expectation.phase else { return schedule.end() };
    let Span { start, end } = schedule.span(phase);
    match &expectation.assertion {
        Assertion::AlertFires { within, resolves, .. } => {
            end.max(start + *within).max(end + resolves.unwrap_or_default())
        }
        Assertion::Query { assertion: QueryAssertion::Becomes { within, .. }, .. } => {
            end.max(start + *within)
        }
        _ => end,
    }
}

fn kind(assertion: &Assertion) -> &'static str {
    match assertion {
        Assertion::Signal { .. } => "signal",
        Assertion::Vital { .. } => "vital",
        Assertion::AlertFires { .. } => "alert",
        Assertion::AlertQuiet { .. } => "quiet",
        Assertion::Query { .. } => "promql",
    }
}

fn is_calm(assertion: &Assertion) -> bool {
    match assertion {
        Assertion::Signal { assertion, .. } => *assertion == SignalAssertion::StaysSteady,
        Assertion::Vital { assertion, .. } => matches!(assertion, VitalAssertion::StaysBelow(_)),
        Assertion::AlertFires { .. } => false,
        Assertion::AlertQuiet { .. } => true,
        Assertion::Query { assertion, .. } => matches!(assertion, QueryAssertion::Stays(_)),
    }
}

fn in_words(expectation: &Expectation, names: &[String]) -> String {
    let span = |span: &Duration| humantime::format_duration(*span).to_string();
    match &expectation.assertion {
        Assertion::Signal { signal, assertion: SignalAssertion::DriftsWithin(within) } => {
            format!("{} drifts within {}", if signal == "*" { "any signal" } else { signal }, span(within))
        }
        Assertion::Signal { signal, assertion: SignalAssertion::StaysSteady } => {
            format!("{} stays steady", if signal == "*" { "every signal" } else { signal })
        }
        Assertion::Vital { vital, class, against, assertion } => {
            let what = match class {
                Some(class) => format!("{} of {class}", vital.name()),
                None => vital.name().to_owned(),
            };
            let (to, against) = (|value| amount(*vital, value), &names[*against]);
            match *assertion {
                VitalAssertion::RisesBy(times) => format!("{what} rises to {times} times that of {against}"),
                VitalAssertion::Exceeds(limit) => format!("{what} exceeds {}", to(limit)),
                VitalAssertion::StaysBelow(limit) => format!("{what} stays below {}", to(limit)),
                VitalAssertion::ShiftsBy(by) => format!("{what} shifts by {} from {against}", to(by)),
            }
        }
        Assertion::AlertFires { alert, within, resolves: None } => {
            format!("{alert} fires within {}", span(within))
        }
        Assertion::AlertFires { alert, within, resolves: Some(resolves) } => {
            format!("{alert} fires within {}, resolves within {} of the end", span(within), span(resolves))
        }
        Assertion::AlertQuiet { alert } => format!("{alert} stays quiet"),
        Assertion::Query { expr, assertion: QueryAssertion::Becomes { condition, within } } => {
            format!("{expr} becomes {condition} within {}", span(within))
        }
        Assertion::Query { expr, assertion: QueryAssertion::Stays(condition) } => {
            format!("{expr} stays {condition}")
        }
    }
}

/// Formats the value of a vital sign with its unit.
pub fn amount(vital: Vital, value: f64) -> String {
    match vital {
        Vital::Throughput => format!("{value:.1}/s"),
        Vital::LatencyP95 => text::time(Some(value)),
        Vital::ClientErrorRatio | Vital::ServerErrorRatio | Vital::ClassShare => {
            format!("{:.1} %", value * 100.0)
        }
    }
}

/// Returns whether an event that was observed `after` the start was in time. Readings and queries are made at whole seconds or
/// slightly later, so an exact comparison would leave out the one at the deadline.
fn is_within(after: Duration, within: Duration) -> bool {
    after <= within + AT_ONCE
}

fn signal(wanted: &str, assertion: SignalAssertion, watch: &PhaseWatch) -> Finding {
    let wanted: Vec<_> = watch.signals.iter().filter(|(name, _)| wanted == "*" || wanted == *name).collect();
    if wanted.is_empty() {
        return (Verdict::CannotTell, reading_error(watch, "the service published no such signal"), None);
    }
    let drifting = wanted
        .iter()
        .filter_map(|(name, _)| watch.drifting_after.get(*name).map(|&after| (after, name.as_str())))
        .min();
    match (assertion, drifting) {
        (SignalAssertion::DriftsWithin(within), Some((after, name))) => {
            let seconds = after.as_secs_f64();
            (
                Verdict::of(is_within(after, within)),
                format!("{name} drifting after {seconds:.0} s"),
                Some(after),
            )
        }
        (SignalAssertion::StaysSteady, Some((after, name))) => {
            (Verdict::Failed, format!("{name} drifting after {:.0} s", after.as_secs_f64()), Some(after))
        }
        (_, None) => {
            let undecided = wanted.iter().find(|(_, state)| state.state == State::CannotTell);
            match undecided {
                Some((name, state)) => {
                    let reason = state.reason.as_deref().unwrap_or("no rows");
                    (Verdict::CannotTell, format!("{name}: {reason}"), None)
                }
                None => (Verdict::of(assertion == SignalAssertion::StaysSteady), "steady".into(), None),
            }
        }
    }
}

fn vital(
    vital: Vital,
    class: Option<&str>,
    assertion: VitalAssertion,
    watch: &PhaseWatch,
    against: &PhaseWatch,
) -> Finding {
    let (now, before) = (watch.increases.vitals(), against.increases.vitals());
    let class = class.or_else(|| most_moved(vital, &now, &before));
    let Some(value) = now.get(vital, class) else {
        return (Verdict::CannotTell, reading_error(watch, "the service counted nothing"), None);
    };
    if let Some(reason) = too_few(vital, &now) {
        return (Verdict::CannotTell, reason, None);
    }
    let show = |value| amount(vital, value);
    let of_class = class.map(|class| format!("{class} ")).unwrap_or_default();
    match assertion {
        VitalAssertion::Exceeds(limit) => {
            (Verdict::of(value > limit), format!("{of_class}{}", show(value)), None)
        }
        VitalAssertion::StaysBelow(limit) => {
            (Verdict::of(value < limit), format!("{of_class}{}", show(value)), None)
        }
        VitalAssertion::RisesBy(_) | VitalAssertion::ShiftsBy(_) => {
            // A class that was never predicted has the share 0, if anything was predicted.
            let had_none = (vital == Vital::ClassShare && !before.class_shares.is_empty()).then_some(0.0);
            let Some(earlier) = before.get(vital, class).or(had_none) else {
                let reason =
                    reading_error(against, "the service counted nothing in the phase to compare with");
                return (Verdict::CannotTell, reason, None);
            };
            if let Some(reason) = too_few(vital, &before) {
                return (Verdict::CannotTell, format!("{reason} in the phase to compare with"), None);
            }
            let passed = match assertion {
                VitalAssertion::RisesBy(times) => value > 0.0 && value >= earlier * times,
                VitalAssertion::ShiftsBy(by) => (value - earlier).abs() >= by,
                VitalAssertion::Exceeds(_) | VitalAssertion::StaysBelow(_) => false,
            };
            (Verdict::of(passed), format!("{of_class}{} → {}", show(earlier), show(value)), None)
        }
    }
}

/// Returns the reason if a vital sign cannot be judged because there are too few requests or predictions.
fn too_few(vital: Vital, vitals: &Vitals) -> Option<String> {
    let (count, needs, what) = match vital {
        Vital::Throughput => return None,
        Vital::ClassShare => (vitals.predictions, drift::MIN_ROWS as f64, ["prediction", "predictions"]),
        _ => (vitals.requests, FEWEST_REQUESTS, ["request", "requests"]),
    };
    let [singular, plural] = what;
    (count < needs)
        .then(|| format!("{}, at least {needs} are needed", counted(count as u64, singular, plural)))
}

/// Returns the reason if a phase cannot be judged because the service was not read for too long.
fn unread(watch: &PhaseWatch) -> Option<String> {
    (watch.longest_gap > LONGEST_GAP).then(|| {
        let why = watch.last_error.as_deref().unwrap_or("readings came late");
        format!("/metrics was not read for {:.0} s: {why}", watch.longest_gap.as_secs_f64())
    })
}

/// Returns the class whose share changed most; `None` for other vital signs.
fn most_moved<'a>(vital: Vital, now: &'a Vitals, before: &Vitals) -> Option<&'a str> {
    let moved = |class: &String, share: f64| (share - before.class_shares.get(class).unwrap_or(&0.0)).abs();
    let shares = now.class_shares.iter().filter(|_| vital == Vital::ClassShare);
    let most = shares.max_by(|a, b| moved(a.0, *a.1).total_cmp(&moved(b.0, *b.1)));
    most.map(|(class, _)| class.as_str())
}

/// Returns the last error of reading the service, or another reason if there was none.
fn reading_error(watch: &PhaseWatch, otherwise: &str) -> String {
    watch.last_error.as_deref().unwrap_or(otherwise).to_owned()
}

#[cfg(test)]
mod tests;
