//! Tests `driftsim check` against the metrics of a real service.

use crate::{
    categories::{customers, service},
    harness::Service,
};
use clap::Parser;
use driftsim::check::{
    self,
    judged::{Judged, Overall},
};
use serde_json::{Value, json};

#[derive(Debug, Parser)]
struct Check {
    #[command(flatten)]
    args: check::Args,
}

/// Judges on another thread, because `check` has a runtime of its own.
async fn judge(current: &str, reference: &str) -> anyhow::Result<Judged> {
    let args = Check::parse_from(["check", "--current", current, "--reference", reference]).args;
    tokio::task::spawn_blocking(move || check::judge(&args)).await.unwrap()
}

/// Sends the rows of a table of customers, and the true class of each as feedback.
async fn send(service: &Service, table: &str) {
    let row = |line: &str| -> Vec<Value> {
        let cell = |(at, cell): (usize, &str)| match (at, cell) {
            (_, "") => Value::Null,
            (0 | 1, number) => json!(number.parse::<f64>().unwrap()),
            (_, text) => json!(text),
        };
        line.split(',').take(6).enumerate().map(cell).collect()
    };
    let rows: Vec<Vec<Value>> = table.lines().skip(1).map(row).collect();
    let (status, answer) = service.predict(&json!({ "instances": rows }).to_string()).await;
    assert_eq!(status, 200, "{answer}");
    let predictions = answer["predictions"].as_array().unwrap();
    let labels = table.lines().skip(1).map(|line| line.rsplit(',').next().unwrap());
    let feedback: Vec<Value> = predictions
        .iter()
        .zip(labels)
        .map(|(prediction, label)| json!({ "prediction_id": prediction["prediction_id"], "label": label }))
        .collect();
    let request = service.client.post(service.url("/feedback")).header("Content-Type", "application/json");
    let answer = request.body(json!(feedback).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 202);
}

#[tokio::test]
async fn the_counts_of_a_service_are_judged_like_the_rows_of_a_table() {
    let (service, file) = service();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let model = path("model.json", &file.to_json().unwrap());
    let metrics = service.url("/metrics");
    let empty = judge(&metrics, &model).await.unwrap();
    assert_eq!((empty.overall, empty.rows, empty.accuracy), (Overall::CannotTell, 0, None));

    let (steady, drifted) = (customers(), customers().replace("yearly", "weekly"));
    let mut sent = String::new();
    for (rows, overall) in [(&steady, Overall::Steady), (&drifted, Overall::Drift)] {
        send(&service, rows).await;
        sent += if sent.is_empty() { rows } else { rows.split_once('\n').unwrap().1 };
        let by_service = judge(&metrics, &model).await.unwrap();
        let by_table = judge(&path("sent.csv", &sent), &model).await.unwrap();
        assert_eq!((by_service.overall, by_table.overall), (overall, overall));
        assert_eq!((by_service.rows, by_service.signals.len()), (by_table.rows, 9));
        for (by_service, by_table) in by_service.signals.iter().zip(&by_table.signals) {
            assert_eq!(by_service.signal, by_table.signal);
            assert_eq!(by_service.psi, by_table.psi, "{}", by_table.signal);
            assert_eq!((by_service.limit, by_service.detectable), (by_table.limit, by_table.detectable));
        }
        assert_eq!(by_service.accuracy, by_table.accuracy);
        assert_eq!(by_service.labelled_rows, by_table.labelled_rows);
        assert!(by_service.rows_in_words().contains(" rows since the start of the server at 20"));
    }
    // The service itself describes its model.
    let with_card = judge(&metrics, &service.url("/model")).await.unwrap();
    assert_eq!((with_card.overall, with_card.signals.len()), (Overall::Drift, 9));
}

#[tokio::test]
async fn the_counts_of_another_model_are_refused() {
    let (_, file) = service();
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.json");
    std::fs::write(&model, file.to_json().unwrap()).unwrap();
    let iris = Service::start();
    let error = judge(&iris.url("/metrics"), model.to_str().unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("the page has no counts of model \"customers "), "{error}");
    assert!(error.contains("; it has those of \"iris "), "{error}");
    let error = judge(&iris.url("/metric"), model.to_str().unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("answered 404 Not Found; give the address of the metrics"), "{error}");
}
