//! Models of other libraries, from their file to answers over HTTP. The cases are made by `crates/onnx/tests/cases/make_cases.py`,
//! with the answers of ONNX Runtime itself.

use crate::harness::Service;
use inference::{LoadedModel, Settings};
use model::ModelCard;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
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

fn cases_folder() -> PathBuf {
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
    let (model, version) = (card.name, card.version);
    let counted: f64 = {
        let page = service.get("/metrics").await.text().await.unwrap();
        let prefix =
            format!("signal_bin_total{{model=\"{model}\",version=\"{version}\",signal=\"prediction\"");
        let lines = page.lines().filter(|line| line.starts_with(&prefix));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    if counted == rows { Ok(()) } else { Err(format!("{counted} of {rows} predictions were counted")) }
}

#[tokio::test]
async fn answers_equal_those_of_onnx_runtime() {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(cases_folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("case.json").is_file());
    folders.sort();
    assert!(folders.len() >= 37, "stored cases are missing");
    let mut problems = Vec::new();
    for folder in &folders {
        let case: Case = serde_json::from_slice(&fs::read(folder.join("case.json")).unwrap()).unwrap();
        assert!(!case.rows.is_empty() && case.rows.len() == case.labels.len(), "{}", folder.display());
        let name = folder.file_name().unwrap().display().to_string();
        match difference(&case, folder).await {
            // Two columns could be the input, so the model is refused.
            Err(problem) if name == "columns_clash" => {
                assert!(problem.contains("needs exactly one column of that name"), "{problem}");
            }
            Err(problem) => problems.push(format!("{name}: {problem}")),
            Ok(()) => assert_ne!(name, "columns_clash"),
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// A table that fits the damaged models: four numbers and two classes.
fn four_columns() -> String {
    let row = |row: u32| {
        let value = |column: u32| f64::from((row * 37 + column * 101) % 97) / 24.0 - 2.0;
        format!("{},{},{},{},{}\n", value(0), value(1), value(2), value(3), ["x", "y"][row as usize % 2])
    };
    "a,b,c,d,class\n".to_owned() + &(0..120).map(row).collect::<String>()
}

#[test]
fn damaged_and_hostile_models_are_refused_with_a_reason() {
    let cases = [
        ("truncated", "cannot be run by ONNX Runtime: Failed to load model because protobuf parsing failed"),
        ("not_onnx", "cannot be run by ONNX Runtime"),
        ("empty", "seems to be an empty file; give a model in the ONNX format"),
        ("pickled", "seems to be a Python pickle, as joblib or scikit-learn writes; convert it to ONNX"),
        ("zeros", "cannot be run by ONNX Runtime"),
        ("future_opset", "cannot be run by ONNX Runtime: ONNX Runtime only *guarantees* support"),
        ("future_opset_ml", "Opset 99 is under development"),
        ("future_ir", "cannot be run by ONNX Runtime: Unsupported model IR version: 99"),
        ("unknown_op", "No Op registered for FlyToTheMoon"),
        ("unknown_domain", "com.example:Fly(-1) is not a registered function/op"),
        ("cycle", "the graph is not acyclic"),
        ("dangling", "Node input 'nowhere' is not a graph input"),
        ("duplicate_input", "Duplicate definition-site for (X)"),
        ("nested_30", "input \"yes\" has 0 dimensions"),
        ("nested_200", "protobuf parsing failed"),
        ("double_trees", "does not match expected type (tensor(float))"),
        ("external_missing", "keeps its weights in other files (external data)"),
        ("external_parent", "keeps its weights in other files (external data)"),
        ("external_absolute", "keeps its weights in other files (external data)"),
        ("shape_mismatch", "the model failed"),
        ("index_out_of_range", "indices element out of data bounds"),
        ("divide_by_zero", "Integer division by zero"),
        ("huge_alloc", "Failed to allocate memory"),
        ("huge_alloc_per_row", "Failed to allocate memory"),
        ("image_input", "has 4 dimensions; supported are rows × columns"),
        ("sequence_input", "but only tensors are supported"),
        ("scalar_input", "has 0 dimensions"),
        ("float16_input", "has elements of type f16; supported are float, double"),
        ("no_inputs", "the model has no input"),
        ("no_outputs", "the model has no output"),
        ("int8_output", "no output can be read: \"probabilities\" of type"),
        ("float16_output", "no output can be read"),
        ("complex_output", "tensor(complex64)"),
        ("cube_output", "no output can be read"),
        ("sequence_output", "no output can be read"),
        ("sum_of_three", "does not hold probabilities: row 1 has"),
        ("negative", "does not hold probabilities: row 1 has"),
        ("nan_output", "does not hold probabilities: row 1 has NaN"),
        ("infinite_output", "does not hold probabilities: row 1 has inf"),
        ("rows_lost", "expected 120 rows, got shape [1, 2]"),
        ("rows_doubled", "expected 120 rows, got shape [240, 2]"),
        ("unknown_label", "the model returns \"99\", but the target column has"),
        (
            "two_labels",
            "output \"label\" has 2 labels per row, but models that predict several labels are not supported",
        ),
        (
            "three_numbers",
            "output \"numbers\" has 3 numbers per row, which are not probabilities, but models that predict",
        ),
        ("invalid_utf8_labels", "output \"label\": invalid utf-8"),
        ("hostile_labels", "but the target column has"),
    ];
    let scratch = tempfile::tempdir().unwrap();
    let (data, out) = (scratch.path().join("table.csv"), scratch.path().join("card.json"));
    fs::write(&data, four_columns()).unwrap();
    let mut problems = Vec::new();
    for (name, expected) in cases {
        let model = cases_folder().join(format!("bad/{name}.onnx"));
        assert!(model.is_file(), "{name}");
        let path = |path: &Path| path.display().to_string();
        let arguments = [
            "profile",
            "--data",
            &path(&data),
            "--target",
            "class",
            "--onnx",
            &path(&model),
            "--out",
            &path(&out),
        ];
        let output = inference(&arguments.map(str::to_owned));
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let start = format!("error: --onnx {}: ", path(&model));
        let clear = message.starts_with(&start) && message.contains(expected) && message.lines().count() <= 2;
        if output.status.code() != Some(1) || !clear || message.contains("/onnxruntime_src/") {
            problems.push(format!("{name} ({}): {message}", output.status));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(!out.exists());
}

/// A row that a model cannot score is an error of the client, as long as the model can score others.
#[tokio::test]
async fn a_row_that_the_model_cannot_score_is_the_clients_error() {
    let folder = cases_folder().join("embedding");
    let case: Case = serde_json::from_slice(&fs::read(folder.join("case.json")).unwrap()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("card.json");
    profile(&case, &folder, &out).unwrap();
    let service = served(&folder, &out).unwrap();
    let good = case.rows[0].clone();
    let mut beyond = good.clone();
    // The last column is a position in a table of three.
    *beyond.last_mut().unwrap() = json!(700);
    let (status, body) = service.predict(&json!({ "instances": [good, beyond, good] }).to_string()).await;
    assert_eq!((status, &body["error"]["code"]), (422, &json!("unscorable_row")), "{body}");
    assert_eq!(body["error"]["field"], "instances[1]");
    let mut huge = good.clone();
    huge[0] = json!(1e300);
    let (status, body) = service.predict(&json!({ "features": huge }).to_string()).await;
    assert_eq!((status, &body["error"]["code"]), (422, &json!("number_out_of_range")), "{body}");
    assert_eq!(service.predict(&json!({ "features": good }).to_string()).await.0, 200);
    assert_eq!(service.metric("inference_rejections_total", &[("reason", "internal")]).await, 0.0);
}

/// Names of classes go with the model's own, in whatever order they are typed.
#[test]
fn named_probabilities_keep_their_names() {
    let folder = cases_folder().join("logistic_zipmap");
    let read = || -> Case { serde_json::from_slice(&fs::read(folder.join("case.json")).unwrap()).unwrap() };
    let scratch = tempfile::tempdir().unwrap();
    let classes = |names: Option<&[&str]>| {
        let out = scratch.path().join("card.json");
        let names = names.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        profile(&Case { classes: names, ..read() }, &folder, &out).map(|_| {
            let file: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
            (file["card"]["classes"].clone(), file["card"]["reference"]["accuracy"].clone())
        })
    };
    let usual = classes(None).unwrap();
    assert_eq!(classes(Some(&["Gentoo", "Chinstrap", "Adelie"])).unwrap(), usual);
    let error = classes(Some(&["a", "b"])).unwrap_err();
    assert!(error.contains("--classes: names 2 classes, but the model has 3"), "{error}");
}

/// Answers that the table has make a profile, too, which `serve` refuses with a reason.
#[test]
fn answers_of_a_table_make_a_profile() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name).display().to_string();
    let p_yes = |row: u32| f64::from((row * 37) % 97) / 97.0;
    let row = |row: u32| {
        let p = p_yes(row);
        let (predicted, truth) =
            (if p >= 0.5 { "yes" } else { "no" }, if row.is_multiple_of(10) { "no" } else { "yes" });
        format!("{},{predicted},{},{p},{truth}\n", row % 13, 1.0 - p)
    };
    let rows: String = (0..200).map(row).collect();
    fs::write(path("t.csv"), format!("x,answer,p_no,p_yes,truth\n{rows}")).unwrap();
    let run = |more: &[&str]| {
        let [data, card] = ["t.csv", "card.json"].map(path);
        let usual = ["profile", "--data", &data, "--target", "truth", "--out", &card];
        let arguments: Vec<String> = usual.iter().chain(more).map(ToString::to_string).collect();
        let output = inference(&arguments);
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), text)
    };
    let (code, text) = run(&["--predictions", "answer", "--probabilities", "p_no,p_yes"]);
    assert_eq!(code, Some(0), "{text}");
    let file: Value = serde_json::from_slice(&fs::read(path("card.json")).unwrap()).unwrap();
    let card = &file["card"];
    assert_eq!((&card["classes"], card["features"].as_array().unwrap().len()), (&json!(["no", "yes"]), 1));
    let right = (0..200).filter(|&row| (p_yes(row) >= 0.5) != row.is_multiple_of(10)).count() as f64;
    assert!((card["reference"]["accuracy"].as_f64().unwrap() - right / 200.0).abs() < 1e-12);
    let sure: f64 = (0..200).map(|row| p_yes(row).max(1.0 - p_yes(row))).sum::<f64>() / 200.0;
    assert!((card["reference"]["confidence"].as_f64().unwrap() - sure).abs() < 1e-12);

    for (flags, expected) in [
        (&["--predictions", "answer", "--probabilities", "p_yes,p_no"][..], "may be in another order"),
        (
            &["--predictions", "answer", "--probabilities", "x,p_no"],
            "t.csv:3: --probabilities: the row adds up to 1.6",
        ),
        (&["--predictions", "answers"], "no column \"answers\""),
        (
            &["--predictions", "p_yes"],
            "t.csv:2: column \"truth\" of --target: the model predicts a number, but the column has \"no\"; correct the cell",
        ),
        (
            &["--predictions", "answer", "--regression"],
            "t.csv:2: column \"answer\" of --predictions: expected a number",
        ),
        (
            &["--predictions", "answer", "--classes", "no,maybe"],
            "t.csv:4: column \"answer\" of --predictions: the column has",
        ),
        (
            &["--predictions", "answer", "--probabilities", "p_no,answer"],
            "t.csv:2: column \"answer\" of --probabilities",
        ),
    ] {
        let (code, text) = run(flags);
        assert!(code == Some(1) && text.contains(expected), "{flags:?}: {text}");
    }
    let [data, card] = ["t.csv", "card.json"].map(path);
    let output = inference(&["serve".into(), "--model".into(), data, "--profile".into(), card]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("was made from predictions in a table"), "{text}");
}

/// The model is read and run once, so that it may come through a pipe.
#[test]
fn calibration_makes_confidence_equal_accuracy_with_one_run_of_the_model() {
    for name in ["calibrated", "mlp_torch_logits"] {
        let folder = cases_folder().join(name);
        let case: Case = serde_json::from_slice(&fs::read(folder.join("case.json")).unwrap()).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let out = scratch.path().join("card.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_inference"));
        command.args(["profile", "--calibrate", "--onnx", "/dev/stdin", "--target", &case.target, "--data"]);
        command.arg(folder.join("table.csv")).arg("--out").arg(&out);
        if let Some(classes) = &case.classes {
            command.args(["--classes", &classes.join(",")]);
        }
        if case.logits {
            command.arg("--logits");
        }
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&fs::read(folder.join("model.onnx")).unwrap()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let file: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
        let reference = &file["card"]["reference"];
        let number = |of: &str| reference[of].as_f64().unwrap();
        let rows = number("rows");
        // Half an error is added, so that certainty is never claimed.
        let expected = (number("accuracy") * rows + 0.5) / (rows + 1.0);
        assert!((number("confidence") - expected).abs() < 1e-4, "{name}: {reference}");
        assert_ne!(file["external"]["temperature"], json!(1.0), "{name}");
    }
}

/// Each error says where the cause is, and what to do.
#[test]
fn errors_of_a_profile_name_the_cell_and_the_remedy() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name).display().to_string();
    let run = |case: &str, table: &str, flags: &[&str]| {
        fs::write(path("t.csv"), table).unwrap();
        let model = cases_folder().join(case).join("model.onnx").display().to_string();
        let [data, out] = ["t.csv", "card.json"].map(path);
        let usual = ["profile", "--data", &data, "--onnx", &model, "--out", &out];
        let output = inference(&usual.iter().chain(flags).map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let table = |case: &str| fs::read_to_string(cases_folder().join(case).join("table.csv")).unwrap();
    let changed = |case: &str, line: usize, to: &dyn Fn(&str) -> String| {
        let text = table(case);
        let lines =
            text.lines().enumerate().map(|(at, own)| if at + 1 == line { to(own) } else { own.into() });
        lines.collect::<Vec<String>>().join("\n")
    };
    // The first cell of line 7.
    let first = |cell: &'static str| move |line: &str| format!("{cell},{}", line.split_once(',').unwrap().1);
    // A number that single precision cannot hold.
    let text = run("regression", &changed("regression", 7, &first("1e100")), &["--target", "progression"]);
    assert!(
        text.contains(
            "t.csv:7: column \"age\": must be small enough to be scored without overflow, got 1e100; correct"
        ),
        "{text}"
    );
    // A true number that is a text.
    let last = |line: &str| format!("{},many", line.rsplit_once(',').unwrap().0);
    let text = run("regression", &changed("regression", 9, &last), &["--target", "progression"]);
    assert!(
        text.contains("t.csv:9: column \"progression\" of --target: the model predicts a number"),
        "{text}"
    );
    assert!(text.contains("correct the cell"), "{text}");
    // Too few rows.
    let few: String = table("regression").lines().take(12).map(|line| format!("{line}\n")).collect();
    let text = run("regression", &few, &["--target", "progression"]);
    assert!(
        text.contains("t.csv: the table has 11 rows, but a reference needs at least 60; add rows"),
        "{text}"
    );
    // A row that the model itself fails on: the last feature is a position in a table of three.
    let beyond = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let (last, others) = cells[..cells.len() - 1].split_last().unwrap();
        assert!(last.parse::<f64>().is_ok(), "{line}");
        format!("{},700,{}", others.join(","), cells[cells.len() - 1])
    };
    let case: Case =
        serde_json::from_slice(&fs::read(cases_folder().join("embedding/case.json")).unwrap()).unwrap();
    let text = run("embedding", &changed("embedding", 11, &beyond), &["--target", &case.target]);
    assert!(text.contains("t.csv:11: the model failed") && text.contains("leave the row out"), "{text}");
}

/// Boosted trees that are profiled on their training rows are noticed, and a linear regression has no such rows to fear.
#[test]
fn the_profile_of_a_regressor_on_its_training_rows_has_a_warning() {
    let warned = |name: &str| {
        let folder = cases_folder().join(name);
        let case: Case = serde_json::from_slice(&fs::read(folder.join("case.json")).unwrap()).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let text = profile(&case, &folder, &scratch.path().join("card.json")).unwrap();
        text.contains("these may be rows that the model was trained on")
    };
    assert_eq!([warned("regression"), warned("regression_linear")], [true, false]);
}
