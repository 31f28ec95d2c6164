//! A run as a page: panels, tables and a verdict in one HTML file that needs nothing else.
//!
//! [`Page`] is the state, [`document`] and [`fragment`] are pure functions of it, so the live page ([`crate::serve`]) and
//! the report that is left behind are the same page. What does not belong here: HTTP, clocks and judging.

pub mod chart;
pub mod html;
pub mod panels;
pub mod scale;
mod tables;

use crate::{
    judge::{Verdict, expectations::Seen},
    report::{Findings, Report},
    scenario::{Assertion, QueryAssertion},
    text::time,
    timeline::Timeline,
    watch::prometheus::SETTLING,
};
use chart::{Line, svg};
use html::escape;
use panels::{Panel, panels};
use scale::Scale;
use std::{fmt::Write, time::Duration};
use tables::{drills, latencies, phases, thresholds, verdict};

const STYLE: &str = include_str!("style.css");

/// What the live page is kept up to date with.
pub const SCRIPT: &str = include_str!("live.js");

/// Up to this the live page shows the whole run ahead; of a longer one it shows twice what has passed, at most.
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

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Requests are being sent.
    Running,
    /// They are through; alerts may still come.
    Waiting,
    /// All is said.
    Over,
}

/// The state of a run.
#[derive(Debug, Clone)]
pub struct Page {
    /// The report of the run, as if it ended now.
    pub report: Report,
    /// For each expectation of the report, whether its verdict is final.
    pub settled: Vec<bool>,
    /// Its course.
    pub timeline: Timeline,
    /// Its phases.
    pub phases: Vec<PhaseSpan>,
    /// How long it has lasted.
    pub now: Duration,
    /// How far it is.
    pub stage: Stage,
}

impl Page {
    /// The state at `now` of a run with these findings.
    pub fn new(findings: &Findings, timeline: &Timeline, stage: Stage, now: Duration) -> Self {
        let report = Report::new(findings);
        let Seen { names, schedule, prometheus, .. } = findings.seen;
        let expectations = findings.plan.scenario.expectations.iter().zip(&report.expectations);
        let settled = expectations.enumerate().map(|(at, (expectation, outcome))| {
            let ends = expectation.phase.map(|phase| schedule.span(phase));
            let (end, seen) = match &expectation.assertion {
                // Until then one that is gone may be back.
                Assertion::AlertFires { resolves: Some(resolves), .. } => {
                    (ends.map(|span| span.end + *resolves), None)
                }
                Assertion::AlertFires { within, .. }
                | Assertion::Query { assertion: QueryAssertion::Becomes { within, .. }, .. } => {
                    (ends.map(|span| span.start + *within), outcome.after)
                }
                _ => (ends.map(|span| span.end), outcome.after),
            };
            // An event that occurred cannot be undone, and an expectation that is not checked stays so.
            let decided = seen.is_some() || outcome.verdict == Verdict::NotChecked;
            let awaited = prometheus.is_some_and(|prometheus| prometheus.awaited_of(at, now).is_some());
            let decided = decided || end.is_some_and(|end| now > end + SETTLING);
            // They are asked for again after the run.
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

    /// Whether requests are being sent.
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

    /// Where the time axis ends, in seconds.
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

/// What the page may load: the live one its own script and states, the other nothing.
pub fn policy(live: bool) -> &'static str {
    if live {
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'"
    } else {
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    }
}

/// The whole page. The live one keeps itself up to date and may talk to its own server; the other has no script and may
/// be connected to no service.
pub fn document(page: &Page, live: bool) -> String {
    let policy = policy(live);
    let script = if live {
        "<p id=\"connection\" role=\"status\" hidden></p><script src=\"live.js\" defer></script>\n"
    } else {
        ""
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{} · loadgen</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         {script}<main>\n{}</main>\n</body>\n</html>\n",
        escape(&page.report.scenario),
        fragment(page)
    )
}

/// What changes while the run goes on.
pub fn fragment(page: &Page) -> String {
    let mut html = header(page);
    html.push_str("<div class=\"panels\">\n");
    for panel in panels(page) {
        push_panel(&mut html, page, &panel);
    }
    html.push_str("</div>\n");
    html.push_str(&phases(page));
    html.push_str(&drills(page));
    html.push_str(&thresholds(page));
    html
}

fn header(page: &Page) -> String {
    let Page { report, .. } = page;
    let totals = &report.totals;
    let in_flight = match page.stage {
        Stage::Running => format!(" + <b>{}</b> in flight", totals.in_flight()),
        Stage::Waiting | Stage::Over => String::new(),
    };
    let mut html = format!("<header>\n<h1>{}</h1>{}\n", escape(&report.scenario), verdict(page));
    // Writing to a string can't fail, here and below.
    let _ = write!(
        html,
        "<p>{}</p>\n<p class=\"meta\">target {} · model {} · seed {} · started {}</p>\n\
         <p><progress max=\"{planned:.1}\" value=\"{:.1}\" aria-label=\"progress\"></progress> \
         <b>{}</b> · {:.0} of {planned:.0} s</p>\n\
         <p class=\"totals\"><b>{}</b> offered = <b>{}</b> completed + <b>{}</b> failed + <b>{}</b> timed out + <b>{}</b> \
         dropped + <b>{}</b> interrupted{}; <b>{}</b> of the completed unexpected</p>\n",
        escape(&report.description),
        escape(&report.target),
        escape(&report.model),
        report.seed,
        escape(&report.started_at),
        page.now.min(page.planned()).as_secs_f64(),
        escape(page.phase()),
        page.now.as_secs_f64(),
        totals.offered,
        totals.completed,
        totals.failed,
        totals.timed_out,
        totals.dropped,
        totals.interrupted,
        in_flight,
        totals.unexpected,
        planned = page.planned().as_secs_f64(),
    );
    for warning in &report.warnings {
        let _ = writeln!(html, "<p class=\"warning\">warning: {}</p>", escape(warning));
    }
    html.push_str(&latencies(page));
    html.push_str("</header>\n");
    html
}

fn push_panel(html: &mut String, page: &Page, panel: &Panel) {
    let values = panel.plots.iter().flat_map(|(_, lines)| lines).flat_map(|line| &line.points);
    let scale = Scale::new(panel.unit, values.filter_map(|(_, value)| *value).chain(panel.limit));
    let wide = if panel.plots.len() > 1 { " wide" } else { "" };
    let _ = writeln!(
        html,
        "<section class=\"panel{wide}\"><h2>{}</h2><p class=\"meta\">{}</p><div class=\"plots\">",
        escape(panel.title),
        escape(panel.about)
    );
    for (side, lines) in &panel.plots {
        let show = |line: &Line| line.last().map_or("–".to_owned(), |value| panel.unit.show(value));
        let last: Vec<String> = lines.iter().map(|line| format!("{} {}", line.name, show(line))).collect();
        let label = format!("{}, seen by the {side}; last: {}", panel.title, last.join(", "));
        let drawing = svg(&scale, lines, panel.limit, &page.phases, page.end())
            .unwrap_or_else(|error| format!("<p class=\"warning\">cannot be drawn: {}</p>", escape(&error)));
        let words =
            if panel.unit.words().is_empty() { String::new() } else { format!(", {}", panel.unit.words()) };
        let _ = writeln!(
            html,
            "<figure><figcaption>{side}{words}</figcaption><div role=\"img\" aria-label=\"{}\">{drawing}</div>\
             <ul class=\"legend\">",
            escape(&label)
        );
        for line in lines {
            let _ = writeln!(
                html,
                "<li><i class=\"colour{}\"></i>{} <b>{}</b></li>",
                line.colour,
                escape(&line.name),
                escape(&show(line))
            );
        }
        if let Some(limit) = panel.limit {
            let _ = writeln!(html, "<li><i class=\"limit\"></i>limit <b>{}</b></li>", panel.unit.show(limit));
        }
        html.push_str("</ul></figure>\n");
    }
    html.push_str("</div></section>\n");
}

/// A time, for tables.
fn shown(seconds: Option<f64>) -> html::Cell {
    time(seconds).into()
}

#[cfg(test)]
mod tests;
