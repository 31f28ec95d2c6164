//! Reads names, labels and values from Prometheus' text exposition format, version 0.0.4. `# HELP` and `# TYPE` are skipped.
//!
//! Label values may contain any characters, some of them escaped: for example, a bin is called `q1 [4.25, 5.05)`.
//!
//! Grammar: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details>

use thiserror::Error;

/// The labels of a sample, in the order of the page.
pub type Labels = Vec<(String, String)>;

/// One line of the page.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's name, with any suffix such as `_bucket`.
    pub name: String,
    /// The labels in their order, unescaped.
    pub labels: Labels,
    /// The value.
    pub value: f64,
}

impl Sample {
    /// Returns the value of a label, which is empty if there is no such label, as in Prometheus.
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// A line that is not a sample.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line} is not a Prometheus sample: {problem}")]
pub struct FormatError {
    /// The number of the line, counted from 1.
    pub line: usize,
    /// What is wrong with the line.
    pub problem: &'static str,
}

/// Reads a page.
///
/// # Errors
/// At the first line that is neither a comment nor a sample.
///
/// ```
/// use scrape::text_format::parse;
/// let page = "# TYPE hits counter\nhits{bin=\"q1 [1, 2)\"} 3\n";
/// let samples = parse(page)?;
/// assert_eq!((samples[0].label("bin"), samples[0].value), ("q1 [1, 2)", 3.0));
/// # Ok::<(), scrape::text_format::FormatError>(())
/// ```
pub fn parse(page: &str) -> Result<Vec<Sample>, FormatError> {
    page.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, text)| sample(text).map_err(|problem| FormatError { line, problem }))
        .collect()
}

fn sample(text: &str) -> Result<Sample, &'static str> {
    let end = text.find(|c: char| c == '{' || c.is_whitespace()).ok_or("it has no value")?;
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return Err("it has no name");
    }
    let (labels, rest) = match rest.trim_start().strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    // A timestamp may follow the value.
    let value = rest.split_whitespace().next().ok_or("it has no value")?;
    let value = value.parse().map_err(|_| "its value is not a number")?;
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// Returns the labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Result<(Labels, &str), &'static str> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, after) = rest.split_once('=').ok_or("a label has no `=`")?;
        let quoted = after.trim_start().strip_prefix('"').ok_or("a label's value is not quoted")?;
        let (value, after) = unquoted(quoted)?;
        labels.push((name.trim().to_owned(), value));
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err("labels are not separated by commas"),
        }
    }
}

/// Returns the text up to the closing quote, unescaped, and what follows it.
fn unquoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                // Prometheus' own parser keeps unknown escapes unchanged.
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            _ => value.push(character),
        }
    }
    Err("a label's value does not end")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_documentation_is_read() {
        // https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-example
        let page = r#"
# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47

# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf -3982045

http_request_duration_seconds_bucket{le="+Inf"} 144320
"#;
        let samples = parse(page).unwrap();
        assert_eq!(samples.len(), 6);
        assert_eq!((samples[1].label("code"), samples[1].value), ("400", 3.0));
        assert_eq!(samples[2].label("path"), r"C:\DIR\FILE.TXT");
        assert_eq!(samples[2].label("error"), "Cannot find file:\n\"FILE.TXT\"");
        assert_eq!(samples[3].value, 12.47);
        assert_eq!(samples[4].value, f64::INFINITY);
    }

    #[test]
    fn label_values_with_braces_and_commas_are_read() {
        let sample = &parse(r#"x{ bin = "q1 [4.25, 5.05)", other="{a=\"b\",}", } 1"#).unwrap()[0];
        assert_eq!(sample.label("bin"), "q1 [4.25, 5.05)");
        assert_eq!(sample.label("other"), r#"{a="b",}"#);
        assert_eq!(sample.label("absent"), "");
        assert_eq!(parse("x {} NaN").unwrap()[0].name, "x");
    }

    #[test]
    fn an_error_names_its_line() {
        let problem = |page| parse(page).unwrap_err();
        assert_eq!(problem("a 1\nb{"), FormatError { line: 2, problem: "a label has no `=`" });
        assert_eq!(problem("<html>").line, 1);
        assert!(parse("a one").is_err() && parse("a{b=\"c} 1").is_err() && parse("a{b=\"c\"}").is_err());
    }

    proptest! {
        #[test]
        fn any_escaped_label_value_is_read_back(value in any::<String>(), number in any::<f64>().prop_filter("no NaN", |n| !n.is_nan())) {
            let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            prop_assume!(!value.contains(['\r', '\u{85}', '\u{2028}', '\u{2029}', '\u{b}', '\u{c}']));
            let page = format!("name{{a=\"x\",b=\"{escaped}\"}} {number:e}\n");
            let samples = parse(&page).unwrap();
            prop_assert_eq!(samples[0].label("b"), value);
            prop_assert_eq!(samples[0].value, number);
        }

        #[test]
        fn no_input_causes_a_panic(page in any::<String>()) {
            let _ = parse(&page);
        }
    }
}
