//! What must be true of a set of objects that are deployed together.

use crate::objects::{problems, title};
use clap::{Args, Parser};
use inference::{Settings, load_model, memory::WorstCase, metrics::Metrics, route::Route};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// Checks every object against the schemas, and the objects against each other and the programs.
pub fn check(objects: &[Value]) {
    assert!(!objects.is_empty());
    for object in objects {
        assert_eq!(problems(object), Vec::<String>::new(), "{}", title(object));
    }
    pods_are_restricted(objects);
    references_lead_somewhere(objects);
    the_service_is_given_what_it_takes(objects);
    a_drill_has_as_many_parts_as_pods(objects);
    scraped_labels_are_kept(objects);
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

/// Every pod template, with the object that holds it.
fn pods(objects: &[Value]) -> impl Iterator<Item = (&Value, &Value)> {
    let with_template = objects.iter().filter(|object| object["spec"]["template"].is_object());
    with_template.map(|object| (object, &object["spec"]["template"]))
}

/// As the Pod Security Standard "restricted" asks, and besides without a token and with limits.
fn pods_are_restricted(objects: &[Value]) {
    for (object, pod) in pods(objects) {
        let of = title(object);
        let spec = &pod["spec"];
        assert_eq!(spec["automountServiceAccountToken"], false, "{of}");
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{of}");
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{of}");
        for container in list(&spec["containers"]) {
            let restricted = json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            });
            assert_eq!(container["securityContext"], restricted, "{of}");
            for resource in ["cpu", "memory"] {
                assert!(container["resources"]["requests"][resource].is_string(), "{of}: {resource}");
            }
            assert!(container["resources"]["limits"]["memory"].is_string(), "{of}");
        }
    }
}

/// Whether a selector, which must not be empty, selects these labels.
fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().unwrap();
    assert!(!wanted.is_empty());
    wanted.iter().all(|(key, value)| labels[key] == *value)
}

/// Selectors select the pods, ports have names that the containers know, and each volume that is mounted is there.
fn references_lead_somewhere(objects: &[Value]) {
    let inference: Vec<_> = of_kind(objects, "Deployment").collect();
    let [deployment] = inference[..] else { panic!("{} deployments", inference.len()) };
    let pod = &deployment["spec"]["template"];
    let labels = &pod["metadata"]["labels"];
    let ports: BTreeSet<_> = list(&pod["spec"]["containers"][0]["ports"])
        .iter()
        .map(|port| port["name"].as_str().unwrap())
        .collect();
    let has = |port: &Value| port.as_str().is_some_and(|name| ports.contains(name));
    assert!(selects(&deployment["spec"]["selector"]["matchLabels"], labels));
    for constraint in list(&pod["spec"]["topologySpreadConstraints"]) {
        assert!(selects(&constraint["labelSelector"]["matchLabels"], labels));
    }
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let get = &pod["spec"]["containers"][0][probe]["httpGet"];
        assert!(has(&get["port"]), "{probe}");
        let expected = if probe == "livenessProbe" { Route::Healthz } else { Route::Readyz };
        assert_eq!(get["path"], expected.pattern(), "{probe}");
    }
    let service = of_kind(objects, "Service").next().unwrap();
    assert!(selects(&service["spec"]["selector"], labels));
    assert!(list(&service["spec"]["ports"]).iter().all(|port| has(&port["targetPort"])));
    for budget in of_kind(objects, "PodDisruptionBudget") {
        assert!(selects(&budget["spec"]["selector"]["matchLabels"], labels));
    }
    for scaler in of_kind(objects, "HorizontalPodAutoscaler") {
        assert_eq!(scaler["spec"]["scaleTargetRef"]["name"], deployment["metadata"]["name"]);
        assert!(deployment["spec"]["replicas"].is_null(), "each rollout would undo what the autoscaler set");
    }
    for policy in of_kind(objects, "NetworkPolicy") {
        assert!(selects(&policy["spec"]["podSelector"]["matchLabels"], labels));
        for rule in list(&policy["spec"]["ingress"]) {
            assert!(list(&rule["ports"]).iter().all(|port| has(&port["port"])));
        }
    }
    for monitor in of_kind(objects, "ServiceMonitor") {
        assert!(selects(&monitor["spec"]["selector"]["matchLabels"], &service["metadata"]["labels"]));
        for endpoint in list(&monitor["spec"]["endpoints"]) {
            assert!(list(&service["spec"]["ports"]).iter().any(|port| port["name"] == endpoint["port"]));
        }
    }
    for (object, pod) in pods(objects) {
        let volumes: BTreeSet<_> =
            list(&pod["spec"]["volumes"]).iter().map(|volume| volume["name"].as_str()).collect();
        let mounted: BTreeSet<_> = list(&pod["spec"]["containers"][0]["volumeMounts"])
            .iter()
            .map(|mount| mount["name"].as_str())
            .collect();
        assert_eq!(mounted, volumes, "{}", title(object));
    }
}

/// The service knows its variables, has the memory that its clients can make it take, and the time that it takes to stop.
fn the_service_is_given_what_it_takes(objects: &[Value]) {
    let spec = &of_kind(objects, "Deployment").next().unwrap()["spec"]["template"]["spec"];
    let container = &spec["containers"][0];
    assert_eq!(container["args"], json!(["serve"]));
    let flags = Settings::augment_args(clap::Command::new("serve"));
    let known: BTreeSet<_> =
        flags.get_arguments().filter_map(|flag| flag.get_env()?.to_str().map(str::to_owned)).collect();
    for variable in list(&container["env"]) {
        assert!(known.contains(variable["name"].as_str().unwrap()), "{variable}");
    }
    let value = |name: &str| {
        list(&container["env"])
            .iter()
            .find(|variable| variable["name"] == name)
            .map(|v| v["value"].as_str().unwrap())
    };
    for (port, name) in [("http", "INFERENCE_LISTEN"), ("metrics", "INFERENCE_METRICS_LISTEN")] {
        let address: std::net::SocketAddr = value(name).unwrap().parse().unwrap();
        assert!(address.ip().is_unspecified(), "{name}");
        let declared = list(&container["ports"]).iter().find(|declared| declared["name"] == port).unwrap();
        assert_eq!(declared["containerPort"], address.port(), "{name}");
    }
    let settings = Settings {
        metrics_listen: value("INFERENCE_METRICS_LISTEN").map(|address| address.parse().unwrap()),
        ..Settings::default()
    };
    let worst = WorstCase::of(&settings, settings.max_connections).total();
    let limit = container["resources"]["limits"]["memory"].as_str().unwrap().strip_suffix("Gi").unwrap();
    let limit = limit.parse::<usize>().unwrap() << 30;
    assert!(worst < limit, "clients can make the service take {worst} bytes, and it may take {limit}");

    let drain =
        value("INFERENCE_DRAIN").map_or(settings.drain, |text| humantime::parse_duration(text).unwrap());
    let sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    let grace = Duration::from_secs(spec["terminationGracePeriodSeconds"].as_u64().unwrap());
    let needed = Duration::from_secs(sleep) + drain + settings.request_timeout;
    assert!(grace > needed + Duration::from_secs(1), "{grace:?} for {needed:?}");

    // Readable to the group alone, which is that of the pod.
    let key = list(&spec["volumes"]).iter().find(|volume| volume["name"] == "receipt-key").unwrap();
    assert_eq!(key["secret"]["defaultMode"], 0o440);
    assert_eq!(spec["securityContext"]["fsGroup"], spec["securityContext"]["runAsGroup"]);
    let file = value("INFERENCE_RECEIPT_KEY_FILE").unwrap();
    let mount = list(&container["volumeMounts"]).iter().find(|mount| mount["name"] == "receipt-key").unwrap();
    assert_eq!(file, format!("{}/key", mount["mountPath"].as_str().unwrap()));
}

fn a_drill_has_as_many_parts_as_pods(objects: &[Value]) {
    let arguments = |job: &Value| -> Vec<String> {
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["command"], json!(["/usr/local/bin/loadgen"]));
        list(&container["args"]).iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut parts = None;
    for job in of_kind(objects, "Job") {
        let arguments = arguments(job);
        let words = ["loadgen"].into_iter().chain(arguments.iter().map(String::as_str));
        if let Err(error) = loadgen::cli::Cli::try_parse_from(words) {
            panic!("{}: {error}", title(job));
        }
        if arguments[0] == "run" {
            let pods = job["spec"]["completions"].as_u64().unwrap();
            assert_eq!(job["spec"]["completionMode"], "Indexed");
            assert_eq!(job["spec"]["parallelism"], pods);
            assert!(arguments.contains(&format!("--job-shards={pods}")), "{arguments:?}");
            assert!(parts.replace(pods).is_none(), "two drills");
        }
    }
    for job in of_kind(objects, "Job") {
        let arguments = arguments(job);
        if arguments[0] == "merge" {
            let reports: Vec<_> = (0..parts.unwrap()).map(|index| format!("/reports/{index}.json")).collect();
            assert_eq!(arguments[1..], reports);
        }
    }
}

/// A label that the operator adds to a target renames the service's own label of that name, which the rules then miss.
fn scraped_labels_are_kept(objects: &[Value]) {
    let metrics = Metrics::new();
    metrics.of_model(&load_model(None).unwrap().card, &drift::FalseAlarmBudget::default());
    metrics.of_route(Route::Predict);
    let page = metrics.render();
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let labels: BTreeSet<&str> = samples
        .filter_map(|line| line.split_once('{')?.1.rsplit_once('}'))
        .flat_map(|(labels, _)| labels.split("\",").filter_map(|label| label.split_once("=\"")))
        .map(|(name, _)| name)
        .collect();
    assert!(labels.contains("endpoint") && labels.contains("signal"), "{labels:?}");
    for monitor in of_kind(objects, "ServiceMonitor") {
        for endpoint in list(&monitor["spec"]["endpoints"]) {
            let dropped: BTreeSet<&str> = list(&endpoint["relabelings"])
                .iter()
                .filter(|step| step["action"] == "labeldrop")
                .map(|step| step["regex"].as_str().unwrap())
                .collect();
            for added in ["namespace", "service", "pod", "container", "endpoint", "job", "instance", "node"] {
                assert!(!labels.contains(added) || dropped.contains(added), "{added}");
            }
        }
    }
}
