//! The rules and crate `drift` say the same of the same counts.

use crate::files::{root, run};
use drift::{Verdict, judge, smoothed};
use std::fmt::Write;

/// Steps of 5 s in a minute: what a counter gains at each, the window sees twelve times.
const STEPS: u64 = 12;

struct Case {
    reference: Vec<u64>,
    per_step: Vec<u64>,
    critical: f64,
}

/// Much traffic against a small reference and little against a large one, empty bins on either side or both, equal and
/// opposite shares; every magnitude from 60 rows a minute to 60 million.
fn cases() -> Vec<Case> {
    let references: [&[u64]; 5] = [
        &[50, 50, 47],
        &[0, 30, 29, 29, 30, 29, 0, 0],
        &[1, 0, 999],
        &[200_000, 300_000, 500_000, 0],
        &[60, 0],
    ];
    let mut cases = Vec::new();
    for reference in references {
        for scale in [1, 10, 10_000, 1_000_000] {
            let like: Vec<u64> = reference.iter().map(|&rows| scale * rows.min(50)).collect();
            let reversed = like.iter().rev().copied().collect();
            let one: Vec<u64> =
                (0..reference.len() as u64).map(|bin| if bin == 0 { 5 * scale } else { 0 }).collect();
            for per_step in [like, reversed, one] {
                cases.push(Case {
                    reference: reference.to_vec(),
                    per_step,
                    critical: 20.0 + scale as f64 / 1e5,
                });
            }
        }
    }
    cases
}

#[test]
fn prometheus_judges_as_the_crate_does() {
    let mut series = String::new();
    let mut checks = String::new();
    for (number, case) in cases().iter().enumerate() {
        let rows: u64 = case.reference.iter().sum();
        let expected = smoothed(&case.reference);
        let labels = format!("job=\"j\",version=\"v{number}\"");
        let mut give = |name: &str, labels: String, start: f64, step: u64| {
            let _ =
                writeln!(series, "      - {{ series: '{name}{{{labels}}}', values: '{start:?}+{step}x40' }}");
        };
        give("signal_reference_rows", labels.clone(), rows as f64, 0);
        give("signal_critical_chi2", format!("{labels},signal=\"s\""), case.critical, 0);
        for (bin, (&ratio, &step)) in expected.iter().zip(&case.per_step).enumerate() {
            let labels = format!("{labels},signal=\"s\",bin=\"{bin}\"");
            give("signal_bin_expected_ratio", labels.clone(), ratio, 0);
            give("signal_bin_total", labels, 0.0, step);
        }
        let counts: Vec<u64> = case.per_step.iter().map(|step| STEPS * step).collect();
        let judged = judge(&expected, &counts, rows, case.critical).unwrap();
        assert_ne!(judged.verdict, Verdict::CannotTell { rows: judged.psi.rows, needs: 60 }, "case {number}");
        let drifting = u8::from(judged.verdict == Verdict::Drifting);
        let selector = format!("{{version=\"v{number}\",window=\"1m\"}}");
        let prefix = "job_version_signal_window:signal_bin:";
        let told = format!("{{job=\"j\",version=\"v{number}\",signal=\"s\",window=\"1m\"}}");
        for (check, value) in [
            (format!("abs({prefix}psi{selector} - {:?}) < bool 1e-9", judged.psi.value), 1),
            (format!("abs({prefix}psi_limit{selector} - {:?}) < bool 1e-9", judged.threshold), 1),
            (format!("0 + {prefix}drifting{selector}"), drifting),
        ] {
            let samples = format!("[ {{ labels: '{told}', value: {value} }} ]");
            let _ = writeln!(checks, "      - {{ expr: '{check}', eval_time: 3m, exp_samples: {samples} }}");
        }
    }
    let rules = root().join("monitoring/rules/drift.yml");
    let text = format!(
        "rule_files: [ {} ]\nevaluation_interval: 5s\ntests:\n  - interval: 5s\n    input_series:\n{series}    \
         promql_expr_test:\n{checks}",
        rules.display()
    );
    let file = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    run("promtool", &["test", "rules", file.path().to_str().unwrap()]);
}
