//! Formats the report as text, which is printed at the end of a run.

use super::{Monitoring, PhaseReport, Report};
use crate::{
    engine::{DropReason, Failure},
    judge::{RunVerdict, Verdict, thresholds::ThresholdOutcome},
    text::{percent, rate, table, time},
};
use cli_io::printable::{MOST_QUOTED, printable};
use std::{collections::BTreeMap, fmt::Write};

/// The most characters of a line outside of tables. Warnings contain errors of other servers, which may be long.
const MOST_LINE: usize = 2000;

/// Returns the whole summary, which ends with the verdict.
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    let seconds = report.duration;
    let part = match (&report.shard, report.merged_from.len()) {
        (Some(shard), _) => format!(", part {shard}"),
        (None, 0) => String::new(),
        (None, count) => format!(", merged from {count} reports"),
    };
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        text,
        "\n{}{part} · seed {} · model {} · {} · {seconds:.1} s\n",
        report.scenario,
        report.seed,
        printable(&report.model, MOST_QUOTED),
        printable(&report.target, MOST_QUOTED)
    );
    text.push_str("What the client measured (times from the intended instant)\n");
    text.push_str(&client_table(report));
    text.push_str(&footnotes(report));
    let page = report.metrics.as_ref().map_or("the service's own metrics".to_owned(), |metrics| {
        format!("the metrics of {}", printable(metrics, MOST_QUOTED))
    });
    let _ = writeln!(text, "\nWhat {page} showed (in brackets: ratio to the first phase)");
    text.push_str(&monitoring_table(&report.phases));
    if !report.expectations.is_empty() || !report.failure_modes.is_empty() {
        text.push_str("\nWhat was done to the service, and what monitoring detected\n");
        if let Some(target) = &report.alerts_of {
            let _ = writeln!(
                text,
                "  alerts with other values of these labels do not count: {}",
                printable(target, MOST_LINE)
            );
        }
        text.push_str(&drills(report));
    }
    if !report.thresholds.is_empty() {
        text.push_str("\nThresholds\n");
        text.push_str(&thresholds(&report.thresholds));
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "\nwarning: {}", printable(warning, MOST_LINE));
    }
    let verdict = match report.verdict {
        RunVerdict::Passed => "PASSED",
        RunVerdict::Failed => "FAILED",
        RunVerdict::Invalid => "INVALID",
        RunVerdict::Interrupted => "INTERRUPTED",
    };
    let _ = write!(text, "\nverdict: {verdict}");
    if let Some(reason) = report.full_reason() {
        let _ = write!(text, " ({})", printable(&reason, MOST_LINE));
    }
    let unchecked =
        report.expectations.iter().filter(|outcome| outcome.verdict == Verdict::NotChecked).count();
    if unchecked > 0 {
        let _ = write!(text, "; {unchecked} of {} expectations not checked", report.expectations.len());
    }
    text.push('\n');
    text
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|&cell| cell.to_owned()).collect()
}

fn client_table(report: &Report) -> String {
    let mut rows = vec![row(&[
        "phase",
        "offered",
        "completed",
        "rate/s",
        "p50",
        "p95",
        "p99",
        "errors",
        "dropped",
        "verdict",
    ])];
    let whole = PhaseLike {
        name: "all",
        totals: &report.totals,
        rate: (report.duration > 0.0).then(|| report.totals.completed as f64 / report.duration),
        response: &report.response_time,
        verdict: "",
    };
    let phases = report.phases.iter().map(|phase| PhaseLike {
        name: &phase.name,
        totals: &phase.totals,
        rate: phase.rate,
        response: &phase.response_time,
        verdict: word(phase.verdict),
    });
    for like in phases.chain([whole]) {
        let totals = like.totals;
        rows.push(vec![
            like.name.to_owned(),
            totals.offered.to_string(),
            totals.completed.to_string(),
            rate(like.rate),
            time(like.response.p50),
            time(like.response.p95),
            time(like.response.p99),
            totals.not_as_expected().to_string(),
            totals.dropped.to_string(),
            like.verdict.to_owned(),
        ]);
    }
    table(&rows, 9)
}

/// The values of one row of the client's table: of a phase, or of the whole run.
struct PhaseLike<'a> {
    name: &'a str,
    totals: &'a crate::engine::Totals,
    rate: Option<f64>,
    response: &'a crate::engine::Figures,
    verdict: &'static str,
}

/// Returns the verdict on a phase or a threshold as text.
pub(crate) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "FAILED",
        Verdict::CannotTell => "CANNOT TELL",
        Verdict::NotChecked => "not checked",
    }
}

/// Returns the counts of all outcomes, and the send lag of the generator, which shows how far the percentiles can be trusted.
fn footnotes(report: &Report) -> String {
    let totals = &report.totals;
    let mut text = format!(
        "  {} offered = {} completed + {} failed + {} timed out + {} dropped + {} interrupted\n",
        totals.offered, totals.completed, totals.failed, totals.timed_out, totals.dropped, totals.interrupted
    );
    let _ = writeln!(
        text,
        "  service time p50 {}, p99 {}; send lag p50 {}, p99 {}, max {}",
        time(report.service_time.p50),
        time(report.service_time.p99),
        time(report.send_lag.p50),
        time(report.send_lag.p99),
        time(report.send_lag.max)
    );
    let feedback = &report.feedback;
    if !feedback.is_none() {
        let _ = writeln!(text, "  {} feedback = {}", feedback.due, feedback.in_words());
    }
    let failures = sum(report.phases.iter().map(|phase| &phase.failures));
    for (reason, count) in failures {
        let reason = match reason {
            Failure::Connect => "no connection",
            Failure::OwnLimit => "no sockets or ports left on this machine",
            Failure::Tls => "no secure connection",
            Failure::ClosedEarly => "connection closed before the end of the answer",
            Failure::NotHttp => "answer is not HTTP",
            Failure::BadAnswer => "answer has status 200 but is not the requested prediction",
            Failure::Other => "other",
        };
        let _ = writeln!(text, "  failed: {count} × {reason}");
    }
    for (reason, count) in sum(report.phases.iter().map(|phase| &phase.drops)) {
        let reason = match reason {
            DropReason::InFlightLimit => "max_in_flight requests were already in flight",
            DropReason::WorkerGone => "the thread of a worker had ended",
        };
        let _ = writeln!(text, "  dropped: {count} × {reason}");
    }
    text
}

fn sum<'a, K: Ord + Copy + 'a>(maps: impl Iterator<Item = &'a BTreeMap<K, u64>>) -> BTreeMap<K, u64> {
    let mut sum = BTreeMap::new();
    for (&key, count) in maps.flatten() {
        *sum.entry(key).or_default() += count;
    }
    sum
}

fn monitoring_table(phases: &[PhaseReport]) -> String {
    let mut rows = vec![row(&["phase", "req/s", "p95", "4xx", "5xx", "class shares", "drifting signals"])];
    let base = phases.first().map(|phase| &phase.monitoring);
    for (at, phase) in phases.iter().enumerate() {
        let seen = &phase.monitoring;
        let vitals = &seen.vitals;
        let base = base.filter(|_| at > 0).map(|base| &base.vitals);
        let shares: Vec<String> = vitals
            .class_shares
            .iter()
            .map(|(class, share)| format!("{class} {:.0} %", share * 100.0))
            .collect();
        rows.push(vec![
            phase.name.clone(),
            rate(vitals.throughput) + &times(vitals.throughput, base.and_then(|base| base.throughput)),
            time(vitals.latency_p95) + &times(vitals.latency_p95, base.and_then(|base| base.latency_p95)),
            percent(vitals.client_error_ratio),
            percent(vitals.server_error_ratio),
            if shares.is_empty() { "–".into() } else { shares.join(", ") },
            drifting(seen),
        ]);
    }
    table(&rows, 5)
}

/// Returns the ratio to the baseline, if it is clearly different from 1.
fn times(value: Option<f64>, base: Option<f64>) -> String {
    match (value, base) {
        (Some(value), Some(base)) if base > 0.0 => {
            let times = value / base;
            let decimals = if times < 10.0 { 1 } else { 0 };
            if (0.67..1.5).contains(&times) { String::new() } else { format!(" (×{times:.decimals$})") }
        }
        _ => String::new(),
    }
}

fn drifting(seen: &Monitoring) -> String {
    let drifting = seen.drifting();
    match (drifting.is_empty(), seen.cannot_tell()) {
        (false, _) => drifting.join(", "),
        (true, true) => "cannot tell".into(),
        (true, false) => "none".into(),
    }
}

/// Returns the measured value of a threshold as text.
pub(crate) fn measured(outcome: &ThresholdOutcome) -> String {
    match outcome.value {
        None => "no samples".into(),
        value if outcome.is_time => time(value),
        Some(value) => format!("{:.5}", value).trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

/// Returns the expectations by failure mode; those on the whole run come last. All failure modes have the same columns.
fn drills(report: &Report) -> String {
    let rows_of = |phase: Option<&str>| -> Vec<Vec<String>> {
        let of_phase = report.expectations.iter().filter(|outcome| outcome.phase.as_deref() == phase);
        of_phase
            .map(|outcome| {
                vec![format!("  {}", outcome.word()), outcome.expected.clone(), outcome.detail.clone()]
            })
            .collect()
    };
    let mut heads = Vec::new();
    let mut rows = Vec::new();
    for mode in &report.failure_modes {
        let time = mode.at.split(['T', 'Z']).nth(1).unwrap_or(&mode.at);
        let head = format!("{} ({:.0} s in, {time} UTC)  {}", mode.phase, mode.start, mode.injected);
        let head = printable(&head, MOST_LINE);
        let of_phase = rows_of(Some(&mode.phase));
        heads.push((head, of_phase.len()));
        rows.extend(of_phase);
    }
    let whole = rows_of(None);
    if !whole.is_empty() {
        heads.push(("whole run".to_owned(), whole.len()));
        rows.extend(whole);
    }
    let table = table(&rows, 0);
    let mut lines = table.lines();
    let mut text = String::new();
    for (head, count) in heads {
        let _ = writeln!(text, "  {head}");
        if count == 0 {
            text.push_str("    no expectations\n");
        }
        for line in lines.by_ref().take(count) {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

fn thresholds(outcomes: &[ThresholdOutcome]) -> String {
    let outcome = |outcome: &ThresholdOutcome| {
        vec![
            outcome.phase.clone().unwrap_or_else(|| "whole run".into()),
            word(outcome.verdict).to_owned(),
            format!("{} {}", outcome.metric, outcome.expression),
            measured(outcome),
        ]
    };
    table(&outcomes.iter().map(outcome).collect::<Vec<_>>(), 0)
}
