//! Renders the result of a check as one HTML page without external resources.

use super::{
    judged::{Judged, JudgedBin, JudgedSignal, Overall},
    word,
};
use drift::Verdict;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");

/// The greatest number of signals without drift that are shown unfolded.
const UNFOLDED: usize = 12;

/// The greatest number of bins of a signal that are shown unfolded, which is enough for all bins of a number. Of more bins, the
/// most changed ones are shown and the others folded.
const BINS: usize = 13;

pub(super) fn render(judged: &Judged) -> String {
    let class = match judged.overall {
        Overall::Steady => "good",
        Overall::Drift => "bad",
        Overall::CannotTell => "open",
    };
    let drifting = |signal: &&JudgedSignal| signal.verdict == Verdict::Drifting;
    let (mut first, rest): (Vec<_>, Vec<_>) = judged.signals.iter().partition(drifting);
    first.sort_by(|a, b| b.psi.unwrap_or_default().total_cmp(&a.psi.unwrap_or_default()));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (judged.current.place()) " against " (judged.reference) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (judged.current.place()) }
                    p.verdict.(class) { (judged.summary()) }
                    p.meta { (judged.rows_in_words()) " against " (judged.reference) }
                    @if let Some(accuracy) = judged.accuracy_in_words() { p.meta { (accuracy) } }
                    @for note in &judged.notes { p.meta { (note) } }
                    @if !judged.current.problems().is_empty() {
                        h2 { "Rows that could not be read: " (judged.current.unreadable_rows()) }
                        ul { @for problem in judged.current.problems() { li { (problem) } } }
                    }
                    (signals(&first))
                    @if first.is_empty() || rest.len() <= UNFOLDED {
                        (signals(&rest))
                    } @else {
                        details { summary { (rest.len()) " further signals" } (signals(&rest)) }
                    }
                }
            }
        }
    }
    .into_string()
}

/// Renders a table of signals with their plots.
fn signals(signals: &[&JudgedSignal]) -> Markup {
    html! {
        @if !signals.is_empty() {
            table {
                thead {
                    tr {
                        th { "signal" }
                        @for number in ["PSI", "limit", "smallest detectable"] { th.number { (number) } }
                        th { "verdict" }
                    }
                }
                tbody { @for signal in signals { (line(signal)) } }
            }
            div.signals { @for signal in signals { (plot(signal)) } }
        }
    }
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
            @for number in [signal.psi, signal.limit, signal.detectable_above_limit()] {
                td.number { (number.map_or("–".to_owned(), |number| format!("{number:.3}"))) }
            }
            td.(class(signal.verdict)) { (word(signal.verdict)) }
        }
    }
}

/// Renders the bins of a signal, with expected and observed shares side by side.
fn plot(signal: &JudgedSignal) -> Markup {
    let greatest = signal.bins.iter().flat_map(|bin| [bin.expected, bin.seen]).fold(0.0, f64::max);
    let all: Vec<&JudgedBin> = signal.bins.iter().collect();
    let most_changed = signal.most_changed(signal.bins.len());
    let (shown, folded) = if all.len() <= BINS { (&all[..], &[][..]) } else { most_changed.split_at(BINS) };
    html! {
        figure {
            figcaption { b { (signal.signal) } " " span.(class(signal.verdict)) { (word(signal.verdict)) } }
            (bins(shown, greatest))
            @if !folded.is_empty() {
                details { summary { (folded.len()) " further bins, which changed less" } (bins(folded, greatest)) }
            }
            p.meta { i.key.expected {} " expected " i.key.seen {} " seen" }
        }
    }
}

/// Renders bars, scaled so that the greatest share has the full width.
fn bins(bins: &[&JudgedBin], greatest: f64) -> Markup {
    let width = |share: f64| format!("width: {:.1}%", 100.0 * share / greatest);
    html! {
        table.bins {
            @for bin in bins {
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
    }
}

#[cfg(test)]
mod tests {
    use super::super::judged::{Against, Current};
    use super::*;

    fn signal(name: &str, verdict: Verdict, psi: f64, bins: usize) -> JudgedSignal {
        let bin = |at: usize| JudgedBin {
            bin: format!("{name} {at}"),
            expected: 1.0 / bins as f64,
            seen: 1.0 / bins as f64,
            contribution: at as f64,
        };
        let bins = (0..bins).map(bin).collect();
        let (signal, psi) = (name.to_owned(), Some(psi));
        JudgedSignal { signal, verdict, rows: 100, psi, limit: Some(0.1), detectable: None, bins }
    }

    fn page(signals: Vec<JudgedSignal>) -> String {
        render(&Judged {
            current: Current::Table { table: "t.csv".into(), unreadable_rows: 0, problems: Vec::new() },
            reference: Against::Model { model: "m".into(), version: "v".into() },
            overall: Overall::Steady,
            rows: 100,
            labelled_rows: 0,
            accuracy: None,
            reference_accuracy: Some(0.9),
            notes: Vec::new(),
            signals,
        })
    }

    #[test]
    fn drifting_signals_stand_first_and_many_others_are_folded() {
        let steady = |count: usize| (0..count).map(|at| signal(&format!("s{at}"), Verdict::Steady, 0.0, 2));
        let drifting =
            [("weak", 0.2), ("strong", 0.9)].map(|(name, psi)| signal(name, Verdict::Drifting, psi, 2));
        let many = page(steady(UNFOLDED + 1).chain(drifting.clone()).collect());
        let at = |text: &str| many.find(text).unwrap();
        assert!(at("<td>strong</td>") < at("<td>weak</td>") && at("<td>weak</td>") < at("<details>"));
        assert!(at("<summary>13 further signals") < at("<td>s0</td>"));
        assert!(!page(steady(UNFOLDED).chain(drifting).collect()).contains("<details>"));
        assert!(!page(steady(100).collect()).contains("<details>"), "nothing drifts: all signals are shown");
    }

    #[test]
    fn of_many_bins_the_most_changed_are_shown_and_the_others_folded() {
        let page = page(vec![signal("country", Verdict::Drifting, 1.0, BINS + 2)]);
        let (shown, folded) = page.split_once("2 further bins").unwrap();
        assert_eq!(
            (shown.matches("<tr><th scope").count(), folded.matches("<tr><th scope").count()),
            (BINS, 2)
        );
        assert!(
            shown.contains("country 14<") && folded.contains("country 0<") && folded.contains("country 1<")
        );
    }
}
