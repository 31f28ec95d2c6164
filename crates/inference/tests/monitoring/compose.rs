//! Checks the parts of the Compose file that can be checked without a container engine.

use crate::files::{root, yaml};
use inference::{Settings, memory::WorstCase};

#[test]
fn every_service_has_a_limit_on_memory_and_processes() {
    let mut file = yaml(&root().join("docker-compose.yml"));
    file.apply_merge().unwrap();
    let services = file["services"].as_mapping().unwrap();
    assert!(services.len() >= 5, "{services:?}");
    for (name, service) in services {
        let limit = service["mem_limit"].as_str().and_then(bytes);
        assert!(limit.is_some_and(|limit| limit >= 256 << 20), "{name:?}: {limit:?}");
        assert!(service["pids_limit"].as_u64().is_some_and(|limit| limit > 0), "{name:?}");
        if let Some(image) = service["image"].as_str().filter(|_| service["build"].is_null()) {
            assert!(
                image.contains(":v") || image.rsplit(':').next().unwrap().contains('.'),
                "{image} has no version"
            );
        }
    }
    let settings = Settings::default();
    let worst = WorstCase::of(&settings, settings.max_connections).total();
    let limit = bytes(services["inference"]["mem_limit"].as_str().unwrap()).unwrap();
    assert!(worst < limit, "requests can take {worst} bytes, but the limit of the container is {limit}");
    let grace: u64 =
        services["inference"]["stop_grace_period"].as_str().unwrap().trim_end_matches('s').parse().unwrap();
    assert!(grace > (settings.drain + settings.request_timeout).as_secs() + 1, "{grace}");
}

#[test]
fn the_health_check_uses_the_configured_address() {
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let check = dockerfile.split("HEALTHCHECK").nth(1).unwrap().lines().nth(1).unwrap();
    assert_eq!(check.trim(), r#"CMD ["/usr/local/bin/inference", "healthcheck"]"#);
    // The address is a variable, because a flag would not apply to the health check.
    let file = yaml(&root().join("docker-compose.yml"));
    let service = &file["services"]["inference"];
    let command: Vec<_> =
        service["command"].as_sequence().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(command, ["serve"]);
    assert!(service["environment"]["INFERENCE_LISTEN"].is_string());
    assert!(service["healthcheck"].is_null());
}

/// The ports of the other images cannot be set by variables.
#[test]
fn the_other_health_checks_use_the_published_ports() {
    let file = yaml(&root().join("docker-compose.yml"));
    for name in ["alertmanager", "prometheus", "grafana"] {
        let service = &file["services"][name];
        let published = service["ports"][0].as_str().unwrap().rsplit(':').next().unwrap();
        let check: Vec<_> = service["healthcheck"]["test"]
            .as_sequence()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        assert!(
            check.iter().any(|word| word.contains(&format!("http://127.0.0.1:{published}"))),
            "{name}: {check:?}"
        );
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
