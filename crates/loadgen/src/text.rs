//! Formats numbers and tables for people.

use cli_io::printable::printable;

/// Formats a time in seconds with three digits and a suitable unit; `None` is shown as `–`.
///
/// ```
/// use loadgen::text::time;
/// assert_eq!(time(Some(0.000_412)), "412 µs");
/// assert_eq!(time(Some(0.0123)), "12.3 ms");
/// assert_eq!(time(None), "–");
/// ```
pub fn time(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return "–".into() };
    if seconds.is_infinite() {
        return "no answer".into();
    }
    let (value, unit) = match seconds {
        s if s < 0.000_999_5 => (s * 1e6, "µs"),
        s if s < 0.9995 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let decimals = if unit == "µs" || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.decimals$} {unit}")
}

/// Formats a share in percent; `None` is shown as `–`.
pub fn percent(share: Option<f64>) -> String {
    share.map_or("–".into(), |share| format!("{:.1} %", share * 100.0))
}

/// Formats a rate per second; `None` is shown as `–`.
pub fn rate(rate: Option<f64>) -> String {
    rate.map_or("–".into(), |rate| format!("{rate:.1}"))
}

/// The most characters of a cell. Names of classes and signals come from the target, and a long one would widen every row.
const MOST_CELL: usize = 400;

/// Formats a table with aligned columns. The first column and those from `left_from` on are left-aligned; the others have
/// numbers and are right-aligned. Cells may contain foreign text.
pub fn table(rows: &[Vec<String>], left_from: usize) -> String {
    let printable_row = |row: &Vec<String>| row.iter().map(|cell| printable(cell, MOST_CELL)).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(printable_row).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                let pad = " ".repeat(widths[column] - cell.chars().count());
                if column == 0 || column >= left_from {
                    format!("{cell}{pad}")
                } else {
                    format!("{pad}{cell}")
                }
            })
            .collect();
        text.push_str("  ");
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_a_suitable_unit() {
        let cases = [
            (0.0, "0 µs"),
            (0.000_999_9, "1.00 ms"),
            (0.25, "250 ms"),
            (0.999_9, "1.00 s"),
            (75.0, "75.0 s"),
        ];
        for (seconds, text) in cases {
            assert_eq!(time(Some(seconds)), text);
        }
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [["phase", "p50", "verdict"], ["calm", "412 µs", "passed"]];
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(String::from).to_vec()).collect();
        assert_eq!(table(&rows, 2), "  phase     p50  verdict\n  calm   412 µs  passed\n");
    }

    #[test]
    fn foreign_text_in_cells_is_escaped_and_cut() {
        let rows = [vec!["a\u{1b}[2J\nb".to_owned(), "x".repeat(100_000)], vec!["c".into(), "d".into()]];
        let text = table(&rows, 0);
        assert!(text.starts_with("  a\\u{1b}[2J\\nb  xxx") && text.lines().count() == 2 && text.len() < 1000);
    }
}
