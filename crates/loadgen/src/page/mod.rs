//! Renders a run as a page with panels, tables and a verdict, in one self-contained HTML file.
//!
//! [`Page`] is the state, and [`document`] and [`fragment`] are pure functions of it, so the live page ([`crate::serve`]) and
//! the report file look the same. What does not belong here: HTTP and clocks.

pub mod chart;
pub mod panels;
pub mod scale;
mod tables;

use crate::{
    judge::{Verdict, expectations::Observations},
    report::{Findings, Report},
    scenario::{Assertion, QueryAssertion},
    text::time,
    timeline::Timeline,
    watch::prometheus::SETTLING,
};
use chart::{Line, svg};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use panels::{Panel, panels};
use scale::Scale;
use std::time::Duration;
use tables::{Cell, drills, latencies, phases, thresholds, verdict};

const STYLE: &str = include_str!("style.css");

/// The script that keeps the live page up to date.
pub const SCRIPT: &str = include_str!("live.js");

/// The live page shows the whole planned run if it is at most this long, and otherwise at most twice the time that has passed.
const FORESIGHT: Duration = Duration::from_secs(600);

/// A phase on the time axis, counted from the run's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseSpan {
    /// Its name.
    pub name: String,
    /// When it starts.
    pub start: Duration,
    /// When it ends.
    pub end: Duration,
}

/// The stage of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Requests are being sent.
    Running,
    /// All requests have ended; expected alerts may still fire or resolve.
    Waiting,
    /// The run is over.
    Over,
}

/// The state of a run.
#[derive(Debug, Clone)]
pub struct Page {
    /// The report of the run, as if it ended now.
    pub report: Report,
    /// For each expectation of the report, whether its verdict is final.
    pub settled: Vec<bool>,
    /// The course of the run.
    pub timeline: Timeline,
    /// The phases of the run.
    pub phases: Vec<PhaseSpan>,
    /// How long the run has lasted.
    pub now: Duration,
    /// The stage of the run.
    pub stage: Stage,
}

impl Page {
    /// Creates the state of a run at `now` from its findings so far.
    pub fn new(findings: &Findings, timeline: &Timeline, stage: Stage, now: Duration) -> Self {
        let report = Report::new(findings);
        let Observations { names, schedule, prometheus, .. } = findings.seen;
        let expectations = findings.plan.scenario.expectations.iter().zip(&report.expectations);
        let settled = expectations.enumerate().map(|(at, (expectation, outcome))| {
            let ends = expectation.phase.map(|phase| schedule.span(phase));
            let (end, seen) = match &expectation.assertion {
                // Until then, an alert that has resolved may fire again.
                Assertion::AlertFires { resolves: Some(resolves), .. } => {
                    (ends.map(|span| span.end + *resolves), None)
                }
                Assertion::AlertFires { within, .. }
                | Assertion::Query { assertion: QueryAssertion::Becomes { within, .. }, .. } => {
                    (ends.map(|span| span.start + *within), outcome.after)
                }
                _ => (ends.map(|span| span.end), outcome.after),
            };
            // An event that has occurred is final, and so is an expectation that is not checked.
            let decided = seen.is_some() || outcome.verdict == Verdict::NotChecked;
            let awaited = prometheus.is_some_and(|prometheus| prometheus.awaited_of(at, now).is_some());
            let decided = decided || end.is_some_and(|end| now > end + SETTLING);
            // The rules are queried again after the run.
            let rules_unread = matches!(expectation.assertion, Assertion::AlertQuiet { .. })
                && prometheus.is_some_and(|prometheus| matches!(prometheus.rules, Some(Err(_))));
            stage == Stage::Over || (decided && !awaited && (seen.is_some() || !rules_unread))
        });
        let phases = names.iter().zip(schedule.spans());
        Self {
            settled: settled.collect(),
            timeline: timeline.clone(),
            phases: phases
                .map(|(name, span)| PhaseSpan { name: name.clone(), start: span.start, end: span.end })
                .collect(),
            now: findings.elapsed,
            stage,
            report,
        }
    }

    /// Returns whether requests are being sent.
    pub fn is_running(&self) -> bool {
        self.stage == Stage::Running
    }

    /// Returns whether the run is over.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    fn planned(&self) -> Duration {
        self.phases.last().map(|phase| phase.end).unwrap_or_default()
    }

    /// Returns the end of the time axis, in seconds.
    fn end(&self) -> f64 {
        let shown =
            if self.is_running() { self.planned().min(FORESIGHT.max(self.now * 2)) } else { Duration::ZERO };
        shown.max(self.now).max(Duration::from_secs(1)).as_secs_f64()
    }

    fn phase(&self) -> &str {
        let phase = self.phases.iter().rfind(|phase| phase.start <= self.now);
        match (self.stage, phase) {
            (Stage::Running, Some(phase)) => &phase.name,
            (Stage::Running, None) => "about to start",
            (Stage::Waiting, _) => "waiting for alerts",
            (Stage::Over, _) => "over",
        }
    }
}

/// Returns the content security policy. The live page may load its own script and states; the report may load nothing.
pub fn policy(live: bool) -> &'static str {
    if live {
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'"
    } else {
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    }
}

/// Returns the whole page. The live one loads a script that keeps it up to date; the report has no script and connects to no
/// server.
pub fn document(page: &Page, live: bool) -> String {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy(live));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (page.report.scenario) " · loadgen" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                @if live {
                    p #connection role="status" hidden {}
                    script src="live.js" defer {}
                }
                main { (body(page)) }
            }
        }
    };
    without_nul(document) + "\n"
}

/// Returns the part of the page that changes during a run.
pub fn fragment(page: &Page) -> String {
    without_nul(body(page))
}

/// Replaces NUL characters, which HTML does not allow and which separate the states in the stream of the live page.
fn without_nul(markup: Markup) -> String {
    markup.into_string().replace('\0', "\u{fffd}")
}

fn body(page: &Page) -> Markup {
    html! {
        (header(page))
        div.panels {
            @for panel in panels(page) { (panel_section(page, &panel)) }
        }
        (phases(page))
        (drills(page))
        (thresholds(page))
    }
}

fn header(page: &Page) -> Markup {
    let Page { report, .. } = page;
    let totals = &report.totals;
    let planned = page.planned().as_secs_f64();
    let sum = [
        (totals.completed, "completed"),
        (totals.failed, "failed"),
        (totals.timed_out, "timed out"),
        (totals.dropped, "dropped"),
        (totals.interrupted, "interrupted"),
    ];
    html! {
        header {
            h1 { (report.scenario) }
            (verdict(page))
            p { (report.description) }
            p.meta {
                "target " (report.target)
                @if let Some(metrics) = &report.metrics { " · metrics " (metrics) }
                " · model " (report.model) " · seed " (report.seed) " · started "
                (report.started_at)
            }
            p {
                progress max=(format!("{planned:.1}"))
                    value=(format!("{:.1}", page.now.min(page.planned()).as_secs_f64())) aria-label="progress" {}
                " " b { (page.phase()) } (format!(" · {:.0} of {planned:.0} s", page.now.as_secs_f64()))
            }
            p.totals {
                b { (totals.offered) } " offered"
                @for (at, (count, name)) in sum.into_iter().enumerate() {
                    (if at == 0 { " = " } else { " + " }) b { (count) } " " (name)
                }
                @if page.stage == Stage::Running { " + " b { (totals.in_flight()) } " in flight" }
                "; " b { (totals.unexpected) } " completed with an unexpected status"
            }
            @if !report.feedback.is_none() {
                p.totals { b { (report.feedback.due) } " feedback = " (report.feedback.in_words()) }
            }
            @for warning in &report.warnings { p.warning { "warning: " (warning) } }
            (latencies(page))
        }
    }
}

fn panel_section(page: &Page, panel: &Panel) -> Markup {
    let values = panel.plots.iter().flat_map(|(_, lines)| lines).flat_map(|line| &line.points);
    let scale = Scale::new(panel.unit, values.filter_map(|(_, value)| *value).chain(panel.limit));
    let show = |line: &Line| line.last().map_or("–".to_owned(), |value| panel.unit.show(value));
    let label = |side: &str, lines: &[Line]| {
        let last: Vec<String> = lines.iter().map(|line| format!("{} {}", line.name, show(line))).collect();
        format!("{}, seen by the {side}; last: {}", panel.title, last.join(", "))
    };
    html! {
        section.panel.wide[panel.plots.len() > 1] {
            h2 { (panel.title) }
            p.meta { (panel.about) }
            div.plots {
                @for (side, lines) in &panel.plots {
                    figure {
                        figcaption {
                            (side)
                            @if !panel.unit.words().is_empty() { ", " (panel.unit.words()) }
                        }
                        div role="img" aria-label=(label(side, lines)) {
                            @match svg(&scale, lines, panel.limit, &page.phases, page.end()) {
                                Ok(drawing) => (PreEscaped(drawing)),
                                Err(error) => p.warning { "cannot be drawn: " (error) },
                            }
                        }
                        ul.legend {
                            @for line in lines {
                                li { i class=(format!("colour{}", line.colour)) {} (line.name) " " b { (show(line)) } }
                            }
                            @if let Some(limit) = panel.limit {
                                li { i.limit {} "limit " b { (panel.unit.show(limit)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Formats a time as a cell of a table.
fn shown(seconds: Option<f64>) -> Cell {
    time(seconds).into()
}

#[cfg(test)]
mod tests;
