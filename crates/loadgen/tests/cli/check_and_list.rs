//! `loadgen check` and `loadgen list`.

use crate::{flats, support::Loadgen};

#[test]
fn check_prints_what_would_be_sent() {
    let run = Loadgen::new().call(&["check", "demo", "drift"]);
    run.expect_code(0);
    // The phase `calm` has 50 requests/s for 30 s.
    assert!(run.stdout.contains("1500") && run.stdout.contains("about"), "{}", run.stdout);
}

#[test]
fn built_in_scenarios_fit_regression_models_and_models_without_confidence() {
    let loadgen = Loadgen::new();
    for (name, (file, _)) in
        [("numbers.json", flats::regression()), ("classes.json", flats::without_confidence())]
    {
        loadgen.write(name, &file.to_json().unwrap());
        let scenarios = ["normal", "drift", "demo", "high_load", "error_storm"];
        let run = loadgen.call(&[&["check", "--profile", name][..], &scenarios].concat());
        run.expect_code(0);
        assert_eq!(run.stdout.matches(": good").count(), 5, "{}", run.stdout);
    }
    let run = loadgen.call(&["check", "--profile", "numbers.json", "concept_drift"]);
    run.expect_code(104);
    let expected = ": payloads.usual.feedback: model flats predicts a number, and the true numbers of";
    assert!(
        run.stderr.starts_with("built-in concept_drift:") && run.stderr.contains(expected),
        "{}",
        run.stderr
    );
    loadgen.call(&["check", "--profile", "classes.json", "concept_drift"]).expect_code(0);
}

#[test]
fn check_prints_rates_durations_and_payloads() {
    let loadgen = Loadgen::new();
    let text = "
name: x
payloads: { a: { weight: 3, source: { model: {} } }, b: { source: { model: {} } }, c: { weight: 0, source: { model: {} } } }
phases:
  - { name: even, executor: constant-arrival-rate, rate: 40, duration: 10s }
  - name: ramp
    executor: ramping-arrival-rate
    start_rate: 10
    arrival: poisson
    stages: [ { target: 30, duration: 10s }, { target: 30, duration: 5s } ]
    mix: { c: 1 }
  - { name: users, executor: constant-vus, vus: 2, duration: 1s }
  - { name: alone, executor: constant-vus, vus: 1, duration: 1s }
";
    loadgen.write("x.yaml", text);
    let run = loadgen.call(&["check", "x.yaml"]);
    let row = |name: &str| -> Vec<String> {
        let line = run.stdout.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    run.expect_code(0);
    assert_eq!(row("even"), ["even", "constant-arrival-rate", "40/s", "10s", "400", "a 300, b 100"]);
    // A Poisson process with a mean of 200 arrivals on the ramp and 150 after it.
    assert_eq!(
        row("ramp"),
        ["ramp", "ramping-arrival-rate", "10 to 30 to 30/s", "15s", "about 350", "c 350"]
    );
    assert_eq!(
        row("users"),
        ["users", "constant-vus", "2 users", "1s", "depends on the answers", "a 75 %, b 25 %"]
    );
    assert_eq!(row("alone")[2], "1 user");
}

#[test]
fn errors_state_the_kind_of_a_file_that_is_not_a_scenario() {
    let loadgen = Loadgen::new();
    let good = "name: x\npayloads: { p: { source: { model: {} } } }\nphases: [ { name: a, executor: constant-vus, vus: 2, duration: 1s } ]\n";
    std::fs::create_dir(loadgen.write("x", "").with_file_name("folder.yaml")).unwrap();
    std::fs::write(loadgen.write("latin.yaml", ""), b"name: x\ndescription: \xe9\n").unwrap();
    std::fs::write(loadgen.write("model.pkl", ""), b"\x80\x04\x95").unwrap();
    loadgen.write("empty.yaml", "");
    loadgen.write("two.yaml", &format!("{good}---\n{good}"));
    loadgen.write("marked.yaml", &format!("\u{feff}{good}"));
    loadgen.write("windows.yaml", &good.replace('\n', "\r\n"));
    let files =
        ["folder.yaml", "latin.yaml", "model.pkl", "empty.yaml", "two.yaml", "marked.yaml", "windows.yaml"];
    let run = loadgen.call(&[&["check"][..], &files].concat());
    run.expect_code(104);
    for words in [
        "folder.yaml: Is a directory",
        "latin.yaml:2: the line is not UTF-8; save the file as UTF-8",
        "model.pkl: seems to be a Python pickle, as joblib or scikit-learn writes; give a scenario in YAML",
        "empty.yaml:1: is empty",
        "two.yaml:4: a second YAML document begins here",
    ] {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    assert!(
        run.stdout.contains("marked.yaml: good") && run.stdout.contains("windows.yaml: good"),
        "{}",
        run.stdout
    );
}

#[test]
fn check_reports_every_problem_of_every_file() {
    let loadgen = Loadgen::new();
    let good = "name: x\npayloads: { p: { source: { model: {} } } }\nphases:\n  - { name: a, executor: constant-vus, vus: 2, duration: 1s }\n";
    loadgen.write("good.yaml", good);
    loadgen.write("bad.yaml", &good.replace("vus: 2", "rate: 3"));
    loadgen.write("worse.yaml", "name: [");
    let run = loadgen.call(&["check", "bad.yaml", "good.yaml", "worse.yaml", "absent.yaml"]);
    run.expect_code(104);
    for expected in [
        "bad.yaml:4: phases[0].vus: is missing",
        "bad.yaml:4: phases[0].rate: is not",
        "worse.yaml:",
        "absent.yaml:",
    ] {
        assert!(run.stderr.contains(expected), "{expected}: {}", run.stderr);
    }
    assert!(run.stdout.contains("good.yaml: good"), "{}", run.stdout);
}

#[test]
fn check_reports_tables_that_cannot_be_opened() {
    let loadgen = Loadgen::new();
    std::fs::create_dir(loadgen.path("folder")).unwrap();
    let text = "name: x\npayloads: { p: { source: { table: rows.csv } } }\nphases: [ { name: a, executor: constant-vus, vus: 2, duration: 1s } ]\n";
    loadgen.write("folder/x.yaml", text);
    // The table is in the working directory, but paths are relative to the scenario's folder.
    loadgen.write("rows.csv", "a\n1\n");
    let run = loadgen.call(&["check", "folder/x.yaml"]);
    run.expect_code(104);
    for part in [
        "folder/x.yaml:2: payloads.p.source: table folder/rows.csv: cannot be read: No such file or directory",
        "; the path is relative to the folder of the scenario",
    ] {
        assert!(run.stderr.contains(part) && run.stdout.is_empty(), "{}{}", run.stderr, run.stdout);
    }
    loadgen.write("folder/rows.csv", "a\n1\n");
    let run = loadgen.call(&["check", "folder/x.yaml"]);
    run.expect_code(0);
    assert!(run.stdout.contains("folder/x.yaml: good"), "{}", run.stdout);
}

#[test]
fn problems_with_a_model_are_reported_with_their_lines() {
    let loadgen = Loadgen::new();
    let file = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap();
    loadgen.write("iris.json", &file.to_json().unwrap());
    let scenario = |source: &str, expect: &str| {
        format!(
            "name: x\npayloads:\n  p: {{ source: {{ model: {{}} }} }}\n  q: {{ source: {{ {source} }} }}\n\
             phases: [ {{ name: a, executor: constant-vus, vus: 2, duration: 1s }} ]\nexpect:\n  {expect}\n"
        )
    };
    let model = "model: {}";
    for (source, expect, expected) in [
        (
            model,
            "signals:\n    - { signal: petal_length, phase: a, stays: steady }\n    - { signal: petal_lenth, phase: a, stays: steady }",
            "x.yaml:9: expect.signals[1].signal: model iris has no signal \"petal_lenth\"; it has sepal_length, ",
        ),
        (
            model,
            "quiet:\n    - ModelServiceDown\n    - { alert: A, labels: { signal: a_categorical_feature } }",
            "x.yaml:9: expect.quiet[1].labels.signal: model iris: a_categorical_feature: the model has no feature",
        ),
        (
            "drift: { operations: [ { shift: { features: [sepal_lenth], by_sd: 1 } } ] }",
            "quiet: []",
            "x.yaml:4: payloads.q.source: ",
        ),
        ("table: absent.csv", "quiet: []", "x.yaml:4: payloads.q.source: table absent.csv: cannot be read: "),
    ] {
        loadgen.write("x.yaml", &scenario(source, expect));
        for command in
            [&["check", "x.yaml"][..], &["run", "--scenario", "x.yaml", "--target", "http://127.0.0.1:1"]]
        {
            let run = loadgen.call(&[command, &["--profile", "iris.json"]].concat());
            run.expect_code(104);
            assert!(run.stderr.contains(expected), "{command:?}: {}", run.stderr);
        }
    }
}

#[test]
fn list_shows_built_in_and_local_scenarios() {
    let loadgen = Loadgen::new();
    std::fs::create_dir(loadgen.write("x", "").with_file_name("scenarios")).unwrap();
    loadgen.write("scenarios/mine.yaml", "name: [");
    let run = loadgen.call(&["list"]);
    run.expect_code(0);
    for name in ["normal", "high_load", "error_storm", "drift", "demo", "mine"] {
        assert!(run.stdout.contains(name), "{name}: {}", run.stdout);
    }
    assert!(run.stdout.contains("bad: "), "{}", run.stdout);
}

#[test]
fn a_scenario_with_a_dot_in_its_name_is_found() {
    let loadgen = Loadgen::new();
    std::fs::create_dir(loadgen.write("x", "").with_file_name("scenarios")).unwrap();
    let text = "name: my.v2\npayloads: { p: { source: { model: {} } } }\nphases: [ { name: a, executor: constant-vus, vus: 2, duration: 1s } ]\n";
    loadgen.write("scenarios/my.v2.yaml", text);
    let listed = loadgen.call(&["list"]);
    assert!(listed.stdout.contains("my.v2") && !listed.stdout.contains("unreadable"), "{}", listed.stdout);
    let run = loadgen.call(&["check", "my.v2"]);
    run.expect_code(0);
    assert!(run.stdout.contains("my.v2: good"), "{}", run.stdout);
    // A file of that name in the working directory comes first.
    loadgen.write("my.v2", "name: [");
    let run = loadgen.call(&["check", "my.v2"]);
    run.expect_code(104);
    assert!(run.stderr.contains("my.v2:"), "{}", run.stderr);
}
