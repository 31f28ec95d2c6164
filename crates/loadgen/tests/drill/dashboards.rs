//! The dashboards without a Grafana: one drill of every failure mode on a real Prometheus with the shipped rules. Every query
//! of every panel has to find data, or its panel has to state why there is none; and in each failure mode the figures of the
//! panels that the README names have to move.
//!
//! It lasts two to three minutes, because the rules add up feedback once a minute.

use crate::{flats, prometheus::Prometheus, service::Service, watcher::Watched};
use inference::Settings;
use loadgen::connect::{Tls, client};
use reqwest::Client;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command},
    time::{Duration, SystemTime},
};

const DEADLINE: Duration = Duration::from_secs(240);

/// Seconds from one step of a range to the next.
const STEP: f64 = 5.0;

/// How long after its phase a failure mode may take to show: the drift window of 25 s, or the minute of the vital signs.
const LATE: f64 = 60.0;

/// From when on the phase `calm` has to be quiet: a share of the few rows of its first seconds can be anything by chance.
const SETTLED: f64 = 10.0;

/// Every failure mode, briefly. The feedback is wrong from the start, because it takes longest to show.
const EVERYTHING: &str = "
name: everything
seed: 7
payloads:
  usual: { weight: 100, source: { model: {} } }
  mislabelled: { weight: 0, source: { drift: { preset: concept_drift, share: 0.5 } }, feedback: { after: 100ms } }
  slow: { weight: 0, source: { model: {} }, headers: { x-envoy-fault-delay-request: 400 } }
  drifted: { weight: 0, source: { drift: { preset: giant } } }
  garbage: { weight: 0, source: { malformed: {} }, expect: { status: [400, 413, 415, 422] } }
  broken: { weight: 0, source: { model: {} }, headers: { x-envoy-fault-abort-request: 503 }, expect: { status: [503] } }
phases:
  - { name: calm, executor: constant-arrival-rate, rate: 30, duration: 20s, mix: { mislabelled: 100 } }
  - { name: slow, executor: constant-arrival-rate, rate: 30, duration: 15s, mix: { slow: 100 } }
  - { name: drifted, executor: constant-arrival-rate, rate: 60, duration: 20s, mix: { usual: 20, drifted: 80 } }
  - { name: storm, executor: constant-arrival-rate, rate: 30, duration: 15s, mix: { usual: 30, garbage: 40, broken: 30 } }
  - { name: busy, executor: constant-arrival-rate, rate: 200, duration: 10s }
";

/// Predictions of numbers through a watcher, which does not observe the bodies of the second phase, because they are too large for it.
const NUMBERS: &str = "
name: numbers
payloads:
  usual: { source: { model: {} }, feedback: { after: 100ms } }
  long: { weight: 0, source: { fixed: { body: '{ \"features\": [80, 3, \"Bonn\"]PADDING }', content_type: application/json } } }
phases:
  - { name: numbers, executor: constant-arrival-rate, rate: 20, duration: 20s }
  - { name: long, executor: constant-arrival-rate, rate: 20, duration: 10s, mix: { long: 100 } }
";

/// The largest body that the watcher observes.
const OBSERVED_SIZE: usize = 4096;

/// The name of the model that predicts numbers.
const NUMBERS_MODEL: &str = "flats";

/// A failure mode that was caused in `phase` moves a panel: among the series of the query with this legend that have the label,
/// one reaches the limit, which none did in the settled phase `calm`.
struct Move {
    model: &'static str,
    phase: &'static str,
    panel: (&'static str, &'static str),
    legend: &'static str,
    label: Option<(&'static str, &'static str)>,
    reaches: Limit,
    /// Whether the figure is quiet in the phase `calm`.
    quiet_before: bool,
}

enum Limit {
    Above(f64),
    Below(f64),
}

impl Limit {
    fn holds(&self, value: f64) -> bool {
        match self {
            Self::Above(limit) => value > *limit,
            Self::Below(limit) => value < *limit,
        }
    }
}

const fn moves(
    phase: &'static str,
    panel: (&'static str, &'static str),
    legend: &'static str,
    label: Option<(&'static str, &'static str)>,
    reaches: Limit,
) -> Move {
    Move { model: "iris", phase, panel, legend, label, reaches, quiet_before: true }
}

const fn from_the_start(panel: (&'static str, &'static str), legend: &'static str, reaches: Limit) -> Move {
    Move { model: "iris", phase: "calm", panel, legend, label: None, reaches, quiet_before: false }
}

/// The watcher's requests come from another scenario, so their phase is not in the annotations.
const fn watched(
    title: &'static str,
    legend: &'static str,
    label: Option<(&'static str, &'static str)>,
    reaches: Limit,
) -> Move {
    Move { model: NUMBERS_MODEL, label, ..from_the_start((MODEL, title), legend, reaches) }
}

const FLEET: &str = "Model fleet";
const MODEL: &str = "Model health";
const SIGNAL: &str = "Model signal";

use Limit::{Above, Below};

const MOVES: [Move; 35] = [
    moves("busy", (MODEL, "Request throughput"), "{{status}}", Some(("status", "200")), Above(80.0)),
    moves("busy", (FLEET, "Requests"), "requests", None, Above(50.0)),
    moves("slow", (MODEL, "Latency"), "p95", None, Above(0.25)),
    moves("slow", (FLEET, "Models"), "p95", None, Above(0.25)),
    moves("storm", (MODEL, "Error rate"), "4xx", None, Above(0.03)),
    moves("storm", (MODEL, "Error rate"), "5xx", None, Above(0.03)),
    moves("storm", (MODEL, "Request throughput"), "{{status}}", Some(("status", "503")), Above(1.0)),
    moves("storm", (FLEET, "Models"), "4xx", None, Above(0.03)),
    moves("storm", (FLEET, "Models"), "5xx", None, Above(0.03)),
    moves("drifted", (MODEL, "Prediction distribution"), "{{class}}", None, Above(0.55)),
    moves("drifted", (MODEL, "Verdict"), "{{signal}}", Some(("signal", "petal_length")), Above(0.5)),
    moves(
        "drifted",
        (MODEL, "PSI against its limit"),
        "{{signal}}",
        Some(("signal", "petal_length")),
        Above(1.0),
    ),
    moves(
        "drifted",
        (MODEL, "Observed and expected: $worst"),
        "observed",
        Some(("bin", "above")),
        Above(0.2),
    ),
    moves(
        "drifted",
        (MODEL, "Alerts firing"),
        "{{alertname}}",
        Some(("alertname", "ModelInputDrift")),
        Above(0.5),
    ),
    moves("drifted", (SIGNAL, "Verdict in each window"), "{{window}}", Some(("window", "25s")), Above(0.5)),
    moves("drifted", (SIGNAL, "Alerts on this signal"), "{{alertname}}", Some(("window", "25s")), Above(0.5)),
    moves("drifted", (SIGNAL, "PSI in each window"), "{{window}}", Some(("window", "25s")), Above(1.0)),
    moves("drifted", (SIGNAL, "Bins over time"), "{{bin}}", Some(("bin", "above")), Above(0.2)),
    moves("drifted", (SIGNAL, "Contributions over time"), "{{bin}}", Some(("bin", "above")), Above(0.5)),
    moves("drifted", (SIGNAL, "Contribution per bin"), "{{bin}}", Some(("bin", "above")), Above(0.5)),
    moves("drifted", (SIGNAL, "JS and KS distance"), "JS", None, Above(0.3)),
    moves("drifted", (SIGNAL, "JS and KS distance"), "KS", None, Above(0.3)),
    moves("drifted", (SIGNAL, "Windows"), "verdict", Some(("window", "25s")), Above(0.5)),
    moves(
        "drifted",
        (FLEET, "Models with signals that drift"),
        "{{window}}",
        Some(("window", "25s")),
        Above(0.5),
    ),
    moves("drifted", (FLEET, "Models"), "drifting", None, Above(0.5)),
    moves("drifted", (FLEET, "Models"), "verdict", None, Above(1.5)),
    from_the_start((MODEL, "Accuracy against estimate"), "realised", Below(0.8)),
    from_the_start((MODEL, "Gap and drop against their limits"), "gap", Above(0.2)),
    from_the_start((MODEL, "Drop of recall against its limit"), "drop", Above(0.1)),
    from_the_start((MODEL, "Feedback refused"), "{{reason}}", Above(0.01)),
    from_the_start((FLEET, "Models"), "accuracy", Below(0.8)),
    watched("Requests observed", "{{outcome}}", Some(("outcome", "observed")), Above(10.0)),
    watched("Requests observed", "{{outcome}}", Some(("outcome", "too_large")), Above(5.0)),
    watched("Share not observed", "not observed", None, Below(0.01)),
    watched("Share not observed", "not observed", None, Above(0.1)),
];

/// Queries that rightly find nothing, by dashboard, panel and legend: the drill has no such alert, bin or rows.
const EMPTY: [(&str, &str, &str); 2] =
    [(SIGNAL, "Bins over time", "other"), (SIGNAL, "Contributions over time", "other")];

struct World {
    client: Client,
    prometheus: Prometheus,
    /// When the drill began, in Unix time.
    start: f64,
    dashboards: Vec<Value>,
}

/// A series of the answer to a query over the whole drill.
struct Series {
    labels: BTreeMap<String, String>,
    values: Vec<(f64, f64)>,
}

impl World {
    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let mut body = String::new();
        for (name, value) in parameters {
            write!(body, "{name}=").unwrap();
            value.bytes().for_each(|byte| write!(body, "%{byte:02x}").unwrap());
            body.push('&');
        }
        let request = self.client.post(format!("{}{path}", self.prometheus.url()));
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        let answer = request.body(body).send().await.unwrap().bytes().await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["status"], "success", "{parameters:?}: {answer}");
        answer["data"]["result"].clone()
    }

    /// What a query gave every 5 s since the drill began.
    async fn range(&self, query: &str) -> Vec<Series> {
        // The last step is now, so that a figure that was recorded just now is in the range.
        let end = now();
        let steps = ((end - self.start) / STEP).ceil();
        let (start, end, step) = ((end - steps * STEP).to_string(), end.to_string(), STEP.to_string());
        let parameters = [("query", query), ("start", &start), ("end", &end), ("step", &step)];
        let result = self.ask("/api/v1/query_range", &parameters).await;
        let series = |series: &Value| Series {
            labels: serde_json::from_value(series["metric"].clone()).unwrap(),
            values: serde_json::from_value::<Vec<(f64, String)>>(series["values"].clone())
                .unwrap()
                .into_iter()
                .map(|(time, value)| (time, value.parse().unwrap()))
                .collect(),
        };
        result.as_array().unwrap().iter().map(series).collect()
    }

    async fn until(&self, query: &str) {
        // Asked as often as there can be news, so as not to take the processor from the drills beside this one.
        let mut turns = tokio::time::interval(Duration::from_secs(1));
        let asking = async {
            loop {
                turns.tick().await;
                if self.ask("/api/v1/query", &[("query", query)]).await != json!([]) {
                    return;
                }
            }
        };
        tokio::time::timeout(DEADLINE, asking).await.unwrap_or_else(|_| panic!("never: {query}"));
    }

    /// The times at which a phase ran, as the annotation of the dashboards finds them.
    async fn phase(&self, name: &str) -> (f64, f64) {
        let annotation = self.dashboards[0]["annotations"]["list"][1]["expr"].as_str().unwrap();
        let series = self.range(annotation).await;
        let phase = series.iter().find(|series| series.labels["phase"] == name);
        let times = &phase.unwrap_or_else(|| panic!("no phase {name}")).values;
        (times[0].0, times[times.len() - 1].0)
    }

    fn dashboard(&self, title: &str) -> &Value {
        self.dashboards.iter().find(|dashboard| dashboard["title"] == title).unwrap()
    }

    /// The queries of a panel whose legend begins so, for this model.
    fn queries(&self, (dashboard, title): (&str, &str), legend: &str, model: &str) -> Vec<String> {
        let panels = panels(self.dashboard(dashboard));
        let panel = panels.iter().find(|panel| panel["title"] == title);
        let panel = panel.unwrap_or_else(|| panic!("{dashboard}: no panel {title}"));
        let targets = panel["targets"].as_array().unwrap().iter();
        let found: Vec<_> = targets
            .filter(|target| target["legendFormat"].as_str().unwrap().starts_with(legend))
            .map(|target| filled(target["expr"].as_str().unwrap(), dashboard, model))
            .collect();
        assert!(!found.is_empty(), "{dashboard}, {title}: no query {legend}");
        found
    }

    async fn check(&self, moved: &Move) -> Result<(), String> {
        let (calm, phase) = (self.phase("calm").await, self.phase(moved.phase).await);
        let mut values = Vec::new();
        for query in self.queries(moved.panel, moved.legend, moved.model) {
            for series in self.range(&query).await {
                let fits =
                    |(name, value): (&str, &str)| series.labels.get(name).is_some_and(|found| found == value);
                if moved.label.is_none_or(fits) {
                    values.extend(series.values);
                }
            }
        }
        let holds_in = |start: f64, end: f64| {
            values.iter().any(|(time, value)| (start..=end).contains(time) && moved.reaches.holds(*value))
        };
        let what = format!("{:?}, {} in {}", moved.panel, moved.legend, moved.phase);
        if moved.quiet_before && holds_in(calm.0 + SETTLED, calm.1) {
            return Err(format!("{what}: not quiet before"));
        }
        let end = if moved.quiet_before { phase.1 + LATE } else { f64::INFINITY };
        if holds_in(phase.0, end) { Ok(()) } else { Err(format!("{what}: does not move: {values:?}")) }
    }

    /// Queries of panels and variables that find nothing, for this model.
    async fn empty(&self, model: &str) -> BTreeSet<(String, String, String)> {
        let mut empty = BTreeSet::new();
        for dashboard in &self.dashboards {
            let title = dashboard["title"].as_str().unwrap();
            for panel in panels(dashboard) {
                for target in panel["targets"].as_array().unwrap() {
                    if self.range(&filled(target["expr"].as_str().unwrap(), title, model)).await.is_empty() {
                        let texts =
                            [&panel["title"], &target["legendFormat"]].map(|text| text.as_str().unwrap());
                        // The query of a group of bins is known by the group.
                        let expr = target["expr"].as_str().unwrap();
                        let group = ["below", "above", "other", "missing"]
                            .into_iter()
                            .find(|group| expr.contains(&format!("bin=\"{group}\"")));
                        let legend = group.unwrap_or(texts[1].split(" {{$by").next().unwrap());
                        empty.insert((title.to_owned(), texts[0].to_owned(), legend.to_owned()));
                    }
                }
            }
        }
        empty
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

fn dashboards() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../grafana/dashboards");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect();
    files.sort();
    files.iter().map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect()
}

/// The panels, those of collapsed rows included.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let outer = dashboard["panels"].as_array().unwrap().iter();
    let panels = outer
        .flat_map(|panel| std::iter::once(panel).chain(panel["panels"].as_array().into_iter().flatten()));
    panels.filter(|panel| panel["type"] != "row").collect()
}

/// A query as Grafana sends it, with the variables as they are when a dashboard is opened.
fn filled(query: &str, dashboard: &str, model: &str) -> String {
    let signal = match (dashboard, model) {
        (SIGNAL, "iris") => "petal_length",
        (SIGNAL, _) => "prediction",
        _ => ".+",
    };
    let worst = if model == "iris" { "petal_length" } else { "prediction" };
    // A name that begins like another one comes first.
    let variables = [
        ("$__rate_interval", "20s"),
        ("$__range", "300s"),
        ("$by_version", "none"),
        ("$by_job", "none"),
        ("$cluster", ".*"),
        ("$models", ".+"),
        ("$model", model),
        ("$job", ".+"),
        ("$instance", ".+"),
        ("$version", ".+"),
        ("$signal", signal),
        ("$worst", worst),
        ("$feedback_window", "1h"),
        ("$window", "25s"),
    ];
    let query = variables.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value));
    // `$1` is a part of a label that a regular expression found.
    assert!(!query.replace("$1", "").contains('$'), "an unknown variable in {query}");
    query
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn play(scenario: &str, target: SocketAddr, flags: &[String]) -> (Child, tempfile::NamedTempFile) {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(file.path(), scenario).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(["run", "--scenario"]).arg(file.path());
    command.args(["--target", &format!("http://{target}")]).args(flags);
    (command.spawn().unwrap(), file)
}

/// `grafana/dashboard.schema.json` is generated from the types that Grafana publishes; `just dashboard-schema` writes it.
#[test]
fn dashboards_have_the_shape_that_grafana_publishes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../grafana/dashboard.schema.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let [whole, series, table] =
        ["dashboard", "timeseries", "table"].map(|part| jsonschema::validator_for(&schema[part]).unwrap());
    for dashboard in dashboards() {
        let title = &dashboard["title"];
        let panels = panels(&dashboard);
        // The panels are checked one by one, so that a failure names the panel. The schema has many alternatives for a panel, and
        // the error about the whole dashboard does not state which of them a faulty panel should match.
        for panel in &panels {
            let mut alone = dashboard.clone();
            alone["panels"] = json!([panel]);
            assert!(whole.is_valid(&alone), "{title}, {}: not of the published shape", panel["title"]);
            for entry in panel["fieldConfig"]["overrides"].as_array().unwrap() {
                let properties = entry["properties"].as_array().unwrap().iter();
                let custom: serde_json::Map<String, Value> = properties
                    .filter_map(|property| {
                        let name = property["id"].as_str()?.strip_prefix("custom.")?;
                        Some((name.to_owned(), property["value"].clone()))
                    })
                    .collect();
                let fields = if panel["type"] == "table" { &table } else { &series };
                assert!(fields.is_valid(&Value::Object(custom)), "{title}, {}: {entry}", panel["title"]);
            }
        }
        assert!(whole.is_valid(&dashboard), "{title}: not of the published shape");
        let mut misspelt = dashboard.clone();
        misspelt["panels"][1]["fieldConfig"]["defaults"]["unti"] = json!("s");
        assert!(!whole.is_valid(&misspelt), "unknown fields are not noticed");
    }
}

#[tokio::test]
async fn every_panel_has_data_or_a_reason_and_moves_in_its_failure_mode() {
    let service = Service::start();
    // The server of the numbers and its watcher have one key, because the answers have prediction ids of the server.
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let key = file("key", "a key of the tests, more than thirty-two bytes long".to_owned());
    let (profile, model) = flats::regression();
    assert_eq!(model.card.name, NUMBERS_MODEL);
    let settings = Settings { receipt_key_file: Some((&key).into()), ..Settings::default() };
    let numbers = Service::serving(settings, model);
    let profile = file("profile.json", profile.to_json().unwrap());
    let limit = OBSERVED_SIZE.to_string();
    let flags = ["--profile", &profile, "--receipt-key-file", &key, "--body-limit", &limit];
    let watched = Watched::start(numbers.address, &flags);
    let generator = free_address();
    let world = World {
        client: client(&Tls::new(None, false).unwrap()).unwrap(),
        prometheus: Prometheus::scraping(&[service.address, watched.own], Some(generator)),
        start: now(),
        dashboards: dashboards(),
    };
    world.until("count(model_info) == 2").await;

    let metrics = ["--metrics-listen".to_owned(), generator.to_string()];
    let (mut everything, _scenario) = play(EVERYTHING, service.address, &metrics);
    let own = format!("http://{}", watched.own);
    let table = file("table.csv", flats::table(2, 1000));
    let flags = ["--table", &table, "--metrics", &own, "--feedback", &own].map(str::to_owned);
    let scenario = NUMBERS.replace("PADDING", &" ".repeat(OBSERVED_SIZE));
    let (mut numbers_run, _other) = play(&scenario, watched.address, &flags);
    // Forged: refused, and counted.
    let forged = json!({ "prediction_id": "00", "label": "setosa" }).to_string();
    let feedback = world.client.post(format!("http://{}/feedback", service.address));
    let feedback = feedback.header("Content-Type", "application/json").body(forged);
    feedback.send().await.unwrap();
    for child in [&mut everything, &mut numbers_run] {
        child.wait().unwrap();
    }
    // The rules count the rows of each minute once a minute, and then compute the quality from the counts, also once a minute.
    world.until("model_window:feedback:accuracy_gap{window=\"1h\"}").await;
    world.until("model_window:feedback:error_rise_limit{window=\"1h\"}").await;

    // Panels about classes are empty for models that predict numbers, and panels about numbers for classifiers. Both must
    // show a text instead, which explains why.
    let (of_classes, of_numbers) = (world.empty("iris").await, world.empty(NUMBERS_MODEL).await);
    let mut empty: BTreeSet<_> = of_classes.intersection(&of_numbers).cloned().collect();
    // At each moment one of the two: the drill makes the estimate invalid.
    let estimates = ["estimated, all rows", "not valid: all rows"];
    let missing = estimates.iter().filter(|legend| empty.iter().any(|(.., found)| found == *legend)).count();
    assert!(missing < 2, "neither a valid nor an invalid estimate of accuracy");
    empty.retain(|(.., legend)| !estimates.contains(&legend.as_str()));
    let expected = EMPTY.map(|(dashboard, panel, legend)| (dashboard.into(), panel.into(), legend.into()));
    assert_eq!(empty, BTreeSet::from(expected), "queries without data, and why they may have none");
    for dashboard in &world.dashboards {
        for panel in panels(dashboard) {
            let title = panel["title"].as_str().unwrap();
            let can_be_empty = of_classes.union(&of_numbers).any(|(_, found, _)| found == title);
            let reason = panel["fieldConfig"]["defaults"]["noValue"].as_str();
            assert!(!can_be_empty || reason.is_some_and(|text| text.ends_with('.')), "{title}: no noValue");
        }
    }

    let mut missed = Vec::new();
    for moved in &MOVES {
        missed.extend(world.check(moved).await.err());
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));

    // No replica of the job answers: its models stay in the list, as critical.
    drop((service, watched, numbers));
    let [verdict] = &world.queries((FLEET, "Models"), "verdict", "iris")[..] else {
        panic!("one verdict per model")
    };
    world.until(&format!("({verdict}) == 4")).await;
}
