//! The Helm chart's files, without Helm.

use crate::objects::{names, parse, root, text};
use serde_json::{Value, json};

const CHART: &str = "deploy/helm/model-vitals";

fn values() -> Value {
    parse(&text(&format!("{CHART}/values.yaml"))).remove(0)
}

#[test]
fn values_fit_their_schema_and_unknown_ones_do_not() {
    let schema: Value = serde_json::from_str(&text(&format!("{CHART}/values.schema.json"))).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let found: Vec<_> = validator.iter_errors(&values()).map(|error| error.to_string()).collect();
    assert_eq!(found, Vec::<String>::new());
    for bad in [
        json!({ "replica": 3 }),
        json!({ "drain": { "seconds": "5s" } }),
        json!({ "model": { "file": "m.json" } }),
    ] {
        assert!(!validator.is_valid(&bad), "{bad}");
    }
}

/// A value that no template reads would be set in vain.
#[test]
fn every_value_is_used() {
    let templates: String = ["", "/tests"]
        .iter()
        .flat_map(|folder| {
            names(&format!("{CHART}/templates{folder}"), "").into_iter().map(move |name| (folder, name))
        })
        .filter(|(_, name)| name.contains('.'))
        .map(|(folder, name)| text(&format!("{CHART}/templates{folder}/{name}")))
        .collect();
    for (name, value) in values().as_object().unwrap() {
        let paths: Vec<String> = match value.as_object() {
            // Taken as a whole, like resources.
            Some(fields) if !templates.contains(&format!("toYaml .Values.{name}")) => {
                fields.keys().map(|field| format!(".Values.{name}.{field}")).collect()
            }
            _ => vec![format!(".Values.{name}")],
        };
        for path in paths {
            assert!(templates.contains(&path), "{path}");
        }
    }
}

/// Helm follows symbolic links, also when it packs the chart, so that rules and dashboards are in the repository once.
#[test]
fn rules_and_dashboards_are_links_to_the_sources() {
    for (link, source) in [("rules", "monitoring/rules"), ("dashboards", "grafana/dashboards")] {
        let link = root().join(CHART).join("files").join(link);
        assert_eq!(link.canonicalize().unwrap(), root().join(source).canonicalize().unwrap());
    }
}

#[test]
fn the_chart_installs_the_version_it_comes_with() {
    let chart = parse(&text(&format!("{CHART}/Chart.yaml"))).remove(0);
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
}
