//! Renders the tables of the page, and the verdict at its top.

use super::{Page, Stage, shown};
use crate::{
    engine::Figures,
    judge::{RunVerdict, Verdict, expectations::ExpectationOutcome},
    report::summary::{measured, word},
    text::rate,
};
use driftsim::counted::counted;
use maud::{Markup, html};

/// A cell of a table: its text, and a class that the style sheet defines.
pub(super) struct Cell(pub(super) String, pub(super) &'static str);

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self(text, "")
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self(text.to_owned(), "")
    }
}

/// Returns a table. Each cell also names its column, which a narrow screen shows instead of the head.
fn table<const N: usize>(caption: &str, head: [&str; N], rows: Vec<[Cell; N]>) -> Markup {
    html! {
        table {
            caption { (caption) }
            thead { tr { @for name in head { th scope="col" { (name) } } } }
            tbody {
                @for row in rows {
                    tr {
                        @for (name, Cell(text, class)) in head.iter().zip(row) {
                            td data-head=(name) { span class=(class) { (text) } }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the verdict on a finished run, or the number of missed expectations and thresholds so far.
pub(super) fn verdict(page: &Page) -> Markup {
    let report = &page.report;
    if page.stage != Stage::Over {
        let missed = report.expectations.iter().zip(&page.settled);
        let missed = missed.filter(|(outcome, settled)| **settled && outcome.verdict.is_missed()).count();
        let broken =
            report.thresholds.iter().filter(|outcome| broken(outcome.verdict, outcome.value)).count();
        let (class, words) = match (missed, broken) {
            (0, 0) => ("open", "nothing missed so far".to_owned()),
            _ => {
                let missed = counted(missed as u64, "expectation", "expectations");
                let broken = counted(broken as u64, "threshold", "thresholds");
                ("bad", format!("so far {missed} missed, {broken} not met"))
            }
        };
        return html! { p.verdict.(class) { (words) } };
    }
    let (class, word) = match report.verdict {
        RunVerdict::Passed => ("good", "PASSED"),
        RunVerdict::Failed => ("bad", "FAILED"),
        RunVerdict::Invalid => ("bad", "INVALID"),
        RunVerdict::Interrupted => ("open", "INTERRUPTED"),
    };
    html! {
        p.verdict.(class) {
            b { (word) }
            @if let Some(reason) = report.full_reason() { ": " (reason) }
        }
    }
}

/// Returns whether a threshold is not met at present. Without samples, that is not decided before the end.
fn broken(verdict: Verdict, value: Option<f64>) -> bool {
    verdict == Verdict::Failed && value.is_some()
}

/// Returns the times of the whole run, with the number of dropped requests, which the times do not include.
pub(super) fn latencies(page: &Page) -> Markup {
    let report = &page.report;
    let row = |name: &str, figures: &Figures| {
        let cells =
            [figures.p50, figures.p90, figures.p95, figures.p99, figures.p999, figures.max].map(shown);
        let [p50, p90, p95, p99, p999, max] = cells;
        let dropped = report.totals.dropped;
        let dropped = Cell(dropped.to_string(), if dropped > 0 { "bad" } else { "" });
        [name.into(), p50, p90, p95, p99, p999, max, dropped]
    };
    table(
        "Times measured by the client",
        ["", "p50", "p90", "p95", "p99", "p99.9", "max", "dropped, not included"],
        vec![
            row("response time", &report.response_time),
            row("service time", &report.service_time),
            row("send lag", &report.send_lag),
        ],
    )
}

pub(super) fn phases(page: &Page) -> Markup {
    let rows = page.report.phases.iter().zip(&page.phases);
    let rows = rows.map(|(phase, span)| {
        let over = page.stage == Stage::Over || page.now >= span.end;
        let verdict = match (over, page.now < span.start) {
            (true, _) => Cell(word(phase.verdict).into(), class(phase.verdict)),
            (false, true) => "to come".into(),
            (false, false) => "under way".into(),
        };
        let totals = &phase.totals;
        [
            phase.name.as_str().into(),
            verdict,
            totals.offered.to_string().into(),
            totals.completed.to_string().into(),
            rate(phase.rate).into(),
            shown(phase.response_time.p50),
            shown(phase.response_time.p95),
            shown(phase.response_time.p99),
            totals.not_as_expected().to_string().into(),
            totals.dropped.to_string().into(),
            phase.monitoring.drifting().join(", ").into(),
        ]
    });
    table(
        "Phases",
        ["phase", "", "offered", "completed", "rate/s", "p50", "p95", "p99", "errors", "dropped", "drifting"],
        rows.collect(),
    )
}

/// Returns the expectations by failure mode, as in the summary; those on the whole run come last.
pub(super) fn drills(page: &Page) -> Markup {
    let report = &page.report;
    let rows_of = |phase: Option<&str>| -> Vec<_> {
        let outcomes = report.expectations.iter().zip(&page.settled);
        let of_phase = outcomes.filter(|(outcome, _)| outcome.phase.as_deref() == phase);
        of_phase.map(|(outcome, settled)| expectation(outcome, *settled)).collect()
    };
    const HEAD: [&str; 3] = ["", "expected", "observed"];
    let whole = rows_of(None);
    if report.failure_modes.is_empty() && whole.is_empty() {
        return Markup::default();
    }
    html! {
        section.drills {
            h2 { "What was done to the service, and what monitoring detected" }
            @for mode in &report.failure_modes {
                @let time = mode.at.split(['T', 'Z']).nth(1).unwrap_or(&mode.at);
                @let caption =
                    format!("{} ({:.0} s in, {time} UTC): {}", mode.phase, mode.start, mode.injected);
                (table(&caption, HEAD, rows_of(Some(&mode.phase))))
            }
            @if !whole.is_empty() { (table("whole run", HEAD, whole)) }
        }
    }
}

fn expectation(outcome: &ExpectationOutcome, settled: bool) -> [Cell; 3] {
    let (word, detail) = match (settled, outcome.verdict == Verdict::CannotTell) {
        (true, _) => (Cell(outcome.word().into(), class(outcome.verdict)), outcome.detail.clone()),
        // Before its deadline, the expectation can still be decided.
        (false, true) => ("pending".into(), String::new()),
        (false, false) => ("pending".into(), format!("so far: {}", outcome.detail)),
    };
    [word, outcome.expected.as_str().into(), detail.into()]
}

pub(super) fn thresholds(page: &Page) -> Markup {
    let rows = page.report.thresholds.iter().map(|outcome| {
        let word = match (page.stage, outcome.value) {
            (Stage::Over, _) => Cell(word(outcome.verdict).into(), class(outcome.verdict)),
            (_, None) => "pending".into(),
            (_, Some(_)) if outcome.verdict == Verdict::Passed => "met so far".into(),
            (_, Some(_)) => Cell("not met so far".into(), "bad"),
        };
        [
            outcome.phase.clone().unwrap_or_else(|| "whole run".into()).into(),
            word,
            format!("{} {}", outcome.metric, outcome.expression).into(),
            measured(outcome).into(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Markup::default();
    }
    table("Thresholds on the client's measurements", ["phase", "", "threshold", "measured"], rows)
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "good",
        Verdict::Failed | Verdict::CannotTell => "bad",
        Verdict::NotChecked => "open",
    }
}
