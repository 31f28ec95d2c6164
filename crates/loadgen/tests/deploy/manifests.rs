//! The files in deploy/kubernetes, as `kubectl apply` would read them one by one.

use crate::{
    checks::check,
    objects::{names, parse, problems, root, text},
};
use serde_json::{Value, json};

/// The objects of a folder's files.
fn objects(folder: &str) -> Vec<Value> {
    let files = names(&format!("deploy/kubernetes/{folder}"), ".yaml");
    let manifests = files.iter().filter(|name| *name != "kustomization.yaml");
    manifests.flat_map(|name| parse(&text(&format!("deploy/kubernetes/{folder}/{name}")))).collect()
}

#[test]
fn manifests_are_valid_and_fit_together() {
    check(&["base", "monitoring", "drill"].map(objects).concat());
    for object in objects("example").iter().filter(|object| object["kind"] == "Namespace") {
        assert_eq!(problems(object), Vec::<String>::new());
    }
}

#[test]
fn mistakes_are_found() {
    let deployment = objects("base").into_iter().find(|object| object["kind"] == "Deployment").unwrap();
    let with = |pointer: &str, value: Value| {
        let mut object = deployment.clone();
        *object.pointer_mut(pointer).unwrap() = value;
        problems(&object)
    };
    assert_eq!(with("/kind", json!("Deployment")), Vec::<String>::new());
    for (pointer, value, expected) in [
        ("/spec/strategy/rollingUpdate", json!({ "maxUnavailble": 0 }), "maxUnavailble"),
        ("/spec/template/spec/containers/0/args", json!("serve"), "array"),
        ("/spec/template/spec/containers/0/ports/0", json!({ "name": "http" }), "containerPort"),
        ("/kind", json!("Deploymant"), "no schema for apps/v1 Deploymant"),
    ] {
        let found = with(pointer, value);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{pointer}: {found:?}");
    }
}

/// kustomize applies what is listed, and nothing else.
#[test]
fn kustomizations_list_every_file() {
    for folder in ["base", "monitoring", "drill", "example"] {
        let path = format!("deploy/kubernetes/{folder}");
        let [kustomization] = &parse(&text(&format!("{path}/kustomization.yaml")))[..] else {
            panic!("{path}")
        };
        let listed = |key: &str| kustomization[key].as_array().cloned().unwrap_or_default();
        let patches = listed("patches").into_iter().map(|patch| patch["path"].clone());
        let mut files: Vec<String> = listed("resources")
            .into_iter()
            .chain(patches)
            .filter_map(|entry| entry.as_str().map(str::to_owned))
            .filter(|entry| entry.ends_with(".yaml"))
            .chain(["kustomization.yaml".to_owned()])
            .collect();
        files.sort();
        assert_eq!(files, names(&path, ".yaml"), "{folder}");
        for entry in listed("resources") {
            assert!(root().join(&path).join(entry.as_str().unwrap()).exists(), "{folder}: {entry}");
        }
    }
}

/// Each dashboard is a ConfigMap of its own, because one may hold a megabyte.
#[test]
fn every_dashboard_is_a_config_map() {
    let [kustomization] = &parse(&text("grafana/kustomization.yaml"))[..] else { panic!() };
    let listed: Vec<_> = kustomization["configMapGenerator"].as_array().unwrap().clone();
    let expected: Vec<_> = names("grafana/dashboards", ".json")
        .iter()
        .map(|name| {
            json!({
                "name": format!("dashboard-{}", name.trim_end_matches(".json")),
                "files": [format!("dashboards/{name}")],
            })
        })
        .collect();
    assert_eq!(listed, expected, "grafana/kustomization.yaml does not list the files of grafana/dashboards");
}

#[test]
fn the_rules_are_those_of_prometheus() {
    let written = objects("monitoring");
    let written: Vec<_> = written.iter().filter(|object| object["kind"] == "PrometheusRule").collect();
    assert_eq!(
        written.iter().map(|object| &object["spec"]).collect::<Vec<_>>(),
        prometheus_rules().iter().collect::<Vec<_>>(),
        "deploy/kubernetes/monitoring/rules.yaml is out of date: just manifests"
    );
}

/// The files of monitoring/rules, with an interval for each group: without one it would have that of the operator's Prometheus,
/// 30 s, in place of that in monitoring/prometheus.yml.
pub fn prometheus_rules() -> Vec<Value> {
    let interval = &parse(&text("monitoring/prometheus.yml"))[0]["global"]["evaluation_interval"];
    let files = names("monitoring/rules", ".yml");
    files
        .iter()
        .map(|name| {
            let [mut rules] =
                <[Value; 1]>::try_from(parse(&text(&format!("monitoring/rules/{name}")))).unwrap();
            for group in rules["groups"].as_array_mut().unwrap() {
                group.as_object_mut().unwrap().entry("interval").or_insert_with(|| interval.clone());
            }
            rules
        })
        .collect()
}
