//! Shortens an answer to one line for a message.

/// The most characters of an answer that a message shows.
const SHOWN: usize = 200;

/// The most bytes of an answer that are read for a message. The title of an error page is at its beginning.
const READ: usize = 16 << 10;

/// Elements of HTML whose content is not shown on a page.
const HIDDEN: [&str; 2] = ["script", "style"];

/// Returns the beginning of a body on one line. Of an HTML page, it is the text without the tags.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(READ)]);
    let is_html = starts_with(text.trim_start(), "<!doctype html") || starts_with(text.trim_start(), "<html");
    let text = if is_html { without_tags(&text) } else { text.into_owned() };
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let mut shown: String = line.chars().take(SHOWN).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    match (is_html, shown.as_str()) {
        (true, "") => "an HTML page without text".to_owned(),
        (true, _) => format!("an HTML page: {shown:?}"),
        (false, "") => "an empty body".to_owned(),
        // Quotation marks around JSON would make it hard to read, because its own ones would be escaped.
        (false, json) if json.contains('"') => shown,
        (false, _) => format!("{shown:?}"),
    }
}

/// Returns whether a text begins with an ASCII word in upper or lower case.
fn starts_with(text: &str, word: &str) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// Returns the text of HTML, with a space for each tag.
fn without_tags(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text += before;
        text.push(' ');
        let after = HIDDEN.iter().find(|name| starts_with(tag, name)).and_then(|name| {
            let lower = tag.to_ascii_lowercase();
            lower.find(&format!("</{name}")).map(|end| &tag[end + 1..])
        });
        rest = after.unwrap_or(tag).split_once('>').map_or("", |(_, rest)| rest);
    }
    text += rest;
    for (entity, character) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
    {
        text = text.replace(entity, character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn the_text_of_an_html_page_is_shown_on_one_line() {
        let page = "<!DOCTYPE html>\n<html><head>\n<title>502 Bad Gateway</title>\n<style>h1 { color: red }</style>\n\
                    <script>if (1 < 2) {}</script></head>\n<body><h1>502 Bad\nGateway</h1><p>nginx &amp; &lt;co&gt;</p></body></html>\n";
        assert_eq!(
            excerpt(page.as_bytes()),
            "an HTML page: \"502 Bad Gateway 502 Bad Gateway nginx & <co>\""
        );
        assert_eq!(excerpt(b"<html><body><script>x"), "an HTML page: \"x\"");
        assert_eq!(excerpt(b"  <HTML>\n</HTML>"), "an HTML page without text");
    }

    #[test]
    fn other_bodies_are_shown_on_one_line() {
        assert_eq!(excerpt(b"boom"), "\"boom\"");
        assert_eq!(excerpt(b"Traceback:\n  line 1\n"), "\"Traceback: line 1\"");
        assert_eq!(excerpt(b"{\n  \"detail\": \"no <b>\"\n}"), "{ \"detail\": \"no <b>\" }");
        assert_eq!(excerpt(b""), "an empty body");
        assert_eq!(excerpt("ä".repeat(300).as_bytes()), format!("\"{}…\"", "ä".repeat(200)));
        assert_eq!(excerpt(b"\xff<"), "\"\u{fffd}<\"");
    }
}
