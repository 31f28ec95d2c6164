//! Tests of the binary `driftsim`.

use crate::common;
use flate2::{Compression, write::GzEncoder};
use model::{CsvOptions, TrainOptions};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Output, Stdio},
};

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftsim"));
    command.args(arguments);
    command
}

pub(crate) fn driftsim(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn stdout(arguments: &[&str]) -> String {
    let output = driftsim(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty());
    String::from_utf8(output.stdout).unwrap()
}

/// Returns what the program writes to stderr, after checking that it exits with code 2 and writes nothing to stdout.
pub(crate) fn error(arguments: &[&str]) -> String {
    let output = driftsim(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

pub(crate) fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn generate_writes_the_same_csv_for_the_same_seed() {
    let text = stdout(&["generate", "--rows", "200", "--seed", "7"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 201);
    assert_eq!(lines[0], "sepal_length,sepal_width,petal_length,petal_width,class,drifted");
    assert!(lines[1..].iter().all(|line| line.ends_with(",false")));
    assert_eq!(text, stdout(&["generate", "--rows", "200", "--seed", "7"]));
    assert_ne!(text, stdout(&["generate", "--rows", "200", "--seed", "8"]));
}

#[test]
fn generate_writes_jsonl_with_the_features_of_a_predict_request() {
    let text = stdout(&["generate", "--preset", "giant", "--rows", "5", "--format", "jsonl"]);
    assert_eq!(text.lines().count(), 5);
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(row["features"]["sepal_length"].as_f64().unwrap() >= 8.0);
        assert_eq!(row["features"].as_object().unwrap().len(), 4);
        assert_eq!(row["drifted"], true);
        assert!(["setosa", "versicolor", "virginica"].contains(&row["class"].as_str().unwrap()));
    }
}

#[test]
fn generate_writes_rows_of_a_given_model_file() {
    let folder = tempfile::tempdir().unwrap();
    let model = file(folder.path(), "m.json", &common::awkward().to_json().unwrap());
    let spec =
        file(folder.path(), "s.yaml", "share: 0.5\noperations:\n  - scale: { features: lab, factor: 10 }\n");
    let text = stdout(&["generate", "--model", &model, "--spec", &spec, "--rows", "400"]);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("income,smoker,visits,lab,class,drifted"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert!(rows.iter().any(|row| row[3].is_empty()));
    let lab = |row: &Vec<&str>| row[3].parse::<f64>().unwrap_or(15.0);
    let drifted: Vec<_> = rows.iter().filter(|row| row[5] == "true").collect();
    assert!((150..250).contains(&drifted.len()) && drifted.iter().all(|row| lab(row) > 12.0));
}

#[test]
fn a_model_can_be_trained_on_generated_rows() {
    let text = stdout(&["generate", "--rows", "300"]);
    let columns = |line: &str| line.rsplit_once(',').unwrap().0.to_owned() + "\n";
    let csv: String = text.lines().map(columns).collect();
    let file = common::train(&csv, "again");
    assert!(file.card.training.held_out_accuracy.unwrap() > 0.9);
}

#[test]
fn list_prints_the_presets() {
    let text = stdout(&["list"]);
    let names: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["giant", "petal_shift", "unit_change", "prior_shift", "noise", "concept_drift"]);
    assert!(text.lines().all(|line| line.len() > 40));
    let start = |line: &str| line.find("  ").map(|end| line.len() - line[end..].trim_start().len());
    let starts: Vec<_> = text.lines().map(start).collect();
    assert!(starts.iter().all(|own| own.is_some() && *own == starts[0]), "{text}");
}

#[test]
fn a_closed_standard_output_is_not_an_error() {
    let mut child = command(&["generate", "--rows", "1000000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    // The pipe was closed at the end of the statement above.
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    assert!(line.starts_with("sepal_length"));
}

#[test]
fn errors_name_the_file_the_line_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| file(folder.path(), name, text);
    let bad = write("bad.yaml", "share: 1\noperations:\n  - shift: { features: \"*\", by_sd: much }\n");
    let rose = write("rose.yaml", "operations:\n  - noise: { features: thorns, by_sd: 1 }\n");
    let json = write("model.json", "{}");
    let generate = |more: &[&str]| error(&[&["generate", "--rows", "1"], more].concat());

    let said = generate(&["--spec", &bad]);
    assert!(said.starts_with(&format!("error: {bad}:3: operations[0].shift.by_sd: invalid type")), "{said}");
    let said = generate(&["--spec", &rose]);
    let expected = format!(
        "error: {rose}, model \"iris\": operations[0].noise.features: no feature is called \"thorns\"; \
         the model's features are sepal_length, sepal_width, petal_length, petal_width\n"
    );
    assert_eq!(said, expected);
    let said = generate(&["--preset", "gaint"]);
    assert!(said.starts_with("error: preset: there is no preset \"gaint\"; use one of giant, "), "{said}");
    let said = generate(&["--spec", "nowhere.yaml"]);
    assert!(said.starts_with("error: --spec: cannot read nowhere.yaml: "), "{said}");
    let said = generate(&["--model", &json]);
    assert!(
        said.starts_with(&format!("error: --model: {json}: seems to be a JSON file of another kind; give a")),
        "{said}"
    );
    assert!(said.contains(": not a model file: missing field `format`"), "{said}");
    std::fs::write(&json, b"\x80\x04\x95").unwrap();
    let said = generate(&["--model", &json]);
    assert!(said.starts_with(&format!("error: --model: {json}: seems to be a Python pickle")), "{said}");
    let said = generate(&["--spec", &json]);
    assert!(said.starts_with(&format!("error: --spec: {json}: seems to be a Python pickle")), "{said}");
    assert!(generate(&["--preset", "giant", "--spec", &bad]).contains("cannot be used with"));
    assert!(error(&["generate"]).contains("--rows"));
    assert!(error(&["generate", "--rows", "-1"]).contains("-1"));
}

/// Writes a table with text, and a model of it, and returns the paths of the model and of the table.
pub(crate) fn shop(folder: &Path) -> (String, String) {
    let rows: String = (0..600)
        .map(|row| {
            let kind = ["tea", "coffee", "water"][row * 7 % 3];
            format!(
                "{:.1},{kind},{}\n",
                (row * 37 % 100) as f64 / 10.0,
                if kind == "tea" { "yes" } else { "no" }
            )
        })
        .collect();
    let csv = format!("price,kind,class\n{rows}");
    let model = common::train(&csv, "shop");
    (file(folder, "model.json", &model.to_json().unwrap()), file(folder, "shop.csv", &csv))
}

#[test]
fn check_prints_the_verdict_and_exits_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let (model, table) = shop(folder.path());
    let check = |current: &str, more: &[&str]| {
        let output = driftsim(&[&["check", "--reference", &model, "--current", current], more].concat());
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    };
    let (code, text) = check(&table, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("600 rows, steady: none of 5 signals drifts")
            && text.contains("on 600 rows with a class"),
        "{text}"
    );

    let drifted = std::fs::read_to_string(&table).unwrap().replace("water", "juice");
    let drifted = file(folder.path(), "drifted.csv", &drifted);
    let (code, text) = check(&drifted, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("kind") && text.contains("other") && text.contains("seen  33.3 % "), "{text}");

    let renamed = std::fs::read_to_string(&table).unwrap().replacen("class", "bought", 1);
    let renamed = file(folder.path(), "renamed.csv", &renamed);
    let (code, text) = check(&renamed, &[]);
    assert!(code == Some(0) && text.contains("are ignored: bought") && !text.contains("accuracy"), "{text}");
    let (code, text) = check(&renamed, &["--target", "bought"]);
    assert!(
        code == Some(0) && text.contains("on 600 rows with a class") && !text.contains("ignored"),
        "{text}"
    );
    let (code, text) = check(&table, &["--target", "bought"]);
    assert!(
        code == Some(2) && text.contains("shop.csv:1: --target: there is no column \"bought\""),
        "{text}"
    );

    let one = file(folder.path(), "one.csv", "kind,price\ntea,1.5\n");
    let (_, text) = check(&one, &[]);
    assert!(text.contains("\n1 row, cannot tell: 1 row, needs 60\n"), "{text}");
    let few = file(folder.path(), "few.csv", "kind,price\ntea,1.5\ncoffee,2\n");
    let (code, text) = check(&few, &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("cannot tell: 2 rows, needs 60") && text.contains("another order"), "{text}");

    let odd = std::fs::read_to_string(&table).unwrap() + "cheap,tea,yes\n";
    let (code, text) = check(&file(folder.path(), "odd.csv", &odd), &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("odd.csv:602: column \"price\": expected a finite number, got \"cheap\""),
        "{text}"
    );

    let (code, text) = check(&file(folder.path(), "other.csv", "price\n1\n"), &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("the table lacks 1 of the model's columns: kind; it has price"), "{text}");
}

#[test]
fn check_writes_json_and_html() {
    let folder = tempfile::tempdir().unwrap();
    let (model, table) = shop(folder.path());
    let json: serde_json::Value = serde_json::from_str(&stdout(&[
        "check",
        "--reference",
        &model,
        "--current",
        &table,
        "--format",
        "json",
    ]))
    .unwrap();
    assert_eq!((&json["overall"], &json["rows"]), (&"steady".into(), &600.into()));
    assert_eq!(json["signals"][1]["verdict"], "steady");
    assert_eq!(json["signals"][1]["bins"].as_array().unwrap().len(), 5);

    let name = file(folder.path(), "<b>&.csv", &std::fs::read_to_string(&table).unwrap());
    let page = stdout(&["check", "--reference", &model, "--current", &name, "--format", "html"]);
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.contains("&lt;b&gt;&amp;.csv") && !page.contains("<b>&"),
        "{page}"
    );
    assert!(!page.contains("http://") && !page.contains("https://"));
}

#[test]
fn a_model_card_alone_is_enough_to_check_the_features() {
    let folder = tempfile::tempdir().unwrap();
    let (model, table) = shop(folder.path());
    let file_json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(model).unwrap()).unwrap();
    let card = file(folder.path(), "card.json", &file_json["card"].to_string());
    let text = stdout(&["check", "--reference", &card, "--current", &table]);
    assert!(text.contains("none of 2 signals drifts") && text.contains("are not checked"), "{text}");
}

#[test]
fn check_reads_gzip_and_refuses_a_truncated_file() {
    let folder = tempfile::tempdir().unwrap();
    let (model, table) = shop(folder.path());
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(std::fs::read_to_string(&table).unwrap().repeat(50).as_bytes()).unwrap();
    let compressed = encoder.finish().unwrap();
    let check = |current: &str| driftsim(&["check", "--reference", &model, "--current", current]);
    let current = folder.path().join("shop.csv.gz");
    std::fs::write(&current, &compressed).unwrap();
    let output = check(current.to_str().unwrap());
    let text = String::from_utf8(output.stdout).unwrap();
    // The table is 50 copies of a file. In 49 of them the header is read as a row, whose first cell is not a number.
    assert!(text.contains("30000 rows, cannot tell: 49 rows could not be read"), "{text}");
    assert!(text.contains("shop.csv.gz:602: column \"price\""), "{text}");

    std::fs::write(&current, &compressed[..compressed.len() / 2]).unwrap();
    let said = error(&["check", "--reference", &model, "--current", current.to_str().unwrap()]);
    assert!(said.contains("shop.csv.gz") && said.contains("incomplete deflate stream"), "{said}");
}

#[test]
fn check_reads_missing_values_as_in_the_models_own_table() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..300)
        .map(|row| {
            format!("{},{}\n", if row % 3 == 0 { "unknown".to_owned() } else { row.to_string() }, row % 2)
        })
        .collect();
    let csv = format!("age,class\n{rows}");
    let options = CsvOptions { missing: vec!["unknown".into()], ..CsvOptions::new("class") };
    let table = model::read_csv(csv.as_bytes(), "ages", &options).unwrap().table;
    let model = model::train(&table, &TrainOptions::new("ages")).unwrap();
    let model = file(folder.path(), "model.json", &model.to_json().unwrap());
    let same = file(folder.path(), "ages.csv", &csv);
    assert!(stdout(&["check", "--reference", &model, "--current", &same]).contains("300 rows, steady"));
    let other = file(folder.path(), "other.csv", &csv.replace("unknown", "?"));
    let output = driftsim(&["check", "--reference", &model, "--current", &other, "--missing", "x"]);
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("other.csv:2: column \"age\": expected a finite number")
    );
    let text = stdout(&["check", "--reference", &model, "--current", &other, "--missing", "?"]);
    assert!(text.contains("300 rows, steady"), "{text}");
}

#[test]
fn a_reference_is_read_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let (model, table) = shop(folder.path());
    let output = command(&["check", "--reference", "-", "--current", &table])
        .stdin(std::fs::File::open(model).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("none of 5 signals drifts"), "{text}");
    let said = error(&["check", "--reference", "-", "--current", "-"]);
    assert_eq!(
        said,
        "error: --current and --reference cannot both be standard input; give a file for one of them\n"
    );
}

#[test]
fn a_table_without_rows_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (model, _) = shop(folder.path());
    let check = |name: &str, text: &str| {
        error(&["check", "--reference", &model, "--current", &file(folder.path(), name, text)])
    };
    assert!(check("empty.csv", "").ends_with("empty.csv: the file is empty\n"));
    assert!(check("mark.csv", "\u{feff}").ends_with("mark.csv: the file is empty\n"));
    assert!(
        check("header.csv", "price,kind\r\n").ends_with("header.csv: the table has a header, but no rows\n")
    );
    let said = check("short.csv", "price,kind\n1\n2\n");
    assert!(
        said.ends_with(
            "short.csv:2: expected 2 fields as in the header, got 1; none of 2 rows can be read\n"
        ),
        "{said}"
    );
}

#[test]
fn the_program_states_its_version_and_has_completions_and_manual_pages() {
    let version = stdout(&["--version"]);
    let lines: Vec<&str> = version.lines().collect();
    assert_eq!(lines[0], format!("driftsim {}", env!("CARGO_PKG_VERSION")));
    assert!(lines[1].starts_with("commit: ") && lines[2].starts_with("target: "), "{version}");
    assert!(stdout(&["completions", "bash"]).contains("--reference"));
    let folder = tempfile::tempdir().unwrap();
    stdout(&["man-pages", folder.path().to_str().unwrap()]);
    let page = std::fs::read_to_string(folder.path().join("driftsim-check.1")).unwrap();
    assert!(page.contains("Exit codes: 0 steady, 1 drift"), "{page}");
}
