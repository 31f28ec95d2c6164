//! Tests of `driftsim check` with a table as the reference.

use crate::cli::{command, driftsim, error, file};
use flate2::{Compression, write::GzEncoder};
use std::{fmt::Write as _, io::Write, path::Path, process::Stdio};

/// Returns a table of customers. Ages are shifted by `shift`, and the tariff `plus` is replaced by `tariff`.
fn customers(rows: usize, start: usize, shift: f64, tariff: &str) -> String {
    let mut text = "age,tariff,visits,left\n".to_owned();
    for row in start..start + rows {
        let age = 20.0 + (row * 7919 % 500) as f64 / 10.0 + shift;
        let tariff = ["basic", tariff, "pro"][row * 17 % 3];
        let visits = if row.is_multiple_of(5) { String::new() } else { (row * 31 % 12).to_string() };
        writeln!(text, "{age:.1},{tariff},{visits},{}", ["yes", "no"][row * 13 % 2]).unwrap();
    }
    text
}

fn check(current: &str, reference: &str, more: &[&str]) -> (i32, String) {
    let output = driftsim(&[&["check", "--current", current, "--reference", reference], more].concat());
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

fn gzip(folder: &Path, name: &str, text: &str) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, encoder.finish().unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Returns the verdict of a signal.
fn verdict<'a>(text: &'a str, signal: &str) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(&format!("  {signal} ")));
    line.unwrap_or_else(|| panic!("{text}")).split_whitespace().last().unwrap()
}

#[test]
fn only_the_columns_that_changed_drift() {
    let folder = tempfile::tempdir().unwrap();
    let reference = file(folder.path(), "june.csv", &customers(900, 0, 0.0, "plus"));
    let steady = file(folder.path(), "july.csv", &customers(700, 3000, 0.0, "plus"));
    let (code, text) = check(&steady, &reference, &[]);
    let expected =
        format!("{steady} against {reference} (900 rows)\n700 rows, steady: none of 4 signals drifts\n");
    assert!(code == 0 && text.starts_with(&expected), "{text}");
    assert!(!text.contains("accuracy") && !text.contains("note"), "{text}");

    let older = file(folder.path(), "older.csv", &customers(700, 3000, 15.0, "plus"));
    let renamed = file(folder.path(), "renamed.csv", &customers(700, 3000, 0.0, "max"));
    let full = customers(700, 3000, 0.0, "plus").replace(",,", ",3,");
    let full = file(folder.path(), "full.csv", &full);
    for (current, drifted) in [(older, "age"), (renamed, "tariff"), (full, "visits")] {
        let (code, text) = check(&current, &reference, &[]);
        assert!(code == 1 && text.contains("drift: 1 of 4 signals"), "{text}");
        assert_eq!(verdict(&text, drifted), "drifting", "{text}");
    }
}

#[test]
fn tables_may_be_compressed_or_standard_input_and_results_may_be_json_or_html() {
    let folder = tempfile::tempdir().unwrap();
    let text = customers(600, 0, 0.0, "plus");
    let table = file(folder.path(), "june.csv", &text);
    let compressed = gzip(folder.path(), "june.csv.gz", &text);
    for (current, reference) in [(&table, &compressed), (&compressed, &table)] {
        let (code, text) = check(current, reference, &[]);
        assert!(code == 0 && text.contains("none of 4 signals drifts"), "{text}");
    }
    let mut child = command(&["check", "--current", &table, "--reference", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(output.contains("against standard input (600 rows)\n"), "{output}");

    let (_, output) = check(&table, &compressed, &["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        (&json["reference_table"], &json["reference_rows"]),
        (&compressed.clone().into(), &600.into())
    );
    assert!(json.get("model").is_none() && json["accuracy"].is_null(), "{output}");
    assert_eq!(json["signals"][1]["bins"].as_array().unwrap().len(), 5);
    let (_, output) = check(&table, &compressed, &["--format", "html"]);
    assert!(output.contains("600 rows against ") && output.contains("june.csv.gz (600 rows)"), "{output}");

    std::fs::write(&compressed, &std::fs::read(&compressed).unwrap()[..200]).unwrap();
    let said = error(&["check", "--current", &table, "--reference", &compressed]);
    assert!(said.contains("june.csv.gz") && said.contains("gzip"), "{said}");
}

#[test]
fn columns_that_only_one_table_has_are_named_with_the_flag_that_leaves_them_out() {
    let folder = tempfile::tempdir().unwrap();
    let text = customers(300, 0, 0.0, "plus");
    let reference = file(folder.path(), "june.csv", &text);
    let unlabelled: String =
        text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned() + "\n").collect();
    let unlabelled = file(folder.path(), "unlabelled.csv", &unlabelled);
    let said = error(&["check", "--current", &unlabelled, "--reference", &reference]);
    let expected = format!(
        "error: {unlabelled}:1: the table lacks 1 of the reference's columns: left; it has age, tariff, visits; leave it out of the \
         comparison with --drop left\n"
    );
    assert_eq!(said, expected);
    for flag in ["--drop", "--target"] {
        let (code, text) = check(&unlabelled, &reference, &[flag, "left"]);
        assert!(code == 0 && text.contains("none of 3 signals drifts") && !text.contains("note"), "{text}");
        // The other table has the column, and it is not reported as ignored.
        let (code, text) = check(&reference, &reference, &[flag, "left"]);
        assert!(code == 0 && text.contains("none of 3 signals drifts") && !text.contains("note"), "{text}");
    }
    let said = error(&["check", "--current", &unlabelled, "--reference", &reference, "--target", "lft"]);
    assert!(said.contains("june.csv:1: --target: there is no column \"lft\""), "{said}");
    let (code, text) = check(&reference, &unlabelled, &[]);
    assert!(
        code == 0 && text.contains("columns that the reference does not have are ignored: left"),
        "{text}"
    );
    let other = file(folder.path(), "other.csv", "x,y\n1,2\n");
    let said = error(&["check", "--current", &other, "--reference", &reference]);
    assert!(said.ends_with("; it has x, y; give two tables with the same columns\n"), "{said}");
}

#[test]
fn all_unfit_columns_of_the_reference_are_named_in_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "n,customer,joined,age,price\n".to_owned();
    for row in 0..200 {
        writeln!(text, "{row},C-{row:05},2026-01-{:02},{},\"{},5\"", 1 + row % 28, row * 7 % 50, row % 9)
            .unwrap();
    }
    let table = file(folder.path(), "table.csv", &text);
    let said = error(&["check", "--current", &table, "--reference", &table]);
    assert!(said.contains("3 columns cannot be used:"), "{said}");
    for expected in ["--drop customer", "--drop joined", "--categorical price"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let flags = ["--drop", "customer", "--drop", "joined", "--categorical", "price"];
    let (code, text) = check(&table, &table, &flags);
    assert_eq!(code, 0, "{text}");
    let note = "column \"n\": counts the rows; leave it out with --drop n if it is a row number";
    assert!(text.contains(note) && text.contains("none of 3 signals drifts"), "{text}");
}

#[test]
fn types_and_missing_values_are_set_by_flags() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |code: &dyn Fn(usize) -> String| {
        (0..400)
            .fold("code;size\n".to_owned(), |text, row| text + &format!("{};{}\n", code(row), row * 7 % 100))
    };
    let reference = file(folder.path(), "old.csv", &rows(&|row| (row % 3).to_string()));
    let current = file(folder.path(), "new.csv", &rows(&|row| ["0", "1", "B"][row % 3].to_owned()));
    let said = error(&["check", "--current", &current, "--reference", &reference]);
    assert!(
        said.contains("old.csv:1: expected several columns") && said.contains("--separator ';'"),
        "{said}"
    );
    let (code, text) = check(&current, &reference, &["--separator", ";"]);
    assert!(code == 1 && text.contains("not read: 123 further rows"), "{text}");
    let remedy =
        "got \"B\" (--missing makes it a missing value; --categorical code reads the column as categories)";
    assert!(text.contains(remedy), "{text}");
    let (code, text) = check(&current, &reference, &["--separator", ";", "--categorical", "code"]);
    assert!(
        code == 1 && verdict(&text, "code") == "drifting" && verdict(&text, "size") == "steady",
        "{text}"
    );
    let (code, text) = check(&current, &current, &["--separator", ";", "--missing", "B"]);
    assert!(code == 0 && !text.contains(" B "), "{text}");
    let commas =
        file(folder.path(), "commas.csv", &std::fs::read_to_string(&current).unwrap().replace(';', ","));
    let said = error(&["check", "--current", &commas, "--reference", &reference, "--separator", ";"]);
    assert!(said.contains("its separator seems to be ',', which is not that of the reference"), "{said}");
}

#[test]
fn references_that_are_neither_a_model_nor_a_table_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let table = file(folder.path(), "june.csv", &customers(300, 0, 0.0, "plus"));
    let refused = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        error(&["check", "--current", &table, "--reference", path.to_str().unwrap()])
    };
    for (name, bytes, expected) in [
        ("empty", &b""[..], "seems to be an empty file; give a model file"),
        ("t.parquet", b"PAR1\x15", "seems to be a Parquet table; save the table as CSV"),
        (
            "m.pkl",
            b"\x80\x04\x95",
            "seems to be a Python pickle, as joblib or scikit-learn writes; convert it to ONNX",
        ),
        ("t.xlsx", b"PK\x03\x04", "save a spreadsheet as CSV"),
        ("other.json", b"{\"a\": 1}", "seems to be a JSON file of another kind; give a model file"),
        ("few.csv", b"a,b\n1,2\n", "the table has 1 row, but a reference needs at least 60; add rows"),
        ("header.csv", b"a,b\n", "the table has a header, but no rows"),
    ] {
        let said = refused(name, bytes);
        assert!(said.contains(name) && said.contains(expected), "{said}");
    }
}

#[test]
fn flags_for_columns_are_refused_if_the_reference_is_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let (model, table) = crate::cli::shop(folder.path());
    for flag in ["--drop", "--numeric", "--categorical"] {
        let said = error(&["check", "--current", &table, "--reference", &model, flag, "kind"]);
        assert!(said.starts_with(&format!("error: {flag}: is for a reference that is a table")), "{said}");
    }
}
