//! Tests of expectations on Prometheus and its Alertmanagers.

use super::*;

#[test]
fn labels_select_instances_of_an_alert() {
    let fires = |labels: &str| {
        let expect =
            format!("alerts: [ {{ alert: A, labels: {{ {labels} }}, phase: storm, fires_within: 15s }} ]");
        outcome(&expect, &watch(), Some(log(12, 29)), None)
    };
    assert_eq!(fires("signal: x").verdict, Verdict::Passed);
    let other = fires("signal: y");
    assert_eq!((other.verdict, other.detail.as_str()), (Verdict::Failed, "did not fire"));
    assert_eq!(other.expected, "A{signal=\"y\"} fires within 15s");
    let quiet = |labels: &str| {
        outcome(
            &format!("quiet: [ {{ alert: A, labels: {{ {labels} }} }} ]"),
            &watch(),
            Some(log(12, 29)),
            None,
        )
    };
    assert_eq!(quiet("signal: y").verdict, Verdict::Passed);
    assert_eq!(quiet("signal: x").detail, "fired 12 s into the run: signal=\"x\"");
}

#[test]
fn a_quiet_alert_of_one_phase_may_fire_in_another() {
    let quiet = |phase: &str, story| {
        let expect = format!("quiet: [ {{ alert: A, phase: {phase} }} ]");
        outcome(&expect, &watch(), Some(story), None)
    };
    assert_eq!(quiet("calm", log(12, 29)).verdict, Verdict::Passed);
    assert_eq!(quiet("storm", log(2, 9)).verdict, Verdict::Passed);
    assert_eq!(quiet("storm", log(12, 29)).detail, "fired 2 s into the phase: signal=\"x\"");
    assert_eq!(quiet("storm", log(5, 12)).detail, "was firing when the phase began: signal=\"x\"");
    // The alert became pending in the calm phase.
    assert_eq!(quiet("calm", log_of(4, 13, 29)).verdict, Verdict::Failed);
}

const RESOLVES: &str = "alerts: [ { alert: A, phase: storm, fires_within: 9s, resolves_within: 5s } ]";

#[test]
fn the_time_to_resolve_counts_from_the_end_of_the_phase() {
    let resolves = |story| outcome(RESOLVES, &watch(), Some(story), None);
    let cases = [
        (log(12, 22), Verdict::Passed, Some(3.0), "fired after 2 s, resolved 3 s after the phase's end"),
        (log(12, 15), Verdict::Passed, Some(0.0), "fired after 2 s, resolved before the phase's end"),
        (log(12, 26), Verdict::Failed, Some(7.0), "fired after 2 s, resolved 7 s after the phase's end"),
        (log(12, 40), Verdict::Failed, None, "fired after 2 s, still firing 9 s after the phase's end"),
        (log(99, 99), Verdict::Failed, None, "did not fire, so it could not resolve"),
        // The alert fired too late, so the expectation fails even though it resolved in time.
        (log(20, 22), Verdict::Failed, Some(3.0), "fired after 10 s, resolved 3 s after the phase's end"),
    ];
    for (story, verdict, after, detail) in cases {
        let outcome = resolves(story);
        assert_eq!(outcome.detail, detail);
        assert_eq!((outcome.verdict, outcome.resolved_after), (verdict, after), "{detail}");
    }
    // The run was stopped before the deadline, so the expectation is undecided.
    let stopped = outcome(RESOLVES, &watch(), Some(log(12, 40)), Some(seconds(22)));
    assert_eq!(stopped.verdict, Verdict::NotChecked, "{}", stopped.detail);
    // The alert was firing when Prometheus stopped answering.
    let mut story = log(12, 40);
    story.truncate(18);
    story.extend(
        (18..40).map(|second| PrometheusEvent::Alerts(seconds(second), Err("connection refused".into()))),
    );
    let silent = resolves(story);
    assert_eq!((silent.verdict, silent.word()), (Verdict::CannotTell, "CANNOT TELL"), "{}", silent.detail);
}

#[test]
fn an_alert_without_a_notification_is_missed() {
    let fires = |story| outcome(FIRES, &watch(), Some(story), None);
    let delivered_in_time = fires(delivered(log(12, 29), 14, None));
    assert_eq!((delivered_in_time.verdict, delivered_in_time.notified_after), (Verdict::Passed, Some(4.0)));
    assert_eq!(delivered_in_time.detail, "fired after 2 s, in Alertmanager after 4 s");
    let lost = fires(delivered(log(12, 29), 99, None));
    assert_eq!((lost.verdict, lost.notified_after), (Verdict::Failed, None));
    assert_eq!(lost.detail, "fired after 2 s, but did not reach Alertmanager");
    let silenced = fires(delivered(log(12, 29), 14, Some("silenced there (by S)")));
    assert_eq!(silenced.verdict, Verdict::Failed);
    assert_eq!(
        silenced.detail,
        "fired after 2 s, in Alertmanager after 4 s, but silenced there (by S), so there was no notification"
    );
    // An alert of an earlier firing does not count.
    assert_eq!(fires(delivered(log(12, 29), 5, None)).verdict, Verdict::Failed);
}

#[test]
fn an_alert_that_arrives_late_is_late_however_long_the_run_waits() {
    let came = |story: Story| {
        let outcome = outcome(FIRES, &watch(), Some(in_order(story)), None);
        (outcome.word(), outcome.detail)
    };
    let silenced = |from: u32, until: u32| {
        let mut story = delivered(log(12, 29), from, Some("silenced there (by S)"));
        story.retain(|event| !matches!(event, PrometheusEvent::Held(at, _) if *at >= seconds(until)));
        let after = delivered(Story::new(), until, None).into_iter();
        story.extend(
            after.filter(|event| matches!(event, PrometheusEvent::Held(at, _) if *at >= seconds(until))),
        );
        story
    };
    let in_time = |detail: &str| ("DETECTED", format!("fired after 2 s, in Alertmanager after {detail}"));
    let late = |detail: &str| ("MISSED", format!("fired after 2 s, in Alertmanager after {detail}"));
    assert_eq!(came(delivered(log(12, 29), 27, None)), in_time("17 s"));
    assert_eq!(came(delivered(log(12, 29), 29, None)), late("19 s, more than 15 s later"));
    assert_eq!(came(silenced(14, 20)), in_time("10 s"));
    assert_eq!(came(silenced(14, 29)), late("4 s, but silenced there (by S) until 19 s"));
    // Two seconds without an answer are tolerated, also around the deadline; sixteen are not.
    assert_eq!(came(without_alertmanagers(delivered(log(12, 29), 26, None), 26, 28)), in_time("18 s"));
    assert_eq!(came(without_answers(delivered(log(12, 29), 14, None), 13, 15)), in_time("5 s"));
    let undecided = came(without_alertmanagers(delivered(log(12, 29), 14, None), 13, 29));
    assert_eq!(undecided.0, "CANNOT TELL", "{}", undecided.1);
    // A resolved alert is no longer listed, so it is not known whether it had arrived.
    let undecided = came(without_alertmanagers(delivered(log(12, 20), 99, None), 13, 22));
    assert_eq!(undecided.0, "CANNOT TELL", "{}", undecided.1);
    assert!(came(delivered(log(12, 20), 99, None)).1.contains("but did not reach Alertmanager"));
}

fn in_order(mut story: Story) -> Story {
    story.sort_by_key(|event| match event {
        PrometheusEvent::Alerts(at, _) | PrometheusEvent::Held(at, _) | PrometheusEvent::Values(_, at, _) => {
            *at
        }
    });
    story
}

#[test]
fn an_unreachable_alertmanager_does_not_fail_an_alert() {
    let mut story = log(12, 29);
    story.extend((0..60).map(|second| {
        let asked = Asked { known: Some(1), held: None, error: Some("no such host".into()) };
        PrometheusEvent::Held(seconds(second), asked)
    }));
    let fired = outcome(FIRES, &watch(), Some(story), None);
    assert_eq!((fired.verdict, fired.notified_after), (Verdict::Passed, None));
    assert_eq!(fired.detail, "fired after 2 s");
    // An Alertmanager that stopped answering before the alert arrived may be broken.
    let mut story = log(12, 29);
    story.extend(without_answers(delivered(Story::new(), 99, None), 13, 60));
    let silent = outcome(FIRES, &watch(), Some(story), None);
    assert_eq!((silent.verdict, silent.word()), (Verdict::CannotTell, "CANNOT TELL"), "{}", silent.detail);
}

/// Returns the same answers, with errors in place of those of the Alertmanagers for a while.
fn without_alertmanagers(story: Story, from: u32, to: u32) -> Story {
    let (held, others): (Story, Story) =
        story.into_iter().partition(|event| matches!(event, PrometheusEvent::Held(..)));
    others.into_iter().chain(without_answers(held, from, to)).collect()
}

/// Returns the same answers, with errors in place of all of them for a while.
fn without_answers(story: Story, from: u32, to: u32) -> Story {
    let refused = || "connection refused".to_owned();
    let replace = |event| match event {
        PrometheusEvent::Alerts(at, _) if (seconds(from)..seconds(to)).contains(&at) => {
            PrometheusEvent::Alerts(at, Err(refused()))
        }
        PrometheusEvent::Held(at, _) if (seconds(from)..seconds(to)).contains(&at) => {
            PrometheusEvent::Held(at, Asked { known: None, held: None, error: Some(refused()) })
        }
        event => event,
    };
    story.into_iter().map(replace).collect()
}

#[test]
fn without_an_answer_around_its_start_a_phase_cannot_be_decided() {
    let no_answer =
        |whom: &str| format!("{whom} did not answer around the phase's start: connection refused");
    let fires = |story| outcome(FIRES, &watch(), Some(story), None);
    // The alert fired the whole time, but the last answer before the phase said that it did not.
    let long = fires(without_answers(log(5, 29), 5, 12));
    assert_eq!((long.word(), long.detail), ("CANNOT TELL", no_answer("Prometheus")));
    let never = fires(without_answers(log(5, 29), 0, 12));
    assert_eq!((never.word(), never.detail), ("CANNOT TELL", no_answer("Prometheus")));
    // A short gap is tolerated.
    assert_eq!(fires(without_answers(log(13, 29), 9, 12)).word(), "DETECTED");
    // An alert that the Alertmanager always had may be of an earlier firing.
    let mut story = log(12, 29);
    story.extend(without_answers(delivered(Story::new(), 5, None), 5, 12));
    let held = fires(story);
    assert_eq!(held.word(), "CANNOT TELL", "{}", held.detail);
    assert_eq!(held.detail, format!("{}; fired after 2 s", no_answer("Alertmanager")));
    assert_eq!(held.notified_after, None);
    // An alert that no Alertmanager had cannot be of an earlier firing.
    let mut story = log(12, 29);
    story.extend(without_answers(delivered(Story::new(), 99, None), 5, 12));
    assert_eq!(fires(story).detail, "fired after 2 s, but did not reach Alertmanager");
}

#[test]
fn a_query_answered_late_leaves_the_start_unknown() {
    let becomes = |late: u32, values: &[f64]| {
        let mut story =
            vec![PrometheusEvent::Values(0, seconds(10), Err(NoValue::NoAnswer("refused".into())))];
        let value = |(second, &value)| {
            PrometheusEvent::Values(0, seconds(10 + late + second as u32), Ok(vec![value]))
        };
        story.extend(values.iter().enumerate().map(value));
        let outcome = outcome(BECOMES, &watch(), Some(story), None);
        (outcome.word(), outcome.detail)
    };
    let no_answer = "Prometheus did not answer around the phase's start: refused";
    assert_eq!(becomes(3, &[7.0]), ("CANNOT TELL", no_answer.into()));
    assert_eq!(becomes(1, &[7.0]).0, "MISSED");
    // The first answer did not meet the condition, so it was met later.
    assert_eq!(becomes(3, &[1.0, 7.0]).0, "DETECTED");
}

#[test]
fn an_answer_right_after_a_deadline_is_in_time() {
    let late = |event, millis| match event {
        PrometheusEvent::Alerts(at, alerts) => {
            PrometheusEvent::Alerts(at + Duration::from_millis(millis), alerts)
        }
        PrometheusEvent::Values(position, at, values) => {
            PrometheusEvent::Values(position, at + Duration::from_millis(millis), values)
        }
        event => event,
    };
    let word = |expect, story: Story, millis| {
        let story = story.into_iter().map(|event| late(event, millis)).collect();
        outcome(expect, &watch(), Some(story), None).word()
    };
    // The alert fires 15 s after the start of its phase and resolves 5 s after its end; the query meets its condition after 8 s.
    let mut rise: Vec<&[f64]> = vec![&[1.0]; 8];
    rise.push(&[9.0]);
    for (millis, expected) in [(20, "DETECTED"), (600, "MISSED")] {
        assert_eq!(word(FIRES, log(25, 29), millis), expected);
        assert_eq!(word(RESOLVES, log(12, 24), millis), expected);
        assert_eq!(word(BECOMES, values(&rise), millis), expected);
    }
}

/// Returns a query with these values in each second from the start of the storm.
fn values(values: &[&[f64]]) -> Story {
    let value = |(second, values): (usize, &&[f64])| {
        PrometheusEvent::Values(0, seconds(10 + second as u32), Ok(values.to_vec()))
    };
    values.iter().enumerate().map(value).collect()
}

#[test]
fn a_condition_is_met_by_a_single_series() {
    let becomes = |story| {
        let outcome = outcome(BECOMES, &watch(), Some(story), None);
        (outcome.word(), outcome.after, outcome.detail)
    };
    let rise: Vec<&[f64]> = vec![&[1.0, 2.0], &[f64::NAN, 3.0], &[1.0, 5.5], &[1.0, 9.0]];
    assert_eq!(becomes(values(&rise)), ("DETECTED", Some(2.0), "5.5 after 2 s".into()));
    let calm: Vec<&[f64]> = vec![&[1.0, 2.0]; 9];
    assert_eq!(becomes(values(&calm)), ("MISSED", None, "nearest value 2".into()));
    let nothing: Vec<&[f64]> = vec![&[], &[f64::NAN]];
    assert_eq!(becomes(values(&nothing)), ("CANNOT TELL", None, "the query never had a value".into()));
    let (word, _, detail) = becomes(values(&[&[7.0], &[8.0]]));
    assert_eq!(
        (word, detail.as_str()),
        ("MISSED", "was 7 (> 5) when the phase began, so the phase is not its cause")
    );
    let silent = vec![PrometheusEvent::Values(0, seconds(10), Err(NoValue::NoAnswer("refused".into())))];
    assert_eq!(becomes(silent), ("CANNOT TELL", None, "refused".into()));
}

#[test]
fn a_lasting_condition_must_be_met_by_every_series_at_every_evaluation() {
    let stays = |story| {
        let outcome = outcome(STAYS, &watch(), Some(story), None);
        (outcome.word(), outcome.detail)
    };
    let mut calm: Vec<&[f64]> = vec![&[1.0, 2.0]; 11];
    assert_eq!(stays(values(&calm)), ("as expected", "nearest value 2".into()));
    calm[4] = &[];
    assert_eq!(stays(values(&calm)), ("CANNOT TELL", "no value, or NaN, after 4 s".into()));
    calm[6] = &[1.0, 5.0];
    assert_eq!(stays(values(&calm)), ("UNEXPECTED", "5 after 6 s".into()));
    // The second half has no readings.
    let half: Vec<&[f64]> = vec![&[1.0]; 5];
    assert_eq!(stays(values(&half)).0, "CANNOT TELL");
}
