//! Runs against model servers that are not this project's: they have no model card, and ask and answer in their own protocols.

use crate::{
    flats,
    support::{Exchange, Loadgen, ModelServer, Run, Stub, StubOptions},
};
use model::{
    CsvOptions, Output, ProfileInput, ServerForm, ServerInput, ServerModel, ServerProbabilities,
    ServerProtocol, Truth,
};
use serde_json::{Value, json};

/// A scenario with so few requests that a run is never invalid because of late ones.
fn scenario(payload: &str, expect: &str) -> String {
    format!(
        "name: x\ntimeout: 60s\npayloads: {{ rows: {{ {payload} }} }}\n\
         phases: [ {{ name: a, executor: constant-arrival-rate, rate: 125, duration: 200ms }} ]\n\
         thresholds: {{ unexpected_rate: [\"count==0\"] }}\nexpect: {{ {expect} }}\n"
    )
}

/// Writes the profile of the built-in Iris model.
fn iris_profile(loadgen: &Loadgen) {
    let file = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap();
    loadgen.write("iris.json", &file.to_json().unwrap());
}

const PROFILE: [&str; 2] = ["--profile", "iris.json"];

/// Runs a payload against a server that answers each request with `answer`.
fn run(payload: &str, answer: &str) -> (Run, Vec<Exchange>) {
    let loadgen = Loadgen::new();
    iris_profile(&loadgen);
    let server = ModelServer::start(200, "", answer);
    let run = loadgen.run(&scenario(payload, ""), &server.url, &PROFILE);
    (run, server.exchanges())
}

/// The payload for each protocol, the path of its requests, and an answer to one row.
const PROTOCOLS: [(&str, &str, &str); 5] = [
    ("source: { model: {} }", "/predict", r#"{"prediction":[0]}"#),
    (
        "source: { model: {} }, protocol: oip-v2, model: iris",
        "/v2/models/iris/infer",
        r#"{"model_name":"iris","outputs":[{"name":"predict","shape":[1,1],"datatype":"INT64","data":[0]}]}"#,
    ),
    (
        "source: { drift: { preset: giant } }, protocol: oip-v2, path: /infer, tensors: { matrix: x }",
        "/infer",
        r#"{"outputs":[{"name":"predict","shape":[1],"data":[0]}]}"#,
    ),
    ("source: { model: {} }, protocol: v1, model: iris", "/v1/models/iris:predict", r#"{"predictions":[0]}"#),
    ("source: { model: {} }, protocol: mlflow", "/invocations", r#"{"predictions":[{"label":"setosa"}]}"#),
];

#[test]
fn rows_are_sent_in_the_shape_of_each_protocol() {
    for (payload, path, answer) in PROTOCOLS {
        let (run, exchanges) = run(payload, answer);
        run.expect_code(0);
        assert_eq!(run.total("completed"), 25, "{payload}");
        // Apart from readings of /metrics, only the payload's path is requested, so no model card is asked for.
        assert!(exchanges.iter().all(|one| [path, "/metrics"].contains(&one.path.as_str())), "{exchanges:?}");
        let bodies: Vec<&Exchange> = exchanges.iter().filter(|one| one.path == path).collect();
        assert_eq!(bodies.len(), 25);
        for one in bodies {
            let body: Value = serde_json::from_str(&one.body).unwrap();
            let values = match path {
                "/predict" => &body["features"],
                "/v2/models/iris/infer" => {
                    let names: Vec<&Value> =
                        body["inputs"].as_array().unwrap().iter().map(|input| &input["name"]).collect();
                    assert_eq!(names, ["sepal_length", "sepal_width", "petal_length", "petal_width"]);
                    assert_eq!(body["inputs"][0]["shape"], json!([1, 1]));
                    &body["inputs"]
                }
                "/infer" => &body["inputs"][0]["data"],
                "/v1/models/iris:predict" => &body["instances"][0],
                _ => &body["dataframe_split"]["data"][0],
            };
            assert_eq!(values.as_array().unwrap().len(), 4, "{body}");
            assert!(path != "/infer" || values[0].as_f64().unwrap() > 7.9, "the rows do not drift: {body}");
        }
    }
}

#[test]
fn a_200_that_is_not_an_answer_of_the_protocol_is_not_completed() {
    const LOGIN: &str = "<!doctype html><title>Sign in</title><form action=/login>";
    for (payload, path, answer) in PROTOCOLS {
        let truncated = &answer[..answer.len() - 1];
        for bad in ["", LOGIN, r#"{"error":"model not loaded"}"#, truncated] {
            let (run, _) = run(payload, bad);
            run.expect_code(99);
            assert!(run.adds_up(), "{}", run.report);
            assert_eq!((run.total("completed"), run.total("failed")), (0, 25), "{path}: {bad}");
            assert_eq!(run.report["phases"][0]["failures"]["bad_answer"], 25, "{path}: {bad}");
            assert_eq!(run.verdict("thresholds", "unexpected_rate"), "failed");
        }
    }
}

#[test]
fn no_model_is_needed_if_all_bodies_are_fixed() {
    let loadgen = Loadgen::new();
    let server = ModelServer::start(200, "", r#"{"predictions":[0]}"#);
    let fixed = "protocol: v1, model: iris, source: { fixed: { body: '{\"instances\":[[1,2,3,4]]}' } }";
    let run = loadgen.run(&scenario(fixed, ""), &server.url, &[]);
    run.expect_code(0);
    assert_eq!(run.report["model"], "none");
    assert_eq!(run.report["metrics"], Value::Null, "it is below the target");
    assert!(server.exchanges().iter().all(|one| one.path != "/model"));
    // A role does need one.
    let role = "signals: [ { signal: most_important_feature, phase: a, stays: steady } ]";
    let run = loadgen.run(&scenario(fixed, role), &server.url, &[]);
    run.expect_code(104);
    for words in ["most_important_feature in an expectation needs the model, but", "--profile"] {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
}

#[test]
fn metrics_and_feedback_may_be_on_another_server() {
    let loadgen = Loadgen::new();
    let (watcher, prediction) = (Stub::start(StubOptions::default()), r#"{"predictions":[0]}"#);
    let server = ModelServer::start(200, "x-prediction-id: receipt-7\r\n", prediction);
    let sink = ModelServer::start(202, "", "");
    iris_profile(&loadgen);
    let payload =
        "source: { model: {} }, protocol: v1, model: iris, feedback: {}, headers: { authorization: own }";
    let feedback = format!("{}/sink/feedback", sink.url);
    let more = [&PROFILE[..], &["--metrics", &watcher.url, "--feedback", &feedback]].concat();
    let run = loadgen.run(&scenario(payload, ""), &server.url, &more);
    run.expect_code(0);
    assert_eq!(run.report["feedback"]["accepted"], 25, "{}", run.report);
    let sent = sink.exchanges();
    assert!(sent.iter().all(|one| one.path == "/sink/feedback" && one.method == "POST"), "{sent:?}");
    assert!(sent.iter().all(|one| one.body.contains(r#""prediction_id":"receipt-7""#)), "{sent:?}");
    // The payload's own credentials are for the target only.
    assert!(sent.iter().all(|one| !one.head.contains("authorization")), "{sent:?}");
    assert!(server.exchanges().iter().all(|one| one.path != "/metrics" && one.path != "/feedback"));
    assert!(watcher.requests().iter().any(|request| request.path == "/metrics"));
    assert_eq!(run.report["phases"][0]["monitoring"]["failed_readings"], 0, "{}", run.report);
    // The report names the page, with the path that was added.
    let page = format!("{}/metrics", watcher.url);
    assert_eq!(run.report["metrics"], page, "{}", run.report);
    assert!(run.stdout.contains(&format!("What the metrics of {page} showed")), "{}", run.stdout);
}

#[test]
fn each_server_has_its_own_token() {
    let loadgen = Loadgen::new();
    let servers = [200, 200, 202]
        .map(|status| ModelServer::start(status, "x-prediction-id: a\r\n", r#"{"prediction":0}"#));
    let [target, metrics, feedback] = &servers;
    iris_profile(&loadgen);
    let more = [&PROFILE[..], &["--metrics", &metrics.url, "--feedback", &feedback.url]].concat();
    let tokens = [
        ("LOADGEN_BEARER_TOKEN", "of-target"),
        ("LOADGEN_METRICS_BEARER_TOKEN", "of-metrics"),
        ("LOADGEN_FEEDBACK_BEARER_TOKEN", "of-feedback"),
    ];
    let payload = scenario("source: { model: {} }, feedback: {}", "");
    loadgen.run_with(&payload, &target.url, &more, &tokens).expect_code(0);
    for (server, (_, token)) in servers.iter().zip(tokens) {
        let exchanges = server.exchanges();
        let wanted = format!("authorization: bearer {token}");
        assert!(!exchanges.is_empty() && exchanges.iter().all(|one| one.head.contains(&wanted)), "{token}");
    }
    assert_eq!(feedback.exchanges()[0].path, "/feedback");
}

#[test]
fn a_target_without_a_model_card_needs_a_profile() {
    let server = ModelServer::start(404, "", r#"{"detail":"Not Found"}"#);
    let run = Loadgen::new().run(&scenario("source: { model: {} }", ""), &server.url, &[]);
    run.expect_code(104);
    for words in ["the source of payload rows needs the model, but", "/model: answered 404", "in --profile"] {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    let page = ModelServer::start(200, "", "<html>");
    let run = Loadgen::new().run(&scenario("source: { model: {} }", ""), &page.url, &[]);
    run.expect_code(104);
    assert!(run.stderr.contains("the answer is not a model card") && run.stderr.contains("--profile"));
}

#[test]
fn a_profile_that_does_not_fit_is_reported_before_the_run() {
    let loadgen = Loadgen::new();
    let (file, _) = flats::without_confidence();
    loadgen.write("flats.json", &file.to_json().unwrap());
    loadgen.write("page.json", "<html>");
    let server = ModelServer::start(200, "", r#"{"predictions":[0]}"#);
    let v1 = "source: { model: {} }, protocol: v1, model: flats";
    let matrix = "source: { model: {} }, protocol: oip-v2, model: flats, tensors: { matrix: x }";
    for (payload, profile, words) in [
        (
            matrix,
            "flats.json",
            "payloads.rows.tensors.matrix: tensor \"x\" would have the values of all features as numbers",
        ),
        (v1, "page.json", "--profile: page.json: "),
        (v1, "absent.json", "--profile: absent.json: "),
        (v1, "/dev/null", "--profile: /dev/null: "),
        (v1, "/dev/zero", "--profile: /dev/zero: is larger than"),
    ] {
        loadgen.write("scenario.yaml", &scenario(payload, ""));
        for command in [
            &["run", "--scenario", "scenario.yaml", "--target", &server.url, "--profile", profile][..],
            &["check", "scenario.yaml", "--profile", profile],
        ] {
            let run = loadgen.call(command);
            run.expect_code(104);
            assert!(run.stderr.contains(words), "{profile}: {}", run.stderr);
        }
    }
    assert!(server.exchanges().is_empty());
}

#[test]
fn a_profile_may_come_from_a_pipe() {
    let loadgen = Loadgen::new();
    iris_profile(&loadgen);
    loadgen.write("scenario.yaml", &scenario(PROTOCOLS[3].0, ""));
    let run = loadgen.call_in_shell("\"$0\" check scenario.yaml --profile <(cat iris.json)", &[]);
    run.expect_code(0);
    assert!(run.stdout.contains("POST /v1/models/iris:predict"), "{}", run.stdout);
}

#[test]
fn check_prints_requests_and_what_needs_a_model() {
    let loadgen = Loadgen::new();
    loadgen.write("rows.yaml", &scenario(PROTOCOLS[1].0, ""));
    loadgen.write("fixed.yaml", &scenario("method: GET, path: /healthz, source: { fixed: {} }", ""));
    let run = loadgen.call(&["check", "rows.yaml", "fixed.yaml"]);
    run.expect_code(0);
    let line = |words: &str| run.stdout.lines().find(|line| line.contains(words)).unwrap_or_default();
    assert!(line("POST /v2/models/iris/infer").ends_with("oip-v2"), "{}", run.stdout);
    assert!(line("GET /healthz").ends_with("none"), "{}", run.stdout);
    assert_eq!(
        run.stdout.matches("needs the model of the target, or --profile").count(),
        1,
        "{}",
        run.stdout
    );
}

#[test]
fn addresses_of_metrics_and_feedback_are_checked() {
    let loadgen = Loadgen::new();
    for flag in ["--metrics", "--feedback"] {
        let call = |url: &str| loadgen.call(&["run", "--scenario", "normal", flag, url]);
        let run = call("http://127.0.0.1:1/x?token=s3cret");
        run.expect_code(104);
        assert!(run.stderr.contains("must not have a query; remove it"), "{}", run.stderr);
        let run = call("127.0.0.1:9100");
        run.expect_code(104);
        assert!(run.stderr.contains(flag), "{}", run.stderr);
    }
}

#[test]
fn a_scenario_can_be_sent_by_another_protocol() {
    let loadgen = Loadgen::new();
    iris_profile(&loadgen);
    let server = ModelServer::start(200, "", PROTOCOLS[1].2);
    let more = [&PROFILE[..], &["--protocol", "oip-v2", "--served-model", "iris"]].concat();
    let run = loadgen.run(&scenario("source: { model: {} }", ""), &server.url, &more);
    run.expect_code(0);
    let sent = server.exchanges();
    assert_eq!(sent.iter().filter(|one| one.path == "/v2/models/iris/infer").count(), 25, "{sent:?}");
    // Only payloads on /predict are sent in another way.
    let run = loadgen.call(&["check", "error_storm", "--protocol", "mlflow"]);
    assert_eq!(run.expect_code(0).stdout.matches("POST /invocations").count(), 3, "{}", run.stdout);
    loadgen.write("own.yaml", &scenario("source: { model: {} }, path: /score", ""));
    let run = loadgen.call(&["check", "own.yaml", "--protocol", "mlflow"]);
    assert!(run.expect_code(0).stdout.contains("POST /score"), "{}", run.stdout);
    // The queries of a built-in scenario are about the route of the protocol.
    for (flags, route) in [
        (&[][..], "/predict"),
        (&["--protocol", "mlflow"], "/invocations"),
        (&["--protocol", "v1", "--served-model", "iris"], "/v1/models/{model}:predict"),
        (&["--protocol", "oip-v2", "--served-model", "iris"], "/v2/models/{model}/infer"),
    ] {
        let run = loadgen.call(&[&["check", "demo"][..], flags].concat());
        let line = format!("prediction_endpoint stands for {route}\n");
        assert!(run.expect_code(0).stdout.contains(&line), "{flags:?}: {}", run.stdout);
    }
    let query = "promql: [ { expr: 'x{endpoint=\"prediction_endpoint\"}', phase: a, stays: '> 0' } ]";
    let probe = "method: GET, path: /healthz, source: { fixed: {} }";
    for command in [&["check"][..], &["run", "--scenario"]] {
        loadgen.write("probe.yaml", &scenario(probe, query));
        let run = loadgen.call(&[command, &["probe.yaml"]].concat());
        run.expect_code(104);
        let words =
            "probe.yaml:6: expect.promql[0].expr: prediction_endpoint stands for the route of predictions";
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    for (flags, words) in [
        (
            &["--protocol", "v1"][..],
            "--protocol v1: the requests name the model in their path; add --served-model",
        ),
        (
            &["--protocol", "mlflow", "--served-model", "iris"],
            "--served-model: the requests of mlflow do not",
        ),
        (&["--served-model", "iris"], "--protocol <PROTOCOL>"),
        (&["--protocol", "v3"], "invalid value 'v3' for '--protocol <PROTOCOL>'"),
        (&["--protocol", "v1", "--served-model", ".."], "--served-model: must be the name of a model"),
    ] {
        for command in [&["run", "--scenario", "normal"][..], &["check", "normal"]] {
            let run = loadgen.call(&[command, flags].concat());
            run.expect_code(104);
            assert!(run.stderr.contains(words), "{flags:?}: {}", run.stderr);
        }
    }
}

/// Writes the profile of a model in a server that takes rows in this form, and all of whose features may be missing.
fn server_profile(loadgen: &Loadgen, protocol: ServerProtocol, form: ServerForm) {
    let text: String =
        (0..80).map(|row| format!("{},{},{}\n", row % 7, row % 5, ["a", "b"][row % 2])).collect();
    let text = format!("width,height,class\n{text}");
    let table = model::read_reference(text.as_bytes(), "t", &CsvOptions::new("class")).unwrap();
    let input = |name: &str| ServerInput { name: name.into(), feature: name.into() };
    let classes = vec!["a".to_owned(), "b".to_owned()];
    let server = ServerModel {
        protocol: Some(protocol),
        inputs: vec![input("width"), input("height")],
        tensor: None,
        form: Some(form),
        output: None,
        probabilities_output: None,
        labels: classes.clone(),
        probabilities: ServerProbabilities::None,
        logits: false,
    };
    let input = ProfileInput {
        name: "t".into(),
        table,
        classes,
        outputs: (0..80).map(|row| Output::Class { class: row % 2, probabilities: None }).collect(),
        truth: Truth::Unknown,
        engine: None,
        accepts_missing: vec![true; 2],
        external: None,
        server: Some(server),
        seed: 1,
    };
    loadgen.write("server.json", &model::profile(input, |_| {}).unwrap().to_json().unwrap());
}

#[test]
fn check_refuses_malformed_kinds_that_the_server_may_accept() {
    let loadgen = Loadgen::new();
    server_profile(&loadgen, ServerProtocol::Native, ServerForm { field: None, named: true, listed: false });
    let check = |kinds: &str| {
        let payload = format!("source: {{ malformed: {{ kinds: [{kinds}] }} }}");
        loadgen.write("x.yaml", &scenario(&payload, ""));
        loadgen.call(&["check", "x.yaml", "--profile", "server.json"])
    };
    for kind in ["too_few_features", "wrong_key", "empty_object", "null_feature"] {
        let run = check(kind);
        run.expect_code(104);
        let expected = format!(
            "payloads.rows.source: {kind} is valid input: each feature of this model may be missing; remove it from `kinds`"
        );
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
    }
    check("broken_json, wrong_type").expect_code(0);
    check("").expect_code(0);
    server_profile(&loadgen, ServerProtocol::Native, ServerForm { field: None, named: false, listed: true });
    let run = check("wrong_key");
    run.expect_code(104);
    let expected = "payloads.rows.source: wrong_key does not exist in this form of requests: it has lists without any key";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
}

#[test]
fn the_form_of_another_protocol_is_not_sent_and_there_is_a_warning() {
    let loadgen = Loadgen::new();
    let form = ServerForm { field: Some("instances".into()), named: false, listed: true };
    let server = ModelServer::start(200, "", r#"{"predictions":[0]}"#);
    let run = |protocol: ServerProtocol, payload: &str| {
        server_profile(&loadgen, protocol, form.clone());
        let run = loadgen.run(&scenario(payload, ""), &server.url, &["--profile", "server.json"]);
        run.expect_code(0);
        run
    };
    let last_body = || {
        let exchanges = server.exchanges();
        exchanges.iter().rev().find(|one| one.path == "/predict").map(|one| one.body.clone()).unwrap()
    };
    let other = run(ServerProtocol::V1, "source: { model: {} }");
    let expected = "warning: payloads.rows: the profile was made with protocol v1, but this payload is sent by protocol native, as \
                    {\"features\": […]}, which the server may refuse; set `protocol: v1` (or `loadgen --protocol v1`), or make \
                    the profile again with `inference profile --protocol native`";
    assert!(other.stderr.contains(expected), "{}", other.stderr);
    assert!(last_body().starts_with("{\"features\":["), "{}", last_body());
    for (protocol, payload) in [
        (ServerProtocol::Native, "source: { model: {} }"),
        (ServerProtocol::V1, "protocol: v1, path: /predict, source: { model: {} }"),
    ] {
        let own = run(protocol, payload);
        assert!(!own.stderr.contains("protocol"), "{}", own.stderr);
        assert!(last_body().starts_with("{\"instances\":[["), "{}", last_body());
    }
}
