//! Evaluates rules on the series of a test with promtool.

use crate::files::{root, run};

/// A window of the rules, and the series that fill it in a test.
pub struct Window {
    pub name: &'static str,
    /// The rule files that are evaluated.
    pub rules: &'static [&'static str],
    /// The groups of these files, each after the groups that it reads from.
    pub groups: &'static [&'static str],
    /// The interval between two samples, and between two evaluations.
    pub step: &'static str,
    /// The number of intervals in the window. The increase over the window is this many times that of one interval.
    pub steps: u64,
    /// The time at which the window is full.
    pub at: &'static str,
    /// When it is full, between two evaluations if these are a minute apart.
    pub between: &'static str,
}

/// Runs the checks, lines of `promql_expr_test`, on the series, lines of `input_series`.
pub fn test_rules(window: &Window, series: &str, checks: &str) {
    let Window { step, rules, groups, .. } = window;
    let files: Vec<_> =
        rules.iter().map(|name| root().join(format!("monitoring/rules/{name}.yml"))).collect();
    let text = format!(
        "rule_files: {}\nevaluation_interval: {step}\ngroup_eval_order: [ {} ]\ntests:\n  - interval: {step}\n    \
         input_series:\n{series}    promql_expr_test:\n{checks}",
        // JSON quotes characters that have a meaning in YAML, such as a comma in the name of a folder.
        serde_json::to_string(&files).unwrap(),
        groups.join(", "),
    );
    let file = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    run("promtool", &["test", "rules", file.path().to_str().unwrap()]);
}

/// Prints the version that the tests run on. `just test-prometheus3` sets the one that it must be.
#[test]
fn prometheus_and_promtool_have_the_version_that_is_to_be_tested() {
    for tool in ["prometheus", "promtool"] {
        let text = run(tool, &["--version"]);
        let version = text.split_once(", version ").and_then(|(_, rest)| rest.split(' ').next());
        let version = version.unwrap_or_else(|| panic!("{tool}: no version in {text}"));
        println!("{tool} {version}");
        if let Ok(expected) = std::env::var("EXPECTED_PROMETHEUS_VERSION") {
            assert_eq!(version, expected, "{tool}");
        }
    }
}
