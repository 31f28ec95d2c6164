//! Three replicas of a service with one receipt key, and one Prometheus that runs the shipped rules: the fleet is judged as one.
//!
//! The longer of the two tests lasts about a minute and a half, because Prometheus has to see 30 s of traffic before it judges it, and
//! to scrape each change, once every 5 s.

use crate::{assert_came_to, service::Service, world::World};
use drift::{Judgement, Verdict, judge};
use driftsim::{DriftSpec, RowSource};
use inference::{LoadedModel, Settings, load_model};
use model::{ModelFile, TrainOptions, iris, train};
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt::Write,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{sync::Mutex, time::MissedTickBehavior};

/// The signal whose values decide which replica gets a row.
const SIGNAL: &str = "petal_length";

/// Time between two rows.
const PACE: Duration = Duration::from_millis(20);

/// How many of the first predictions get feedback.
const LABELLED: usize = 120;

/// What all replicas have in common.
struct Files {
    folder: TempDir,
    settings: Settings,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let settings = Settings {
            receipt_key_file: Some(write("key", "a key of the tests, more than thirty-two bytes long")),
            admin_token_file: Some(write("token", TOKEN)),
            model: Some(folder.path().join("model.json")),
            ..Settings::default()
        };
        let files = Self { folder, settings };
        files.put(&load_model(None).unwrap());
        files
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("model.json")
    }

    /// Replaces the model file at once, as a deployment does.
    fn put(&self, model: &ModelFile) {
        let new = self.folder.path().join("new.json");
        std::fs::write(&new, model.to_json().unwrap()).unwrap();
        std::fs::rename(new, self.model()).unwrap();
    }

    /// Starts a replica at this address.
    fn start(&self, listen: SocketAddr) -> Service {
        let settings = Settings { listen, ..self.settings.clone() };
        let model = LoadedModel::load(&settings).unwrap();
        Service::serving(settings, model)
    }
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Returns free addresses outside the range from which the system takes ports for others, so that a replica can restart at its address.
fn lasting_addresses() -> [SocketAddr; 3] {
    // Tests that run at the same time in other processes begin elsewhere.
    let start = 20_000 + (std::process::id() % 10_000) as u16;
    let addresses = (start..32_000).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let mut free = addresses.filter(|address| TcpListener::bind(address).is_ok());
    [(); 3].map(|()| free.next().expect("three free ports"))
}

/// Sends rows like the reference. As long as `skewed` is set, one replica gets those with short petals, one those with long petals, and
/// the third some of both; then they take turns. A replica that is out is replaced by the third. Pushes the first predictions to
/// `predicted`.
async fn send_rows(
    world: &World,
    fleet: &Mutex<[Option<Service>; 3]>,
    skewed: &Cell<bool>,
    predicted: &RefCell<Vec<Value>>,
) {
    let card = load_model(None).unwrap().card;
    let place = card.features.iter().position(|feature| feature.name == SIGNAL).unwrap();
    let rows = || RowSource::new(&card, &DriftSpec::steady(), 42).unwrap();
    let mut lengths: Vec<_> = rows().take(999).map(|row| row.values[place].unwrap()).collect();
    lengths.sort_by(f64::total_cmp);
    let median = lengths[lengths.len() / 2];
    let mut turns = tokio::time::interval(PACE);
    // Rows that are late on a busy machine must not all be sent together: one replica may be scraped before them, and another after them.
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for (at, row) in rows().enumerate() {
        turns.tick().await;
        // No replica is stopped before it has answered.
        let fleet = fleet.lock().await;
        let chosen = match (at % 3, row.values[place].unwrap() < median) {
            (0, _) => 2,
            (turn, _) if !skewed.get() => turn - 1,
            (_, true) => 0,
            (_, false) => 1,
        };
        let replica = fleet[chosen].as_ref().or(fleet[2].as_ref()).unwrap().address;
        let answer = world.post(replica, "/predict", &json!({ "features": row.values })).await;
        if predicted.borrow().len() < LABELLED {
            let label = &card.classes[row.class.unwrap()];
            let feedback = json!({ "prediction_id": answer["prediction_id"], "label": label });
            predicted.borrow_mut().push(feedback);
        }
    }
}

/// Returns the verdict of the crate on the rows of the short window at this time, of all replicas or of one. Prometheus counts
/// fractions of rows in bins that were empty when the window began; they are rounded.
async fn judged(world: &World, time: f64, replica: Option<SocketAddr>) -> Judgement {
    let of = replica.map(|address| format!(",instance=\"{address}\"")).unwrap_or_default();
    let series = format!("{{signal=\"{SIGNAL}\"{of}}}");
    let per_bin = async |query: String| -> BTreeMap<String, f64> {
        let samples = world.query(&query, Some(time)).await;
        samples.into_iter().map(|sample| (sample.labels["bin"].clone(), sample.value)).collect()
    };
    let counts = per_bin(format!("sum by (bin) (increase(signal_bin_total{series}[30s])) * 25 / 30")).await;
    let expected = per_bin(format!("max by (bin) (signal_bin_expected_ratio{series})")).await;
    assert!(counts.keys().eq(expected.keys()), "{counts:?} {expected:?}");
    let one = async |query: String| world.query(&query, Some(time)).await[0].value;
    let reference = one("max(signal_reference_rows)".to_owned()).await as u64;
    let critical = one(format!("max(signal_critical_chi2{series})")).await;
    let counts: Vec<u64> = counts.values().map(|count| count.round() as u64).collect();
    judge(&expected.into_values().collect::<Vec<_>>(), &counts, reference, critical).unwrap()
}

/// Checks that the rules judge the sum of the replicas, two of which drift when judged alone.
async fn expect_pooled_verdict(world: &World, addresses: &[SocketAddr; 3]) {
    let fleet = format!("{{signal=\"{SIGNAL}\",window=\"25s\"}}");
    let recorded = format!("model_signal_window:signal_bin:psi{fleet}");
    let time = world.values(&format!("timestamp({recorded})")).await[0];
    for (replica, expected) in addresses.iter().zip([Verdict::Drifting, Verdict::Drifting, Verdict::Steady]) {
        let alone = judged(world, time, Some(*replica)).await;
        assert_eq!(alone.verdict, expected, "{replica} alone: {alone:?}");
    }
    let pooled = judged(world, time, None).await;
    assert_eq!(pooled.verdict, Verdict::Steady, "{pooled:?}");
    let psi = world.query(&recorded, Some(time)).await[0].value;
    assert!((psi - pooled.psi.value).abs() < 0.005, "{psi}, not {pooled:?}");
    let drifting =
        world.query(&format!("model_signal_window:signal_bin:drifting{fleet}"), Some(time)).await[0].value;
    assert_eq!(drifting, 0.0);
}

/// Returns the signals that were drifting at an evaluation of the last ten minutes, each with the figures of one such evaluation.
async fn drifted(world: &World) -> Vec<String> {
    let name = "model_signal_window:signal_bin:";
    let mut found = Vec::new();
    for last in world.query(&format!("max_over_time(timestamp({name}drifting == 1)[10m:1s])"), None).await {
        let [version, signal, window] = ["version", "signal", "window"].map(|label| &last.labels[label]);
        let of = format!("version=\"{version}\",signal=\"{signal}\"");
        let judged = format!("{of},window=\"{window}\"");
        // The evaluation was some seconds before the last step at which its result is found.
        let evaluated = format!("timestamp({name}drifting{{{judged}}})");
        let at = world.query(&evaluated, Some(last.value)).await[0].value;
        let mut text = format!("{judged} at {at}:");
        for figure in ["psi", "psi_limit", "rows"] {
            for sample in world.query(&format!("{name}{figure}{{{judged}}}"), Some(at)).await {
                let _ = write!(text, " {figure} {:.3}", sample.value);
            }
        }
        // Whether the replicas were out of step.
        let rows = format!("sum by (instance) (increase(signal_bin_total{{{of}}}[30s])) * 25 / 30");
        for replica in world.query(&rows, Some(at)).await {
            let _ = write!(text, "; {}: {:.1} rows", replica.labels["instance"], replica.value);
        }
        found.push(text);
    }
    found
}

#[tokio::test]
async fn opposite_skews_a_restart_and_a_rolling_change_of_model_raise_no_alarm() {
    let files = Files::new();
    let addresses = lasting_addresses();
    let fleet = Mutex::new(addresses.map(|address| Some(files.start(address))));
    let world = World::scraping(&addresses);
    world.until("count(model_info)", |replicas| replicas == 3.0).await;
    let (skewed, predicted) = (Cell::new(true), RefCell::default());

    let story = async {
        // Each replica has had rows for longer than the range that the rules read.
        let rows = format!("sum by (instance) (signal_bin_total{{signal=\"{SIGNAL}\"}})");
        world.until(&format!("min(min_over_time(({rows})[35s:5s]))"), |rows| rows > 0.0).await;
        expect_pooled_verdict(&world, &addresses).await;

        let restarted = addresses[1];
        fleet.lock().await[1] = None;
        let pending = "count(ALERTS{alertname=\"ModelReplicaDown\",alertstate=\"pending\"})";
        world.until(pending, |replicas| replicas == 1.0).await;
        assert!(world.values("ALERTS{alertname=\"ModelServiceDown\"}").await.is_empty());
        fleet.lock().await[1] = Some(files.start(restarted));
        // Its counters began at 0 again, and it has had rows since.
        let counters = format!("signal_bin_total{{instance=\"{restarted}\",signal=\"{SIGNAL}\"}}");
        let since_reset = format!("sum({counters}) and on () sum(resets({counters}[1m])) > 0");
        world.until(&since_reset, |rows| rows > 50.0).await;

        // A version is judged by its own rows. If the first replica to have the new one got short petals only, these rows would drift.
        skewed.set(false);
        let old = load_model(None).unwrap().card.version;
        let new = train(&iris::table(), &TrainOptions { seed: 2, ..TrainOptions::new("iris") }).unwrap();
        files.put(&new);
        let new = new.card.version;
        assert_ne!(new, old);
        for (changed, address) in (1..).zip(addresses) {
            let request = world.client.post(format!("http://{address}/admin/reload"));
            let answer = request.header("Authorization", format!("Bearer {TOKEN}")).send().await.unwrap();
            let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
            assert_eq!(answer["outcome"], "changed", "{answer}");
            let replicas = format!("count(model_info{{version=\"{new}\"}})");
            world.until(&replicas, |replicas| replicas == f64::from(changed)).await;
        }
        let judged = format!("{{version=\"{new}\",signal=\"{SIGNAL}\",window=\"25s\"}}");
        world.until(&format!("model_signal_window:signal_bin:rows{judged}"), |rows| rows > 600.0).await;
        world
            .until(&format!("model_signal_window:signal_bin:drifting{judged}"), |drifting| drifting == 0.0)
            .await;
    };
    tokio::select! {
        () = send_rows(&world, &fleet, &skewed, &predicted) => unreachable!("the rows are endless"),
        () = story => {}
    }

    // The third replica never restarted, and predicted a third of these rows.
    let feedback = json!(*predicted.borrow());
    let answer = world.post(addresses[2], "/feedback", &feedback).await;
    assert_eq!(answer, json!({ "accepted": LABELLED, "rejected": [] }));
    let (status, again) = world.answer(addresses[2], "/feedback", &feedback).await;
    assert_eq!((status, &again["error"]["code"]), (422, &json!("repeated_prediction_id")), "{again}");
    world.until("sum(feedback_total)", |rows| rows == LABELLED as f64).await;

    // Not even for one evaluation, which an alert would ignore.
    let drifted = drifted(&world).await;
    assert!(drifted.is_empty(), "{}", drifted.join("\n"));
    // Alerts on the monitoring itself are about the machine.
    let fired = world
        .query("max_over_time(ALERTS{alertstate=\"firing\",alertname!~\"ModelMonitor.+\"}[10m])", None)
        .await;
    let fired: Vec<_> = fired.iter().map(|sample| &sample.labels).collect();
    assert!(fired.is_empty(), "{fired:?}");
}

const SHARDED: &str = "
name: sharded
seed: 3
payloads:
  flowers: { source: { model: {} }, feedback: { after: 50ms } }
  garbage: { weight: 0, source: { malformed: {} }, expect: { status: [400, 413, 415, 422] } }
phases:
  - { name: calm, executor: constant-arrival-rate, rate: 60, duration: 9s, arrival: poisson }
  - { name: storm, executor: constant-arrival-rate, rate: 30, duration: 5s, mix: { flowers: 50, garbage: 50 } }
";

fn loadgen(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.current_dir(folder).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn reports_of_shards_add_up_to_what_the_replicas_and_prometheus_counted() {
    let files = Files::new();
    let fleet = [(); 3].map(|()| files.start(SocketAddr::from(([127, 0, 0, 1], 0))));
    let world = World::scraping(&fleet.each_ref().map(|replica| replica.address));
    let folder = files.folder.path();
    std::fs::write(folder.join("scenario.yaml"), SHARDED).unwrap();
    let parts: Vec<_> = (1..)
        .zip(&fleet)
        .map(|(number, replica)| {
            let (shard, json) = (format!("{number}/3"), format!("{number}.json"));
            let target = format!("http://{}", replica.address);
            let run = [
                "run",
                "--scenario",
                "scenario.yaml",
                "--target",
                &target,
                "--shard",
                &shard,
                "--json",
                &json,
            ];
            loadgen(folder, &run).spawn().unwrap()
        })
        .collect();
    for part in parts {
        let output = part.wait_with_output().unwrap();
        let words =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_came_to(0, output.status.code().unwrap(), &words);
    }
    // On a busy machine, the parts may start seconds apart, which is too much for such short parts.
    let report =
        |name: &str| -> Value { serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap() };
    for name in ["2.json", "3.json"] {
        let mut part = report(name);
        part["started_at"] = report("1.json")["started_at"].clone();
        std::fs::write(folder.join(name), part.to_string()).unwrap();
    }
    let merged =
        loadgen(folder, &["merge", "1.json", "2.json", "3.json", "--json", "whole.json"]).output().unwrap();
    let words = String::from_utf8_lossy(&merged.stdout);
    assert_came_to(0, merged.status.code().unwrap(), &words);
    let whole = report("whole.json");

    let count = |path: &str| {
        whole.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path}: {whole}"))
    };
    let counted = |metric: &str, fits: &dyn Fn(&str) -> bool| -> u64 {
        fleet.iter().map(|replica| replica.counted_where(metric, fits)).sum::<f64>() as u64
    };
    let answered = |labels: &str| labels.contains("endpoint=\"/predict\"");
    let sent = counted("inference_requests_total", &answered);
    assert!(sent > 500, "{sent}");
    assert_eq!((count("/totals/offered"), count("/totals/completed")), (sent, sent), "{words}");
    let succeeded =
        counted("inference_requests_total", &|labels| answered(labels) && labels.contains("status=\"200\""));
    let statuses = |phase: usize| {
        whole.pointer(&format!("/phases/{phase}/statuses/200")).and_then(Value::as_u64).unwrap()
    };
    assert_eq!(statuses(0) + statuses(1), succeeded, "{words}");
    let labelled = counted("feedback_total", &|_| true);
    assert_eq!((count("/feedback/due"), count("/feedback/accepted")), (succeeded, labelled), "{words}");
    assert_eq!(labelled, succeeded);
    for replica in &fleet {
        assert!(replica.counted_where("inference_requests_total", answered) > 0.2 * sent as f64);
    }
    // Prometheus pools the same rows.
    world
        .until("sum(inference_requests_total{endpoint=\"/predict\"})", |requests| requests == sent as f64)
        .await;
    world.until("sum(feedback_total)", |rows| rows == labelled as f64).await;
}
