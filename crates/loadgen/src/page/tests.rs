use super::*;
use crate::{
    engine::{Effort, Ending, Record, Timing},
    plan::{Plan, Shard},
    scenario::Scenario,
    watch::{
        Alerts, PhaseWatch, PrometheusEvent, PrometheusWatch, Routes, SignalState, Snapshot, State,
        alertmanager::{Asked, Held},
        alerts::Labels,
        text_format,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const EVIL: &str = "<script>alert(1)</script>";

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

const EXPECT: &str = "
  signals: [ { signal: '*', phase: storm, drifts_within: 5s } ]
  alerts: [ { alert: ModelInputDrift, phase: calm, fires_within: 60s } ]
";

fn plan(expect: &str) -> Plan {
    let scenario = format!(
        "
name: x
description: '{EVIL}'
payloads: {{ flowers: {{ source: {{ model: {{}} }} }} }}
phases:
  - {{ name: calm, executor: constant-arrival-rate, rate: 10, duration: 5s }}
  - {{ name: storm, executor: constant-arrival-rate, rate: 10, duration: 5s }}
thresholds: {{ dropped: ['count==0'], response_time: ['p(99)<1ms'] }}
expect: {expect}
"
    );
    let scenario = Scenario::parse(&scenario, "x.yaml").unwrap();
    let card = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card;
    Plan::new(Arc::new(scenario), Some(Arc::new(card.into())), 1, Shard::WHOLE).unwrap()
}

fn snapshot(second: u64) -> Snapshot {
    let page = format!(
        "inference_requests_total{{endpoint=\"/predict\",status=\"200\"}} {}\n\
         inference_duration_seconds_bucket{{endpoint=\"/predict\",le=\"0.1\"}} {}\n\
         inference_duration_seconds_bucket{{endpoint=\"/predict\",le=\"+Inf\"}} {}\n\
         inference_duration_seconds_sum{{endpoint=\"/predict\"}} {}\n\
         prediction_output_total{{class=\"{EVIL}\"}} {}\n\
         process_cpu_seconds_total {}\nprocess_resident_memory_bytes 2e7\n",
        second * 10,
        second * 10,
        second * 10,
        second,
        second * 10,
        second as f64 * 0.1,
    );
    Snapshot::new(&text_format::parse(&page).unwrap(), &Routes::predict(), None)
}

/// Returns the state of a run of ten seconds after `now` seconds; the reading at second 5 failed.
fn page(now: f64, stage: Stage) -> Page {
    page_of(&plan(EXPECT), None, now, stage)
}

fn page_of(plan: &Plan, prometheus: Option<&PrometheusWatch>, now: f64, stage: Stage) -> Page {
    let (mut record, mut timeline) = (Record::default(), Timeline::default());
    let state = |psi| SignalState {
        state: State::Drifting,
        psi: Some(psi),
        threshold: Some(0.2),
        rows: 99,
        reason: None,
    };
    let signals: BTreeMap<_, _> = [(format!("signal \"&\0{EVIL}"), state(0.4))].into();
    for second in 0..=(now as u64) {
        let reading = (second != 5).then(|| snapshot(second));
        timeline.read(seconds(second as f64 + 0.001), reading, &signals);
        if second > 0 {
            let mut more = Record::default();
            let phase = more.phase(usize::from(second > 5));
            let timing =
                Timing { response: seconds(0.003), service: seconds(0.002), lag: Some(seconds(0.001)) };
            phase.totals.offered += 1;
            phase.ended(0, Ending::Completed { status: 200, expected: true }, timing);
            timeline.record(seconds(second as f64 - 0.02), &more);
            record.merge(&more);
        }
    }
    let failing =
        PhaseWatch { failed_readings: 1, last_error: Some(EVIL.to_owned()), ..PhaseWatch::default() };
    let schedule = plan.schedule();
    let findings = Findings {
        plan,
        target: "http://127.0.0.1:1/".into(),
        metrics: Some("http://127.0.0.1:2/metrics".into()),
        prometheus: None,
        started_at: humantime::parse_rfc3339("2026-11-24T12:00:00Z").unwrap(),
        scenario_sha256: String::new(),
        effort: &Effort::default(),
        elapsed: seconds(now),
        interrupted: false,
        record: &record,
        seen: Observations {
            phases: &[failing, PhaseWatch::default()],
            names: &["calm".to_owned(), "storm".to_owned()],
            schedule: &schedule,
            prometheus,
            interrupted: None,
        },
    };
    Page::new(&findings, &timeline, stage, seconds(now))
}

fn lines<'a>(panels: &'a [Panel], title: &str) -> &'a [Line] {
    let panel = panels.iter().find(|panel| panel.title == title).unwrap();
    &panel.plots.last().unwrap().1
}

#[test]
fn the_page_has_every_panel_with_its_lines() {
    let html = document(&page(10.0, Stage::Over), false);
    for title in [
        "Request throughput",
        "Latency",
        "Error rate",
        "Prediction distribution",
        "CPU usage",
        "Memory usage",
        "Drift",
        "Send lag",
        "Dropped requests",
    ] {
        assert_eq!(html.matches(&format!("<h2>{title}</h2>")).count(), 1, "{title}");
    }
    let page = page(10.0, Stage::Over);
    for panel in panels(&page) {
        for (side, lines) in &panel.plots {
            assert!(lines.iter().any(|line| line.last().is_some()), "{} {side}", panel.title);
        }
    }
    // Each of the 12 plots has the name of each phase.
    assert_eq!(html.matches("\ncalm\n").count(), 12, "{html}");
}

#[test]
fn foreign_text_is_shown_as_text() {
    for live in [false, true] {
        let html = document(&page(10.0, Stage::Over), live);
        let own = usize::from(live);
        assert_eq!(html.matches("<script").count(), own);
        // The text is in the description, a warning, a class and a signal; the latter two are also in a label.
        assert!(html.matches("&lt;script&gt;alert(1)").count() >= 6);
        // The signal is in the text of the legend and in an attribute, the label of the drawing.
        assert!(html.matches("signal &quot;&amp;\u{fffd}&lt;script&gt;alert(1)").count() >= 2);
        assert!(!html.contains("http-equiv=\"refresh\"") && !html.contains('\0'));
        assert_eq!(html.contains("connect-src 'self'"), live);
        assert!(html.contains("default-src 'none'"));
    }
}

#[test]
fn a_failed_reading_breaks_the_line() {
    let page = page(10.0, Stage::Over);
    let panels = panels(&page);
    for title in ["Request throughput", "CPU usage", "Memory usage", "Drift"] {
        let line = &lines(&panels, title)[0];
        let gaps: Vec<_> =
            line.points.iter().filter(|(_, value)| value.is_none()).map(|(at, _)| *at).collect();
        assert_eq!(gaps, [4.5], "{title}: {:?}", line.points);
    }
    let memory = lines(&panels, "Memory usage");
    let scale = Scale::new(scale::Unit::Bytes, [2e7].into_iter());
    let drawing = svg(&scale, memory, None, &page.phases, 10.0).unwrap();
    assert_eq!(
        drawing.matches("stroke-width=\"4\"").count(),
        2,
        "one line before the gap and one after it: {drawing}"
    );
    // The client measures its own requests, so it has no gap.
    assert!(lines(&panels, "Send lag")[0].points.iter().all(|(_, value)| value.is_some()));
}

#[test]
fn a_single_value_is_drawn_as_a_dot() {
    let line = Line { name: "a".into(), colour: 0, points: vec![(1.0, None), (2.0, Some(3.0)), (3.0, None)] };
    let scale = Scale::new(scale::Unit::Rate, [3.0].into_iter());
    let drawing = svg(&scale, &[line], None, &[], 10.0).unwrap();
    assert_eq!(drawing.matches("<circle").count(), 1);
}

#[test]
fn at_the_start_there_is_no_verdict() {
    let html = fragment(&page(0.0, Stage::Running));
    assert_eq!(html.matches("no data").count(), 12);
    assert!(html.contains("nothing missed so far") && !html.contains("PASSED") && !html.contains("MISSED"));
    assert!(html.contains(">pending<") && html.contains(">to come<"));
}

#[test]
fn during_the_run_only_final_verdicts_are_shown() {
    let running = fragment(&page(8.0, Stage::Running));
    assert!(running.contains("so far 0 expectations missed, 1 threshold not met"), "{running}");
    assert!(running.contains(">not met so far<") && running.contains(">pending<"));
    // Without Prometheus, there is nothing to wait for.
    assert!(running.contains(">not checked<"));
    let over = fragment(&page(10.0, Stage::Over));
    assert!(over.contains("<b>FAILED</b>") && !over.contains(">pending<"), "{over}");
}

#[test]
fn an_expectation_that_may_still_be_decided_is_pending() {
    let plan = plan(
        "
  alerts: [ { alert: Fires, phase: calm, fires_within: 60s } ]
  quiet: [ { alert: Quiet, phase: calm } ]
",
    );
    // `Fires` from second 2 on; `Quiet` is pending from second 3 on until it clears.
    let settled_by = |arrives: u64, clears: u64, rules: Option<Result<BTreeSet<String>, String>>| {
        let labels = |name: &str| -> Labels { [("alertname".to_owned(), name.to_owned())].into() };
        let mut watch = PrometheusWatch::new(&plan.scenario.expectations, &plan.schedule());
        watch.rules = rules;
        for second in 0..=9 {
            let at = Duration::from_secs(second);
            let instance = |name, holds: bool| holds.then(|| labels(name)).into_iter().collect();
            let alerts = Alerts {
                firing: instance("Fires", second >= 2),
                pending: instance("Quiet", (3..clears).contains(&second)),
            };
            watch.observe(PrometheusEvent::Alerts(at, Ok(alerts)));
            let held = Held { labels: labels("Fires"), updated: "T".into(), suppressed: None };
            let held = (second >= arrives).then_some(held).into_iter().collect();
            watch.observe(PrometheusEvent::Held(at, Asked { known: Some(1), held: Some(held), error: None }));
        }
        let page = page_of(&plan, Some(&watch), 9.5, Stage::Running);
        assert_eq!(
            page.report.expectations.iter().map(|it| &*it.kind).collect::<Vec<_>>(),
            ["alert", "quiet"]
        );
        page.settled
    };
    let settled = |arrives, clears| settled_by(arrives, clears, None);
    assert_eq!(settled(99, 99), [false, false]);
    assert_eq!(settled(4, 99), [true, false]);
    assert_eq!(settled(99, 7), [false, true]);
    // Rules that could not be read are queried again after the run.
    assert_eq!(settled_by(4, 7, Some(Err("refused".into()))), [true, false]);
}

#[test]
fn classes_beyond_six_are_added_up() {
    let mut timeline = Timeline::default();
    for second in 0..3u64 {
        let text: String = (0..9)
            .map(|class| format!("prediction_output_total{{class=\"c{class}\"}} {}\n", second * (class + 1)))
            .collect();
        let snapshot = Snapshot::new(&text_format::parse(&text).unwrap(), &Routes::predict(), None);
        timeline.read(seconds(second as f64), Some(snapshot), &BTreeMap::new());
    }
    let page = Page { timeline, ..page(10.0, Stage::Over) };
    let panels = panels(&page);
    let lines = lines(&panels, "Prediction distribution");
    let names: Vec<_> = lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names, ["c3", "c4", "c5", "c6", "c7", "c8", "3 more"]);
    let total: f64 = lines.iter().filter_map(Line::last).sum();
    assert!((total - 45.0).abs() < 1e-9);
}
