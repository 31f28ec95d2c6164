//! Checks the expectations about Prometheus: alerts that fire, alerts that stay quiet, queries.

use super::{
    AlertPattern, Assertion, Condition, Expectation, Job, Phase, QueryAssertion,
    check::{Problems, phase_called},
    raw_expect::{RawExpect, RawQuery},
    values::OrderedMap,
};

pub(super) fn expectations(
    raw: &RawExpect,
    phases: &[&str],
    problems: &mut Problems,
    checked: &mut Vec<Expectation>,
) {
    let every = job(raw.job.as_deref(), "expect.job", problems);
    for (at, raw) in raw.alerts.iter().enumerate() {
        let path = format!("expect.alerts[{at}]");
        let phase = phase_called(&raw.phase.0, &path, "phase", phases, problems);
        let alert = pattern(&raw.alert.0, &raw.labels, (raw.job.as_deref(), every.as_ref()), &path, problems);
        let (within, resolves) = (raw.fires_within.0, raw.resolves_within.map(|span| span.0));
        let assertion = Assertion::AlertFires { alert, within, resolves };
        let limit = raw.if_class_share_below;
        checked.extend(
            phase.map(|phase| Expectation::new(path, Some(phase), assertion).if_class_share_below(limit)),
        );
    }
    for (at, raw) in raw.quiet.iter().enumerate() {
        let path = format!("expect.quiet[{at}]");
        let alert = pattern(&raw.alert.0, &raw.labels, (raw.job.as_deref(), every.as_ref()), &path, problems);
        let assertion = Assertion::AlertQuiet { alert };
        match &raw.phase {
            None => checked.push(Expectation::new(path, None, assertion)),
            Some(name) => {
                let phase = phase_called(&name.0, &path, "phase", phases, problems);
                checked.extend(phase.map(|phase| Expectation::new(path, Some(phase), assertion)));
            }
        }
    }
    for (at, raw) in raw.promql.iter().enumerate() {
        let path = format!("expect.promql[{at}]");
        let phase = phase_called(&raw.phase.0, &path, "phase", phases, problems);
        let assertion = query_assertion(raw, &path, problems);
        if raw.expr.trim().is_empty() {
            problems.add(format!("{path}.expr"), "must be a PromQL query, such as up, got nothing");
        }
        if let (Some(phase), Some(assertion)) = (phase, assertion) {
            let assertion = Assertion::Query { expr: raw.expr.trim().to_owned(), assertion };
            checked.push(Expectation::new(path, Some(phase), assertion));
        }
    }
}

/// Finds alerts whose deadline for resolving is before the deadline for firing.
pub(super) fn resolvable(expectations: &[Expectation], phases: &[Phase], problems: &mut Problems) {
    let fires = expectations.iter().filter_map(|expectation| match &expectation.assertion {
        Assertion::AlertFires { within, resolves, .. } => Some((expectation.phase?, *within, *resolves)),
        _ => None,
    });
    for (at, (phase, within, resolves)) in fires.enumerate() {
        let lasts = phases[phase].duration();
        if let Some(resolves) = resolves
            && lasts + resolves <= within
        {
            let span = |span| humantime::format_duration(span).to_string();
            problems.add(
                format!("expect.alerts[{at}].resolves_within"),
                format!(
                    "counts from the phase's end, {} after its start; {} later the alert need not have fired yet, because it has {}; \
                    raise it or lower fires_within",
                    span(lasts),
                    span(resolves),
                    span(within)
                ),
            );
        }
    }
}

/// Returns the job of an expectation, if `text` names one.
fn job(text: Option<&str>, path: &str, problems: &mut Problems) -> Option<Job> {
    match text? {
        "*" => Some(Job::Any),
        "" => {
            problems.add(path, "must be a job's name, or \"*\" for any job, got nothing");
            None
        }
        name => Some(Job::Named(name.to_owned())),
    }
}

/// Checks the pattern of an alert. `jobs` are the job of this expectation and that of all expectations.
fn pattern(
    name: &str,
    labels: &OrderedMap<String>,
    (own, every): (Option<&str>, Option<&Job>),
    path: &str,
    problems: &mut Problems,
) -> AlertPattern {
    let own = job(own, &format!("{path}.job"), problems);
    if own.is_some() && labels.0.iter().any(|(label, _)| label == "job") {
        problems.add(format!("{path}.job"), "is also among the labels; remove one of them");
    }
    for (label, value) in &labels.0 {
        let path = format!("{path}.labels.{label}");
        if label == "alertname" {
            problems.add(path, "is the name of the alert; remove it here, because `alert` has the name");
        } else if value.is_empty() {
            problems.add(path, "must not be empty, because Prometheus has no empty labels; remove it");
        }
    }
    let job = own.or_else(|| every.cloned()).unwrap_or_default();
    AlertPattern::new(name.to_owned(), labels.0.iter().cloned().collect(), job)
}

fn query_assertion(raw: &RawQuery, path: &str, problems: &mut Problems) -> Option<QueryAssertion> {
    match (&raw.becomes, raw.within, &raw.stays) {
        (Some(becomes), Some(within), None) => problems
            .keep(&format!("{path}.becomes"), Condition::parse(becomes))
            .map(|condition| QueryAssertion::Becomes { condition, within: within.0 }),
        (None, None, Some(stays)) => {
            problems.keep(&format!("{path}.stays"), Condition::parse(stays)).map(QueryAssertion::Stays)
        }
        (Some(_), None, None) => {
            problems.add(format!("{path}.within"), "is missing, but `becomes` needs it, such as within: 30s");
            None
        }
        (None, Some(_), Some(_)) => {
            problems.add(
                format!("{path}.within"),
                "has no effect with `stays`, which holds throughout the phase; remove it",
            );
            None
        }
        _ => {
            problems
                .add(path, "must have either `becomes: \"> 0.2\"` with `within: 30s`, or `stays: \"< 0.2\"`");
            None
        }
    }
}
