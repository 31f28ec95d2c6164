//! The result of a check as one page, which needs nothing else.

use super::{
    judged::{Judged, JudgedSignal, Overall},
    word,
};
use drift::Verdict;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");

pub(super) fn render(judged: &Judged) -> String {
    let class = match judged.overall {
        Overall::Steady => "good",
        Overall::Drift => "bad",
        Overall::CannotTell => "open",
    };
    let drifting = |signal: &&JudgedSignal| signal.verdict == Verdict::Drifting;
    let (first, rest): (Vec<_>, Vec<_>) = judged.signals.iter().partition(drifting);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (judged.table) " against " (judged.model) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (judged.table) }
                    p.verdict.(class) { (judged.summary()) }
                    p.meta { (judged.rows) " rows against model " (judged.model) " " (judged.version) }
                    @if let Some(accuracy) = judged.accuracy {
                        p.meta {
                            "accuracy " (format!("{accuracy:.3}")) " on " (judged.labelled_rows) " rows with a class, "
                            (format!("{:.3}", judged.reference_accuracy)) " on the reference"
                        }
                    }
                    @for note in &judged.notes { p.meta { (note) } }
                    @if !judged.problems.is_empty() {
                        h2 { (judged.unreadable_rows) " rows could not be read" }
                        ul { @for problem in &judged.problems { li { (problem) } } }
                    }
                    table {
                        thead { tr { th { "signal" } th { "PSI" } th { "limit" } th { "smallest detectable" } th { "verdict" } } }
                        tbody { @for signal in first.iter().chain(&rest) { (line(signal)) } }
                    }
                    div.signals { @for signal in first.iter().chain(&rest) { (plot(signal)) } }
                }
            }
        }
    }
    .into_string()
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Steady => "good",
        Verdict::Drifting => "bad",
        Verdict::CannotTell { .. } => "open",
    }
}

fn line(signal: &JudgedSignal) -> Markup {
    html! {
        tr {
            td { (signal.signal) }
            td.number { (format!("{:.3}", signal.psi)) }
            td.number { (format!("{:.3}", signal.limit)) }
            td.number { (signal.detectable.map_or("–".to_owned(), |psi| format!("{psi:.3}"))) }
            td.(class(signal.verdict)) { (word(signal.verdict)) }
        }
    }
}

/// The bins of a signal: what was expected and what was seen, side by side.
fn plot(signal: &JudgedSignal) -> Markup {
    let greatest = signal.bins.iter().flat_map(|bin| [bin.expected, bin.seen]).fold(0.0, f64::max);
    let width = |share: f64| format!("width: {:.1}%", 100.0 * share / greatest);
    html! {
        figure {
            figcaption { b { (signal.signal) } " " span.(class(signal.verdict)) { (word(signal.verdict)) } }
            table.bins {
                @for bin in &signal.bins {
                    tr {
                        th scope="row" { (bin.bin) }
                        td {
                            div.bar.expected style=(width(bin.expected)) {}
                            div.bar.seen style=(width(bin.seen)) {}
                        }
                        td.number { (format!("{:.1} %", 100.0 * bin.expected)) br; (format!("{:.1} %", 100.0 * bin.seen)) }
                    }
                }
            }
            p.meta { i.key.expected {} " expected " i.key.seen {} " seen" }
        }
    }
}
