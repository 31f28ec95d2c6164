use crate::{
    files::{files, root, rules, run},
    promql::{family, metrics},
    rules::{GIVEN, published, recorded},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The panels that must exist, by the beginning of their titles, with a metric that each must query.
const PROMISED: [(&str, &str); 6] = [
    ("Request throughput", "inference_requests_total"),
    ("Latency", "job_endpoint:inference_duration_seconds:p95_rate1m"),
    ("Error rate", "job_endpoint:inference_requests_5xx:ratio_rate1m"),
    ("Prediction distribution", "model_class:prediction_output:ratio_rate1m"),
    ("CPU usage", "process_cpu_seconds_total"),
    ("Memory usage", "process_resident_memory_bytes"),
];

fn dashboards() -> Vec<Value> {
    let read = |path| serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    files("grafana/dashboards", "json").into_iter().map(read).collect()
}

/// Returns the panels without rows.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let mut panels = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        panels.push(panel);
        panels.extend(panel["panels"].as_array().into_iter().flatten());
    }
    panels.into_iter().filter(|panel| panel["type"] != "row").collect()
}

fn queries(panel: &Value) -> Vec<String> {
    panel["targets"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect()
}

fn annotations(dashboard: &Value) -> Vec<String> {
    let list = dashboard["annotations"]["list"].as_array().unwrap();
    list.iter().filter_map(|annotation| annotation["expr"].as_str()).map(str::to_owned).collect()
}

/// Returns the query with this legend of a panel, as Prometheus receives it for one signal of one version.
pub fn panel_query(panel: &str, legend: &str, version: &str, signal: &str, window: &str) -> String {
    let dashboards = dashboards();
    let targets = dashboards
        .iter()
        .flat_map(panels)
        .filter(|found| found["title"].as_str().unwrap().starts_with(panel))
        .flat_map(|found| found["targets"].as_array().unwrap());
    let query = targets
        .filter(|target| target["legendFormat"].as_str().unwrap().starts_with(legend))
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .next()
        .unwrap_or_else(|| panic!("no query {legend} in a panel {panel}"));
    let variables = [
        ("$cluster", ".*"),
        ("$job", ".+"),
        ("$model", "m"),
        ("$by_version", "version"),
        ("$version", version),
        ("$signal", signal),
        ("$worst", signal),
        ("$window", window),
    ];
    variables.iter().fold(query, |query, (name, value)| query.replace(name, value))
}

/// Returns a query as Prometheus receives it, with a value for every variable.
fn filled(query: &str) -> String {
    let variables = [("$__rate_interval", "20s"), ("$__interval", "5s"), ("$__range", "15m")];
    let query = variables.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value));
    let query = query.replace("[$window]", "[1h]");
    let names = [
        "cluster",
        "job",
        "models",
        "model",
        "version",
        "instance",
        "signal",
        "worst",
        "window",
        "feedback_window",
        "by_job",
        "by_version",
    ];
    names.iter().fold(query, |query, name| query.replace(&format!("${name}"), "x"))
}

/// The queries of a dashboard's variables that are PromQL, and not the name of a label.
fn variable_queries(dashboard: &Value) -> Vec<String> {
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let texts = variables.filter_map(|variable| variable["query"]["query"].as_str());
    texts
        .filter_map(|text| text.strip_prefix("query_result(")?.strip_suffix(')'))
        .map(str::to_owned)
        .collect()
}

/// What `.lint` excludes from the rules of dashboard-linter: panels by rule and dashboard, or whole dashboards.
struct Exclusions(Value);

impl Exclusions {
    fn read() -> Self {
        let text = std::fs::read_to_string(root().join("grafana/dashboards/.lint")).unwrap();
        let lint: Value = serde_yaml::from_str(&text).unwrap();
        for (rule, exclusion) in lint["exclusions"].as_object().unwrap() {
            assert!(
                exclusion["reason"].as_str().is_some_and(|reason| !reason.is_empty()),
                "{rule}: no reason"
            );
        }
        Self(lint)
    }

    /// Whether a rule does not apply to a panel, or, without one, to the dashboard as a whole.
    fn contain(&self, rule: &str, dashboard: &Value, panel: Option<&str>) -> bool {
        let entries = self.0["exclusions"][rule]["entries"].as_array();
        entries.into_iter().flatten().any(|entry| {
            entry["dashboard"] == dashboard["title"]
                && (entry["panel"].is_null() || entry["panel"].as_str() == panel)
        })
    }

    /// The titles that the exclusions name.
    fn titles(&self) -> BTreeSet<(String, Option<String>)> {
        let rules = self.0["exclusions"].as_object().unwrap().values();
        let entries = rules.flat_map(|rule| rule["entries"].as_array().unwrap());
        entries
            .map(|entry| {
                (entry["dashboard"].as_str().unwrap().to_owned(), entry["panel"].as_str().map(str::to_owned))
            })
            .collect()
    }
}

#[test]
fn every_dashboard_is_up_to_date_with_its_source() {
    let names = |folder, extension| -> BTreeSet<String> {
        let files = files(folder, extension);
        files.iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let sources = names("grafana", "jsonnet");
    assert!(!sources.is_empty());
    assert_eq!(
        names("grafana/dashboards", "json"),
        sources,
        "each dashboard needs a source: grafana/*.jsonnet"
    );
    for name in sources {
        let generated = run("jsonnet", &[&format!("grafana/{name}.jsonnet")]);
        let committed =
            std::fs::read_to_string(root().join(format!("grafana/dashboards/{name}.json"))).unwrap();
        let [generated, committed]: [Value; 2] =
            [generated, committed].map(|text| serde_json::from_str(&text).unwrap());
        assert!(generated == committed, "{name}.json differs from its source; run `just dashboards`");
    }
}

#[test]
fn every_query_parses_and_reads_published_metrics() {
    let (published, recorded) = (published(), recorded());
    let mut rules = String::from("groups:\n  - name: queries\n    rules:\n");
    for dashboard in dashboards() {
        let panels = panels(&dashboard);
        let of_panels = panels.iter().flat_map(|panel| queries(panel));
        for query in of_panels.chain(annotations(&dashboard)).chain(variable_queries(&dashboard)) {
            let query = filled(&query);
            // `$1` is a part of a label that a regular expression found.
            assert!(!query.replace("$1", "").contains('$'), "an unknown variable in {query}");
            for name in metrics(&query) {
                let known = published.contains(family(&name))
                    || recorded.contains(&name)
                    || GIVEN.contains(&name.as_str());
                assert!(known, "{name} in {query}");
            }
            rules +=
                &format!("      - {{ record: \"q:{:x}\", expr: {} }}\n", rules.len(), Value::String(query));
        }
    }
    let file = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
    std::fs::write(file.path(), rules).unwrap();
    run("promtool", &["check", "rules", file.path().to_str().unwrap()]);
}

#[test]
fn the_required_panels_exist() {
    let dashboards = dashboards();
    let all: Vec<&Value> = dashboards.iter().flat_map(panels).collect();
    for (title, metric) in PROMISED {
        let panel =
            all.iter().find(|panel| panel["title"].as_str().is_some_and(|found| found.starts_with(title)));
        let panel = panel.unwrap_or_else(|| panic!("no panel {title}"));
        assert!(
            queries(panel).iter().any(|query| metrics(query).contains(metric)),
            "{title}: {:?}",
            queries(panel)
        );
    }
}

/// Returns the texts between single asterisks. Those that begin with a capital letter are names of panels.
fn emphasised(markdown: &str) -> Vec<String> {
    let plain = markdown.replace("**", "\u{0}");
    let mut words = Vec::new();
    for line in plain.split("\n\n") {
        words.extend(line.split('*').skip(1).step_by(2).map(|word| word.replace('\n', " ")));
    }
    words
}

#[test]
fn panels_that_the_documents_name_exist() {
    let titles: Vec<String> = dashboards()
        .iter()
        .flat_map(|dashboard| {
            panels(dashboard)
                .into_iter()
                .map(|panel| panel["title"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let readme = read("README.md");
    let table = readme.lines().skip_while(|line| !line.starts_with("| failure mode |")).skip(2);
    let mut named: Vec<String> = table
        .take_while(|line| line.starts_with('|'))
        .flat_map(|line| line.split('|').nth(4).unwrap().split([';', ',']))
        .map(|name| name.trim().to_owned())
        .collect();
    assert!(named.len() > 12, "{named:?}");
    // The dashboards themselves, and a page of Prometheus.
    let elsewhere = ["Model fleet", "Model health", "Model signal", "Status → Targets"];
    named.extend(
        emphasised(&read("monitoring/runbook.md"))
            .into_iter()
            .filter(|name| name.starts_with(char::is_uppercase) && !elsewhere.contains(&name.as_str())),
    );
    for name in named {
        assert!(
            titles.iter().any(|title| title.starts_with(&name)),
            "no panel {name:?}; there are {titles:?}"
        );
    }
}

#[test]
fn every_panel_has_title_unit_queries_and_filters() {
    let exclusions = Exclusions::read();
    for dashboard in dashboards() {
        assert_eq!((&dashboard["schemaVersion"], &dashboard["editable"]), (&42.into(), &false.into()));
        let mut ids = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().filter(|title| !title.is_empty()).expect("a title");
            assert!(ids.insert(panel["id"].as_i64().unwrap()), "{title}: another panel has the same id");
            assert!(
                panel["description"].as_str().is_some_and(|text| !text.is_empty()),
                "{title}: no description"
            );
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}: no unit");
            assert_eq!(panel["datasource"]["uid"], "$datasource", "{title}");
            assert!(!queries(panel).is_empty(), "{title}: no query");
            let excluded = |rule| exclusions.contain(rule, &dashboard, Some(title));
            for query in queries(panel) {
                let job = excluded("target-job-rule") || query.contains("job=~\"$job\"");
                let instance = excluded("target-instance-rule") || query.contains("instance=~\"$instance\"");
                assert!(job && instance, "{title}: {query}");
                assert!(!query.contains("rate(") || query.contains("[$__rate_interval]"), "{title}: {query}");
            }
        }
    }
}

/// A text for empty tables is also shown in cells without a value, unless the columns have another one.
#[test]
fn empty_cells_do_not_show_the_text_of_empty_tables() {
    let dashboards = dashboards();
    let tables: Vec<_> =
        dashboards.iter().flat_map(panels).filter(|panel| panel["type"] == "table").collect();
    assert_eq!(tables.len(), 4);
    for table in tables {
        let config = &table["fieldConfig"];
        let overrides = config["overrides"].as_array().unwrap().iter();
        let of_all_columns = overrides
            .filter(|entry| entry["matcher"] == json!({ "id": "byRegexp", "options": "/.*/" }))
            .flat_map(|entry| entry["properties"].as_array().unwrap());
        let texts: Vec<_> = of_all_columns
            .filter(|property| property["id"] == "noValue")
            .map(|property| property["value"].as_str().unwrap())
            .collect();
        assert!(matches!(texts[..], ["–" | "cannot tell"]), "{}: {texts:?}", table["title"]);
        assert!(config["defaults"]["noValue"].as_str().unwrap().ends_with('.'), "{}", table["title"]);
    }
}

#[test]
fn the_share_not_observed_is_drawn_against_the_limit_of_its_alert() {
    let rules = rules();
    let alert = rules.iter().find(|rule| rule["alert"] == "ModelNotObserved").unwrap();
    let (recorded, limit) = alert["expr"].as_str().unwrap().split_once(" > ").unwrap();
    let dashboards = dashboards();
    let mut panels = dashboards.iter().flat_map(panels);
    let panel = panels.find(|panel| panel["title"] == "Share not observed").unwrap();
    assert!(queries(panel).iter().all(|query| metrics(query).contains(recorded)), "{:?}", queries(panel));
    let drawn = &panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"];
    assert_eq!(drawn.as_f64(), limit.trim().parse().ok());
}

#[test]
fn variables_follow_the_linter() {
    let exclusions = Exclusions::read();
    for dashboard in dashboards() {
        let variables: BTreeMap<&str, &Value> = dashboard["templating"]["list"]
            .as_array()
            .unwrap()
            .iter()
            .map(|variable| (variable["name"].as_str().unwrap(), variable))
            .collect();
        assert_eq!(variables["datasource"]["label"], "Data source");
        for name in ["job", "instance"] {
            if exclusions.contain(&format!("template-{name}-rule"), &dashboard, None) {
                continue;
            }
            let variable = variables[name];
            assert_eq!((&variable["type"], &variable["allValue"]), (&"query".into(), &".+".into()), "{name}");
            assert_eq!(variable["multi"], true, "{name}");
        }
        let reloads = exclusions.contain("template-on-time-change-reload-rule", &dashboard, None);
        for (name, variable) in variables.iter().filter(|(_, variable)| variable["type"] == "query") {
            assert!(reloads || variable["refresh"] == 2, "{name}");
        }
    }
}

#[test]
fn exclusions_from_the_linter_name_dashboards_and_panels_that_exist() {
    let mut known = BTreeSet::new();
    for dashboard in dashboards() {
        let title = dashboard["title"].as_str().unwrap();
        known.insert((title.to_owned(), None));
        for panel in panels(&dashboard) {
            known.insert((title.to_owned(), panel["title"].as_str().map(str::to_owned)));
        }
    }
    let titles = Exclusions::read().titles();
    assert!(titles.is_subset(&known), "{:?}", titles.difference(&known).collect::<Vec<_>>());
}

/// Where links lead inside Grafana: `/d/` and the uid of a dashboard.
fn pages(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text
            .strip_prefix("/d/")
            .map(|rest| rest.split('?').next().unwrap().to_owned())
            .into_iter()
            .collect(),
        Value::Array(values) => values.iter().flat_map(pages).collect(),
        Value::Object(fields) => fields.values().flat_map(pages).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn dashboards_link_to_each_other() {
    let dashboards = dashboards();
    let uids: BTreeSet<&str> =
        dashboards.iter().map(|dashboard| dashboard["uid"].as_str().unwrap()).collect();
    assert_eq!(uids.into_iter().collect::<Vec<_>>(), ["ml-fleet", "ml-inference", "ml-signal"]);
    let linked = |uid: &str| -> BTreeSet<String> {
        let dashboard = dashboards.iter().find(|dashboard| dashboard["uid"] == uid).unwrap();
        pages(&dashboard["panels"]).into_iter().collect()
    };
    assert_eq!(linked("ml-fleet"), BTreeSet::from(["ml-inference".to_owned()]));
    assert_eq!(linked("ml-inference"), BTreeSet::from(["ml-signal".to_owned()]));
    // Links between dashboards are by tag.
    for dashboard in &dashboards {
        let tag = &dashboard["links"][0]["tags"][0];
        assert!(dashboard["tags"].as_array().unwrap().contains(tag), "{}", dashboard["uid"]);
    }
}

#[test]
fn dashboards_link_to_the_runbook_alertmanager_and_the_drill() {
    let runbook = std::fs::read_to_string(root().join("monitoring/runbook_url")).unwrap();
    for dashboard in dashboards() {
        let links = dashboard["links"].as_array().unwrap();
        let url = |title: &str| {
            let link = links.iter().find(|link| link["title"] == title);
            link.unwrap_or_else(|| panic!("{}: no link {title}", dashboard["uid"]))["url"].as_str().unwrap()
        };
        assert_eq!(url("Runbook"), runbook.trim());
        for title in ["Alertmanager", "Drill"] {
            assert!(url(title).starts_with("http://"), "{title}");
        }
    }
}

#[test]
fn the_data_source_has_the_scrape_interval() {
    let source = crate::files::yaml(&root().join("grafana/provisioning/datasources").join("prometheus.yml"));
    let prometheus = crate::files::yaml(&root().join("monitoring/prometheus.yml"));
    let source = &source["datasources"][0];
    let interval = &prometheus["global"]["scrape_interval"];
    assert_eq!(&source["jsonData"]["timeInterval"], interval);
    assert_eq!(&prometheus["global"]["evaluation_interval"], interval);
    assert!(source["uid"].is_string());
}
