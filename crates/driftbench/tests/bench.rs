//! Small runs of the benchmark: their figures, and that they are reproducible.

#![allow(clippy::unwrap_used)]

#[path = "../../driftsim/tests/common/mod.rs"]
mod common;

use driftbench::{Report, Settings};
use std::{
    fs::Permissions,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Output},
};

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

fn report(flags: &str) -> Report {
    report_with(flags, &[])
}

/// Like [`report`], with further arguments, which may contain spaces.
fn report_with(flags: &str, more: &[&str]) -> Report {
    let flags =
        ["driftbench", "--quiet"].into_iter().chain(flags.split_whitespace()).chain(more.iter().copied());
    let Flags { settings } = clap::Parser::parse_from(flags);
    driftbench::run(&settings, &common::iris().card).unwrap()
}

fn driftbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_driftbench")).args(arguments).output().unwrap()
}

/// Runs the program, checks for exit code 2 and an empty stdout, and returns its stderr.
fn error(arguments: &[&str]) -> String {
    let output = driftbench(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Five minutes of steady traffic before each drift, and at most a quarter of an hour of drift.
const DETECTION: &str = "--only detection --trials 4 --references 2 --rate 20 --warm-up 5m --cap 15m";

#[test]
fn the_same_seed_gives_the_same_figures_on_any_number_of_threads() {
    let flags = "--weeks 0.003 --rates 1,20 --references 3 --null-references 2 --trials 3 --rate 10 --warm-up 2m \
                 --cap 1m --window-rates 2 --window-trials 2 --window-cap 2m";
    let figures = |more: &str| {
        let report = report(&format!("{flags} {more}"));
        (report.to_string(), serde_json::to_string(&report).unwrap())
    };
    let one = figures("--threads 1");
    assert_eq!(one, figures("--threads 4"));
    assert_ne!(one, figures("--threads 4 --seed 7"));
}

#[test]
fn each_drift_is_detected_by_the_signals_that_it_changes() {
    let detection = report(DETECTION).detection.unwrap();
    assert_eq!(detection.alarmed_before, 0);
    let drift = |name: &str| detection.drifts.iter().find(|drift| drift.drift == name).unwrap();
    let giants = &drift("giants").cases[0];
    assert_eq!(giants.verdict.missed, 0);
    // 60 rows take 3 s; the rest of the time passes until the next scrape and the next judgement.
    assert!(giants.each.iter().all(|time| time.unwrap() > 0.0 && time.unwrap() < 20.0), "{giants:?}");
    assert!(giants.alert.median.unwrap() >= giants.verdict.median.unwrap() + 5.0 - 1e-9);

    for case in &drift("model stuck at one class").cases {
        assert_eq!(case.verdict.missed, 0, "{case:?}");
        assert!(case.noticed_by.iter().all(|(_, signal, _)| signal == "prediction"), "{case:?}");
    }
    for case in &drift("one feature shuffled").cases {
        let first = &case.noticed_by[0].1;
        assert!(["distance", "confidence"].contains(&first.as_str()), "{case:?}");
    }
    // Large drift is detected first by the short window, not by one of a day.
    let of_window = |label: &str| giants.windows.iter().find(|(window, _)| window == label).unwrap().1;
    assert_eq!(of_window("25s").median, giants.verdict.median);
    assert!(of_window("1d").median.is_none_or(|time| time > giants.verdict.median.unwrap()));
}

#[test]
fn steady_traffic_is_counted_completely_and_raises_no_alarm() {
    let report = report("--only false-alarms --weeks 0.02 --rates 0.5,10 --references 2");
    let rates = report.false_alarms.unwrap();
    for traffic in &rates {
        // Two references with 1,209 beats of 5 s each, 7 signals.
        let expected = traffic.rate * 2.0 * 1209.0 * 5.0;
        assert!((traffic.rows as f64 - expected).abs() < 5.0 * expected.sqrt(), "{}", traffic.rows);
        assert!(traffic.windows.iter().all(|window| window.judgements == 2 * 1209 * 7));
        assert_eq!(traffic.in_use(), (0, 0), "{traffic:?}");
    }
    let window = |traffic: usize, label: &str| {
        rates[traffic].windows.iter().find(|window| window.window == label).unwrap().clone()
    };
    // 15 rows in half a minute are too few for a verdict; 300 are enough from about the second scrape on.
    assert_eq!(window(0, "30s").cannot_tell, window(0, "30s").judgements);
    assert!(window(1, "30s").cannot_tell < 2 * 7 * 4);
    // A window has 6 scrapes, so every sixth beat ends one that does not overlap the one before: 201 per reference.
    assert_eq!(window(1, "30s").separate, 2 * 7 * 201);
}

#[test]
fn chance_exceeds_higher_limits_less_often_and_detectable_drift_is_detected() {
    let windows = report("--only null --null-references 4").null.unwrap();
    for window in &windows {
        assert_eq!((window.references, window.judged), (4, 28));
        assert!(window.exceeding.is_sorted_by(|a, b| a >= b), "{window:?}");
        assert!(window.exceeding[0] <= 5, "{window:?}");
        // Nine in ten are expected. Over 28 draws the standard deviation is 1.6 draws, so seven in ten leaves a wide margin.
        assert!(window.noticed * 10 >= window.drifted * 7 && window.drifted > 20, "{window:?}");
    }
}

#[test]
fn streams_contain_the_rows_of_the_trials_and_the_times_of_our_verdicts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("streams");
    let detection = report_with(DETECTION, &["--streams", path.to_str().unwrap()]).detection.unwrap();
    let read = |file: &str| std::fs::read_to_string(path.join(file)).unwrap();
    let index: serde_json::Value = serde_json::from_str(&read("index.json")).unwrap();
    assert_eq!(index["trials"].as_array().unwrap().len(), 4);
    let seconds = |file: &str| -> Vec<f64> {
        read(file).lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect()
    };
    let trial = &index["trials"][1];
    let before = seconds(trial["before"].as_str().unwrap());
    assert!(before.iter().all(|time| (-200.0..0.0).contains(time)) && (3600..4400).contains(&before.len()));
    let giants = &trial["drifts"][0];
    let after = giants["file"].as_str().unwrap();
    assert!(seconds(after).iter().all(|time| (0.0..300.0).contains(time)));
    let of_column = |file: &str, column: usize| -> Vec<String> {
        read(file).lines().skip(1).map(|line| line.split(',').nth(column).unwrap().to_owned()).collect()
    };
    assert!(of_column(after, 1).iter().all(|size| size.parse::<f64>().unwrap() >= 8.0));
    assert_eq!(giants["noticed"].as_f64(), detection.drifts[0].cases[0].each[1]);
    let mut predictions = of_column(trial["drifts"][3]["file"].as_str().unwrap(), 5);
    predictions.dedup();
    assert_eq!(predictions.len(), 1);
    assert_eq!(seconds(index["steady"][0].as_str().unwrap()).len() / 1000, 72);
}

#[test]
fn tables_are_printed_and_the_figures_written_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("bench.json");
    let model = folder.path().join("model.json");
    std::fs::write(&model, common::awkward().to_json().unwrap()).unwrap();
    let flags =
        ["--only", "detection", "--rate", "20", "--trials", "2", "--references", "1", "--warm-up", "1m"];
    let flags = [&flags[..], &["--cap", "1m", "--json", json.to_str().unwrap()]].concat();
    let output = driftbench(&[&flags[..], &["--model", model.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("Ground truth: model \"awkward\""), "{text}");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 2 + 9, "{text}");
    let cells: Vec<usize> = rows.iter().map(|row| row.matches('|').count()).collect();
    assert!(cells.iter().all(|&count| count == cells[0]));
    let read: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!((&read["seed"], &read["signals"]), (&42.into(), &7.into()));
    assert_eq!(read["detection"]["drifts"][1]["cases"][2]["about"], "visits");
}

#[test]
fn figures_and_streams_are_written_through_symbolic_links_and_to_pipes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("streams")).unwrap();
    for (target, link) in [("1.json", "latest.json"), ("elsewhere.json", "streams/index.json")] {
        std::fs::write(at(target), "former figures").unwrap();
        std::fs::set_permissions(at(target), Permissions::from_mode(0o640)).unwrap();
        symlink(at(target), at(link)).unwrap();
    }
    let flags = "--quiet --only detection --rate 20 --trials 1 --references 1 --warm-up 1m --cap 1m";
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let (json, streams) = (at("latest.json"), at("streams"));
    let outputs = ["--json", json.to_str().unwrap(), "--streams", streams.to_str().unwrap()];
    let output = driftbench(&[&flags[..], &outputs].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read =
        |path: &Path| -> serde_json::Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    for (target, link) in [("1.json", "latest.json"), ("elsewhere.json", "streams/index.json")] {
        assert!(at(link).is_symlink(), "{link}");
        assert_eq!(read(&at(target))["seed"], 42, "{link}");
        assert_eq!(std::fs::metadata(at(target)).unwrap().permissions().mode() & 0o777, 0o640, "{link}");
    }
    // If the figures go to standard output, the tables go to standard error.
    let output = driftbench(&[&flags[..], &["--json", "/dev/stdout"]].concat());
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures, read(&json));
    assert!(String::from_utf8(output.stderr).unwrap().contains("| "), "the tables");
}

#[test]
fn a_folder_for_streams_that_cannot_be_created_is_reported_before_the_run() {
    let said = error(&["--only", "detection", "--streams", "/dev/null/streams"]);
    assert!(said.starts_with("error: --streams /dev/null/streams: the folder cannot be created: "), "{said}");
    assert!(said.ends_with("; name another one\n"), "{said}");
}

#[test]
fn invalid_flags_are_reported_with_a_remedy() {
    let cases: [(&[&str], &str, &str); 8] = [
        (&["--rates", "1,0"], "--rates", "give 0.001 to 1000000 rows per second"),
        (&["--rate", "NaN"], "--rate", "give 0.001 to 1000000 rows per second"),
        (&["--weeks", "-1"], "--weeks", "give more than 0"),
        (&["--fast", "7s"], "--fast", "give a multiple of 5s"),
        (&["--cap", "soon"], "--cap", "give a time such as 90s or 1h"),
        (&["--trials", "0"], "--trials", "give 1 to 100000"),
        (&["--weeks", "0.00001", "--references", "5"], "--weeks", "raise --weeks or lower --references"),
        (&["--only", "null", "--streams", "x"], "--streams", "add detection to --only"),
    ];
    for (flags, flag, remedy) in cases {
        let said = error(flags);
        assert!(said.contains(flag) && said.contains(remedy), "{flags:?}: {said}");
    }
    let said = error(&["--json", "/nowhere/bench.json"]);
    assert!(said.starts_with("error: --json /nowhere/bench.json: cannot be written: the folder /nowhere does not exist; create it first"), "{said}");
}

#[test]
fn the_program_has_completions_and_a_manual_page() {
    let script = driftbench(&["--completions", "bash"]);
    assert!(script.status.success() && String::from_utf8_lossy(&script.stdout).contains("--null-references"));
    let folder = tempfile::tempdir().unwrap();
    assert!(driftbench(&["--man-pages", folder.path().to_str().unwrap()]).status.success());
    let page = std::fs::read_to_string(folder.path().join("driftbench.1")).unwrap();
    assert!(page.contains("null") && !page.contains("man\\-pages"), "{page}");
    assert!(error(&["--completions", "bash", "--quiet"]).contains("cannot be used with"));
}
