//! Finds the metrics that a PromQL query reads. promtool checks the syntax.

use regex::Regex;
use std::{collections::BTreeSet, sync::LazyLock};

static STRINGS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#""(?:[^"\\]|\\.)*""#).unwrap());
static SELECTORS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{[^}]*\}|\[[^\]]*\]").unwrap());
static GROUPINGS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)").unwrap());
static NAMES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[a-zA-Z_:][a-zA-Z0-9_:]*\b\s*\(?").unwrap());

/// Returns the metrics that an expression reads.
pub fn metrics(expression: &str) -> BTreeSet<String> {
    let bare = STRINGS.replace_all(expression, "");
    let bare = SELECTORS.replace_all(&bare, " ");
    let bare = GROUPINGS.replace_all(&bare, " ");
    let names = NAMES.find_iter(&bare).map(|found| found.as_str());
    names
        .filter(|name| !name.ends_with('('))
        .map(str::trim)
        .filter(|name| !["and", "or", "unless", "bool", "by", "without"].contains(name))
        .map(str::to_owned)
        .collect()
}

/// Returns the metric that a page must publish so that it has a series of this name.
pub fn family(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

#[test]
fn the_metrics_of_a_query_are_found() {
    let query =
        r#"sum by (job) (rate(a_total{job="x{y"}[5m])) / on (job) group_left () (b:c > bool 0) or vector(1)"#;
    assert_eq!(metrics(query).into_iter().collect::<Vec<_>>(), ["a_total", "b:c"]);
}
