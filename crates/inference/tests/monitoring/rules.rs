use crate::{
    files::{files, root, rules, run, yaml},
    promql::{family, metrics},
};
use inference::{load_model, metrics::Metrics, route::Route};
use model::{ModelCard, card::ErrorReference};
use regex::Regex;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// The metrics of Prometheus itself and of the load generator.
pub const GIVEN: [&str; 5] = [
    "up",
    "ALERTS",
    "loadgen_phase_active",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_rule_group_iterations_missed_total",
];

/// Returns every metric that the service publishes for a model that predicts classes and for one that predicts numbers.
pub fn published() -> BTreeSet<String> {
    let classes = load_model(None).unwrap().card;
    let numbers = numbers(&classes);
    let pages = [classes, numbers].map(|card| {
        let metrics = Metrics::new();
        metrics.of_model(&card, &drift::FalseAlarmBudget::default());
        metrics.of_route(Route::Predict);
        metrics.of_watched(&card);
        metrics.unknown_model().increment(0);
        metrics.render()
    });
    pages
        .iter()
        .flat_map(|page| page.lines())
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

/// Returns the card of a model that predicts a number.
fn numbers(classes: &ModelCard) -> ModelCard {
    let mut card = classes.clone();
    card.classes.clear();
    card.training.class_scores.clear();
    card.reference.signals.retain(|signal| signal.name != "confidence");
    card.reference.accuracy = None;
    card.reference.confidence = None;
    card.reference.errors = Some(ErrorReference {
        mean_absolute: 1.0,
        absolute_sd: 0.8,
        root_mean_square: 1.3,
        bias: 0.0,
        r_squared: None,
    });
    card
}

/// Returns the names of all series that recording rules create.
pub fn recorded() -> BTreeSet<String> {
    rules().iter().filter_map(|rule| rule["record"].as_str()).map(str::to_owned).collect()
}

/// So the share of requests slower than the objective is exact, and not interpolated between two buckets.
#[test]
fn the_latency_objective_is_a_bucket_boundary() {
    let rules = rules();
    let alert = rules.iter().find(|rule| rule["alert"] == "ModelLatencyHigh").unwrap();
    let (_, objective) = alert["expr"].as_str().unwrap().split_once(" > ").unwrap();
    let metrics = Metrics::new();
    metrics.of_model(&load_model(None).unwrap().card, &drift::FalseAlarmBudget::default());
    metrics.of_route(Route::Predict);
    let bucket = format!("le=\"{objective}\"");
    let page = metrics.render();
    let buckets: Vec<_> =
        page.lines().filter(|line| line.starts_with("inference_duration_seconds_bucket")).collect();
    assert!(buckets.iter().any(|line| line.contains(&bucket)), "{objective}: {buckets:?}");
    let dashboard = std::fs::read_to_string(root().join("grafana/ml-inference.jsonnet")).unwrap();
    assert!(dashboard.contains(&format!("g.limit({objective})")), "the dashboard shows another objective");
}

/// Rules, panels, scenarios and the runbook select the requests for predictions by one pattern, which matches the routes for
/// predictions and no other.
#[test]
fn predictions_are_selected_by_one_pattern() {
    let mut texts: Vec<String> =
        rules().iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect();
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    texts.extend(files("grafana", "jsonnet").into_iter().map(read));
    texts.extend(files("scenarios", "yaml").into_iter().map(read));
    texts.push(read(root().join("monitoring/runbook.md")));
    let selector = Regex::new(r#"endpoint=~"([^"]*)""#).unwrap();
    let patterns: BTreeSet<&str> = texts
        .iter()
        .flat_map(|text| selector.captures_iter(text))
        .map(|found| found.extract::<1>().1[0])
        .collect();
    assert_eq!(patterns.len(), 1, "{patterns:?}");
    let pattern = Regex::new(&format!("^(?:{})$", patterns.first().unwrap())).unwrap();
    use Route::*;
    let predictions = [Predict, OipInfer, OipVersionInfer, V1Predict, Invocations];
    for route in Route::ALL {
        assert_eq!(pattern.is_match(route.pattern()), predictions.contains(route), "{route:?}");
    }
}

/// The windows differ in how rows are counted, and in nothing else.
#[test]
fn every_window_is_judged_by_the_same_expressions() {
    let counted = Regex::new(
        r"sum_over_time\(model_signal_bin:signal_bin:increase1m(\{[^}]*\})?\[[^\]]*\]\)|sum by \(cluster, job, model, version, signal, bin\) \(increase\(signal_bin_total\[30s\]\)\)",
    )
    .unwrap();
    let window = Regex::new(r#"\{window!?="[^"]*"\}"#).unwrap();
    let mut expressions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for rule in rules() {
        let name = rule["record"].as_str().unwrap_or_default();
        let pooled = name == "model_signal_window:signal_bin:rows";
        if pooled
            || !name.starts_with("model_signal_window:") && name != "model_window:signal_bin:outside_ratio"
        {
            continue;
        }
        let expr = counted.replace_all(rule["expr"].as_str().unwrap(), "COUNTED$1");
        // Undoes the extrapolation to one scrape more.
        let expr = window.replace_all(&expr, "").replace("* 25 / 30", "");
        let words: Vec<&str> = expr.split_whitespace().collect();
        expressions.entry(name.to_owned()).or_default().insert(words.join(" "));
    }
    assert_eq!(expressions.len(), 5, "{expressions:?}");
    for (name, expressions) in expressions {
        assert_eq!(expressions.len(), 1, "{name}: {expressions:#?}");
    }
}

/// A model of many features has thousands of bins. All that is recorded for each of them is the pooled minute.
#[test]
fn one_series_per_bin_is_recorded() {
    let recorded = recorded();
    let level = |name: &str| name.split(':').next().unwrap().to_owned();
    let per_bin: Vec<_> =
        recorded.iter().filter(|name| level(name).split('_').any(|label| label == "bin")).collect();
    assert_eq!(per_bin, ["model_signal_bin:signal_bin:increase1m"]);
    let per_window = recorded.iter().filter(|name| name.starts_with("model_signal_window:")).count();
    assert!(per_window <= 10, "{per_window}");
}

/// The pairs of windows of Google's SRE workbook, chapter 5: the factor is such that the long window takes its part of the budget of 30
/// days, and the short window is a twelfth of the long one.
#[test]
fn burn_rates_windows_and_labels_agree() {
    let minutes = |window: &str| {
        let (number, unit) = window.split_at(window.len() - 1);
        number.parse::<u32>().unwrap()
            * match unit {
                "m" => 1,
                "h" => 60,
                "d" => 1440,
                _ => panic!("{window}"),
            }
    };
    let burning = Regex::new(r"5xx:ratio_rate(\w+)\{[^}]*\} > ([0-9.]+) \* 0.001").unwrap();
    let counted = Regex::new(r"5xx:increase(\w+)\{").unwrap();
    let share = BTreeMap::from([("1h", 0.02), ("6h", 0.05), ("1d", 0.1), ("3d", 0.1)]);
    let rules = rules();
    let mut pairs = BTreeSet::new();
    for rule in rules.iter().filter(|rule| rule["alert"] == "ModelErrorBudgetBurn") {
        let expr = rule["expr"].as_str().unwrap();
        let [short, long] = ["short", "long"].map(|label| rule["labels"][label].as_str().unwrap());
        let found: Vec<[&str; 2]> = burning.captures_iter(expr).map(|found| found.extract().1).collect();
        let factor = share[long] * 30.0 * 1440.0 / f64::from(minutes(long));
        assert_eq!(found.iter().map(|found| found[0]).collect::<Vec<_>>(), [short, long], "{expr}");
        assert!(found.iter().all(|found| (found[1].parse::<f64>().unwrap() - factor).abs() < 1e-9), "{expr}");
        assert_eq!(&counted.captures(expr).unwrap()[1], long, "{expr}");
        assert_eq!(minutes(short) * 12, minutes(long), "{short} {long}");
        let description = rule["annotations"]["description"].as_str().unwrap();
        assert!(description.contains(short) && description.contains(long), "{description}");
        pairs.insert(long);
    }
    assert_eq!(pairs.len(), share.len());
    // Each series covers the window that its name says.
    let named = Regex::new(r"5xx:(?:ratio_rate|increase)(\w+)$").unwrap();
    let range = Regex::new(r"\[(\w+)\]").unwrap();
    for rule in &rules {
        let Some(found) = rule["record"].as_str().and_then(|name| named.captures(name)) else { continue };
        if &found[1] == "1m" {
            continue;
        }
        let read: BTreeSet<_> =
            range.captures_iter(rule["expr"].as_str().unwrap()).map(|range| range[1].to_owned()).collect();
        assert_eq!(read, BTreeSet::from([found[1].to_owned()]), "{rule:?}");
    }
}

/// The false-alarm budget of quality is in one rule.
#[test]
fn the_budget_of_quality_stands_once() {
    let naming: Vec<_> = rules()
        .into_iter()
        .filter(|rule| {
            ["604800", "10.60", "40320"].iter().any(|text| rule["expr"].as_str().unwrap().contains(text))
        })
        .collect();
    assert_eq!(naming.len(), 1, "{naming:?}");
    assert_eq!(naming[0]["record"], "global:false_alarm_budget:ln");
}

/// Jobs are named in one place: no other rule selects a job.
#[test]
fn one_rule_names_the_job() {
    let naming: Vec<_> = rules()
        .into_iter()
        .filter(|rule| {
            let text = rule["expr"].as_str().unwrap();
            text.contains("ml-inference") || text.contains("job=")
        })
        .collect();
    assert_eq!(naming.len(), 1, "{naming:?}");
    assert_eq!(naming[0]["record"], "job:model_service:required");
    let prometheus = yaml(&root().join("monitoring/prometheus.yml"));
    let jobs = prometheus["scrape_configs"].as_sequence().unwrap();
    let required = naming[0]["expr"].as_str().unwrap();
    assert!(jobs.iter().any(|job| required.contains(&format!("\"{}\"", job["job_name"].as_str().unwrap()))));
}

/// Aggregations keep the labels of the job, and joins use them, so that two clusters in one Prometheus are not mixed. Only the names of
/// the jobs that must have targets apply to every cluster.
#[test]
fn rules_keep_the_cluster() {
    let grouping = Regex::new(r"\b(?:by|on) \(([^)]*\bjob\b[^)]*)\)").unwrap();
    let mut checked = 0;
    for rule in &rules() {
        let expr = rule["expr"].as_str().unwrap();
        for found in grouping.captures_iter(expr) {
            let labels: Vec<&str> = found[1].split(',').map(str::trim).collect();
            if labels == ["job"] && expr.contains("job:model_service:required") {
                continue;
            }
            assert_eq!(labels[0], "cluster", "{rule:?}");
            assert_eq!(
                labels.contains(&"model"),
                labels.contains(&"version") || rule["alert"] == "ModelVersionMix"
            );
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn configurations_and_rules_pass_the_checks_of_their_tools() {
    run("promtool", &["check", "config", "monitoring/prometheus.yml"]);
    run("amtool", &["check-config", "monitoring/alertmanager.yml"]);
}

#[test]
fn the_tests_of_the_rules_pass() {
    // The tests run in parallel, because promtool uses one core.
    std::thread::scope(|scope| {
        for file in files("monitoring/tests", "yml") {
            scope.spawn(move || run("promtool", &["test", "rules", file.to_str().unwrap()]));
        }
    });
}

/// promtool evaluates groups in a random order unless the test file gives their order. A group that reads from another one would in some
/// runs read the values of the interval before.
#[test]
fn every_test_file_gives_the_order_of_its_groups() {
    for path in files("monitoring/tests", "yml") {
        let test = yaml(&path);
        let names = |key: &str| -> Vec<String> {
            serde_yaml::from_value(test[key].clone())
                .unwrap_or_else(|error| panic!("{}: {key}: {error}", path.display()))
        };
        let ordered: BTreeSet<String> = names("group_eval_order").into_iter().collect();
        let loaded: BTreeSet<String> = names("rule_files")
            .iter()
            .map(|file| yaml(&path.with_file_name(file)))
            .flat_map(|file| file["groups"].as_sequence().unwrap().clone())
            .map(|group| group["name"].as_str().unwrap().to_owned())
            .collect();
        assert!(!loaded.is_empty(), "{}: the files in rule_files have no groups", path.display());
        assert_eq!(ordered, loaded, "{}: group_eval_order", path.display());
    }
}

#[test]
fn every_alert_is_described_and_tested() {
    let runbook = std::fs::read_to_string(root().join("monitoring/runbook.md")).unwrap();
    let runbook_url =
        std::fs::read_to_string(root().join("monitoring/runbook_url")).unwrap().trim().to_owned();
    assert!(runbook_url.starts_with("https://"), "{runbook_url}");
    let headings: Vec<String> =
        runbook.lines().filter_map(|line| line.strip_prefix("## ")).map(|line| line.to_lowercase()).collect();
    let mut tested: BTreeSet<(String, bool)> = BTreeSet::new();
    for file in files("monitoring/tests", "yml") {
        for test in yaml(&file)["tests"].as_sequence().unwrap() {
            for check in test["alert_rule_test"].as_sequence().into_iter().flatten() {
                let fires = check["exp_alerts"].as_sequence().is_some_and(|alerts| !alerts.is_empty());
                tested.insert((check["alertname"].as_str().unwrap().to_owned(), fires));
            }
        }
    }
    let alerts: Vec<_> = rules().into_iter().filter(|rule| rule["alert"].is_string()).collect();
    assert!(alerts.len() >= 8);
    for alert in alerts {
        let name = alert["alert"].as_str().unwrap();
        assert!(name.starts_with("Model"), "{name}");
        assert!(["critical", "warning"].contains(&alert["labels"]["severity"].as_str().unwrap()), "{name}");
        let note = |key: &str| {
            alert["annotations"][key].as_str().unwrap_or_else(|| panic!("{name} has no {key}")).to_owned()
        };
        assert!(!note("summary").contains("{{"), "{name}: the summary must not depend on labels or values");
        assert!(note("description").contains("{{"), "{name}: the description must contain values");
        let url = note("runbook_url");
        let heading = url.strip_prefix(&runbook_url).and_then(|rest| rest.strip_prefix('#'));
        let heading = heading
            .unwrap_or_else(|| panic!("{name}: {url} is not at {runbook_url}; run `just runbook-url`"));
        assert!(headings.contains(&heading.to_owned()), "{name}: the runbook has no heading {heading}");
        for fires in [true, false] {
            assert!(
                tested.contains(&(name.to_owned(), fires)),
                "{name}: there must be a test with firing = {fires}"
            );
        }
    }
}

#[test]
fn rules_read_only_published_metrics() {
    let (published, recorded) = (published(), recorded());
    for rule in rules() {
        for name in metrics(rule["expr"].as_str().unwrap()) {
            let known = published.contains(family(&name))
                || recorded.contains(&name)
                || GIVEN.contains(&name.as_str());
            assert!(known, "{name} in {rule:?}");
        }
    }
}
