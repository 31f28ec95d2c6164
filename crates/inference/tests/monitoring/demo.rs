//! Tests how `just demo` chooses between the Compose stack and a native run, with programs that stand in for docker and just.

use crate::files::root;
use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::Command,
};
use tempfile::TempDir;

/// Writes its arguments into a log, and answers as the environment says.
const DOCKER: &str = r#"#!/bin/sh
echo "$*" >>"$LOG"
case "$*" in
"version "*)
    [ -n "$ENGINE" ] || { echo "Cannot connect to the Docker daemon" >&2; exit 1; }
    echo "$ENGINE" ;;
"compose version "*) [ -n "$COMPOSE" ] && echo "$COMPOSE" ;;
"buildx version") [ -n "$BUILDX" ] && echo "github.com/docker/buildx $BUILDX 0123abc" ;;
*" up "*)
    echo "ports: $INFERENCE_PORT $PROMETHEUS_PORT $ALERTMANAGER_PORT $GRAFANA_PORT $LOADGEN_PORT" >>"$LOG"
    exit "${UP:-0}" ;;
*" run "*) exit "${RUN:-0}" ;;
esac
"#;

const JUST: &str = r#"#!/bin/sh
echo "just $*" >>"$LOG"
exit "${NATIVE:-0}"
"#;

/// What a call of the script did.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    /// The calls of docker and just.
    log: String,
}

impl Ran {
    /// Returns the ports that `compose up` was called with.
    fn ports(&self) -> Vec<u16> {
        let line = self.log.lines().find_map(|line| line.strip_prefix("ports: ")).unwrap();
        line.split(' ').map(|port| port.parse().unwrap()).collect()
    }
}

fn demo(mode: &[&str], environment: &[(&str, &str)]) -> Ran {
    let folder = TempDir::with_prefix("a folder with spaces ").unwrap();
    for (name, script) in [("docker", DOCKER), ("just", JUST)] {
        let path = folder.path().join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    let log = folder.path().join("log");
    fs::write(&log, "").unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new(root().join("deploy/demo.sh"))
        .args(mode)
        .env("PATH", path)
        .env("LOG", &log)
        .env("CARGO_TARGET_DIR", folder.path())
        .envs([("ENGINE", "28.1.0"), ("COMPOSE", "v2.40.3"), ("BUILDX", "")])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        log: fs::read_to_string(log).unwrap(),
    }
}

#[test]
fn what_the_stack_lacks_is_named_before_anything_is_built() {
    for (environment, missing) in [
        (&[("ENGINE", "")][..], "no Docker engine answers: Cannot connect to the Docker daemon"),
        (
            &[("ENGINE", "20.10.24+dfsg1")],
            "Docker Engine 25.0 or later is needed, this one is 20.10.24+dfsg1",
        ),
        (&[("COMPOSE", "")], "docker has no plug-in `compose`"),
        (&[("COMPOSE", "2.9.0")], "Docker Compose 2.26 or later is needed, this one is 2.9.0"),
        (&[("COMPOSE", "v5.1.0")], "plug-in `buildx` 0.17 or later, this docker has none"),
        (
            &[("COMPOSE", "v5.1.0"), ("BUILDX", "0.13.1+ds1-3")],
            "plug-in `buildx` 0.17 or later, this docker has 0.13.1+ds1-3",
        ),
    ] {
        let explicit = demo(&["compose"], environment);
        assert_eq!(explicit.code, Some(1), "{missing}");
        assert!(
            explicit.stderr.contains(missing) && explicit.stderr.contains("`just demo native`"),
            "{missing}: {}",
            explicit.stderr
        );
        let chosen = demo(&[], environment);
        assert_eq!(chosen.code, Some(0), "{missing}: {}", chosen.stderr);
        assert!(
            chosen.stdout.contains(missing) && chosen.log.ends_with("just rehearse demo\n"),
            "{}",
            chosen.log
        );
        for ran in [explicit, chosen] {
            assert!(!ran.log.contains(" up ") && !ran.log.contains(" down "), "{missing}: {}", ran.log);
        }
    }
}

#[test]
fn a_usable_engine_runs_the_demo_in_the_stack() {
    for (environment, mode) in [
        (&[][..], &[][..]),
        (&[("COMPOSE", "2.26.1-4"), ("ENGINE", "26.1.5+dfsg1")], &["auto"]),
        (&[("COMPOSE", "v5.1.0"), ("BUILDX", "v0.31.1")], &["compose"]),
    ] {
        let ran = demo(mode, &[environment, &[("RUN", "99")]].concat());
        // The verdict is that of the drill.
        assert_eq!(ran.code, Some(99), "{}", ran.stderr);
        assert!(!ran.log.contains("just"), "{}", ran.log);
        assert!(
            ran.log.contains("--project-name model-vitals-demo up --detach --build --wait"),
            "{}",
            ran.log
        );
    }
    assert_eq!(demo(&["native"], &[]).log, "just rehearse demo\n");
}

#[test]
fn a_taken_port_is_replaced_by_the_next_free_one() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = port.to_string();
    // Two services that ask for the same port do not get the same one either.
    let ran = demo(&["compose"], &[("INFERENCE_PORT", &text), ("GRAFANA_PORT", &text)]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ports = ran.ports();
    let (service, grafana) = (ports[0], ports[3]);
    assert!(service > port && grafana > service, "{port}: {ports:?}");
    let words = format!("Port {port} is taken: the service gets port {service} (INFERENCE_PORT).");
    assert!(ran.stdout.contains(&words), "{}", ran.stdout);
    // These are the addresses to open, not those inside of the containers.
    assert!(ran.stdout.contains(&format!("http://localhost:{grafana}")), "{}", ran.stdout);
    assert!(!ran.stdout.contains("0.0.0.0"), "{}", ran.stdout);
    assert!(ran.log.contains(&format!("--dashboard 0.0.0.0:{}", ports[4])), "{}", ran.log);

    for wrong in ["http", "70000", "0"] {
        let ran = demo(&["compose"], &[("GRAFANA_PORT", wrong)]);
        assert_eq!(ran.code, Some(1));
        let words = format!("GRAFANA_PORT: expected a port from 1 to 65535, got {wrong}");
        assert!(ran.stderr.contains(&words), "{}", ran.stderr);
    }
}

#[test]
fn a_failure_leaves_no_half_stack_and_names_the_other_way() {
    let ran = demo(&["compose"], &[("UP", "1")]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("did not start") && ran.stderr.contains("`just demo native`"),
        "{}",
        ran.stderr
    );
    assert!(ran.log.trim_end().ends_with("down --volumes --remove-orphans"), "{}", ran.log);
    assert!(ran.log.contains(" logs --tail 10\n"), "{}", ran.log);

    let native = demo(&["native"], &[("NATIVE", "101")]);
    assert_eq!(native.code, Some(101));
    assert!(native.stderr.contains("`just demo compose`"), "{}", native.stderr);
    let missed = demo(&["native"], &[("NATIVE", "99")]);
    assert_eq!((missed.code, missed.stderr.as_str()), (Some(99), ""));

    let unknown = demo(&["docker"], &[]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("expected native or compose, got docker"), "{}", unknown.stderr);
}
