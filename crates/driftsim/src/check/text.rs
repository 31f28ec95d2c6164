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
        "{} against {} {}\n{}, {}\n\n",
        judged.table,
        judged.model,
        judged.version,
        counted(judged.rows, "row", "rows"),
        judged.summary()
    );
    let width =
        judged.signals.iter().map(|signal| shown(&signal.signal).chars().count()).max().unwrap_or_default();
    text += &format!("  {:<width$}  {:>8}  {:>8}  {:>10}  verdict\n", "signal", "PSI", "limit", "detectable");
    for signal in &judged.signals {
        let detectable = signal.detectable_above_limit().map_or("-".to_owned(), |psi| format!("{psi:.3}"));
        text += &format!(
            "  {:<width$}  {:>8.3}  {:>8.3}  {detectable:>10}  {}\n",
            shown(&signal.signal),
            signal.psi,
            signal.limit,
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
    if let Some(accuracy) = judged.accuracy {
        let rows = counted(judged.labelled_rows, "row", "rows");
        text += &format!("accuracy {accuracy:.3} on {rows} with a class");
        if let Some(reference) = judged.reference_accuracy {
            text += &format!(", {reference:.3} on the reference");
        }
        text += "\n";
    }
    for note in &judged.notes {
        text += &format!("note: {note}\n");
    }
    for problem in &judged.problems {
        text += &format!("not read: {problem}\n");
    }
    let further = judged.unreadable_rows.saturating_sub(judged.problems.len() as u64);
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
