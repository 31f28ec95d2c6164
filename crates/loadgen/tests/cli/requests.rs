//! Tests of the requests that reach the target: method, path, headers, credentials.

use crate::support::{Loadgen, Received, Run, Stub, StubOptions};

const MIXED: &str = r#"
name: x
payloads:
  flowers: { source: { model: {} } }
  health: { method: GET, path: "/healthz?full=1", source: { fixed: {} } }
  oip:
    path: /v2/models/iris/infer
    source: { fixed: { body: '{"inputs":[]}' } }
    headers: { Host: iris.example }
phases: [ { name: a, executor: constant-arrival-rate, rate: 100, duration: 2s } ]
thresholds: { unexpected_rate: ["count==0"] }
expect: { vitals: [ { vital: throughput, phase: a, exceeds: 70 } ] }
"#;

fn sent(stub: &Stub, path: &str) -> Vec<Received> {
    let sent: Vec<_> = stub.requests().into_iter().filter(|request| request.path == path).collect();
    assert!(!sent.is_empty(), "{path}");
    sent
}

#[test]
fn other_requests_can_be_mixed_in_and_count_for_the_vital_signs() {
    let stub = Stub::start(StubOptions::default());
    let run = Loadgen::new().run(MIXED, &stub.url, &[]);
    // The throughput is the sum over all three routes.
    run.expect_judged(0);
    for request in sent(&stub, "/healthz?full=1") {
        assert_eq!(request.method, "GET");
        assert!(
            !request.headers.contains_key("content-type") && !request.headers.contains_key("content-length")
        );
    }
    for request in sent(&stub, "/v2/models/iris/infer") {
        assert_eq!(request.method, "POST");
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!((&*request.headers["content-length"], &*request.headers["host"]), ("13", "iris.example"));
    }
    assert!(sent(&stub, "/predict").iter().all(|request| request.method == "POST"));
}

#[test]
fn paths_are_appended_to_the_path_of_the_target() {
    let stub = Stub::start(StubOptions::default());
    let run = Loadgen::new().run(MIXED, &format!("{}/prefix", stub.url), &[]);
    run.expect_code(104);
    assert_eq!(stub.requests()[0].path, "/prefix/model");
    assert!(run.stderr.contains("/prefix/model: answered 404"), "{}", run.stderr);
}

/// Asserts that neither the output nor the report contains the secret.
fn is_silent(run: &Run, secret: &str) {
    for text in [&run.stdout, &run.stderr, &run.report.to_string()] {
        assert!(!text.contains(secret), "{text}");
    }
}

const SECRET: &str = "s3cret-token";
const BEARER: &str = "Bearer s3cret-token";

/// A scenario with so few requests that a run is never invalid because of late ones.
const SHORT: &str = r#"
name: x
payloads: { flowers: { source: { model: {} } } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 25, duration: 1s } ]
thresholds: { unexpected_rate: ["count==0"] }
"#;

#[test]
fn a_token_from_the_environment_is_sent_only_to_the_target() {
    let options = StubOptions { authorization: Some(BEARER), ..StubOptions::default() };
    let (stub, prometheus) = (Stub::start(options), Stub::start(StubOptions::default()));
    let loadgen = Loadgen::new();
    let more = ["--prometheus", &prometheus.url];
    let run = loadgen.run_with(SHORT, &stub.url, &more, &[("LOADGEN_BEARER_TOKEN", SECRET)]);
    run.expect_code(0);
    is_silent(&run, SECRET);
    assert!(stub.requests().iter().all(|request| request.headers["authorization"] == BEARER));
    let asked = prometheus.requests();
    assert!(!asked.is_empty() && asked.iter().all(|request| !request.headers.contains_key("authorization")));

    let options = StubOptions { authorization: Some(BEARER), ..StubOptions::default() };
    let (stub, prometheus) = (Stub::start(StubOptions::default()), Stub::start(options));
    let more = ["--prometheus", &prometheus.url];
    let run = loadgen.run_with(SHORT, &stub.url, &more, &[("LOADGEN_PROMETHEUS_BEARER_TOKEN", SECRET)]);
    run.expect_code(0);
    is_silent(&run, SECRET);
    assert!(prometheus.requests().iter().all(|request| request.headers["authorization"] == BEARER));
    assert!(stub.requests().iter().all(|request| !request.headers.contains_key("authorization")));
}

#[test]
fn a_payload_may_have_its_own_token_or_header() {
    let stub = Stub::start(StubOptions::default());
    let scenario = r#"
name: x
payloads:
  own: { method: GET, path: "/healthz?own", source: { fixed: {} }, bearer_token_env: OWN_TOKEN }
  typed: { method: GET, path: "/healthz?typed", source: { fixed: {} }, headers: { Authorization: Digest } }
  general: { method: GET, path: "/healthz?general", source: { fixed: {} } }
phases: [ { name: a, executor: constant-arrival-rate, rate: 24, duration: 1s } ]
"#;
    let environment = [("OWN_TOKEN", SECRET), ("LOADGEN_BEARER_TOKEN", "general")];
    let run = Loadgen::new().run_with(scenario, &stub.url, &[], &environment);
    run.expect_code(0);
    is_silent(&run, SECRET);
    for (path, wanted) in
        [("/healthz?own", BEARER), ("/healthz?typed", "Digest"), ("/healthz?general", "Bearer general")]
    {
        assert!(sent(&stub, path).iter().all(|request| request.headers["authorization"] == wanted), "{path}");
    }
}

#[test]
fn an_invalid_token_is_reported_before_the_run() {
    let stub = Stub::start(StubOptions::default());
    let loadgen = Loadgen::new();
    let scenario =
        SHORT.replace("source: { model: {} }", "source: { model: {} }, bearer_token_env: OWN_TOKEN");
    for (environment, words) in [
        (
            vec![],
            "scenario.yaml:3: payloads.flowers.bearer_token_env: environment variable OWN_TOKEN is not set",
        ),
        (vec![("OWN_TOKEN", "")], "bearer_token_env: environment variable OWN_TOKEN is empty"),
        (vec![("OWN_TOKEN", "s3cret-token\n")], "OWN_TOKEN contains a character that is invalid in a token"),
        (
            vec![("OWN_TOKEN", "a"), ("LOADGEN_BEARER_TOKEN", "")],
            "--target: environment variable LOADGEN_BEARER",
        ),
    ] {
        let run = loadgen.run_with(&scenario, &stub.url, &[], &environment);
        run.expect_code(104);
        is_silent(&run, SECRET);
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    assert_eq!(stub.requests().len(), 0);
}

#[test]
fn an_error_about_missing_authorization_names_the_environment_variable() {
    let options = StubOptions { authorization: Some(BEARER), ..StubOptions::default() };
    let run = Loadgen::new().run(SHORT, &Stub::start(options).url, &[]);
    run.expect_code(104);
    assert!(
        run.stderr.contains("answered 401") && run.stderr.contains("LOADGEN_BEARER_TOKEN"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_password_in_an_address_is_sent_but_never_shown() {
    let options = StubOptions { authorization: Some("Basic dXNlcjpwQHNz"), ..StubOptions::default() };
    let (stub, prometheus) = (Stub::start(options), Stub::start(options));
    let with_password = |url: &str| url.replace("http://", "http://user:p%40ss@");
    let loadgen = Loadgen::new();
    let more = ["--prometheus", &with_password(&prometheus.url)];
    let run = loadgen.run(SHORT, &with_password(&stub.url), &more);
    run.expect_code(0);
    assert_eq!(run.report["target"], format!("{}/", stub.url));
    assert_eq!(run.report["prometheus"], format!("{}/", prometheus.url));
    for secret in ["p%40ss", "p@ss", "dXNlcjpwQHNz"] {
        is_silent(&run, secret);
    }
    let unreachable = "http://user:p%40ss@127.0.0.1:1";
    for (target, variable) in
        [(unreachable, "OTHER"), (unreachable, "LOADGEN_BEARER_TOKEN"), ("htp://user:p%40ss@h", "OTHER")]
    {
        let run = loadgen.run_with(SHORT, target, &[], &[(variable, "x")]);
        run.expect_code(104);
        is_silent(&run, "p%40ss");
        assert!(run.stderr.contains("--target"), "{}", run.stderr);
    }
}

#[test]
fn an_error_about_a_redirected_target_names_the_final_address() {
    let options = StubOptions { moved_to: Some("https://final.example/model"), ..StubOptions::default() };
    let run = Loadgen::new().run(SHORT, &Stub::start(options).url, &[]);
    run.expect_code(104);
    for words in ["307", "https://final.example/model", "name that address in --target"] {
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
}
