//! Pieces of HTML. Whatever comes from outside (names of classes, signals and phases, error texts) goes through
//! [`escape`].

use std::fmt::Write;

/// Text as HTML shows it, in content and in quoted attributes. NUL, which HTML does not allow, ends a state of the live
/// page in its stream.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\0' => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A cell of a table: its text, and a class that the style sheet knows.
pub struct Cell(pub String, pub &'static str);

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

/// A table. Each cell also names its column, which a narrow screen shows in place of the head.
pub fn table<const N: usize>(caption: &str, head: [&str; N], rows: Vec<[Cell; N]>) -> String {
    let mut html = format!("<table><caption>{}</caption><thead><tr>", escape(caption));
    for name in head {
        // Writing to a string can't fail, here and below.
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(name));
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        html.push_str("<tr>");
        for (name, Cell(text, class)) in head.iter().zip(row) {
            let _ = write!(
                html,
                "<td data-head=\"{}\"><span class=\"{class}\">{}</span></td>",
                escape(name),
                escape(&text)
            );
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table>\n");
    html
}
