//! Tests that the schema of `loadgen schema` accepts the same scenarios as the parser.

use crate::support::Loadgen;
use jsonschema::Validator;
use loadgen::scenario::Scenario;
use proptest::prelude::*;
use serde_json::Value;
use std::{fs, path::PathBuf, sync::LazyLock};

fn shipped() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")
}

fn validator() -> &'static Validator {
    static VALIDATOR: LazyLock<Validator> =
        LazyLock::new(|| jsonschema::validator_for(&loadgen::scenario::schema()).unwrap());
    &VALIDATOR
}

fn complaints(validator: &Validator, yaml: &str) -> Vec<String> {
    let value: Value = serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_schema_file_equals_the_output_of_the_command() {
    let run = Loadgen::new().call(&["schema"]);
    let printed = &run.expect_code(0).stdout;
    let file = fs::read_to_string(shipped().join("schema.json")).unwrap();
    assert!(*printed == file, "scenarios/schema.json is out of date: loadgen schema > scenarios/schema.json");
    let schema: Value = serde_json::from_str(printed).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn every_field_has_a_description() {
    fn walk(place: &str, schema: &Value, bare: &mut Vec<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            if !field["description"].is_string() {
                bare.push(format!("{place}.{name}"));
            }
            walk(&format!("{place}.{name}"), field, bare);
        }
    }
    let schema = loadgen::scenario::schema();
    let mut bare = Vec::new();
    walk("", &schema, &mut bare);
    for (name, part) in schema["$defs"].as_object().unwrap() {
        walk(name, part, &mut bare);
    }
    assert!(bare.is_empty(), "{bare:?}");
}

#[test]
fn built_in_scenarios_and_documented_examples_are_valid() {
    let validator = validator();
    let document = fs::read_to_string(shipped().join("../docs/scenarios.md")).unwrap();
    let examples =
        document.split("```yaml\n").skip(1).map(|part| part.split("```").next().unwrap().to_owned());
    let mut texts: Vec<(String, String)> = examples.map(|text| ("scenarios.md".to_owned(), text)).collect();
    assert!(!texts.is_empty());
    for entry in fs::read_dir(shipped()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("# yaml-language-server: $schema=schema.json\n"), "{}", path.display());
            texts.push((path.display().to_string(), text));
        }
    }
    for example in ["mlserver/drill.yaml", "kserve/sink.yaml"] {
        let path = shipped().join("../examples").join(example);
        texts.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
    }
    assert!(texts.len() > 6);
    for (name, text) in texts {
        assert_eq!(complaints(validator, &text), [""; 0], "{name}");
        // The example in the document leaves out a payload that its mix names.
        if !name.starts_with("scenarios.md") {
            Scenario::parse(&text, &name).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

const GOOD: &str = r#"name: spike
timeout: 5s
max_in_flight: 9
payloads:
  flowers: { weight: 9, source: { model: {} } }
  mutants: { source: { drift: { operations: [ { shift: { features: "petal*", by_sd: 1.5 } } ], share: 0.5 } } }
  rows: { source: { table: rows.csv, drift: { preset: giant } }, feedback: { after: 5s, share: 0.5 } }
  others: { source: { table: { file: o.csv, target: a, missing: [NA], separator: ";" } }, feedback: {} }
  garbage: { source: { malformed: { kinds: [nan] } }, headers: { x-a: 200 }, expect: { status: [400] } }
  health: { method: GET, path: /healthz, source: { fixed: {} }, bearer_token_env: TOKEN }
  oip: { path: "/v2/models/iris/infer?x=1", source: { fixed: { body: "{}", content_type: text/plain } } }
  tensors: { protocol: oip-v2, model: iris, tensors: { matrix: x, datatype: FP32, outputs: [y] }, source: { model: {} } }
  frames: { protocol: mlflow, source: { malformed: {} } }
phases:
  - { name: calm, executor: constant-arrival-rate, rate: 50, duration: 30s, arrival: poisson }
  - { name: ramp, executor: ramping-arrival-rate, start_rate: 0, stages: [ { target: 9, duration: 1m } ] }
  - { name: users, executor: constant-vus, vus: 4, duration: 10s, mix: { flowers: 1 } }
thresholds: { response_time: ["p(99)<50ms"], dropped: ["count==0"] }
expect:
  signals: [ { signal: "*", phase: calm, stays: steady } ]
  vitals:
    - { vital: throughput, phase: ramp, rises_by: 3 }
    - { vital: latency_p95, phase: calm, stays_below: 250ms }
    - { vital: class_share, class: setosa, phase: ramp, shifts_by: 0.2 }
  alerts: [ { alert: Trouble, phase: ramp, fires_within: 90s } ]
  job: ml-inference
  quiet: [ Others, { alert: Others, job: "*" }, { alert: Others, job: 5, phase: calm } ]
"#;

#[test]
fn scenarios_that_the_parser_rejects_are_invalid_by_the_schema() {
    let validator = validator();
    assert_eq!(complaints(validator, GOOD), [""; 0]);
    Scenario::parse(GOOD, "good").unwrap_or_else(|error| panic!("{error}"));
    let bad = [
        ("name: spike", "title: spike"),
        ("name: spike", "name: a b"),
        ("name: spike\n", ""),
        ("timeout: 5s", "timeout: 5"),
        ("timeout: 5s", "timeout: -5s"),
        ("timeout: 5s", "timeout: 0s"),
        ("timeout: 5s", "timeout: 0.0s 0ms"),
        ("timeout: 5s", "timeout: 1M"),
        ("timeout: 5s", "timeout: 30S"),
        ("timeout: 5s", "timeout: 5min"),
        ("timeout: 5s", "timeout: 5.s"),
        ("timeout: 5s", "timeout: 5s 3"),
        ("p(99)<50ms", "p(99)<0s"),
        ("p(99)<50ms", "p(99)<50MS"),
        ("stays_below: 250ms", "stays_below: 0ms"),
        ("timeout: 5s", "timeout: 5s\nseed: -1"),
        ("max_in_flight: 9", "max_in_flight: 0"),
        ("max_in_flight: 9", "max_in_flight: 70000"),
        ("weight: 9", "weight: -1"),
        ("model: {}", "model: { a: 1 }"),
        ("model: {}", "model: {}, malformed: {}"),
        ("source: { model: {} }", "source: {}"),
        (", source: { model: {} }", ""),
        ("share: 0.5", "share: 1.5"),
        ("after: 5s, share: 0.5", "after: 5s, share: 1.5"),
        ("after: 5s", "after: 5"),
        ("after: 5s", "later: 5s"),
        ("table: rows.csv", "table: ''"),
        ("table: rows.csv", "table: rows.csv, model: {}"),
        ("file: o.csv, ", ""),
        ("missing: [NA]", "missing: NA"),
        ("by_sd: 1.5", "by_sd: 0"),
        ("by_sd: 1.5", "by_sd: 1.5, sd: 1"),
        ("shift:", "twist:"),
        ("operations:", "preset: giant, operations:"),
        ("operations: [ { shift: { features: \"petal*\", by_sd: 1.5 } } ]", "preset: gaint"),
        ("kinds: [nan]", "kinds: [null_island]"),
        ("x-a: 200", "x-a: [200]"),
        ("oip-v2", "oip"),
        ("oip-v2, model: iris", "oip-v2"),
        ("oip-v2, model: iris", "oip-v2, model: iris, path: /x"),
        ("oip-v2, model: iris", "oip-v2, model: ''"),
        ("oip-v2", "v1"),
        ("mlflow", "mlflow, model: iris"),
        ("mlflow", "v1"),
        ("matrix: x", "matrix: ''"),
        ("matrix: x", "matrices: x"),
        ("datatype: FP32", "datatype: fp32"),
        ("outputs: [y]", "outputs: y"),
        ("outputs: [y]", "outputs: ['']"),
        ("x-a: 200", "content-length: 200"),
        ("status: [400]", "status: [99]"),
        ("status: [400]", "status: []"),
        ("GET", "get"),
        ("method: GET, path: /healthz, source: { fixed: {} }", "method: GET, source: { model: {} }"),
        ("/healthz", "healthz"),
        ("TOKEN", "$TOKEN"),
        ("body: \"{}\", ", ""),
        ("body: \"{}\"", "body: {}"),
        ("rate: 50", "rate: 0"),
        ("rate: 50", "rate: 1e9"),
        ("rate: 50", "rate: fast"),
        ("rate: 50, ", ""),
        ("rate: 50", "rate: 50, vus: 3"),
        ("constant-vus", "constant-users"),
        ("vus: 4", "vus: 0"),
        ("vus: 4, ", ""),
        ("vus: 4", "vus: 4, arrival: poisson"),
        ("arrival: poisson", "arrival: often"),
        ("start_rate: 0, ", ""),
        ("start_rate: 0", "start_rate: -1"),
        ("[ { target: 9, duration: 1m } ]", "[]"),
        ("target: 9", "goal: 9"),
        ("mix: { flowers: 1 }", "mix: {}"),
        ("dropped:", "lost:"),
        ("count==0", "p(99)<1s"),
        ("count==0", "count==-1"),
        ("p(99)<50ms", "p(99)<50"),
        ("p(99)<50ms", "p99<50ms"),
        ("p(99)<50ms", "rate<0.01"),
        ("stays: steady", "stays: still"),
        ("stays: steady", "stays: steady, drifts_within: 3s"),
        (", stays: steady", ""),
        ("throughput", "blood_pressure"),
        ("rises_by: 3", "rises_by: 1"),
        ("rises_by: 3", "rises_by: 3s"),
        ("rises_by: 3", "rises_by: 3, exceeds: 9"),
        ("rises_by: 3", "exceeds: 9s"),
        ("rises_by: 3", "rises_by: 3, class: setosa"),
        ("stays_below: 250ms", "stays_below: 0.25"),
        ("shifts_by: 0.2", "shifts_by: 2"),
        ("shifts_by: 0.2", "shifts_by: 0"),
        ("rises_by: 3", "stays_below: 0"),
        ("fires_within: 90s", "fires: 90s"),
        ("quiet:", "silent:"),
        ("job: \"*\"", "job: ''"),
        ("job: \"*\"", "job: [a]"),
    ];
    for (from, to) in bad {
        assert!(GOOD.contains(from), "{from}");
        let text = GOOD.replacen(from, to, 1);
        assert!(Scenario::parse(&text, "bad").is_err(), "the parser accepts {to}");
        assert!(!complaints(validator, &text).is_empty(), "the schema accepts {to}");
    }
}

proptest! {
    // Failures are not stored in a file, because proptest would look for it beside a lib.rs, which tests do not have.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_schema_accepts_what_the_parser_accepts(
        timeout in r"[ +]?[0-9]{1,3}( |\.[0-9]{1,4}|)(ms|s|m|M|h|us|µs|d|S|)( ?[0-9]{1,2}(ms|s|sec)|)",
        name in "[A-Za-z0-9_.~ -]{1,4}",
        time in r" ?(p\( ?[0-9.+e]{1,4} ?\)|avg|max|count) ?(<|<=|>|>=|==|=) ?[0-9. ]{1,3}(s|ms|)",
        count in r" ?(count|rate|avg) ?(<|<=|>|>=|==|=) ?[0-9.+e-]{1,5}",
        path in r"/?[a-z0-9.%?&=/{ #-]{0,6}",
        rate in r"[-+]?[0-9.e]{1,4}",
    ) {
        let validator = validator();
        for (from, to) in [
            ("name: spike", format!("name: {name}")),
            ("timeout: 5s", format!("timeout: '{timeout}'")),
            ("\"p(99)<50ms\"", format!("'{time}'")),
            ("\"count==0\"", format!("'{count}'")),
            ("/healthz", format!("'{path}'")),
            ("rate: 50", format!("rate: {rate}")),
        ] {
            let text = GOOD.replacen(from, &to, 1);
            match Scenario::parse(&text, "x") {
                Ok(_) => prop_assert_eq!(complaints(validator, &text), [""; 0], "{}", to),
                // The pattern of the schema cannot check the sum of a duration's parts.
                Err(error) if error.to_string().contains("at most a year") => {}
                Err(_) if from.starts_with("timeout") => {
                    prop_assert_ne!(complaints(validator, &text), [""; 0], "{}", to);
                }
                Err(_) => {}
            }
        }
    }
}
