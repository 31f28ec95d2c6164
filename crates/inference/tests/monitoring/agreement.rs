//! Checks that the rules and crate `drift` come to the same results for the same counts.

use crate::{
    dashboard::panel_query,
    promtool::{Window, test_rules},
};
use drift::{
    Bins, ErrorSums, FalseAlarmBudget, ReferenceErrors, Shares, Verdict, accuracy_estimate,
    accuracy_gap_limit, js_distance, judge, ks_distance, smoothed, wilson,
};
use std::fmt::Write;

/// The windows that are tested. The rules of the day differ from those of the hour only in their range, and would take minutes.
const WINDOWS: [Window; 2] = [
    Window {
        name: "25s",
        rules: &["drift"],
        groups: &["reference", "drift"],
        step: "5s",
        steps: 5,
        at: "3m",
        between: "3m",
    },
    Window {
        name: "1h",
        rules: &["minutes", "drift"],
        groups: &["reference", "minutes", "drift"],
        step: "1m",
        steps: 60,
        at: "63m",
        between: "63m30s",
    },
];

const QUALITY: Window = Window {
    name: "1h",
    rules: &["minutes", "drift", "quality"],
    groups: &["reference", "versions", "minutes", "drift", "confidence", "quality", "errors"],
    step: "1m",
    steps: 60,
    at: "63m",
    between: "63m30s",
};

/// The number of cases in one run. promtool allows 10,000 samples per query.
const CHUNK: usize = 30;

struct Case {
    reference: Vec<u64>,
    per_step: Vec<u64>,
    critical: f64,
}

/// Returns cases with much traffic and a small reference, and with little traffic and a large reference; with empty bins in one of them
/// or both; and with equal and opposite shares. The numbers of rows are from 60 in 25 s to billions in an hour. Other cases have ten
/// quantile bins, of which each in turn has most of the rows, so that each cut has the greatest term once.
fn cases() -> Vec<Case> {
    let references: [&[u64]; 6] = [
        &[0, 30, 29, 31, 29, 30, 31, 29, 30, 29, 31, 0, 2],
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
                (0..reference.len() as u64).map(|bin| if bin == 0 { 12 * scale } else { 0 }).collect();
            for per_step in [like, reversed, one] {
                cases.push(Case {
                    reference: reference.to_vec(),
                    per_step,
                    critical: 20.0 + scale as f64 / 1e5,
                });
            }
        }
    }
    let reference = references[0];
    cases.extend((0..reference.len()).map(|bin| {
        let mut per_step: Vec<u64> = reference.iter().map(|rows| rows / 10).collect();
        per_step[bin] += 5;
        Case { reference: reference.to_vec(), per_step, critical: 30.0 }
    }));
    cases
}

#[test]
fn verdicts_of_the_rules_equal_those_of_the_crate() {
    let cases = cases();
    for window in &WINDOWS {
        cases.chunks(CHUNK).for_each(|cases| compare(window, cases));
    }
}

/// Returns the names of this number of bins. Two bins are those of a column without values. More bins are `below`, quantiles, `above` and
/// `missing`.
fn names(bins: usize) -> Vec<String> {
    Bins::Numeric { edges: (0..bins - 2).map(|edge| edge as f64).collect() }.labels()
}

impl Case {
    fn freedom(&self) -> usize {
        self.reference.iter().filter(|&&rows| rows > 0).count().max(2) - 1
    }
}

/// What a replica publishes of a case: version `v{number}` and signal `s`.
fn series_of(number: usize, case: &Case) -> String {
    let mut series = String::new();
    let rows: u64 = case.reference.iter().sum();
    let expected = smoothed(&case.reference);
    let labels = format!("job=\"j\",model=\"m\",version=\"v{number}\"");
    {
        let mut give = |name: &str, labels: String, start: f64, step: u64| {
            let _ =
                writeln!(series, "      - {{ series: '{name}{{{labels}}}', values: '{start:?}+{step}x65' }}");
        };
        give("signal_reference_rows", labels.clone(), rows as f64, 0);
        give("signal_critical_chi2", format!("{labels},signal=\"s\""), case.critical, 0);
        give("signal_degrees_of_freedom", format!("{labels},signal=\"s\""), case.freedom() as f64, 0);
        for ((bin, &ratio), &step) in names(expected.len()).iter().zip(&expected).zip(&case.per_step) {
            let labels = format!("{labels},signal=\"s\",bin=\"{bin}\"");
            give("signal_bin_expected_ratio", labels.clone(), ratio, 0);
            give("signal_bin_total", labels, 0.0, step);
        }
    }
    series
}

fn compare(window: &Window, cases: &[Case]) {
    let Window { name: window_label, at, .. } = window;
    let mut series = String::new();
    let mut checks = String::new();
    for (number, case) in cases.iter().enumerate() {
        series += &series_of(number, case);
        let rows: u64 = case.reference.iter().sum();
        let expected = smoothed(&case.reference);
        let freedom = case.freedom();
        let counts: Vec<u64> = case.per_step.iter().map(|step| window.steps * step).collect();
        let judged = judge(&expected, &counts, rows, case.critical).unwrap();
        assert_ne!(judged.verdict, Verdict::CannotTell { rows: judged.psi.rows, needs: 60 }, "case {number}");
        let drifting = u8::from(judged.verdict == Verdict::Drifting);
        let selector = format!("{{version=\"v{number}\",window=\"{window_label}\"}}");
        let prefix = "model_signal_window:signal_bin:";
        let result_labels =
            format!("{{job=\"j\",model=\"m\",version=\"v{number}\",signal=\"s\",window=\"{window_label}\"}}");
        let near =
            |name: &str, value: f64| (format!("abs({prefix}{name}{selector} - {value:?}) < bool 1e-9"), 1);
        for (check, value) in [
            near("psi", judged.psi.value),
            near("psi_limit", judged.threshold),
            near("psi_detectable", judged.detectable_psi(freedom)),
            (format!("0 + {prefix}drifting{selector}"), drifting),
        ] {
            let samples = format!("[ {{ labels: '{result_labels}', value: {value} }} ]");
            let _ =
                writeln!(checks, "      - {{ expr: '{check}', eval_time: {at}, exp_samples: {samples} }}");
        }
    }
    test_rules(window, &series, &checks);
}

/// Shares, contributions and distances are computed by the panels that show them.
#[test]
fn panels_compute_what_the_crate_does() {
    // Each reference with traffic of another shape, and the last cases, in which every cut is the largest once.
    let cases: Vec<Case> =
        cases().into_iter().enumerate().filter(|(n, _)| n % 7 == 1 || *n >= 72).map(|(_, c)| c).collect();
    for window in &WINDOWS {
        let (mut series, mut checks) = (String::new(), String::new());
        for (number, case) in cases.iter().enumerate() {
            series += &series_of(number, case);
            let rows = case.reference.iter().sum();
            let counts: Vec<u64> = case.per_step.iter().map(|step| window.steps * step).collect();
            let shares = Shares::new(&smoothed(&case.reference), rows, &counts).unwrap();
            let query = |panel, legend| panel_query(panel, legend, &format!("v{number}"), "s", window.name);
            let mut check = |query: String, value: f64| {
                // The root makes 1e-8 of a rounding error of 1e-16 where the distance is 0, so squares are compared.
                let expr = format!("abs(sum({query}) ^ 2 - {:?}) < bool 1e-9", value.powi(2));
                let samples = "[ { labels: '{}', value: 1 } ]";
                // Between two minutes, as panels are drawn.
                let _ = writeln!(
                    checks,
                    "      - {{ expr: '{expr}', eval_time: {}, exp_samples: {samples} }}",
                    window.between
                );
            };
            check(query("JS and KS distance", "JS"), js_distance(&shares));
            check(query("JS and KS distance", "KS"), ks_distance(&shares));
            for (bin, (expected, seen)) in names(case.reference.len()).iter().zip(shares.pairs()) {
                let of_bin = |query: String| {
                    format!("({query}) and on (bin) label_replace(vector(1), \"bin\", \"{bin}\", \"\", \"\")")
                };
                check(of_bin(query("Observed and expected", "observed")), seen);
                check(of_bin(query("Observed and expected", "expected")), expected);
                let contribution = (seen - expected) * (seen / expected).ln();
                // The panel shows the largest only.
                let all = query("Contribution per bin", "").replacen("topk(12, ", "topk(13, ", 1).replacen(
                    "topk(10, ",
                    "topk(13, ",
                    1,
                );
                check(of_bin(all), contribution);
            }
        }
        test_rules(window, &series, &checks);
    }
}

/// Classes and categories have no order, so they have no distance between distribution functions.
#[test]
fn signals_without_order_have_no_ks_distance() {
    let window = &WINDOWS[0];
    let (mut series, mut checks) = (String::new(), String::new());
    let signals = [("prediction", "a", "b"), ("city", "Rome", "other")];
    let labels = "job=\"j\",model=\"m\",version=\"v\"";
    let _ = writeln!(series, "      - {{ series: 'signal_reference_rows{{{labels}}}', values: '1000x65' }}");
    for (signal, one, two) in signals {
        for bin in [one, two] {
            let labels = format!("{labels},signal=\"{signal}\",bin=\"{bin}\"");
            let _ = writeln!(
                series,
                "      - {{ series: 'signal_bin_expected_ratio{{{labels}}}', values: '0.5x65' }}"
            );
            let _ =
                writeln!(series, "      - {{ series: 'signal_bin_total{{{labels}}}', values: '0+20x65' }}");
        }
        for (legend, shown) in [("JS", "[ { labels: '{}', value: 1 } ]"), ("KS", "[]")] {
            let query = panel_query("JS and KS distance", legend, "v", signal, window.name);
            let _ = writeln!(
                checks,
                "      - {{ expr: 'count({query})', eval_time: {}, exp_samples: {shown} }}",
                window.between
            );
        }
    }
    test_rules(window, &series, &checks);
}

#[test]
fn limits_on_accuracy_of_the_rules_equal_those_of_the_crate() {
    let (mut series, mut checks) = (String::new(), String::new());
    // Correct and incorrect predictions per minute and mean confidence; accuracy, mean confidence and rows of the reference.
    let cases = [
        (1, 0, 1.0, 0.99, 0.99, 147),
        (0, 1, 0.5, 0.5, 0.49, 147),
        (9, 1, 0.97, 0.95, 0.94, 30),
        (99, 1, 0.993, 0.98, 0.981, 1_000_000),
        (600_000, 400_000, 0.61, 0.6, 0.6, 1_000_000),
        // These models are not calibrated: their confidence is too high or too low, and estimates are above 1 or below 0.
        (8, 2, 0.95, 0.8, 0.95, 500),
        (8, 2, 0.6, 0.8, 0.58, 500),
        (9, 1, 0.99, 0.9, 0.7, 500),
        (1, 9, 0.3, 0.5, 0.95, 500),
    ];
    for (number, (right, wrong, confidence, accuracy, reference_confidence, reference)) in
        cases.into_iter().enumerate()
    {
        let labels = format!("job=\"j\",instance=\"{number}\"");
        let mut give = |name: &str, labels: String, start: f64, step: f64| {
            let _ = writeln!(
                series,
                "      - {{ series: '{name}{{{labels}}}', values: '{start:?}+{step:?}x65' }}"
            );
        };
        let version = format!("{labels},model=\"m\",version=\"v{number}\"");
        give("signal_reference_rows", version.clone(), f64::from(reference), 0.0);
        give("model_reference_accuracy", version.clone(), accuracy, 0.0);
        give("model_reference_confidence", version.clone(), reference_confidence, 0.0);
        for class in ["a", "b", "c", "d"] {
            let labels = format!("{version},class=\"{class}\"");
            give("model_reference_recall", labels.clone(), accuracy, 0.0);
            give("model_reference_class_rows", labels, f64::from(reference), 0.0);
        }
        let rows = f64::from(right + wrong);
        give("feedback_confidence_sum", version.clone(), 0.0, rows * confidence);
        give("feedback_confidence_count", version.clone(), 0.0, rows);
        for (predicted, actual, step) in [("a", "a", right), ("b", "a", wrong), ("a", "b", 0), ("b", "b", 0)]
        {
            let labels = format!("{version},predicted=\"{predicted}\",actual=\"{actual}\"");
            give("feedback_total", labels, 0.0, f64::from(step));
        }
        let (right, rows) = (QUALITY.steps * right as u64, QUALITY.steps * (right + wrong) as u64);
        let [low, high] = wilson(right, rows).unwrap();
        let budget = FalseAlarmBudget::default();
        let limit = |expected| accuracy_gap_limit(expected, rows, reference as u64, &budget);
        let estimate = accuracy_estimate(confidence, reference_confidence, accuracy);
        // All feedback is for class a, so its recall is the accuracy. Each of the four classes has a quarter of the budget.
        let of_class = FalseAlarmBudget { one_alarm_in: 4 * budget.one_alarm_in, ..budget };
        let smoothed = (accuracy * f64::from(reference) + 1.0) / (f64::from(reference) + 2.0);
        let recall_limit = accuracy_gap_limit(smoothed, rows, reference as u64, &of_class);
        for (level, name, value) in [
            ("model", "accuracy_low", low),
            ("model", "accuracy_high", high),
            ("model", "accuracy_gap", estimate - right as f64 / rows as f64),
            ("model", "accuracy_gap_limit", limit(estimate)),
            ("model", "accuracy_drop_limit", limit(accuracy)),
            ("model_class", "recall_low", low),
            ("model_class", "recall_high", high),
            ("model_class", "recall_drop_limit", recall_limit),
        ] {
            let class = if level == "model_class" { "class=\"a\"," } else { "" };
            let labels = format!("{class}model=\"m\",version=\"v{number}\",window=\"{}\"", QUALITY.name);
            let _ = writeln!(
                checks,
                "      - {{ expr: 'abs({level}_window:feedback:{name}{{{labels}}} - {value:?}) < bool 1e-9', \
                 eval_time: {}, exp_samples: [ {{ labels: '{{job=\"j\",{labels}}}', value: 1 }} ] }}",
                QUALITY.at
            );
        }
    }
    test_rules(&QUALITY, &series, &checks);
}

#[test]
fn error_statistics_of_the_rules_equal_those_of_the_crate() {
    let (mut series, mut checks) = (String::new(), String::new());
    // Errors and the number of times that each occurs per minute; mean, standard deviation and rows of the reference.
    let cases: [(&[f64], u64, f64, f64, u64); 6] = [
        (&[1.0, -2.0, 0.5, -0.25, 3.0], 1, 1.2, 0.9, 147),
        (&[100.0, -250.0, 75.5], 1, 130.0, 80.0, 1000),
        (&[-1.0, -2.0], 1, 0.1, 0.1, 60),
        (&[0.001, -0.002, 0.0], 1, 0.0005, 0.0003, 500),
        (&[1e5, -2e5, 3e5, 0.5], 10, 1.4e5, 1e5, 500),
        // With this number of rows, the limit is a tenth of the reference's error.
        (&[1.0, -2.0, 4.0], 100_000, 2.5, 1.2, 1_000_000),
    ];
    for (number, (errors, times, mean_absolute, absolute_sd, rows)) in cases.into_iter().enumerate() {
        let version = format!("job=\"j\",instance=\"{number}\",model=\"m\",version=\"v{number}\"");
        let mut give = |name: &str, labels: &str, start: f64, step: f64| {
            let _ = writeln!(
                series,
                "      - {{ series: '{name}{{{version}{labels}}}', values: '{start:?}+{step:?}x65' }}"
            );
        };
        give("signal_reference_rows", "", rows as f64, 0.0);
        give("model_reference_mean_absolute_error", "", mean_absolute, 0.0);
        give("model_reference_absolute_error_sd", "", absolute_sd, 0.0);
        let per_minute =
            |of: &dyn Fn(f64) -> f64| times as f64 * errors.iter().map(|&error| of(error)).sum::<f64>();
        for (sign, side) in [("over", 1.0), ("under", -1.0)] {
            let labels = format!(",sign=\"{sign}\"");
            let on_side = |error: f64| (error > 0.0) == (side > 0.0);
            let sum = per_minute(&|error| if on_side(error) { error.abs() } else { 0.0 });
            give("feedback_absolute_error_sum", &labels, 0.0, sum);
            let count = per_minute(&|error| f64::from(u8::from(on_side(error))));
            give("feedback_absolute_error_count", &labels, 0.0, count);
        }
        give("feedback_squared_error_sum", "", 0.0, per_minute(&|error| error.powi(2)));
        give("feedback_error_fourth_power_sum", "", 0.0, per_minute(&|error| error.powi(4)));

        let minutes = (QUALITY.steps * times) as f64;
        let mut sums = ErrorSums::default();
        errors.iter().for_each(|&error| sums.add(error));
        sums = ErrorSums {
            rows: QUALITY.steps * times * sums.rows,
            over: minutes * sums.over,
            under: minutes * sums.under,
            squared: minutes * sums.squared,
            fourth_power: minutes * sums.fourth_power,
        };
        let reference = ReferenceErrors { mean_absolute, absolute_sd, rows };
        let mut expected = vec![
            ("error_rise".to_owned(), sums.rise(&reference).unwrap()),
            (
                "error_rise_limit".to_owned(),
                sums.rise_limit(&reference, &FalseAlarmBudget::default()).unwrap(),
            ),
        ];
        for (name, estimate) in [
            ("mean_absolute_error", sums.mean_absolute_error()),
            ("root_mean_square_error", sums.root_mean_square_error()),
            ("bias", sums.bias()),
        ] {
            let estimate = estimate.unwrap();
            expected.push((name.to_owned(), estimate.value));
            expected.push((format!("{name}_low"), estimate.low));
            expected.push((format!("{name}_high"), estimate.high));
        }
        for (name, value) in expected {
            let labels = format!("model=\"m\",version=\"v{number}\",window=\"{}\"", QUALITY.name);
            // Errors have the unit of the number, so the tolerance is relative for large ones.
            let tolerance = 1e-9 * value.abs().max(1.0);
            let _ = writeln!(
                checks,
                "      - {{ expr: 'abs(model_window:feedback:{name}{{{labels}}} - {value:?}) < bool {tolerance:?}', \
                 eval_time: {}, exp_samples: [ {{ labels: '{{job=\"j\",{labels}}}', value: 1 }} ] }}",
                QUALITY.at
            );
        }
    }
    test_rules(&QUALITY, &series, &checks);
}
