//! Checks that the traffic of a hundred replicas, each with a different skew, is judged together.

use crate::promtool::{Window, test_rules};
use drift::{Verdict, judge, smoothed};
use std::fmt::Write;

const REPLICAS: u64 = 100;

/// The window of a day, of which ten minutes have passed.
const DAY: Window = Window {
    name: "1d",
    rules: &["minutes", "drift"],
    groups: &["reference", "minutes", "drift"],
    step: "1m",
    steps: 10,
    at: "12m",
    between: "12m",
};

const BINS: [&str; 4] = ["below", "q1 [1, 2)", "q2 [2, 3)", "missing"];
const REFERENCE: [u64; 4] = [0, 500, 500, 0];

/// Returns the rows per minute of one replica, by bin. The first replica has only small values, and the last one only large ones.
fn per_minute(replica: u64) -> [u64; 4] {
    [0, REPLICAS - 1 - replica, replica, 0]
}

#[test]
fn the_traffic_of_a_hundred_replicas_is_judged_together() {
    let expected = smoothed(&REFERENCE);
    let rows: u64 = REFERENCE.iter().sum();
    let mut series = String::new();
    let mut counts = [0; 4];
    for replica in 0..REPLICAS {
        let labels = format!("job=\"j\",instance=\"{replica}\",model=\"m\",version=\"v\"");
        let mut give = |name: &str, labels: &str, values: String| {
            let _ = writeln!(series, "      - {{ series: '{name}{{{labels}}}', values: '{values}' }}");
        };
        give("signal_reference_rows", &labels, format!("{rows}x12"));
        give("signal_critical_chi2", &format!("{labels},signal=\"s\""), "30x12".into());
        for ((bin, ratio), step) in BINS.iter().zip(&expected).zip(per_minute(replica)) {
            let labels = format!("{labels},signal=\"s\",bin=\"{bin}\"");
            give("signal_bin_expected_ratio", &labels, format!("{ratio:?}x12"));
            // The rows are of ten minutes, and the replicas started at different times.
            let start = 1000 * (replica + 1);
            let full = start + DAY.steps * step;
            give("signal_bin_total", &labels, format!("{start}+{step}x{} {full} {full}", DAY.steps));
        }
        let alone = judge(&expected, &per_minute(replica).map(|step| DAY.steps * step), rows, 30.0).unwrap();
        let skewed = !(20..80).contains(&replica);
        assert!(!skewed || alone.verdict == Verdict::Drifting, "{replica} alone: {alone:?}");
        counts.iter_mut().zip(per_minute(replica)).for_each(|(sum, step)| *sum += DAY.steps * step);
    }
    let judged = judge(&expected, &counts, rows, 30.0).unwrap();
    assert_eq!(judged.verdict, Verdict::Steady);
    let prefix = "model_signal_window:signal_bin:";
    let labels_of_result =
        format!("{{job=\"j\",model=\"m\",version=\"v\",signal=\"s\",window=\"{}\"}}", DAY.name);
    let mut checks = String::new();
    for (name, value) in [("rows", judged.psi.rows as f64), ("psi", judged.psi.value), ("drifting", 0.0)] {
        let check = format!("abs({prefix}{name}{{window=\"{}\"}} - {value:?}) < bool 1e-9", DAY.name);
        let _ = writeln!(
            checks,
            "      - {{ expr: '{check}', eval_time: {}, exp_samples: [ {{ labels: '{labels_of_result}', value: 1 }} ] }}",
            DAY.at
        );
    }
    test_rules(&DAY, &series, &checks);
}
