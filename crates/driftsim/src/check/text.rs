//! Renders the result of a check as text.

use super::{judged::Judged, word};
use crate::counted::counted;
use cli_io::printable::{printable, printable_lines};
use drift::Verdict;

/// The number of bins that are shown of a drifting signal.
const SHOWN: usize = 3;

/// The length of a full bar, in characters.
const BAR: f64 = 20.0;

/// The greatest length of a name, in characters. Longer names are cut.
const NAME: usize = 32;

pub(super) fn render(judged: &Judged) -> String {
    let mut text = format!(
        "{} against {}\n{}, {}\n\n",
        judged.current.place(),
        judged.reference,
        judged.rows_in_words(),
        judged.summary()
    );
    let width =
        judged.signals.iter().map(|signal| shown(&signal.signal).chars().count()).max().unwrap_or_default();
    text += &format!("  {:<width$}  {:>8}  {:>8}  {:>10}  verdict\n", "signal", "PSI", "limit", "detectable");
    for signal in &judged.signals {
        let number = |number: Option<f64>| number.map_or("-".to_owned(), |number| format!("{number:.3}"));
        text += &format!(
            "  {:<width$}  {:>8}  {:>8}  {:>10}  {}\n",
            shown(&signal.signal),
            number(signal.psi),
            number(signal.limit),
            number(signal.detectable_above_limit()),
            word(signal.verdict)
        );
        if signal.verdict == Verdict::Drifting {
            for bin in signal.most_changed(SHOWN) {
                text += &format!(
                    "      {:<24}  expected {:>5.1} % {:<20}  seen {:>5.1} % {}\n",
                    printable(&bin.bin, 24),
                    100.0 * bin.expected,
                    bar(bin.expected),
                    100.0 * bin.seen,
                    bar(bin.seen)
                );
            }
        }
    }
    if let Some(accuracy) = judged.accuracy_in_words() {
        text += &format!("{accuracy}\n");
    }
    for note in &judged.notes {
        text += &format!("note: {note}\n");
    }
    for problem in judged.current.problems() {
        text += &format!("not read: {problem}\n");
    }
    let further = judged.current.unreadable_rows().saturating_sub(judged.current.problems().len() as u64);
    if further > 0 {
        text += &format!("not read: {}\n", counted(further, "further row", "further rows"));
    }
    printable_lines(&text)
}

fn shown(name: &str) -> String {
    printable(name, NAME)
}

fn bar(share: f64) -> String {
    "█".repeat((BAR * share).round() as usize)
}
