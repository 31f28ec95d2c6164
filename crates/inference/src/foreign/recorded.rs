//! Reads what real servers were asked and answered. `cases/record.py` recorded it, with the rows and outputs of the models themselves.

use super::{Protocol, Reader};
use base64::{Engine, prelude::BASE64_STANDARD};
use clap::ValueEnum;
use model::{CsvOptions, Feature, ModelFile, Output, ProfileInput, Truth, Values, profile, read_reference};
use serde_json::Value;
use std::{fs, path::Path};

/// How far a number may be from that of the model, because some servers answer with single precision.
const CLOSE: f64 = 1e-6;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/foreign/cases"))
}

/// Makes the profile of a recorded model from its table.
fn file(model: &str, classes: &[&str]) -> ModelFile {
    let text = fs::read(folder().join(format!("{model}.csv"))).unwrap();
    let columns = classes.iter().map(|class| format!("p_{class}"));
    let options = CsvOptions {
        target: None,
        aside: std::iter::once("predicted".to_owned()).chain(columns).collect(),
        ..CsvOptions::new("")
    };
    let table = read_reference(&text[..], model, &options).unwrap();
    let number = |column: usize, row: usize| table.aside[column][row].parse::<f64>().unwrap();
    let output = |row: usize| {
        let Some(class) = classes.iter().position(|class| *class == table.aside[0][row]) else {
            return Output::Number(number(0, row));
        };
        let probabilities = (1..=classes.len()).map(|column| number(column, row)).collect();
        Output::Class { class, probabilities: Some(probabilities) }
    };
    let input = ProfileInput {
        name: model.into(),
        classes: classes.iter().map(|&class| class.to_owned()).collect(),
        outputs: (0..table.lines.len()).map(output).collect(),
        truth: Truth::Unknown,
        engine: None,
        accepts_missing: Vec::new(),
        external: None,
        server: None,
        seed: 1,
        table,
    };
    profile(input, |_| {}).unwrap()
}

fn value(feature: &Feature, cell: &Value) -> f64 {
    match &feature.values {
        Values::Numeric(_) => cell.as_f64().unwrap(),
        Values::Categorical(own) => own.value(&cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)),
    }
}

fn bytes(exchange: &Value, name: &str) -> Vec<u8> {
    match exchange[name].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => BASE64_STANDARD.decode(exchange[format!("{name}_base64")].as_str().unwrap()).unwrap(),
    }
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() <= CLOSE * one.abs().max(1.0)
}

#[test]
fn exchanges_with_real_servers_are_read_as_their_models_mean_them() {
    let files = [file("iris", &["0", "1", "2"]), file("churn", &["no", "yes"]), file("price", &[])];
    let mut servers = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        servers += 1;
        let case: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for exchange in case["exchanges"].as_array().unwrap() {
            let file = files.iter().find(|file| exchange["model"] == file.card.name.as_str()).unwrap();
            check(file, exchange)
                .unwrap_or_else(|problem| panic!("{}: {problem}: {exchange}", path.display()));
        }
    }
    assert_eq!(servers, 4, "FastAPI, KServe, MLflow and MLServer");
}

fn check(file: &ModelFile, exchange: &Value) -> Result<(), String> {
    let reader = Reader::new(file).unwrap();
    let protocol = Protocol::from_str(exchange["protocol"].as_str().unwrap(), false).unwrap();
    let length = |headers: &str| {
        let value = exchange[headers]["inference-header-content-length"].as_str()?;
        Some(value.parse::<usize>().unwrap())
    };
    let content_type = exchange["headers"]["content-type"].as_str();
    let rows = reader
        .rows(protocol, content_type, length("headers"), &bytes(exchange, "request"))
        .map_err(|refusal| refusal.placed())?;
    let expected = exchange["rows"].as_array().unwrap();
    if rows.rows().len() != expected.len() {
        return Err(format!("{} rows", rows.rows().len()));
    }
    for (row, expected) in rows.rows().iter().zip(expected) {
        for ((feature, got), cell) in file.card.features.iter().zip(row).zip(expected.as_array().unwrap()) {
            if !got.is_some_and(|got| close(got, value(feature, cell))) {
                return Err(format!("{} is {got:?} instead of {cell}", feature.name));
            }
        }
    }
    let outputs = reader.outputs(protocol, length("answer_headers"), &bytes(exchange, "answer"))?;
    let labels = exchange["labels"].as_array().unwrap();
    if outputs.len() != labels.len() {
        return Err(format!("{} outputs", outputs.len()));
    }
    let path = exchange["path"].as_str().unwrap();
    let answer = exchange["answer"].as_str().unwrap_or_default();
    let is_confident = path.contains("proba") || answer.contains("proba") || answer.contains("confidence");
    for (row, (output, label)) in outputs.iter().zip(labels).enumerate() {
        let expected = match file.card.classes.as_slice() {
            [] => label.as_f64().unwrap(),
            classes => {
                let label = label.as_str().map_or_else(|| label.to_string(), str::to_owned);
                classes.iter().position(|class| *class == label).unwrap() as f64
            }
        };
        if !close(output.value(), expected) {
            return Err(format!("output {row} is {output:?} instead of {label}"));
        }
        let truth = &exchange["probabilities"][row];
        match output.probabilities() {
            Some(own) if is_confident => {
                let truth = truth.as_array().unwrap().iter().filter_map(Value::as_f64);
                if !own.iter().zip(truth).all(|(own, truth)| close(*own, truth)) {
                    return Err(format!("output {row} is {output:?}"));
                }
            }
            None if !is_confident => {}
            own => return Err(format!("output {row} has the probabilities {own:?}")),
        }
    }
    Ok(())
}
