//! Converts the raw fields of a scenario to checked ones. Every problem is collected, with the path of its field.

use super::{
    Assertion, DEFAULT_MAX_IN_FLIGHT, DEFAULT_SEED, DEFAULT_TIMEOUT, Executor, Expectation, Metric, Payload,
    Phase, Problem, Ramp, Scenario, SignalAssertion, Spacing, Threshold, Vital, VitalAssertion,
    check_prometheus,
    raw::{RawArrival, RawExecutor, RawPhase, RawScenario},
    raw_expect::{RawExpect, RawSignal, RawVital},
    raw_payload::RawPayload,
    request,
    values::{OrderedMap, Quantity},
};
use std::time::Duration;

/// Collects problems. A failed check adds one and goes on, so that all problems are reported at once.
#[derive(Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.0.push(Problem { path: path.into(), problem: problem.into() });
    }

    pub(super) fn keep<T>(&mut self, path: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|problem| self.add(path, problem)).ok()
    }
}

/// The greatest limit on requests in flight, and the most users. Greater numbers are probably typing errors, because a machine
/// does not have that many ports.
pub(super) const MAX_IN_FLIGHT: u32 = 65_536;
pub(super) const MAX_USERS: u32 = 10_000;

fn bounded(number: Option<u32>, most: u32, path: &str, problems: &mut Problems) {
    match number {
        Some(0) => problems.add(path, "must be above 0, got 0"),
        Some(number) if number > most => problems.add(path, format!("must be at most {most}, got {number}")),
        _ => {}
    }
}

pub(super) fn checked(raw: RawScenario) -> Result<Scenario, Vec<Problem>> {
    let mut problems = Problems::default();
    let payloads = payloads(&raw.payloads, &mut problems);
    let phases = phases(&raw.phases, &raw.payloads, &mut problems);
    let phase_names: Vec<&str> = raw.phases.iter().map(|phase| phase.name.0.as_str()).collect();
    let mut thresholds = thresholds(None, "thresholds", &raw.thresholds, &mut problems);
    for (at, phase) in raw.phases.iter().enumerate() {
        let path = format!("phases[{at}].thresholds");
        thresholds.extend(self::thresholds(Some(at), &path, &phase.thresholds, &mut problems));
    }
    let expectations = expectations(&raw.expect, &phase_names, &mut problems);
    // Positions match those in the file only if no item was left out because of an error.
    if problems.0.is_empty() {
        check_prometheus::resolvable(&expectations, &phases, &mut problems);
    }
    bounded(raw.max_in_flight, MAX_IN_FLIGHT, "max_in_flight", &mut problems);
    if !problems.0.is_empty() {
        return Err(problems.0);
    }
    Ok(Scenario {
        name: raw.name.0,
        description: raw.description,
        seed: raw.seed.unwrap_or(DEFAULT_SEED),
        timeout: raw.timeout.map_or(DEFAULT_TIMEOUT, |span| span.0),
        max_in_flight: raw.max_in_flight.map_or(DEFAULT_MAX_IN_FLIGHT, |limit| limit as usize),
        payloads,
        phases,
        thresholds,
        expectations,
    })
}

fn payloads(raw: &OrderedMap<RawPayload>, problems: &mut Problems) -> Vec<Payload> {
    if raw.0.is_empty() {
        problems.add("payloads", "there must be at least one payload, got none");
    }
    raw.0.iter().filter_map(|(name, payload)| request::payload(name, payload, problems)).collect()
}

fn phases(raw: &[RawPhase], payloads: &OrderedMap<RawPayload>, problems: &mut Problems) -> Vec<Phase> {
    if raw.is_empty() {
        problems.add("phases", "there must be at least one phase, got none");
    }
    let mut checked = Vec::new();
    for (at, phase) in raw.iter().enumerate() {
        let path = format!("phases[{at}]");
        if raw[..at].iter().any(|earlier| earlier.name == phase.name) {
            problems.add(
                format!("{path}.name"),
                format!("an earlier phase has the name `{}`, too; give each its own", phase.name.0),
            );
        }
        let mix = mix(phase, payloads, &path, problems);
        if let Some(executor) = executor(phase, &path, problems) {
            checked.push(Phase { name: phase.name.0.clone(), executor, mix });
        }
    }
    checked
}

fn mix(phase: &RawPhase, payloads: &OrderedMap<RawPayload>, path: &str, problems: &mut Problems) -> Vec<u32> {
    let path = format!("{path}.mix");
    let weights: Vec<u32> = match &phase.mix {
        None => payloads.0.iter().map(|(_, payload)| payload.weight.unwrap_or(1)).collect(),
        Some(mix) => {
            for (name, _) in
                mix.0.iter().filter(|(name, _)| !payloads.0.iter().any(|(known, _)| known == name))
            {
                let known: Vec<_> = payloads.0.iter().map(|(name, _)| name.as_str()).collect();
                problems.add(
                    format!("{path}.{name}"),
                    format!("there is no payload with this name; the payloads are {}", known.join(", ")),
                );
            }
            let weight =
                |name: &str| mix.0.iter().find(|(known, _)| known == name).map_or(0, |(_, weight)| *weight);
            payloads.0.iter().map(|(name, _)| weight(name)).collect()
        }
    };
    if weights.iter().all(|&weight| weight == 0) && !payloads.0.is_empty() {
        problems.add(path, "all weights are 0, so there is nothing to send; give a payload a weight above 0");
    }
    weights
}

/// All fields that only some executors have.
pub(super) const EXECUTOR_FIELDS: [&str; 6] = ["rate", "duration", "start_rate", "stages", "vus", "arrival"];

/// Returns the fields that an executor has in addition to those of every phase, and whether each is required.
pub(super) fn fields_of(executor: RawExecutor) -> &'static [(&'static str, bool)] {
    match executor {
        RawExecutor::ConstantArrivalRate => &[("rate", true), ("duration", true), ("arrival", false)],
        RawExecutor::RampingArrivalRate => &[("start_rate", true), ("stages", true), ("arrival", false)],
        RawExecutor::ConstantVus => &[("vus", true), ("duration", true)],
    }
}

fn executor(phase: &RawPhase, path: &str, problems: &mut Problems) -> Option<Executor> {
    let before = problems.0.len();
    let takes = fields_of(phase.executor);
    let given = [
        phase.rate.is_some(),
        phase.duration.is_some(),
        phase.start_rate.is_some(),
        phase.stages.is_some(),
        phase.vus.is_some(),
        phase.arrival.is_some(),
    ];
    for (field, given) in EXECUTOR_FIELDS.into_iter().zip(given) {
        let path = format!("{path}.{field}");
        match takes.iter().find(|(known, _)| *known == field) {
            Some((_, true)) if !given => problems.add(path, "is missing, but this executor needs it"),
            None if given => {
                let takes: Vec<_> = takes.iter().map(|(field, _)| *field).collect();
                problems
                    .add(path, format!("is not a field of this executor, which has {}", takes.join(", ")));
            }
            _ => {}
        }
    }
    bounded(phase.vus, MAX_USERS, &format!("{path}.vus"), problems);
    let ramps = ramps(phase);
    if phase.stages.as_ref().is_some_and(Vec::is_empty) {
        problems.add(format!("{path}.stages"), "there must be at least one stage, got none");
    } else if phase.stages.is_some() && ramps.iter().all(|ramp| ramp.from == 0.0 && ramp.to == 0.0) {
        problems.add(
            format!("{path}.stages"),
            "all rates are 0, so there is nothing to send; give a stage a target above 0",
        );
    }
    if problems.0.len() > before {
        return None;
    }
    let spacing = match phase.arrival {
        Some(RawArrival::Poisson) => Spacing::Poisson,
        Some(RawArrival::Constant) | None => Spacing::Constant,
    };
    match (phase.executor, phase.vus, phase.duration) {
        (RawExecutor::ConstantVus, Some(vus), Some(duration)) => {
            Some(Executor::Closed { vus: vus as usize, duration: duration.0 })
        }
        _ => Some(Executor::Open { ramps, spacing }),
    }
}

fn ramps(phase: &RawPhase) -> Vec<Ramp> {
    if let (Some(rate), Some(duration)) = (phase.rate, phase.duration) {
        return vec![Ramp { from: rate.0, to: rate.0, duration: duration.0 }];
    }
    let mut from = phase.start_rate.map_or(0.0, |rate| rate.0);
    let stages = phase.stages.iter().flatten();
    let ramp = |stage: &super::raw::RawStage| {
        let ramp = Ramp { from, to: stage.target.0, duration: stage.duration.0 };
        from = ramp.to;
        ramp
    };
    stages.map(ramp).collect()
}

fn thresholds(
    phase: Option<usize>,
    path: &str,
    raw: &OrderedMap<Vec<String>>,
    problems: &mut Problems,
) -> Vec<Threshold> {
    let mut checked = Vec::new();
    for (name, expressions) in &raw.0 {
        let path = format!("{path}.{name}");
        let Some(metric) = problems.keep(&path, Metric::of_name(name)) else { continue };
        for (at, expression) in expressions.iter().enumerate() {
            checked
                .extend(problems.keep(&format!("{path}[{at}]"), Threshold::parse(phase, metric, expression)));
        }
    }
    checked
}

fn expectations(raw: &RawExpect, phases: &[&str], problems: &mut Problems) -> Vec<Expectation> {
    let mut checked = Vec::new();
    for (at, raw) in raw.signals.iter().enumerate() {
        let path = format!("expect.signals[{at}]");
        let phase = phase_called(&raw.phase.0, &path, "phase", phases, problems);
        let assertion = problems.keep(&path, signal_assertion(raw));
        if let (Some(phase), Some(assertion)) = (phase, assertion) {
            let assertion = Assertion::Signal { signal: raw.signal.clone(), assertion };
            let expectation = Expectation::new(path, Some(phase), assertion);
            checked.push(expectation.if_class_share_below(raw.if_class_share_below));
        }
    }
    for (at, raw) in raw.vitals.iter().enumerate() {
        checked.extend(vital(raw, &format!("expect.vitals[{at}]"), phases, problems));
    }
    check_prometheus::expectations(raw, phases, problems, &mut checked);
    checked
}

pub(super) fn phase_called(
    name: &str,
    path: &str,
    field: &str,
    phases: &[&str],
    problems: &mut Problems,
) -> Option<usize> {
    let found = phases.iter().position(|known| *known == name);
    if found.is_none() {
        let problem = format!("there is no phase `{name}`; the phases are {}", phases.join(", "));
        problems.add(format!("{path}.{field}"), problem);
    }
    found
}

fn signal_assertion(raw: &RawSignal) -> Result<SignalAssertion, String> {
    match (raw.drifts_within, raw.stays) {
        (Some(span), None) => Ok(SignalAssertion::DriftsWithin(span.0)),
        (None, Some(_)) => Ok(SignalAssertion::StaysSteady),
        _ => Err("must have exactly one of `drifts_within: 30s` and `stays: steady`".into()),
    }
}

fn vital(raw: &RawVital, path: &str, phases: &[&str], problems: &mut Problems) -> Option<Expectation> {
    let before = problems.0.len();
    let phase = phase_called(&raw.phase.0, path, "phase", phases, problems)?;
    let against = match &raw.against {
        None => 0,
        Some(name) => phase_called(&name.0, path, "against", phases, problems)?,
    };
    if raw.class.is_some() && raw.vital != Vital::ClassShare {
        problems.add(format!("{path}.class"), "is only for the vital class_share; remove it");
    }
    let demands = [
        ("rises_by", raw.rises_by),
        ("exceeds", raw.exceeds),
        ("stays_below", raw.stays_below),
        ("shifts_by", raw.shifts_by),
    ];
    let mut given = demands.into_iter().filter_map(|(name, quantity)| Some((name, quantity?)));
    let (Some((field, quantity)), None) = (given.next(), given.next()) else {
        problems.add(path, "must have exactly one of rises_by, exceeds, stays_below, shifts_by");
        return None;
    };
    let field_path = format!("{path}.{field}");
    let assertion = problems.keep(&field_path, vital_assertion(raw.vital, field, quantity))?;
    if against == phase && matches!(assertion, VitalAssertion::RisesBy(_) | VitalAssertion::ShiftsBy(_)) {
        problems.add(
            field_path,
            format!("compares phase `{}` with itself; name another phase in `against`", raw.phase.0),
        );
    }
    let assertion = Assertion::Vital { vital: raw.vital, class: raw.class.clone(), against, assertion };
    let expectation =
        Expectation::new(path, Some(phase), assertion).if_class_share_below(raw.if_class_share_below);
    (problems.0.len() == before).then_some(expectation)
}

fn vital_assertion(
    vital: Vital,
    field: &str,
    Quantity { value, is_time }: Quantity,
) -> Result<VitalAssertion, String> {
    if field == "rises_by" {
        return if is_time {
            Err("must be a factor such as 3, got a duration".into())
        } else if value > 1.0 {
            Ok(VitalAssertion::RisesBy(value))
        } else {
            Err(format!("must be a factor above 1, such as 3, got {value}"))
        };
    }
    match (vital, is_time) {
        (Vital::LatencyP95, false) => return Err(format!("must be a duration such as 250ms, got {value}")),
        (Vital::LatencyP95, true) | (_, false) => {}
        (_, true) => {
            return Err(format!(
                "must be a number for {}, got {:?}",
                vital.name(),
                Duration::from_secs_f64(value)
            ));
        }
    }
    let is_share = !matches!(vital, Vital::LatencyP95 | Vital::Throughput);
    if is_share && value > 1.0 {
        return Err(format!("must be a share of at most 1, got {value}"));
    }
    if value == 0.0 && field != "exceeds" {
        let example = if is_share { "0.01" } else { "5" };
        return Err(match field {
            "stays_below" => {
                format!("must be above 0, because no value is below 0; write a limit such as {example}")
            }
            _ => {
                format!(
                    "must be above 0, because every value differs by 0 or more; write a difference such as {example}"
                )
            }
        });
    }
    Ok(match field {
        "exceeds" => VitalAssertion::Exceeds(value),
        "stays_below" => VitalAssertion::StaysBelow(value),
        _ => VitalAssertion::ShiftsBy(value),
    })
}
