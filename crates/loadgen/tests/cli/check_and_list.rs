//! `loadgen check` and `loadgen list`.

use crate::support::Loadgen;

#[test]
fn check_prints_what_would_be_sent() {
    let run = Loadgen::new().call(&["check", "demo", "drift"]);
    run.expect_code(0);
    // Calm: 50/s for 30 s.
    assert!(run.stdout.contains("1500") && run.stdout.contains("about"), "{}", run.stdout);
}

#[test]
fn check_names_every_problem_of_every_file() {
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
