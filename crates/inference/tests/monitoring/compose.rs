//! Checks the Compose file, its settings and its images as far as that is possible without a container engine.

use crate::files::{files, root, yaml};
use inference::{Settings, memory::WorstCase};
use regex::Regex;
use serde_yaml::{Mapping, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const DOCKERFILES: [&str; 3] = ["Dockerfile", "monitoring/Dockerfile", "grafana/Dockerfile"];

fn text(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// Returns the Compose file with these variables, as Compose reads it.
fn compose(variables: &[(&str, &str)]) -> Value {
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    let innermost = Regex::new(r"\$\{([A-Z_]+)(?::([-+])([^${}]*))?\}").unwrap();
    let mut text = text("docker-compose.yml");
    while innermost.is_match(&text) {
        let value = |found: &regex::Captures| {
            let value = variables.get(&found[1]).filter(|value| !value.is_empty()).copied();
            let other = found.get(3).map_or("", |other| other.as_str());
            match (found.get(2).map(|operator| operator.as_str()), value) {
                (Some("+"), Some(_)) => other.to_owned(),
                (Some("+"), None) => String::new(),
                (_, value) => value.unwrap_or(other).to_owned(),
            }
        };
        text = innermost.replace_all(&text, value).into_owned();
    }
    let mut file: Value = serde_yaml::from_str(&text).unwrap();
    file.apply_merge().unwrap();
    file
}

fn services(file: &Value) -> &Mapping {
    let services = file["services"].as_mapping().unwrap();
    assert!(services.len() >= 6, "{services:?}");
    services
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_sequence().into_iter().flatten().map(|item| item.as_str().unwrap()).collect()
}

#[test]
fn every_service_is_limited_and_has_no_privileges() {
    let file = compose(&[]);
    for (name, service) in services(&file) {
        let limit = service["mem_limit"].as_str().and_then(bytes);
        assert!(limit.is_some_and(|limit| limit >= 256 << 20), "{name:?}: {limit:?}");
        assert!(service["pids_limit"].as_u64().is_some_and(|limit| limit > 0), "{name:?}");
        let log = &service["logging"]["options"];
        assert!(log["max-size"].is_string() && log["max-file"].is_string(), "{name:?}");
        assert_eq!(service["read_only"], true, "{name:?}");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name:?}");
        assert_eq!(strings(&service["security_opt"]), ["no-new-privileges:true"], "{name:?}");
        // `up` starts the services that have no scale of 0, and they stay up. The others end by themselves.
        assert!(service["scale"].is_null() || service["scale"] == 0, "{name:?}");
        let restart = if service["scale"].is_null() { "unless-stopped" } else { "no" };
        assert_eq!(service["restart"], restart, "{name:?}");
        for tmpfs in strings(&service["tmpfs"]) {
            assert!(tmpfs.contains("size="), "{name:?}: {tmpfs}");
        }
    }
    let settings = Settings::default();
    let worst = WorstCase::of(&settings, settings.max_connections).total();
    let limit = bytes(file["services"]["inference"]["mem_limit"].as_str().unwrap()).unwrap();
    assert!(worst < limit, "requests can take {worst} bytes, but the limit of the container is {limit}");
}

#[test]
fn the_service_has_time_to_stop() {
    let settings = Settings::default();
    let grace = compose(&[])["services"]["inference"]["stop_grace_period"].as_str().unwrap().to_owned();
    let grace = humantime::parse_duration(&grace).unwrap();
    assert!(grace > settings.drain + settings.request_timeout + Duration::from_secs(1), "{grace:?}");
    let longer = compose(&[("INFERENCE_STOP_GRACE", "2m"), ("INFERENCE_DRAIN", "1m")]);
    let service = &longer["services"]["inference"];
    assert_eq!(service["stop_grace_period"], "2m");
    assert_eq!(service["environment"]["INFERENCE_DRAIN"], "1m");
}

/// A mounted file must be readable to the user of the container, and keeps its former content after it was replaced.
#[test]
fn containers_depend_on_no_file_of_the_checkout() {
    let file = compose(&[]);
    let volumes = file["volumes"].as_mapping().unwrap();
    let mut mounted = BTreeSet::new();
    for (name, service) in services(&file) {
        for volume in strings(&service["volumes"]) {
            let source = volume.split(':').next().unwrap();
            assert!(volumes.contains_key(source), "{name:?}: {volume} is not a volume of the file");
            mounted.insert(source.to_owned());
        }
        assert!(service["configs"].is_null(), "{name:?}");
    }
    assert_eq!(mounted.len(), volumes.len(), "{volumes:?}");
    for (name, secret) in file["secrets"].as_mapping().unwrap() {
        assert_eq!(secret["file"], "/dev/null", "{name:?}");
    }
    for dockerfile in &DOCKERFILES[1..] {
        let copies: Vec<String> =
            text(dockerfile).lines().filter(|line| line.starts_with("COPY")).map(str::to_owned).collect();
        assert!(!copies.is_empty(), "{dockerfile}");
        assert!(copies.iter().all(|copy| copy.starts_with("COPY --chmod=0444 ")), "{copies:?}");
    }
}

/// The folders that the images take files from, with what is in them.
#[test]
fn images_hold_the_configuration_and_no_secrets() {
    for (dockerfile, sources) in [
        ("monitoring/Dockerfile", &["prometheus.yml", "rules/*.yml", "alertmanager.yml"][..]),
        (
            "grafana/Dockerfile",
            &["provisioning/datasources/*.yml", "provisioning/dashboards/*.yml", "dashboards/*.json"],
        ),
    ] {
        let folder = dockerfile.split('/').next().unwrap();
        let copied: Vec<String> = text(dockerfile)
            .lines()
            .filter_map(|line| Some(line.strip_prefix("COPY --chmod=0444 ")?.split(' ').next()?.to_owned()))
            .collect();
        assert_eq!(copied, sources);
        for source in sources {
            match source.rsplit_once("/*.") {
                Some((within, ending)) => drop(files(&format!("{folder}/{within}"), ending)),
                None => assert!(root().join(folder).join(source).exists(), "{source}"),
            }
        }
        let ignored = text(&format!("{folder}/.dockerignore"));
        let rules: Vec<&str> = ignored.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(rules[0], "*", "{folder}");
        assert!(
            rules[1..].iter().all(|rule| rule.starts_with('!') && !rule.contains("secrets")),
            "{rules:?}"
        );
    }
    // Where the images put them, Prometheus and Grafana look for them.
    let command = &compose(&[])["services"]["prometheus"]["command"];
    assert!(strings(command).contains(&"--config.file=/etc/prometheus/prometheus.yml"));
    assert_eq!(strings(&yaml(&root().join("monitoring/prometheus.yml"))["rule_files"]), ["rules/*.yml"]);
    let provider = &yaml(&root().join("grafana/provisioning/dashboards/dashboards.yml"))["providers"][0];
    assert_eq!(provider["options"]["path"], "/var/lib/grafana-dashboards");
    assert!(text("grafana/Dockerfile").contains(" /var/lib/grafana-dashboards/\n"));
}

/// Two builds of one tag are two images, and the second one recreates the containers of the first.
#[test]
fn every_image_is_built_once() {
    let file = compose(&[("IMAGE_TAG", "v2")]);
    let mut builds: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, service) in services(&file) {
        let image = service["image"].as_str().unwrap();
        assert!(image.ends_with(":v2"), "{image}");
        let is_built = !service["build"].is_null();
        *builds.entry(image).or_default() += usize::from(is_built);
        assert_eq!(service["pull_policy"] == "never", !is_built, "{name:?}");
    }
    assert!(builds.values().all(|count| *count == 1), "{builds:?}");
}

#[test]
fn base_images_have_versions_and_share_one_debian() {
    let mut bases = Vec::new();
    for dockerfile in DOCKERFILES {
        let text = text(dockerfile);
        assert!(text.starts_with("# syntax=docker/dockerfile:1\n"), "{dockerfile}");
        bases.extend(text.lines().filter_map(|line| Some(line.strip_prefix("FROM ")?.to_owned())));
    }
    assert!(bases.len() >= 6, "{bases:?}");
    let release = Regex::new(r"^v?\d+\.\d+\.\d+$").unwrap();
    for base in &bases {
        let image = base.split(' ').next().unwrap();
        let (name, tag) = image.rsplit_once(':').unwrap();
        let of_debian = tag.ends_with("-trixie") || name.ends_with("-debian13");
        let released = release.is_match(tag);
        assert!(of_debian || released, "{image}");
    }
    let dockerfile = text("Dockerfile");
    let version = format!("org.opencontainers.image.version=\"{}\"", env!("CARGO_PKG_VERSION"));
    for label in [
        version.as_str(),
        "org.opencontainers.image.source=",
        "org.opencontainers.image.revision=",
        "org.opencontainers.image.licenses=",
    ] {
        assert!(dockerfile.contains(label), "{label}");
    }
}

#[test]
fn a_changed_test_does_not_build_the_image_again() {
    let ignored = text(".dockerignore");
    let rules: Vec<&str> = ignored.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(rules[0], "*");
    for left_out in ["**/tests", "**/tests.rs", "**/benches"] {
        // A later rule takes precedence.
        let last_include = rules.iter().rposition(|rule| rule.starts_with('!')).unwrap();
        assert!(rules[last_include..].contains(&left_out), "{left_out}");
    }
    let copies: Vec<String> =
        text("Dockerfile").lines().filter(|line| line.starts_with("COPY ")).map(str::to_owned).collect();
    assert!(copies.iter().all(|copy| !copy.starts_with("COPY . ")), "{copies:?}");
}

/// Returns the variables of the Compose file with their defaults; of those that only switch something on, the empty text.
fn variables() -> BTreeMap<String, String> {
    let text = text("docker-compose.yml");
    let mut variables = BTreeMap::new();
    for found in Regex::new(r"\$\{([A-Z_]+)(?::-([^${}]*))?").unwrap().captures_iter(&text) {
        let default = found.get(2).map_or("", |default| default.as_str());
        let known: &mut String = variables.entry(found[1].to_owned()).or_default();
        assert!(known.is_empty() || default.is_empty() || known == default, "{}: {default}", &found[1]);
        if !default.is_empty() {
            *known = default.to_owned();
        }
    }
    variables
}

#[test]
fn the_example_of_settings_has_every_variable_with_its_default() {
    let example = text(".env.example");
    let line = Regex::new(r"(?m)^#([A-Z_]+)=(.*)$").unwrap();
    let documented: BTreeMap<String, String> =
        line.captures_iter(&example).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    let variables = variables();
    assert!(variables.len() >= 18, "{variables:?}");
    let names: Vec<_> = variables.keys().collect();
    assert_eq!(documented.keys().collect::<Vec<_>>(), names);
    let settings = Settings::default();
    for (name, default) in &variables {
        let documented = &documented[name];
        match name.as_str() {
            // The service has these defaults.
            "INFERENCE_REQUEST_TIMEOUT" => {
                assert_eq!(humantime::parse_duration(documented).unwrap(), settings.request_timeout);
            }
            "INFERENCE_DRAIN" => assert_eq!(humantime::parse_duration(documented).unwrap(), settings.drain),
            // These name files, of which there are none by default.
            "MODEL" | "PROFILE" | "MODEL_DIR" | "RECEIPT_KEY_FILE" | "ALERTMANAGER_CONFIG" => {
                assert!(["", "models", "/dev/null"].contains(&default.as_str()), "{name}={default}");
            }
            _ => assert_eq!(documented, default, "{name}"),
        }
    }
    // Only the lines of settings could have an effect, and all of them are comments.
    assert!(example.lines().all(|line| line.is_empty() || line.starts_with('#')));
    let guide = text("docs/compose.md");
    for name in names {
        assert!(guide.contains(&format!("`{name}")), "docs/compose.md: {name}");
    }
    assert!(text(".gitignore").lines().any(|line| line == "/.env"));
}

#[test]
fn ports_are_published_on_loopback_and_can_be_changed() {
    let file = compose(&[
        ("INFERENCE_PORT", "18000"),
        ("PROMETHEUS_PORT", "19090"),
        ("ALERTMANAGER_PORT", "19093"),
        ("GRAFANA_PORT", "13000"),
        ("LOADGEN_PORT", "15665"),
    ]);
    let mut published = BTreeSet::new();
    for (_, service) in services(&file) {
        for port in strings(&service["ports"]) {
            let parts: Vec<&str> = port.split(':').collect();
            assert_eq!(parts[0], "127.0.0.1", "{port}");
            published.insert(parts[1].to_owned());
        }
    }
    assert_eq!(published.into_iter().collect::<Vec<_>>(), ["13000", "15665", "18000", "19090", "19093"]);
    // The addresses that programs show are the published ones.
    let services = &file["services"];
    assert!(
        strings(&services["prometheus"]["command"]).contains(&"--web.external-url=http://localhost:19090/")
    );
    assert!(
        strings(&services["alertmanager"]["command"]).contains(&"--web.external-url=http://localhost:19093/")
    );
    assert_eq!(services["grafana"]["environment"]["GF_SERVER_ROOT_URL"], "http://localhost:13000/");
    assert!(strings(&services["loadgen"]["command"]).contains(&"--dashboard=0.0.0.0:15665"));
    assert_eq!(strings(&services["loadgen"]["ports"]), ["127.0.0.1:15665:15665"]);
}

#[test]
fn a_model_a_key_and_receivers_are_used_if_they_are_named() {
    let service = |file: &Value| file["services"]["inference"].clone();
    let plain = service(&compose(&[]));
    for variable in ["INFERENCE_MODEL", "INFERENCE_PROFILE", "INFERENCE_RECEIPT_KEY_FILE"] {
        // An empty variable counts as unset.
        assert!(plain["environment"][variable].is_null(), "{variable}");
    }
    let file = compose(&[
        ("MODEL_DIR", "./my models"),
        ("MODEL", "churn.onnx"),
        ("PROFILE", "churn.json"),
        ("RECEIPT_KEY_FILE", "./receipt-key"),
        ("ALERTMANAGER_CONFIG", "monitoring/secrets/alertmanager.yml"),
    ]);
    let own = service(&file);
    assert_eq!(strings(&own["volumes"]), ["./my models:/models:ro"]);
    assert_eq!(own["environment"]["INFERENCE_MODEL"], "/models/churn.onnx");
    assert_eq!(own["environment"]["INFERENCE_PROFILE"], "/models/churn.json");
    assert_eq!(own["environment"]["INFERENCE_RECEIPT_KEY_FILE"], "/run/secrets/receipt-key");
    assert_eq!(file["secrets"]["receipt-key"]["file"], "./receipt-key");
    let secret = &file["services"]["alertmanager"]["secrets"][0];
    assert_eq!(secret["target"], "/etc/alertmanager/alertmanager.yml");
    assert_eq!(file["secrets"]["alertmanager"]["file"], "monitoring/secrets/alertmanager.yml");
}

#[test]
fn the_health_check_uses_the_configured_address() {
    let dockerfile = text("Dockerfile");
    let check = dockerfile.split("\nHEALTHCHECK").nth(1).unwrap().lines().nth(1).unwrap();
    assert_eq!(check.trim(), r#"CMD ["/usr/local/bin/inference", "healthcheck"]"#);
    // The address is a variable, because a flag would not apply to the health check.
    let file = compose(&[]);
    let service = &file["services"]["inference"];
    assert_eq!(strings(&service["command"]), ["serve"]);
    let listen = service["environment"]["INFERENCE_LISTEN"].as_str().unwrap();
    let port = strings(&service["ports"])[0].rsplit(':').next().unwrap();
    assert_eq!(listen, format!("0.0.0.0:{port}"));
    assert!(service["healthcheck"].is_null());
}

/// The ports of the other images cannot be set by variables.
#[test]
fn the_other_health_checks_use_the_published_ports() {
    let file = compose(&[]);
    for name in ["alertmanager", "prometheus", "grafana"] {
        let service = &file["services"][name];
        let inside = strings(&service["ports"])[0].rsplit(':').next().unwrap();
        let check = strings(&service["healthcheck"]["test"]);
        assert!(
            check.iter().any(|word| word.contains(&format!("http://127.0.0.1:{inside}"))),
            "{name}: {check:?}"
        );
        assert_eq!(service["healthcheck"]["start_interval"], "1s", "{name}");
    }
}

fn bytes(text: &str) -> Option<usize> {
    let (number, unit) = text.split_at(text.len() - 1);
    let shift = match unit {
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    Some(number.parse::<usize>().ok()? << shift)
}
