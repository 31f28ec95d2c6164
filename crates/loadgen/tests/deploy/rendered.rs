//! What the real kustomize, as part of kubectl, and Helm make of the manifests. `just deploy-check` installs both and runs these tests.

use crate::{
    checks::check,
    manifests::prometheus_rules,
    objects::{parse, root},
};
use serde_json::Value;
use std::{path::Path, process::Command};

fn run(program: &str, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; `just deploy-check` installs it"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}\n{stdout}{stderr}");
    stdout.into_owned()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn specs(objects: &[Value]) -> Vec<&Value> {
    of_kind(objects, "PrometheusRule").into_iter().map(|rule| &rule["spec"]).collect()
}

#[test]
#[ignore = "needs kubectl: just deploy-check"]
fn kustomize_builds_the_example_and_the_drill() {
    // A copy, because the example takes a model and a key that are not in the repository.
    let copy = tempfile::tempdir().unwrap();
    let from = root();
    for folder in ["deploy/kubernetes", "grafana"] {
        let to = copy.path().join(folder);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        run("cp", &["-r", folder, to.to_str().unwrap()], &from);
    }
    let kubernetes = copy.path().join("deploy/kubernetes");
    std::fs::write(kubernetes.join("example/model.json"), "{}").unwrap();
    std::fs::write(kubernetes.join("example/receipt-key"), "0123456789abcdef0123456789abcdef").unwrap();
    let build = |folder: &str| run("kubectl", &["kustomize", folder], &kubernetes);
    let base = parse(&build("base"));
    let drill = parse(&build("drill"));
    check(&[base, drill].concat());

    let example = parse(&build("example"));
    check(&example);
    let rules = prometheus_rules();
    assert_eq!(specs(&example).len(), rules.len());
    assert!(rules.iter().all(|rule| specs(&example).contains(&rule)));
    for object in of_kind(&example, "PrometheusRule").iter().chain(&of_kind(&example, "ServiceMonitor")) {
        assert_eq!(object["metadata"]["labels"]["release"], "kube-prometheus-stack");
    }
    let dashboard = of_kind(&example, "ConfigMap")
        .into_iter()
        .find(|map| map["metadata"]["labels"]["grafana_dashboard"] == "1")
        .unwrap();
    assert!(dashboard["metadata"]["name"].as_str().unwrap().starts_with("dashboard-"));
    let pod = &of_kind(&example, "Deployment")[0]["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "registry.example.org/model-vitals:0.1.0");
    // The generated names, which change with the content.
    for (volume, kind, pointer) in
        [("model", "ConfigMap", "/configMap/name"), ("receipt-key", "Secret", "/secret/secretName")]
    {
        let volume = pod["volumes"].as_array().unwrap().iter().find(|entry| entry["name"] == volume).unwrap();
        let name = volume.pointer(pointer).unwrap();
        assert!(of_kind(&example, kind).iter().any(|object| object["metadata"]["name"] == *name), "{name}");
    }
}

#[test]
#[ignore = "needs Helm: just deploy-check"]
fn helm_renders_every_way_to_deploy() {
    let chart = "deploy/helm/model-vitals";
    let all = [
        "model.file=/model/churn.onnx",
        "model.profile=/model/churn.json",
        "model.volume.persistentVolumeClaim.claimName=models",
        "receiptKey.existingSecret=key",
        "autoscaling.enabled=false",
        "serviceMonitor.enabled=true",
        "serviceMonitor.labels.release=kube-prometheus-stack",
        "prometheusRule.enabled=true",
        "dashboards.enabled=true",
        "drill.shards=3",
        "drill.reportsClaim=reports",
        "env[0].name=INFERENCE_WORKERS",
        "env[0].value=2",
    ];
    let flags = |values: &[&str]| -> Vec<String> {
        // As text, because a variable's value must be one.
        values
            .iter()
            .map(|value| {
                if value.starts_with("env") {
                    format!("--set-string={value}")
                } else {
                    format!("--set={value}")
                }
            })
            .collect()
    };
    let render = |values: &[&str]| {
        let flags = flags(values);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        run("helm", &[&["lint", "--strict", chart], &flags[..]].concat(), &root());
        let objects = parse(&run("helm", &[&["template", "churn", chart], &flags[..]].concat(), &root()));
        check(&objects);
        objects
    };
    let plain = render(&[]);
    assert!(specs(&plain).is_empty());
    assert_eq!(of_kind(&plain, "Secret").len(), 1);
    assert_eq!(of_kind(&plain, "HorizontalPodAutoscaler").len(), 1);
    let full = render(&all);
    assert!(of_kind(&full, "Secret").is_empty());
    assert!(of_kind(&full, "HorizontalPodAutoscaler").is_empty());
    assert_eq!(of_kind(&full, "Job").len(), 2);
    assert_eq!(specs(&full), prometheus_rules().iter().collect::<Vec<_>>());
    for name in crate::objects::names("grafana/dashboards", ".json") {
        let source: Value =
            serde_json::from_str(&crate::objects::text(&format!("grafana/dashboards/{name}"))).unwrap();
        let maps = of_kind(&full, "ConfigMap");
        let held = maps.iter().find_map(|map| map["data"][&name].as_str()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(held).unwrap(), source, "{name}");
    }

    let refused = Command::new("helm")
        .args(["template", "churn", chart, "--set=drill.shards=2"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("name a PersistentVolumeClaim"), "{refused:?}");
}
