//! A new model file takes the place of the old one, without a lost request.

use crate::{
    binary::Binary,
    harness::{Service, answer, metric, until},
};
use inference::{LoadedModel, Settings};
use model::{CsvOptions, FileError, ModelFile, TrainOptions, iris, read_csv, train};
use reqwest::Client;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const FLOWER: &str = r#"{"features":[5.1,3.5,1.4,0.2]}"#;
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A model of the flowers; another seed gives another version.
fn model(seed: u64) -> ModelFile {
    train(&iris::table(), &TrainOptions { seed, ..TrainOptions::new("flowers") }).unwrap()
}

/// Puts a model in the place of another at once, as a deployment should.
fn put(path: &Path, content: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}

struct Files {
    _folder: tempfile::TempDir,
    model: PathBuf,
    settings: Settings,
}

fn files() -> Files {
    let folder = tempfile::tempdir().unwrap();
    let (model_path, token) = (folder.path().join("model.json"), folder.path().join("token"));
    put(&model_path, model(1).to_json().unwrap().as_bytes());
    fs::write(&token, TOKEN).unwrap();
    let settings =
        Settings { model: Some(model_path.clone()), admin_token_file: Some(token), ..Settings::default() };
    Files { _folder: folder, model: model_path, settings }
}

fn start(files: &Files) -> Service {
    Service::loaded(files.settings.clone(), LoadedModel::load(&files.settings).unwrap())
}

async fn reload(service: &Service, authorization: Option<&str>) -> (u16, Value) {
    let request = service.client.post(service.url("/admin/reload"));
    answer(match authorization {
        Some(value) => request.header("Authorization", value),
        None => request,
    })
    .await
}

#[tokio::test]
async fn signals_are_counted_per_version_and_feedback_about_the_former_one_is_accepted() {
    let files = files();
    let service = start(&files);
    let bearer = format!("Bearer {TOKEN}");
    let (_, old) = service.predict(FLOWER).await;
    let (status, body) = reload(&service, Some(&bearer)).await;
    assert_eq!((status, &body["outcome"]), (200, &json!("unchanged")), "{body}");

    put(&files.model, model(2).to_json().unwrap().as_bytes());
    let (status, body) = reload(&service, Some(&bearer)).await;
    let version = model(2).card.version;
    assert_eq!(
        (status, &body),
        (
            200,
            &json!({
                "outcome": "changed",
                "model": "flowers",
                "version": version,
                "columns": {"added": [], "removed": [], "retyped": [], "reordered": false},
            })
        )
    );
    let (_, new) = service.predict(FLOWER).await;
    assert_eq!(new["version"], json!(version));
    assert_eq!(service.get_json::<Value>("/model").await["version"], json!(version));

    for id in [&old["prediction_id"], &new["prediction_id"]] {
        let feedback = json!({"prediction_id": id, "label": "setosa"}).to_string();
        let request =
            service.client.post(service.url("/feedback")).header("Content-Type", "application/json");
        assert_eq!(answer(request.body(feedback)).await.0, 202);
    }
    let page = service.get("/metrics").await.text().await.unwrap();
    for version in [&model(1).card.version, &version] {
        let setosa = [("version", version.as_str()), ("signal", "prediction"), ("bin", "setosa")];
        assert_eq!(metric(&page, "signal_bin_total", &setosa), Some(1.0));
        let of_model = [("model", "flowers"), ("version", version.as_str())];
        assert_eq!(metric(&page, "feedback_confidence_count", &of_model), Some(1.0));
        // Feedback about the former model does not count for the one that is served.
        let right = [of_model[0], of_model[1], ("predicted", "setosa"), ("actual", "setosa")];
        assert_eq!(metric(&page, "feedback_total", &right), Some(1.0));
    }
    // One model is listed as being served.
    let listed: Vec<&str> = page.lines().filter(|line| line.starts_with("model_info{")).collect();
    assert!(listed.len() == 1 && listed[0].contains(&version), "{listed:?}");

    // When the first model is loaded again, its counters continue from their former values.
    put(&files.model, model(1).to_json().unwrap().as_bytes());
    assert_eq!(reload(&service, Some(&bearer)).await.1["outcome"], "changed");
    service.predict(FLOWER).await;
    let first = model(1).card.version;
    let setosa = [("version", first.as_str()), ("signal", "prediction"), ("bin", "setosa")];
    assert_eq!(service.metric("signal_bin_total", &setosa).await, 2.0);
    assert_eq!(service.metric("model_info", &[("version", &first)]).await, 1.0);
}

#[tokio::test]
async fn a_broken_file_leaves_the_old_model_serving() {
    let files = files();
    let service = start(&files);
    let bearer = format!("Bearer {TOKEN}");
    let text = model(2).to_json().unwrap();
    for broken in [&b""[..], b"{", &text.as_bytes()[..text.len() / 2], b"\x08\x0a\x12\x08skl2onnx"] {
        put(&files.model, broken);
        let (status, body) = reload(&service, Some(&bearer)).await;
        assert_eq!((status, &body["error"]["code"]), (409, &json!("reload_failed")), "{body}");
        assert!(body["error"]["message"].as_str().unwrap().starts_with("--model "), "{body}");
        assert_eq!(service.predict(FLOWER).await.1["version"], json!(model(1).card.version));
    }
    fs::remove_file(&files.model).unwrap();
    assert_eq!(reload(&service, Some(&bearer)).await.0, 409);
    assert_eq!(service.metric("model_reloads_total", &[("outcome", "failed")]).await, 5.0);
    assert_eq!(service.metric("inference_rejections_total", &[("reason", "reload_failed")]).await, 5.0);
    assert_eq!(service.metric("model_loaded", &[]).await, 1.0);
}

/// A model of a table with these columns.
fn model_of(header: &str, row: impl Fn(usize) -> String) -> ModelFile {
    let rows: String = (0..90).map(|at| format!("{},{}\n", row(at), ["x", "y"][at % 2])).collect();
    let text = format!("{header},class\n{rows}");
    let table = read_csv(text.as_bytes(), "table.csv", &CsvOptions::new("class")).unwrap().table;
    train(&table, &TrainOptions::new("columns")).unwrap()
}

#[tokio::test]
async fn columns_that_a_reload_adds_removes_or_retypes_are_named() {
    let number = |at: usize| format!("{}.5", at * 7 % 31);
    let old = model_of("age,town", |at| format!("{},{}", number(at), ["u", "v"][at / 2 % 2]));
    let new = model_of("age,income", |at| format!("{},{}", ["old", "young"][at / 3 % 2], number(at)));
    let files = files();
    put(&files.model, old.to_json().unwrap().as_bytes());
    let service = start(&files);
    put(&files.model, new.to_json().unwrap().as_bytes());
    let bearer = format!("Bearer {TOKEN}");
    let (status, body) = reload(&service, Some(&bearer)).await;
    let expected = json!({
        "added": ["income"],
        "removed": ["town"],
        "retyped": [{"name": "age", "from": "numbers", "to": "texts"}],
        "reordered": false,
    });
    assert_eq!((status, &body["outcome"], &body["columns"]), (200, &json!("changed"), &expected), "{body}");
    let none = json!({"added": [], "removed": [], "retyped": [], "reordered": false});
    assert_eq!(reload(&service, Some(&bearer)).await.1["columns"], none);

    // At a signal they are logged.
    put(&files.model, old.to_json().unwrap().as_bytes());
    let mut process = Binary::start(&["--model", &files.model.display().to_string()]);
    put(&files.model, new.to_json().unwrap().as_bytes());
    process.signal("HUP");
    let client = Client::builder().no_proxy().build().unwrap();
    until("the model changes", || async {
        let url = format!("http://{}/metrics", process.address);
        let page = client.get(url).send().await.unwrap().text().await.unwrap();
        metric(&page, "model_reloads_total", &[("outcome", "changed")]) == Some(1.0)
    })
    .await;
    process.signal("TERM");
    process.wait();
    let log = process.rest_of_log();
    let line = log.lines().find(|line| line.contains("other columns")).unwrap_or_else(|| panic!("{log}"));
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        line["fields"]["columns"],
        "added \"income\"; removed \"town\"; \"age\" takes texts instead of numbers"
    );
}

#[tokio::test]
async fn a_reload_requires_the_token_of_the_file() {
    let files = files();
    let service = start(&files);
    for wrong in [
        None,
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer 0123456789abcdef0123456789abcdeF"),
        Some("Basic 0123456789abcdef0123456789abcdef"),
        Some(TOKEN),
    ] {
        let (status, body) = reload(&service, wrong).await;
        assert_eq!((status, &body["error"]["code"]), (401, &json!("unauthorized")), "{wrong:?} {body}");
    }
    let request = service.client.post(service.url("/admin/reload")).send().await.unwrap();
    assert_eq!(request.headers()["www-authenticate"], "Bearer");
    assert_eq!(reload(&service, Some(&format!("bearer {TOKEN}"))).await.0, 200);
    // Without a token file the route does not exist.
    let (status, body) = reload(&Service::start(), Some("Bearer x")).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("not_found")));
}

/// A process that takes a model every day would otherwise have thousands of series more every month.
#[tokio::test]
async fn series_of_models_whose_feedback_is_no_longer_accepted_are_removed() {
    let files = files();
    let service = start(&files);
    let bearer = format!("Bearer {TOKEN}");
    let (_, first) = service.predict(FLOWER).await;
    let trained = model(1);
    let mut versions = vec![trained.card.version.clone()];
    for number in 1..=33 {
        let mut file = trained.clone();
        file.card.name = format!("flowers{number}");
        // The version is a hash of the content.
        let Err(FileError::Version { actual, .. }) = ModelFile::from_json(&file.to_json().unwrap()) else {
            panic!("the version does not depend on the name");
        };
        file.card.version = actual;
        versions.push(file.card.version.clone());
        put(&files.model, file.to_json().unwrap().as_bytes());
        assert_eq!(reload(&service, Some(&bearer)).await.1["outcome"], "changed");
    }
    let page = service.get("/metrics").await.text().await.unwrap();
    let has = |version: &String| page.contains(&format!("version=\"{version}\""));
    let listed: Vec<bool> = versions.iter().map(has).collect();
    // The served model and 32 former ones.
    assert_eq!((listed[0], listed[1..].iter().all(|&listed| listed)), (false, true), "{listed:?}");
    let feedback = json!({"prediction_id": first["prediction_id"], "label": "setosa"}).to_string();
    let request = service.client.post(service.url("/feedback")).header("Content-Type", "application/json");
    assert_eq!(answer(request.body(feedback)).await.1["error"]["code"], "foreign_version");
}

/// Clients keep asking while the process takes new files at SIGHUP.
#[tokio::test]
async fn no_request_is_lost_while_the_model_changes() {
    let files = files();
    let path = files.model.display().to_string();
    let service = Binary::start(&["--model", &path]);
    let client = Client::builder().no_proxy().build().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let (client, stop, url) =
                (client.clone(), Arc::clone(&stop), format!("http://{}/predict", service.address));
            tokio::spawn(async move {
                let mut versions = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let request = client.post(&url).header("Content-Type", "application/json").body(FLOWER);
                    let (status, body) = answer(request).await;
                    assert_eq!(status, 200, "{body}");
                    versions.push(body["version"].as_str().unwrap().to_owned());
                }
                versions
            })
        })
        .collect();
    let page = || async {
        let response = client.get(format!("http://{}/metrics", service.address)).send().await.unwrap();
        response.text().await.unwrap()
    };
    for seed in 2..6 {
        put(&files.model, model(seed).to_json().unwrap().as_bytes());
        service.signal("HUP");
        let changed = seed as f64 - 1.0;
        until("the model changes", || async {
            metric(&page().await, "model_reloads_total", &[("outcome", "changed")]) == Some(changed)
        })
        .await;
    }
    put(&files.model, b"broken");
    service.signal("HUP");
    until("the broken file is counted", || async {
        metric(&page().await, "model_reloads_total", &[("outcome", "failed")]) == Some(1.0)
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let versions_by_seed: Vec<String> = (1..6).map(|seed| model(seed).card.version).collect();
    let mut seen = std::collections::BTreeSet::new();
    for asking in asking {
        let versions = asking.await.unwrap();
        // Once a client has seen a model, it never sees an older one.
        let order: Vec<usize> = versions
            .iter()
            .map(|version| versions_by_seed.iter().position(|known| known == version).unwrap())
            .collect();
        assert!(order.is_sorted(), "{order:?}");
        seen.extend(order);
    }
    assert!(seen.contains(&4), "{seen:?}");
}
