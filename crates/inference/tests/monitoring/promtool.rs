//! Feeds series that a test makes up to the rules, and asks promtool what comes out.

use crate::files::{root, run};

/// A window, and how to fill it in a test.
pub struct Window {
    pub name: &'static str,
    /// The rule files that it takes.
    pub rules: &'static [&'static str],
    /// Their groups, in the order of what reads what.
    pub groups: &'static [&'static str],
    /// Between two samples, and between two evaluations.
    pub step: &'static str,
    /// How many steps the window holds: what a counter gains at each, it sees so many times.
    pub steps: u64,
    /// When it is full.
    pub at: &'static str,
}

/// Runs the checks, lines of `promql_expr_test`, on the series, lines of `input_series`.
pub fn test_rules(window: &Window, series: &str, checks: &str) {
    let Window { step, rules, groups, .. } = window;
    let files: Vec<_> =
        rules.iter().map(|name| root().join(format!("monitoring/rules/{name}.yml"))).collect();
    let text = format!(
        "rule_files: {}\nevaluation_interval: {step}\ngroup_eval_order: [ {} ]\ntests:\n  - interval: {step}\n    \
         input_series:\n{series}    promql_expr_test:\n{checks}",
        // JSON quotes what would mean something else to YAML, such as a comma in the name of a folder.
        serde_json::to_string(&files).unwrap(),
        groups.join(", "),
    );
    let file = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    run("promtool", &["test", "rules", file.path().to_str().unwrap()]);
}
