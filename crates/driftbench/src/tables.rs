//! Formats a report as Markdown tables.

use crate::{
    report::{Detection, DetectionDelays, NullWindows, Report, SteadyTraffic},
    timeline::label,
};
use std::fmt;

/// The most false alarms per week that meet the target, over all signals and windows in use.
const TARGET_PER_WEEK: f64 = 1.0;

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = self.windows_watched.iter().filter(|(_, used)| *used);
        let used = used.map(|(window, _)| window.as_str()).collect::<Vec<_>>().join(", ");
        writeln!(
            out,
            "Ground truth: model {:?} (version {}), seed {}. References of {} rows, drawn from the ground truth; {} signals; \
             windows in use: {used}.",
            self.model, self.version, self.seed, self.reference_rows, self.signals
        )?;
        if let Some(rates) = &self.false_alarms {
            false_alarms(out, rates)?;
            separate_windows(out, rates, &self.levels)?;
        }
        if let Some(windows) = &self.null {
            null(out, windows, &self.levels)?;
        }
        if let Some(detection) = &self.detection {
            detected(out, detection)?;
        }
        if let Some(rates) = &self.windows {
            rates.iter().try_for_each(|detection| by_window(out, detection))?;
        }
        Ok(())
    }
}

fn false_alarms(out: &mut fmt::Formatter<'_>, rates: &[SteadyTraffic]) -> fmt::Result {
    writeln!(out, "\n## Steady traffic: false alarms, over all signals\n")?;
    header(
        out,
        "rows/s | window | judgements | full window | cannot tell | drifting | verdicts | alerts | \
         verdicts per week | alerts per week",
        2,
    )?;
    for traffic in rates {
        for window in &traffic.windows {
            let share = |count: u64| percent(count as f64 / window.judgements.max(1) as f64);
            let name = if window.in_use { format!("**{}**", window.window) } else { window.window.clone() };
            row(
                out,
                &[
                    traffic.rate.to_string(),
                    name,
                    window.judgements.to_string(),
                    share(window.full),
                    share(window.cannot_tell),
                    window.drifting.to_string(),
                    window.verdicts.to_string(),
                    window.alerts.to_string(),
                    format!("{:.2}", traffic.per_week(window.verdicts)),
                    format!("{:.2}", traffic.per_week(window.alerts)),
                ],
            )?;
        }
    }
    writeln!(
        out,
        "\nWindows of the shipped rules (\"in use\") are bold. Verdicts count how often a signal began to drift in a window; \
        alerts count how often it drifted at two judgements in a row.\n"
    )?;
    header(
        out,
        "rows/s | weeks | references | rows drawn | refused | references alarmed | \
         verdicts per week | alerts per week | target | result",
        1,
    )?;
    for traffic in rates {
        let (verdicts, alerts) = traffic.in_use();
        row(
            out,
            &[
                traffic.rate.to_string(),
                format!("{:.2}", traffic.weeks()),
                traffic.references.to_string(),
                traffic.rows.to_string(),
                traffic.rows_refused.to_string(),
                traffic.references_alarmed.to_string(),
                format!("{:.2}", traffic.per_week(verdicts)),
                format!("{:.2}", traffic.per_week(alerts)),
                format!("≤ {TARGET_PER_WEEK}"),
                result(traffic.per_week(verdicts) <= TARGET_PER_WEEK).to_owned(),
            ],
        )?;
    }
    let failures: u64 = rates.iter().map(|traffic| traffic.training_failures).sum();
    writeln!(
        out,
        "\nOver all windows in use. An unusual reference raises alarm after alarm, so the number of alarmed references says \
        more than the number of alarms. If none of r references is alarmed, at most a share of 3/r of all references \
        would be, with 95 % confidence. The table after the next one has more references. References that were drawn but could not be \
        used to train a model: {failures}."
    )?;
    for traffic in rates {
        for window in traffic.windows.iter().filter(|window| !window.by_signal.is_empty()) {
            let by: Vec<String> =
                window.by_signal.iter().map(|(signal, count)| format!("{signal} {count}")).collect();
            writeln!(out, "Verdicts at {}/s in {}: {}.", traffic.rate, window.window, by.join(", "))?;
        }
    }
    Ok(())
}

fn separate_windows(out: &mut fmt::Formatter<'_>, rates: &[SteadyTraffic], levels: &[f64]) -> fmt::Result {
    writeln!(
        out,
        "\n## The same traffic in windows that do not overlap: share above the limit at each level α\n"
    )?;
    header(out, &format!("rows/s | window | windows × signals | {}", levels_head(levels)), 2)?;
    for traffic in rates {
        for window in traffic.windows.iter().filter(|window| window.separate > 0) {
            let mut cells =
                vec![traffic.rate.to_string(), window.window.clone(), window.separate.to_string()];
            cells.extend(window.exceeding.iter().map(|&count| share(count, window.separate)));
            row(out, &cells)?;
        }
    }
    let references = rates.first().map_or(0, |traffic| traffic.references);
    writeln!(
        out,
        "\nAt each rate, these windows belong to {references} references, whose own noise is the same in all their windows. \
        The next table has as many references as windows."
    )
}

fn null(out: &mut fmt::Formatter<'_>, windows: &[NullWindows], levels: &[f64]) -> fmt::Result {
    writeln!(out, "\n## A new reference for every window: share above the limit at each level α\n")?;
    let head = format!(
        "rows in the window | references × signals | {} | drifting | references with drift | \
        smallest detectable drift detected",
        levels_head(levels)
    );
    header(out, &head, 0)?;
    for window in windows {
        let mut cells = vec![window.rows.to_string(), window.judged.to_string()];
        cells.extend(window.exceeding.iter().map(|&count| share(count, window.judged)));
        cells.extend([
            window.drifting.to_string(),
            format!("{} of {}", window.references_drifting, window.references),
            format!("{:.1} %", 100.0 * window.noticed as f64 / window.drifted.max(1) as f64),
        ]);
        row(out, &cells)?;
    }
    writeln!(
        out,
        "\nThe limit at level α is (1/N + 1/M)·χ²(1 − α), without the smallest PSI that matters. The column \"drifting\" is by \
        the limit of the rules, which has that floor."
    )
}

fn detected(out: &mut fmt::Formatter<'_>, detection: &Detection) -> fmt::Result {
    writeln!(out, "\n## Drift at {} rows/s: seconds until it is detected\n", detection.rate)?;
    header(
        out,
        "drift | slowest for | verdict, median | verdict, 90 % | alert, median | alert, 90 % | \
         first detected by | missed | target | result",
        2,
    )?;
    for drift in &detection.drifts {
        let Some(case) = drift.slowest(|case| case.verdict) else { continue };
        let time = |time: Option<f64>| seconds(time, detection.cap);
        let by = case.noticed_by.first().map_or("–".to_owned(), |(window, signal, count)| {
            format!("{signal} in {window} ({})", percent(*count as f64 / detection.trials as f64))
        });
        let met = |target: f64| case.verdict.median.is_some_and(|median| median <= target);
        row(
            out,
            &[
                drift.drift.clone(),
                if case.about.is_empty() { "–".to_owned() } else { case.about.clone() },
                time(case.verdict.median),
                time(case.verdict.p90),
                time(case.alert.median),
                time(case.alert.p90),
                by,
                format!("{} of {}", case.verdict.missed, detection.trials),
                drift.target.map_or("–".to_owned(), |target| format!("≤ {target} s")),
                drift.target.map_or("–", |target| result(met(target))).to_owned(),
            ],
        )?;
    }
    writeln!(
        out,
        "\n{} trials on {} references. A drift of one feature or class is tried with every feature or class, and the slowest \
        is shown. In {} trials a signal was drifting before the onset; such a signal does not count as a detection.",
        detection.trials, detection.references, detection.alarmed_before
    )
}

fn by_window(out: &mut fmt::Formatter<'_>, detection: &Detection) -> fmt::Result {
    writeln!(out, "\n## Each window on its own at {} rows/s: median time until a verdict\n", detection.rate)?;
    let Some(first) = detection.drifts.first().and_then(|drift| drift.cases.first()) else { return Ok(()) };
    let windows: Vec<&str> = first.windows.iter().map(|(window, _)| window.as_str()).collect();
    header(out, &format!("drift | {}", windows.join(" | ")), 1)?;
    for drift in &detection.drifts {
        let mut cells = vec![drift.drift.clone()];
        for at in 0..first.windows.len() {
            let times = |case: &crate::report::DetectedCase| case.windows[at].1;
            let slowest: Option<DetectionDelays> = drift.slowest(times).map(times);
            cells.push(slowest.map_or("–".to_owned(), |times| seconds(times.median, detection.cap)));
        }
        row(out, &cells)?;
    }
    writeln!(
        out,
        "\n{} trials on {} references. For each window, the slowest feature or class is shown.",
        detection.trials, detection.references
    )
}

fn result(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

fn share(count: u64, of: u64) -> String {
    format!("{:.2e} ({count})", count as f64 / of.max(1) as f64)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// Formats a time in seconds, or in a larger unit where seconds would suggest too much precision.
fn seconds(time: Option<f64>, cap: u64) -> String {
    match time {
        None => format!("> {}", label(cap)),
        Some(time) if time < 99.95 => format!("{time:.1} s"),
        Some(time) if time < 600.0 => format!("{time:.0} s"),
        Some(time) if time < 2.0 * 3600.0 => format!("{:.0} min", time / 60.0),
        Some(time) => format!("{:.1} h", time / 3600.0),
    }
}

fn levels_head(levels: &[f64]) -> String {
    levels.iter().map(|level| format!("α = {level}")).collect::<Vec<_>>().join(" | ")
}

/// Writes the head of a table. The first `words` columns are left-aligned, the others have figures and are right-aligned.
fn header(out: &mut fmt::Formatter<'_>, names: &str, words: usize) -> fmt::Result {
    let names: Vec<&str> = names.split(" | ").collect();
    row(out, &names)?;
    let rules: Vec<&str> = (0..names.len()).map(|at| if at < words { "---" } else { "---:" }).collect();
    row(out, &rules)
}

fn row<T: AsRef<str>>(out: &mut fmt::Formatter<'_>, cells: &[T]) -> fmt::Result {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    writeln!(out, "| {} |", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_times_are_written_in_larger_units() {
        let written =
            [Some(7.25), Some(99.96), Some(600.0), Some(9000.0), None].map(|time| seconds(time, 86_400));
        assert_eq!(written, ["7.2 s", "100 s", "10 min", "2.5 h", "> 1d"]);
    }
}
