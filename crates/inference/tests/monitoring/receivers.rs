//! Tests the routes of alerts, the composed receivers, and which notifications a real Alertmanager sends.

use crate::files::{files, root, run, yaml};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};
use tempfile::TempDir;

/// Every file that a receiver takes, with a value that YAML or sed could misread where that is possible.
const SECRETS: [(&str, &str); 10] = [
    ("webhook-url", "http://127.0.0.1:9/hook?team=ml&x='|\\1"),
    ("email-to", "ml@example.org"),
    ("email-from", "alerts@example.org"),
    ("smtp-smarthost", "smtp.example.org:587"),
    ("smtp-username", "alerts"),
    ("smtp-password", "it's & a: #password|\\"),
    ("slack-webhook-url", "https://hooks.slack.com/services/T/B/x"),
    ("telegram-bot-token", "123456:ABC"),
    ("telegram-chat-id", "-1001234567890"),
    ("pagerduty-routing-key", "0123456789abcdef"),
];

/// Composes a configuration from these files.
fn compose(secrets: &[(&str, &str)]) -> (TempDir, Output) {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in secrets {
        std::fs::write(folder.path().join(name), format!("{value}\n")).unwrap();
    }
    let output =
        Command::new("monitoring/receivers.sh").arg(folder.path()).current_dir(root()).output().unwrap();
    (folder, output)
}

/// Composes a configuration, which must succeed.
fn composed(secrets: &[(&str, &str)]) -> (TempDir, serde_yaml::Value) {
    let (folder, output) = compose(secrets);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let config = yaml(&folder.path().join("alertmanager.yml"));
    (folder, config)
}

#[test]
fn without_files_alerts_are_sent_nowhere() {
    let (_folder, config) = composed(&[]);
    assert_eq!(config, yaml(&root().join("monitoring/alertmanager.yml")));
    for receiver in config["receivers"].as_sequence().unwrap() {
        let keys: Vec<_> = receiver.as_mapping().unwrap().keys().collect();
        assert_eq!(keys, ["name"]);
    }
}

/// The kinds of receivers, such as `slack`, to which a route sends.
fn kinds(config: &serde_yaml::Value, name: &str) -> BTreeSet<String> {
    let receivers = config["receivers"].as_sequence().unwrap();
    let receiver = receivers.iter().find(|receiver| receiver["name"] == name).unwrap();
    let keys = receiver.as_mapping().unwrap().keys().map(|key| key.as_str().unwrap());
    keys.filter_map(|key| key.strip_suffix("_configs")).map(str::to_owned).collect()
}

#[test]
fn every_combination_of_receivers_is_a_valid_configuration() {
    let receivers = ["webhook", "email", "slack", "telegram", "pagerduty"];
    for combination in 1..1 << receivers.len() {
        let chosen = |kind: &str| {
            let place = receivers.iter().position(|receiver| *receiver == kind).unwrap();
            combination & (1 << place) != 0
        };
        let secrets: Vec<_> = SECRETS
            .into_iter()
            .filter(|(name, _)| {
                let (prefix, _) = name.split_once('-').unwrap();
                chosen(if prefix == "smtp" { "email" } else { prefix })
            })
            .collect();
        // The script lets amtool check what it composes.
        let (_folder, config) = composed(&secrets);
        let expected: BTreeSet<String> =
            receivers.into_iter().filter(|kind| chosen(kind)).map(str::to_owned).collect();
        assert_eq!(kinds(&config, "on-call"), expected);
        assert_eq!(kinds(&config, "team"), &expected - &BTreeSet::from(["pagerduty".to_owned()]));
    }
}

#[test]
fn every_file_is_documented_and_its_value_reaches_the_configuration() {
    let (_folder, config) = composed(&SECRETS);
    let values = format!("{config:?}");
    for (name, value) in SECRETS {
        assert!(values.contains(&format!("{value:?}")) || values.contains(value), "{name}: {values}");
    }
    let parts =
        files("monitoring/receivers/all", "yml").len() + files("monitoring/receivers/critical", "yml").len();
    assert_eq!(parts, kinds(&config, "on-call").len());
    let documented = std::fs::read_to_string(root().join("monitoring/secrets/README.md")).unwrap();
    for (name, _) in SECRETS {
        assert!(documented.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn secrets_that_do_not_configure_a_receiver_are_errors() {
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[("email-to", "a@b")], "has email-to, but not email-from"),
        (&[("slack-url", "https://hooks.slack.com/x")], "no receiver reads a file of this name"),
        (&[("webhook-url", "")], "webhook-url: is empty"),
        (&[("telegram-bot-token", "1:a"), ("telegram-chat-id", "team")], "Alertmanager refuses"),
    ];
    for (secrets, expected) in cases {
        let (folder, output) = compose(secrets);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(expected), "{secrets:?}: {error}");
        assert!(!folder.path().join("alertmanager.yml").exists(), "{secrets:?}");
    }
}

#[test]
fn critical_alerts_go_to_the_person_on_call() {
    let rules = crate::files::rules();
    let mut seen = BTreeSet::new();
    for alert in rules.iter().filter(|rule| rule["alert"].is_string()) {
        let severity = alert["labels"]["severity"].as_str().unwrap();
        let receiver = if severity == "critical" { "on-call" } else { "team" };
        seen.insert(receiver);
        let name = format!("alertname={}", alert["alert"].as_str().unwrap());
        run(
            "amtool",
            &[
                "config",
                "routes",
                "test",
                "--config.file=monitoring/alertmanager.yml",
                &format!("--verify.receivers={receiver}"),
                &name,
                &format!("severity={severity}"),
                "job=ml-inference",
            ],
        );
    }
    assert_eq!(seen.len(), 2);
}

/// The windows in the inhibition must have the names that the rules use, because a window of another name inhibits nothing.
#[test]
fn inhibition_names_the_windows_of_the_rules() {
    let rules = files("monitoring/rules", "yml");
    let rules: String = rules.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for window in ["25s", "10m", "1h", "1d"] {
        assert!(rules.contains(&format!("window: {window}")), "{window}");
    }
}

/// Returns the alerts that a matcher on `alertname` names: one, or those of a pattern such as `Model(InputDrift|ErrorRise)`.
fn named(matcher: &str) -> Vec<String> {
    let (_, value) = matcher.split_once('"').unwrap();
    let value = value.strip_suffix('"').unwrap();
    match value.strip_suffix(')').and_then(|value| value.split_once('(')) {
        Some((prefix, endings)) => endings.split('|').map(|ending| format!("{prefix}{ending}")).collect(),
        None => vec![value.to_owned()],
    }
}

#[test]
fn inhibition_names_alerts_that_exist() {
    let alerts: BTreeSet<String> =
        crate::files::rules().iter().filter_map(|rule| rule["alert"].as_str()).map(str::to_owned).collect();
    let config = yaml(&root().join("monitoring/alertmanager.yml"));
    let mut checked = 0;
    for rule in config["inhibit_rules"].as_sequence().unwrap() {
        for matchers in [&rule["source_matchers"], &rule["target_matchers"]] {
            let matchers = matchers.as_sequence().unwrap().iter().map(|matcher| matcher.as_str().unwrap());
            let names =
                matchers.filter(|matcher| matcher.starts_with("alertname") && !matcher.contains(".+"));
            for name in names.flat_map(named) {
                assert!(alerts.contains(&name), "{name}");
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "{checked}");
}

/// A real Alertmanager, and its log.
struct Alertmanager {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    _data: TempDir,
}

impl Alertmanager {
    fn start(config: &Path) -> Self {
        let data = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", data.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stderr(Stdio::piped())
            .spawn()
            .expect("prometheus-alertmanager is missing: `just test` installs it");
        let (ready, is_ready) = mpsc::channel();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in lines.map_while(Result::ok) {
                    if line.contains("Listening on") {
                        let _ = ready.send(());
                    }
                    log.lock().unwrap().push(line);
                }
            }
        });
        let started = is_ready.recv_timeout(Duration::from_secs(30));
        let alertmanager = Self { child, address, log, _data: data };
        assert!(started.is_ok(), "Alertmanager did not start: {:?}", alertmanager.log.lock().unwrap());
        alertmanager
    }

    /// Sends alerts in one request, so that they arrive together.
    fn fire(&self, alerts: &[Value]) {
        let alerts: Vec<_> = alerts.iter().map(|labels| json!({ "labels": labels })).collect();
        let url = format!("http://{}/api/v2/alerts", self.address);
        let body = serde_json::to_string(&alerts).unwrap();
        run("curl", &["-fsS", "-H", "Content-Type: application/json", "-d", &body, &url]);
    }

    fn complaints(&self) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter()
            .filter(|line| line.contains("level=error") || line.contains("level=warn"))
            .cloned()
            .collect()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes the messages of a webhook: path and body of each.
fn webhook() -> (SocketAddr, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || take(stream, &sender));
        }
    });
    (address, receiver)
}

fn take(stream: TcpStream, sender: &mpsc::Sender<Value>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim().to_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        if sender.send(serde_json::from_slice(&body).unwrap()).is_err() {
            return;
        }
    }
}

fn drifting(job: &str, model: &str, signal: &str, window: &str) -> Value {
    json!({
        "alertname": "ModelInputDrift", "severity": "warning", "job": job, "model": model, "version": "v",
        "signal": signal, "window": window,
    })
}

/// An alert on feedback, about a class or, if it is empty, about all classes.
fn wrong(alert: &str, class: &str, window: &str) -> Value {
    json!({
        "alertname": alert, "severity": "warning", "job": "up", "model": "churn", "version": "v", "class": class, "window": window,
    })
}

/// One message per model; of each signal, and of accuracy, the shortest window; and of a service none of whose replicas answers only
/// that it is down. While one replica answers, the service's other alerts are sent.
#[test]
fn alerts_are_grouped_by_model_and_inhibited_by_those_that_explain_them() {
    let (address, messages) = webhook();
    let (folder, _) = composed(&[("webhook-url", &format!("http://{address}/"))]);
    let alertmanager = Alertmanager::start(&folder.path().join("alertmanager.yml"));
    let burn = |severity: &str| {
        json!({
            "alertname": "ModelErrorBudgetBurn", "severity": severity, "job": "burning", "endpoint": "/predict",
        })
    };
    let replica_down = |job: &str, instance: &str| json!({ "alertname": "ModelReplicaDown", "severity": "warning", "job": job, "instance": instance });
    alertmanager.fire(&[
        json!({ "alertname": "ModelServiceDown", "severity": "critical", "job": "down" }),
        replica_down("down", "a"),
        replica_down("down", "b"),
        drifting("down", "churn", "age", "25s"),
        replica_down("half", "a"),
        drifting("half", "churn", "age", "25s"),
        drifting("up", "churn", "age", "25s"),
        drifting("up", "churn", "age", "10m"),
        drifting("up", "churn", "age", "1d"),
        drifting("up", "churn", "income", "1h"),
        drifting("up", "churn", "income", "1d"),
        drifting("up", "fraud", "age", "1d"),
        wrong("ModelAccuracyDrop", "", "1h"),
        wrong("ModelAccuracyDrop", "", "1d"),
        wrong("ModelRecallDrop", "stays", "1h"),
        wrong("ModelRecallDrop", "stays", "1d"),
        wrong("ModelRecallDrop", "leaves", "1d"),
        burn("critical"),
        burn("warning"),
    ]);
    let mut received = BTreeMap::new();
    while received.len() < 6 {
        let message = messages
            .recv_timeout(Duration::from_secs(60))
            .unwrap_or_else(|error| panic!("{error}: {received:?}, {:?}", alertmanager.log.lock().unwrap()));
        let group = &message["groupLabels"];
        let group = format!("{} {}", group["job"].as_str().unwrap(), group["model"].as_str().unwrap_or("-"));
        let alerts: BTreeSet<String> = message["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|alert| {
                let labels = ["alertname", "instance", "signal", "class", "window"];
                let values = labels.iter().filter_map(|name| alert["labels"][name].as_str());
                values.collect::<Vec<_>>().join(" ")
            })
            .collect();
        let receiver = message["receiver"].as_str().unwrap().to_owned();
        assert!(received.insert((receiver, group), alerts).is_none(), "sent twice: {message}");
    }
    let group = |receiver: &str, name: &str, alerts: &[&str]| {
        let alerts: BTreeSet<String> = alerts.iter().map(|alert| (*alert).to_owned()).collect();
        ((receiver.to_owned(), name.to_owned()), alerts)
    };
    let expected = BTreeMap::from([
        group("on-call", "down -", &["ModelServiceDown"]),
        group("on-call", "burning -", &["ModelErrorBudgetBurn"]),
        group("team", "half -", &["ModelReplicaDown a"]),
        group("team", "half churn", &["ModelInputDrift age 25s"]),
        group(
            "team",
            "up churn",
            &[
                "ModelInputDrift age 25s",
                "ModelInputDrift income 1h",
                "ModelAccuracyDrop 1h",
                "ModelRecallDrop stays 1h",
                "ModelRecallDrop leaves 1d",
            ],
        ),
        group("team", "up fraud", &["ModelInputDrift age 1d"]),
    ]);
    assert_eq!(received, expected);
    assert_eq!(alertmanager.complaints(), [""; 0]);
}
