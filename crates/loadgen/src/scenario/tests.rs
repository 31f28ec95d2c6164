use super::*;

/// A valid scenario, in which the tests replace single texts by invalid ones.
const GOOD: &str = r#"name: spike
description: A spike
payloads:
  flowers: { weight: 9, source: { model: {} } }
  garbage:
    weight: 1
    source: { malformed: { kinds: [nan, huge_body] } }
    headers: { x-envoy-fault-delay-request: 200 }
    expect: { status: [400, 413] }
phases:
  - { name: calm, executor: constant-arrival-rate, rate: 50, duration: 30s }
  - name: spike
    executor: ramping-arrival-rate
    start_rate: 0
    arrival: poisson
    stages:
      - { target: 200, duration: 20s }
      - { target: 200, duration: 1m40s }
    mix: { flowers: 30 }
    thresholds: { response_time: ["p(95)<1s"] }
  - { name: users, executor: constant-vus, vus: 4, duration: 10s }
thresholds:
  dropped: ["count==0"]
expect:
  signals:
    - { signal: petal_length, phase: spike, drifts_within: 30s }
    - { signal: "*", phase: calm, stays: steady }
  vitals:
    - { vital: throughput, phase: spike, rises_by: 3 }
    - { vital: latency_p95, phase: spike, stays_below: 250ms }
  alerts:
    - { alert: ModelInputDrift, phase: spike, fires_within: 90s }
    - { alert: ModelInputDrift, labels: { signal: petal_length }, phase: spike, fires_within: 90s, resolves_within: 2m }
  quiet: [ModelServiceDown, { alert: ModelBadInput, labels: { job: x }, phase: calm }]
  promql:
    - { expr: "sum(rate(x[30s]))", phase: spike, becomes: "> 5", within: 1m }
    - { expr: "max(y)", phase: calm, stays: "<= -0.5" }
"#;

fn problems(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    Scenario::parse(&GOOD.replacen(from, to, 1), "s.yaml").unwrap_err().to_string()
}

#[test]
fn all_fields_are_read() {
    let scenario = Scenario::parse(GOOD, "s.yaml").unwrap();
    assert_eq!(scenario.seed, DEFAULT_SEED);
    assert_eq!(scenario.duration(), Duration::from_secs(160));
    assert_eq!(scenario.payloads[1].expected_status, [400, 413]);
    assert_eq!(scenario.payloads[1].headers["x-envoy-fault-delay-request"], "200");
    let mixes: Vec<_> = scenario.phases.iter().map(|phase| phase.mix.clone()).collect();
    assert_eq!(mixes, [[9, 1], [30, 0], [9, 1]]);
    let Executor::Open { ramps, spacing: Spacing::Poisson } = &scenario.phases[1].executor else {
        panic!("{:?}", scenario.phases[1].executor)
    };
    assert_eq!(ramps.iter().map(|r| (r.from, r.to)).collect::<Vec<_>>(), [(0.0, 200.0), (200.0, 200.0)]);
    assert_eq!(scenario.phases[2].executor, Executor::Closed { vus: 4, duration: Duration::from_secs(10) });
    assert_eq!(scenario.thresholds.iter().map(|t| t.phase).collect::<Vec<_>>(), [None, Some(1)]);
    assert_eq!(scenario.expectations.len(), 10);
    let Assertion::AlertFires { alert, resolves, .. } = &scenario.expectations[5].assertion else {
        panic!("{:?}", scenario.expectations[5])
    };
    assert_eq!(alert.to_string(), "ModelInputDrift{signal=\"petal_length\"}");
    assert_eq!(*resolves, Some(Duration::from_secs(120)));
    let phases: Vec<_> = scenario.expectations.iter().map(|expectation| expectation.phase).collect();
    assert_eq!(phases[6..], [None, Some(0), Some(1), Some(0)]);
}

#[test]
fn an_invalid_value_is_reported_with_file_line_and_field() {
    let cases = [
        ("rate: 50", "rate: -5", "s.yaml:11: phases[0].rate: must be above 0, got -5"),
        (
            "target: 200, duration: 20s",
            "target: 200, duration: 20",
            "s.yaml:17: phases[1].stages[0].duration: ",
        ),
        ("vus: 4", "vus: 0", "s.yaml:21: phases[2].vus: must be above 0, got 0"),
        ("weight: 9", "weight: -1", "s.yaml:4: payloads.flowers.weight: "),
        ("rate: 50", "rate: 50, speed: 3", "s.yaml:11: phases[0]: unknown field `speed`"),
        ("constant-vus", "constant-users", "s.yaml:21: phases[2].executor: unknown variant `constant-users`"),
        ("huge_body", "enormous", "s.yaml:7: payloads.garbage.source.malformed.kinds[1]: unknown variant"),
        ("model: {}", "model: {}, malformed: {}", "s.yaml:4: payloads.flowers.source: must have exactly one"),
        (
            "flowers: 30",
            "flowers: 30, weeds: 1",
            "s.yaml:19: phases[1].mix.weeds: there is no payload with this name",
        ),
        ("flowers: 30", "flowers: 0", "s.yaml:19: phases[1].mix: all weights are 0"),
        (
            "name: spike\n    ex",
            "name: calm\n    ex",
            "s.yaml:12: phases[1].name: an earlier phase has the name",
        ),
        (
            "start_rate: 0\n",
            "vus: 3\n",
            "s.yaml:14: phases[1].vus: is not a field of this executor, which has",
        ),
        ("start_rate: 0\n", "vus: 3\n", "phases[1].start_rate: is missing"),
        ("p(95)<1s", "p(95)", "s.yaml:20: phases[1].thresholds.response_time[0]: must be a condition"),
        ("dropped:", "lost:", "s.yaml:23: thresholds.lost: there is no such metric"),
        (
            "phase: calm, stays",
            "phase: clam, stays",
            "s.yaml:27: expect.signals[1].phase: there is no phase `clam`",
        ),
        ("drifts_within: 30s", "stays: still", "s.yaml:26: expect.signals[0].stays: unknown variant"),
        ("rises_by: 3", "rises_by: 3, exceeds: 9", "s.yaml:29: expect.vitals[0]: must have exactly one of"),
        ("rises_by: 3", "rises_by: 0.5", "s.yaml:29: expect.vitals[0].rises_by: must be a factor above 1"),
        ("rises_by: 3", "rises_by: 3, against: spike", "compares phase `spike` with itself"),
        (
            "stays_below: 250ms }",
            "stays_below: 250ms }\n    - { vital: client_error_ratio, phase: spike, stays_below: 0 }",
            "s.yaml:31: expect.vitals[2].stays_below: must be above 0, because no value is below 0; \
             write a limit such as 0.01",
        ),
        (
            "stays_below: 250ms }",
            "stays_below: 250ms }\n    - { vital: throughput, phase: spike, shifts_by: 0.0 }",
            "s.yaml:31: expect.vitals[2].shifts_by: must be above 0, because every value differs by 0 or more; \
             write a difference such as 5",
        ),
        (
            "stays_below: 250ms",
            "stays_below: 250",
            "s.yaml:30: expect.vitals[1].stays_below: must be a duration",
        ),
        ("fires_within: 90s", "fires: 90s", "s.yaml:32: expect.alerts[0]: unknown field `fires`"),
        (
            "[400, 413]",
            "[400, 999]",
            "s.yaml:9: payloads.garbage.expect.status[1]: must be 100 to 599, got 999",
        ),
        (
            "signal: petal_length }",
            "alertname: A }",
            "s.yaml:33: expect.alerts[1].labels.alertname: is the name of the alert",
        ),
        (
            "signal: petal_length }",
            "signal: '' }",
            "s.yaml:33: expect.alerts[1].labels.signal: must not be empty",
        ),
        (
            "90s, resolves_within: 2m",
            "5m, resolves_within: 2m",
            "s.yaml:33: expect.alerts[1].resolves_within: counts from the phase's end, 2m after its start",
        ),
        ("labels: { job: x }", "label: { job: x }", "s.yaml:34: expect.quiet[1]: unknown field `label`"),
        ("labels: { job: x }", "job: ''", "s.yaml:34: expect.quiet[1].job: must be a job's name, or \"*\""),
        ("labels: { job: x }", "labels: { job: x }, job: y", "s.yaml:34: expect.quiet[1].job: is also among"),
        ("phase: calm }]", "phase: clam }]", "s.yaml:34: expect.quiet[1].phase: there is no phase `clam`"),
        ("[ModelServiceDown,", "[Model Down,", "s.yaml:34: expect.quiet[0]: must be letters"),
        ("[ModelServiceDown,", "[5,", "s.yaml:34: expect.quiet[0]: invalid type"),
        ("\"> 5\"", "5", "s.yaml:36: expect.promql[0].becomes: "),
        ("\"> 5\"", "\"> five\"", "s.yaml:36: expect.promql[0].becomes: must be a sign of comparison"),
        (", within: 1m", "", "s.yaml:36: expect.promql[0].within: is missing"),
        (
            "stays: \"<= -0.5\"",
            "stays: \"<= 1\", within: 1m",
            "s.yaml:37: expect.promql[1].within: has no effect with `stays`",
        ),
        (", stays: \"<= -0.5\"", "", "s.yaml:37: expect.promql[1]: must have either"),
        ("expr: \"max(y)\"", "expr: \" \"", "s.yaml:37: expect.promql[1].expr: must be a PromQL query"),
        ("description: A spike", "description: A: spike", "s.yaml:2: "),
        (
            "model: {}",
            "model: 5",
            "s.yaml:4: payloads.flowers.source.model: invalid type: integer `5`, expected {}",
        ),
        (
            "{ model: {} }",
            "model",
            "s.yaml:4: payloads.flowers.source: invalid type: string \"model\", expected a mapping",
        ),
        (
            "model: {}",
            "drift: { operations: [ { shift: { features: a, by_sd: x } } ] }",
            "s.yaml:4: payloads.flowers.source.drift.operations[0].shift.by_sd: invalid type: string",
        ),
        (
            "vus: 4",
            "vus: 1.5",
            "s.yaml:21: phases[2].vus: invalid type: floating point `1.5`, expected a whole number",
        ),
        (
            "vus: 4",
            "vus: 4,\n      vus: 5",
            "s.yaml:22: phases[2].vus: occurs twice, first on line 21; remove one, or rename it",
        ),
        ("vus: 4", "<<: { vus: 4 }", "s.yaml:21: phases[2]: unknown field `<<`"),
        ("vus: 4", "<<: { vus: 4 }", "merge keys are not supported"),
        ("vus: 4", "vus: *four", "s.yaml:21: unknown anchor"),
        (
            "    arrival:",
            "\tarrival:",
            "s.yaml:15: the line is indented with a tab, which YAML does not allow; use",
        ),
        ("rate: 50", "rate: .inf", "s.yaml:11: phases[0].rate: must be at most 1000000, got inf"),
        ("rate: 50", "rate: .nan", "s.yaml:11: phases[0].rate: must be above 0, got NaN"),
        ("rate: 50", "rate: -0.0", "s.yaml:11: phases[0].rate: must be above 0, got -0"),
        (
            "rate: 50",
            "rate: 1e400",
            "s.yaml:11: phases[0].rate: invalid type: string \"1e400\", expected a number",
        ),
        ("rate: 50", "rate: 1e300", "s.yaml:11: phases[0].rate: must be at most 1000000, got 1e300"),
        (
            "duration: 30s",
            "duration: 5",
            "phases[0].duration: invalid type: integer `5`, expected a duration with its unit",
        ),
        (
            "duration: 30s",
            "duration: 0s",
            "s.yaml:11: phases[0].duration: must be a duration such as 30s or 1m30s, got \"0s\": it must be above 0",
        ),
        (
            "[ModelServiceDown, { alert: ModelBadInput, labels: { job: x }, phase: calm }]",
            "ModelServiceDown",
            "s.yaml:34: expect.quiet: invalid type: string \"ModelServiceDown\", expected a list",
        ),
        ("phases:", "---\nphases:", "s.yaml:10: a second YAML document begins here"),
    ];
    for (from, to, expected) in cases {
        let problems = problems(from, to);
        assert!(problems.contains(expected), "{to}: {problems}");
    }
}

#[test]
fn a_request_that_cannot_be_sent_is_reported() {
    let cases = [
        (
            "source: { model: {} }",
            "source: { model: {} }, method: get",
            "s.yaml:4: payloads.flowers.method: unknown variant",
        ),
        (
            "source: { model: {} }",
            "source: { model: {} }, method: GET",
            "s.yaml:4: payloads.flowers.method: GET has no body for a row",
        ),
        (
            "source: { model: {} }",
            "source: { model: {} }, path: predict",
            "s.yaml:4: payloads.flowers.path: must begin with /",
        ),
        (
            "source: { model: {} }",
            "source: { model: {} }, path: '/a b'",
            "payloads.flowers.path: must be written as in a URL",
        ),
        (
            "source: { model: {} }",
            "source: { model: {} }, path: /a/%2E./b",
            "payloads.flowers.path: must not have . or ..",
        ),
        ("model: {}", "model: {}, fixed: {}", "s.yaml:4: payloads.flowers.source: must have exactly one"),
        (
            "model: {}",
            "fixed: { body: { a: 1 } }",
            "source.fixed.body: invalid type: map, expected a string; write the JSON in quotes",
        ),
        ("model: {}", "fixed: { content_type: text/plain }", "source.fixed.content_type: there is no body"),
        (
            "model: {}",
            "fixed: { body: a, content_type: \"a\\nb\" }",
            "fixed.content_type: must be visible ASCII",
        ),
        (
            "x-envoy-fault-delay-request: 200",
            "Content-Length: 2",
            "s.yaml:8: payloads.garbage.headers.Content-Length: follows from the body",
        ),
        (
            "x-envoy-fault-delay-request: 200",
            "upgrade: h2c",
            "payloads.garbage.headers.upgrade: would change the connection",
        ),
        (
            "x-envoy-fault-delay-request: 200",
            "a: 1, A: 2",
            "s.yaml:8: payloads.garbage.headers.A: occurs twice",
        ),
        ("model: {}", "model: {}, table: x.csv", "s.yaml:4: payloads.flowers.source: must have exactly one"),
        ("model: {}", "table: ''", "s.yaml:4: payloads.flowers.source: table: must name a CSV file"),
        (
            "model: {}",
            "table: 5",
            "s.yaml:4: payloads.flowers.source.table: invalid type: integer `5`, expected the path",
        ),
        (
            "model: {}",
            "table: { target: x }",
            "s.yaml:4: payloads.flowers.source.table: missing field `file`",
        ),
        ("model: {}", "table: { file: x.csv, sep: a }", "source.table: unknown field `sep`"),
        (
            "model: {}",
            "table: { file: x.csv, separator: a }",
            "source: table.separator: must be one character",
        ),
        (
            "model: {} }",
            "model: {} }, feedback: { share: 1.5 }",
            "s.yaml:4: payloads.flowers.feedback.share: must be from 0 to 1, got 1.5",
        ),
        (
            "model: {} }",
            "fixed: {} }, feedback: {}",
            "s.yaml:4: payloads.flowers.feedback: needs rows with true classes",
        ),
        (
            "source: { model: {} }",
            "source: { model: {} }, path: /v2/models/iris/infer",
            "s.yaml:4: payloads.flowers.path: is a path of oip-v2, but the bodies are native; add `protocol: oip-v2`",
        ),
        (
            "source: { model: {} }",
            "source: { malformed: {} }, path: /x/invocations?a=1",
            "payloads.flowers.path: is a path of mlflow, but the bodies are native; add `protocol: mlflow` or",
        ),
        (
            "source: { model: {} }",
            "source: { model: {} }, protocol: v3",
            "s.yaml:4: payloads.flowers.protocol: unknown variant `v3`, expected one of `native`, `oip-v2`, `v1`, `mlflow`",
        ),
        (
            "source: { model: {} }",
            "source: { model: {} }, protocol: oip-v2",
            "s.yaml:4: payloads.flowers.model: is missing; requests of oip-v2 name the model in their path: add `model: NAME`",
        ),
        (
            "source: { model: {} }",
            "source: { model: {} }, protocol: v1, model: ''",
            "payloads.flowers.model: must be the name of a model on the server, got \"\"",
        ),
        (
            "source: { model: {} }",
            "source: { model: {} }, protocol: v1, model: iris, path: /x",
            "payloads.flowers.model: `path` already names the model; remove one of the two",
        ),
        (
            "source: { model: {} }",
            "source: { model: {} }, protocol: mlflow, model: iris",
            "payloads.flowers.model: is only for the protocols oip-v2 and v1, whose paths name the model",
        ),
        (
            "source: { model: {} }",
            "source: { model: {} }, model: iris",
            "payloads.flowers.model: is only for the protocols oip-v2 and v1",
        ),
        (
            "source: { model: {} }",
            "source: { model: {} }, protocol: v1, model: iris, tensors: { matrix: x }",
            "payloads.flowers.tensors: is only for rows of `protocol: oip-v2`",
        ),
        (
            "source: { model: {} }",
            "source: { fixed: {} }, protocol: oip-v2, model: iris, tensors: {}",
            "payloads.flowers.tensors: is only for rows of `protocol: oip-v2`",
        ),
        (
            "source: { model: {} }",
            "source: { model: {} }, protocol: oip-v2, model: iris, tensors: { matrix: '' }",
            "payloads.flowers.tensors.matrix: must be the name of a tensor, got none",
        ),
        (
            "source: { model: {} }",
            "source: { model: {} }, protocol: oip-v2, model: iris, tensors: { datatype: FP16 }",
            "payloads.flowers.tensors.datatype: unknown variant `FP16`, expected `FP32` or `FP64`",
        ),
        (
            "model: {} }",
            "model: {} }, feedback: {}, headers: { accept-encoding: gzip }",
            "payloads.flowers.feedback: needs uncompressed answers",
        ),
        ("model: {} }", "model: {} }, feedback: { after: 0s }", "s.yaml:4: payloads.flowers.feedback.after"),
        (
            "source: { model: {} }",
            "source: { model: {} }, bearer_token_env: $A",
            "must be the name of an environment variable",
        ),
    ];
    for (from, to, expected) in cases {
        let problems = problems(from, to);
        assert!(problems.contains(expected), "{to}: {problems}");
    }
    let both = problems("    headers: {", "    bearer_token_env: A\n    headers: { authorization: s3cret,");
    assert!(
        both.contains("s.yaml:8: payloads.garbage.bearer_token_env: a request can have only one"),
        "{both}"
    );
    let twice =
        problems("model: {} } }", "fixed: { body: a, content_type: b } }, headers: { content-type: c } }");
    assert!(twice.contains("source.fixed.content_type: the headers have a content-type, too"), "{twice}");
}

#[test]
fn secrets_are_not_printed() {
    let text = GOOD.replace("x-envoy-fault-delay-request: 200", "Authorization: s3cret");
    let scenario = Scenario::parse(&text, "s.yaml").unwrap();
    assert!(!format!("{scenario:?}").contains("s3cret"));
    let refused = problems("x-envoy-fault-delay-request: 200", "Authorization: \"s3cret\\n\"");
    assert!(
        refused.contains("headers.Authorization: must be visible") && !refused.contains("s3cret"),
        "{refused}"
    );
}

#[test]
fn the_default_request_asks_for_a_prediction() {
    let scenario = Scenario::parse(GOOD, "s.yaml").unwrap();
    assert_eq!((scenario.payloads[0].method.as_str(), &*scenario.payloads[0].path), ("POST", "/predict"));
}

#[test]
fn all_problems_are_reported_at_once() {
    let text = GOOD
        .replace("phase: calm, stays: steady", "phase: clam, stays: steady")
        .replace("vus: 4", "vus: 0")
        .replace("==0", "=0");
    let problems = Scenario::parse(&text, "s.yaml").unwrap_err();
    assert_eq!(problems.0.len(), 3, "{problems}");
}

#[test]
fn duplicate_names_and_empty_scenarios_are_rejected() {
    let twins = problems("  garbage:", "  flowers:");
    assert!(twins.starts_with("s.yaml:5: payloads.flowers: occurs twice, first on line 4; "), "{twins}");
    let nothing = Scenario::parse("name: x\npayloads: {}\nphases: []\n", "s.yaml").unwrap_err().to_string();
    assert!(nothing.contains("s.yaml:2: payloads: there must be at least one"), "{nothing}");
    assert!(nothing.contains("s.yaml:3: phases: there must be at least one"), "{nothing}");
    for text in ["", "\n", "# only a comment\n"] {
        let empty = Scenario::parse(text, "s.yaml").unwrap_err().to_string();
        assert!(empty.starts_with("s.yaml:1: is empty; a scenario needs `name`"), "{empty}");
    }
}

#[test]
fn the_path_and_the_protocol_of_a_payload_follow_from_its_fields() {
    let requests = |payload: &str| {
        let scenario = Scenario::parse(
            &format!(
                "name: x\npayloads: {{ a: {{ {payload} }} }}\nphases: [ {{ name: p, executor: constant-vus, vus: 1, duration: 1s }} ]"
            ),
            "x",
        );
        let payload = scenario.unwrap_or_else(|error| panic!("{error}")).payloads.remove(0);
        (payload.path, payload.protocol.map(|protocol| protocol.name()))
    };
    let fixed = "source: { fixed: { body: '{}' } }";
    for (payload, path, protocol) in [
        ("source: { model: {} }", "/predict", Some("native")),
        ("source: { model: {} }, path: /score", "/score", Some("native")),
        ("source: { malformed: {} }, protocol: mlflow", "/invocations", Some("mlflow")),
        ("source: { model: {} }, protocol: v1, model: a b/c", "/v1/models/a%20b%2Fc:predict", Some("v1")),
        ("source: { model: {} }, protocol: oip-v2, model: 5", "/v2/models/5/infer", Some("oip-v2")),
        ("source: { model: {} }, protocol: oip-v2, path: /infer", "/infer", Some("oip-v2")),
        // A fixed body only asks for a prediction if its protocol or its path says so.
        (fixed, "/predict", Some("native")),
        (&format!("{fixed}, path: /v1/models/iris:predict"), "/v1/models/iris:predict", None),
        (&format!("{fixed}, protocol: v1, model: iris"), "/v1/models/iris:predict", Some("v1")),
        (&format!("{fixed}, method: GET"), "/predict", None),
    ] {
        assert_eq!(requests(payload), (path.to_owned(), protocol), "{payload}");
    }
}
