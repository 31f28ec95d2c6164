//! Models of other libraries, from their file to answers over HTTP. The cases are made by `crates/onnx/tests/cases/make_cases.py`,
//! with the answers of ONNX Runtime itself.

use crate::harness::Service;
use inference::{LoadedModel, Settings};
use model::ModelCard;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// How far a probability may be from that of ONNX Runtime itself, and a number relative to it.
const CLOSE: f64 = 1e-5;

/// A stored case.
#[derive(Deserialize)]
struct Case {
    target: String,
    task: String,
    categorical: Vec<String>,
    classes: Option<Vec<String>>,
    #[serde(default)]
    logits: bool,
    rows: Vec<Vec<Value>>,
    labels: Vec<Value>,
    probabilities: Option<Vec<Vec<f64>>>,
}

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../onnx/tests/cases")
}

fn inference(arguments: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_inference")).args(arguments).output().unwrap()
}

/// Makes the profile of a case, and returns what the program printed, or its error.
fn profile(case: &Case, folder: &Path, out: &Path) -> Result<String, String> {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut arguments = vec!["profile".into(), "--data".into(), path("table.csv"), "--target".into()];
    arguments.extend([case.target.clone(), "--onnx".into(), path("model.onnx"), "--out".into()]);
    arguments.push(out.display().to_string());
    for column in &case.categorical {
        arguments.extend(["--categorical".into(), column.clone()]);
    }
    if let Some(classes) = &case.classes {
        arguments.extend(["--classes".into(), classes.join(",")]);
    }
    if case.logits {
        arguments.push("--logits".into());
    }
    let output = inference(&arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn served(folder: &Path, profile: &Path) -> Result<Service, String> {
    let settings = Settings {
        model: Some(folder.join("model.onnx")),
        profile: Some(profile.to_owned()),
        ..Settings::default()
    };
    let model = LoadedModel::load(&settings).map_err(|error| format!("{error:#}"))?;
    Ok(Service::loaded(settings, model))
}

/// Returns how the answers to the rows of a case differ from the stored ones, if they do.
async fn difference(case: &Case, folder: &Path) -> Result<(), String> {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("card.json");
    profile(case, folder, &out)?;
    let service = served(folder, &out)?;
    let card: ModelCard = service.get_json("/model").await;
    // A value may only be missing where the reference has missing values, too; such rows are refused.
    let is_complete = |&row: &usize| {
        let mut values = case.rows[row].iter().zip(&card.features);
        values.all(|(value, feature)| !value.is_null() || feature.missing_ratio > 0.0)
    };
    let complete: Vec<usize> = (0..case.rows.len()).filter(is_complete).collect();
    let rows: Vec<&Vec<Value>> = complete.iter().map(|&row| &case.rows[row]).collect();
    let (status, body) = service.predict(&json!({ "instances": rows }).to_string()).await;
    let answers = body["predictions"].as_array().ok_or_else(|| format!("{status} {body}"))?;
    for (&row, answer) in complete.iter().zip(answers) {
        let label = &case.labels[row];
        if case.task == "regression" {
            let (got, expected) = (answer["prediction"].as_f64().unwrap(), label.as_f64().unwrap());
            if (got - expected).abs() > CLOSE * expected.abs().max(1.0) {
                return Err(format!("row {row}: {got} instead of {expected}"));
            }
            continue;
        }
        // A model may call a class by its number.
        let number = label.as_str().and_then(|label| label.parse::<usize>().ok());
        let named = case.classes.as_ref().zip(number).map(|(classes, number)| json!(classes[number]));
        if answer["class"] != *label && Some(&answer["class"]) != named.as_ref() {
            return Err(format!("row {row}: {answer} instead of {label}"));
        }
        match &case.probabilities {
            None if !answer["probabilities"].is_null() => {
                return Err(format!("row {row}: has probabilities"));
            }
            None => {}
            Some(all) => {
                let got: Vec<f64> = serde_json::from_value(answer["probabilities"].clone()).unwrap();
                if got.len() != all[row].len()
                    || got.iter().zip(&all[row]).any(|(a, b)| (a - b).abs() > CLOSE)
                {
                    return Err(format!("row {row}: {got:?} instead of {:?}", all[row]));
                }
            }
        }
    }
    let rows = answers.len() as f64;
    let version = card.version;
    let counted: f64 = {
        let page = service.get("/metrics").await.text().await.unwrap();
        let prefix = format!("signal_bin_total{{version=\"{version}\",signal=\"prediction\"");
        let lines = page.lines().filter(|line| line.starts_with(&prefix));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    if counted == rows { Ok(()) } else { Err(format!("{counted} of {rows} predictions were counted")) }
}

#[tokio::test]
async fn answers_equal_those_of_onnx_runtime() {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(cases()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("case.json").is_file());
    folders.sort();
    assert!(folders.len() >= 20, "the stored cases are missing");
    let mut problems = Vec::new();
    for folder in &folders {
        let case: Case = serde_json::from_slice(&fs::read(folder.join("case.json")).unwrap()).unwrap();
        assert!(!case.rows.is_empty() && case.rows.len() == case.labels.len(), "{}", folder.display());
        let name = folder.file_name().unwrap().display().to_string();
        match difference(&case, folder).await {
            // Two columns could be the input, and a guess would be silent.
            Err(problem) if name == "columns_clash" => {
                assert!(problem.contains("more than one whose name"), "{problem}");
            }
            Err(problem) => problems.push(format!("{name}: {problem}")),
            Ok(()) => assert_ne!(name, "columns_clash"),
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
