use crate::harness::{IRIS, Service, answer, metric};
use inference::{
    LoadedModel, Settings,
    receipt::{ModelVersion, Predicted, Receipts},
};
use model::{Batch, CsvOptions, Engine, EngineError, Output, ProfileInput, Truth, profile, read_reference};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

const KEY: &str = "a key of the tests, more than thirty-two bytes long";

struct Keyed {
    settings: Settings,
    _file: tempfile::NamedTempFile,
}

fn keyed() -> Keyed {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), KEY).unwrap();
    Keyed {
        settings: Settings { receipt_key_file: Some(file.path().to_owned()), ..Settings::default() },
        _file: file,
    }
}

async fn send_feedback(service: &Service, body: &Value) -> (u16, Value) {
    let request = service.client.post(service.url("/feedback")).header("Content-Type", "application/json");
    answer(request.body(body.to_string())).await
}

/// Sends a label exactly as this JSON writes it.
async fn send_feedback_text(service: &Service, id: &str, label: &str) -> (u16, Value) {
    let request = service.client.post(service.url("/feedback")).header("Content-Type", "application/json");
    answer(request.body(format!(r#"{{"prediction_id":"{id}","label":{label}}}"#))).await
}

async fn predicted(service: &Service) -> String {
    let (_, body) = service.predict(r#"{"features":[5.1,3.5,1.4,0.2]}"#).await;
    body["prediction_id"].as_str().unwrap().to_owned()
}

/// Every count of the confusion matrix, added up.
async fn matrix(service: &Service) -> f64 {
    let page = service.get("/metrics").await.text().await.unwrap();
    let cells = page.lines().filter(|line| line.starts_with("feedback_total{"));
    cells.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[tokio::test]
async fn accepted_feedback_is_counted_in_the_confusion_matrix() {
    let service = Service::start();
    for label in ["setosa", "setosa", "virginica"] {
        let id = predicted(&service).await;
        let (status, body) = send_feedback(&service, &json!({"prediction_id": id, "label": label})).await;
        assert_eq!((status, body), (202, json!({"accepted": 1, "rejected": []})));
    }
    let page = service.get("/metrics").await.text().await.unwrap();
    for (predicted, actual, count) in
        [("setosa", "setosa", 2.0), ("setosa", "virginica", 1.0), ("virginica", "setosa", 0.0)]
    {
        let labels = [("predicted", predicted), ("actual", actual)];
        assert_eq!(metric(&page, "feedback_total", &labels), Some(count), "{labels:?}");
    }
    assert_eq!(metric(&page, "feedback_lag_seconds_count", &[]), Some(3.0));
    // What was predicted with how much confidence is in the receipt, so that it can be held against the truth.
    let (_, answer) = service.predict(r#"{"features":[5.1,3.5,1.4,0.2]}"#).await;
    let version = [("version", IRIS.card.version.as_str())];
    assert_eq!(metric(&page, "feedback_confidence_count", &version), Some(3.0));
    let confidence = answer["probabilities"][0].as_f64().unwrap();
    let sum = metric(&page, "feedback_confidence_sum", &version).unwrap();
    assert!((sum - 3.0 * confidence).abs() < 1e-4, "{sum}, not 3 × {confidence}");
}

#[tokio::test]
async fn feedback_is_accepted_on_any_replica_with_the_key_and_after_a_restart() {
    let keyed = keyed();
    let one = Service::with(keyed.settings.clone());
    let id = predicted(&one).await;
    drop(one);
    let other = Service::with(keyed.settings.clone());
    assert_eq!(send_feedback(&other, &json!({"prediction_id": id, "label": "setosa"})).await.0, 202);
    assert_eq!(matrix(&other).await, 1.0);
}

fn issue(key: &str, version: &str, at: SystemTime, class: usize) -> String {
    let predicted = Predicted::Class { class, confidence: Some(0.9) };
    Receipts::new(key.as_bytes(), 7).issue(at, predicted, ModelVersion::new(version)).to_string()
}

#[tokio::test]
async fn an_invalid_prediction_id_is_counted_and_refused() {
    let keyed = keyed();
    let service = Service::with(keyed.settings.clone());
    let version = IRIS.card.version.as_str();
    let now = SystemTime::now();
    let by = |key: &str, version: &str, at| issue(key, version, at, 0);
    let good = predicted(&service).await;
    assert_eq!(send_feedback(&service, &json!({"prediction_id": good, "label": "setosa"})).await.0, 202);
    let cases = [
        ("malformed_prediction_id", "gibberish".to_owned(), "setosa"),
        ("malformed_prediction_id", String::new(), "setosa"),
        // No replica gives this out, but a key in other hands may.
        ("malformed_prediction_id", issue(KEY, version, now, 3), "setosa"),
        ("forged_prediction_id", by("an invented key, unlike that of the service", version, now), "setosa"),
        ("expired_prediction_id", by(KEY, version, now - Duration::from_secs(31 * 24 * 3600)), "setosa"),
        ("future_prediction_id", by(KEY, version, now + Duration::from_secs(3600)), "setosa"),
        ("foreign_version", by(KEY, "0123456789ab", now), "setosa"),
        ("repeated_prediction_id", good, "virginica"),
        ("unknown_label", predicted(&service).await, "tulip"),
    ];
    for (code, id, label) in &cases {
        let (status, body) = send_feedback(&service, &json!({"prediction_id": id, "label": label})).await;
        assert_eq!((status, body["error"]["code"].as_str()), (422, Some(*code)), "{body}");
    }
    assert_eq!(matrix(&service).await, 1.0);
    let counted = service.metric("feedback_confidence_count", &[("version", version)]).await;
    assert_eq!(counted, 1.0, "refused feedback is not part of the quality metrics");
    for (code, expected) in [
        ("malformed_prediction_id", 3.0),
        ("forged_prediction_id", 1.0),
        ("expired_prediction_id", 1.0),
        ("future_prediction_id", 1.0),
        ("foreign_version", 1.0),
        ("repeated_prediction_id", 1.0),
        ("unknown_label", 1.0),
    ] {
        assert_eq!(service.metric("feedback_rejected_total", &[("reason", code)]).await, expected, "{code}");
        assert_eq!(
            service.metric("inference_rejections_total", &[("reason", code)]).await,
            expected,
            "{code}"
        );
    }
}

/// The clocks of replicas differ a little.
#[tokio::test]
async fn a_receipt_from_a_clock_half_a_minute_ahead_is_accepted() {
    let keyed = keyed();
    let service = Service::with(keyed.settings.clone());
    let ahead = SystemTime::now() + Duration::from_secs(30);
    let id = issue(KEY, &IRIS.card.version, ahead, 0);
    assert_eq!(send_feedback(&service, &json!({"prediction_id": id, "label": "setosa"})).await.0, 202);
    assert_eq!(service.metric("feedback_lag_seconds_sum", &[]).await, 0.0);
}

#[tokio::test]
async fn each_piece_of_a_list_is_accepted_or_refused_separately() {
    let service = Service::start();
    let (one, two) = (predicted(&service).await, predicted(&service).await);
    let pieces = json!([
        {"prediction_id": one, "label": "setosa"},
        {"prediction_id": "gibberish", "label": "setosa"},
        {"prediction_id": two, "label": "tulip"},
        {"prediction_id": one, "label": "setosa"},
        {"prediction_id": two, "label": "versicolor"},
        7,
    ]);
    let (status, body) = send_feedback(&service, &pieces).await;
    assert_eq!((status, &body["accepted"]), (202, &json!(2)));
    let rejected: Vec<_> = body["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rejected| (rejected["index"].as_u64().unwrap(), rejected["code"].as_str().unwrap()))
        .collect();
    let expected = [
        (1, "malformed_prediction_id"),
        (2, "unknown_label"),
        (3, "repeated_prediction_id"),
        (5, "wrong_type"),
    ];
    assert_eq!(rejected, expected);
    for (_, code) in expected {
        assert_eq!(service.metric("feedback_rejected_total", &[("reason", code)]).await, 1.0, "{code}");
    }
    assert_eq!(matrix(&service).await, 2.0);
}

#[tokio::test]
async fn malformed_feedback_is_refused_with_the_reason() {
    let service = Service::start();
    let cases = [
        (json!({}), "missing_field", Some("prediction_id")),
        (json!({"prediction_id": "x"}), "missing_field", Some("label")),
        (json!({"prediction_id": 7, "label": "setosa"}), "wrong_type", Some("prediction_id")),
        (json!({"prediction_id": "x", "label": null}), "wrong_type", Some("label")),
        (json!({"prediction_id": "x", "label": "setosa", "when": 1}), "unknown_field", Some("when")),
        (json!([]), "empty_batch", None),
        (json!(["x"]), "wrong_type", Some("[0]")),
        (json!("x"), "wrong_type", None),
    ];
    for (body, code, field) in cases {
        let (status, got) = send_feedback(&service, &body).await;
        assert_eq!(
            (status, got["error"]["code"].as_str(), got["error"]["field"].as_str()),
            (422, Some(code), field),
            "{body}"
        );
    }
    // A map would keep one of the two, and it is not known which was meant.
    let twice = r#"{"prediction_id":"x","label":"setosa","label":"virginica"}"#;
    for (body, field) in [(twice.to_owned(), "label"), (format!("[{twice}]"), "[0].label")] {
        let request =
            service.client.post(service.url("/feedback")).header("Content-Type", "application/json");
        let (status, got) = answer(request.body(body)).await;
        let error = &got["error"];
        assert_eq!(
            (status, &error["code"], &error["field"]),
            (422, &json!("duplicate_field"), &json!(field))
        );
    }
    assert_eq!(service.metric("feedback_rejected_total", &[("reason", "duplicate_field")]).await, 2.0);
    let request = service.client.post(service.url("/feedback")).header("Content-Type", "application/json");
    assert_eq!(answer(request.body("{")).await.0, 400);
    let request = service.client.post(service.url("/feedback")).body("{}");
    assert_eq!(answer(request).await.0, 415);
    assert_eq!(service.get("/feedback").await.status(), 405);
}

#[tokio::test]
async fn a_label_may_be_a_number_or_boolean_with_the_spelling_of_a_class() {
    let mut file = IRIS.clone();
    file.card.classes = vec!["0".into(), "true".into(), "2.5".into()];
    let service = Service::of(Settings::default(), file);
    for label in [json!(0), json!("0"), json!(true), json!(2.5)] {
        let id = predicted(&service).await;
        assert_eq!(
            send_feedback(&service, &json!({"prediction_id": id, "label": label})).await.0,
            202,
            "{label}"
        );
    }
    for (label, code) in
        [(json!(1), "unknown_label"), (json!(null), "wrong_type"), (json!([0]), "wrong_type")]
    {
        let id = predicted(&service).await;
        let (status, body) = send_feedback(&service, &json!({"prediction_id": id, "label": label})).await;
        assert_eq!((status, body["error"]["code"].as_str()), (422, Some(code)), "{body}");
    }
}

#[tokio::test]
async fn a_number_or_boolean_in_another_spelling_is_matched_by_value() {
    let mut file = IRIS.clone();
    file.card.classes =
        ["False", "True", "1.0", "2", "2.0", "TRUTH", "9007199254740993"].map(String::from).to_vec();
    let service = Service::of(Settings::default(), file);
    for (label, class) in [
        ("true", "True"),
        ("false", "False"),
        ("1", "1.0"),
        ("1.00", "1.0"),
        ("1e0", "1.0"),
        ("2", "2"),
        ("2.0", "2.0"),
    ] {
        let id = predicted(&service).await;
        assert_eq!(send_feedback_text(&service, &id, label).await.0, 202, "{label}");
        let counted = service.metric("feedback_total", &[("actual", class), ("predicted", "False")]).await;
        assert!(counted >= 1.0, "{label}: {class}");
    }
    // Strings are compared as names. A number that is equal to two classes is refused.
    for (label, words) in [
        (r#""true""#, "is not a class"),
        (r#""1""#, "is not a class"),
        ("2.00", "stands for several classes of the model, such as \"2\" and \"2.0\""),
        ("9007199254740992", "is not a class"),
        ("1.5", "is not a class"),
    ] {
        let id = predicted(&service).await;
        let (status, body) = send_feedback_text(&service, &id, label).await;
        assert_eq!((status, body["error"]["code"].as_str()), (422, Some("unknown_label")), "{label}");
        assert!(body["error"]["message"].as_str().unwrap().contains(words), "{label}: {body}");
    }
}

/// Predicts ten times the only feature.
#[derive(Debug)]
struct Tenfold;

impl Engine for Tenfold {
    fn score(&self, batch: Batch) -> Result<Vec<Output>, EngineError> {
        Ok(batch.rows.iter().map(|row| Output::Number(10.0 * row[0].unwrap_or_default())).collect())
    }
}

/// A service whose model predicts numbers up to 2000, with errors of 1.
fn of_numbers() -> Service {
    let rows: String = (1..=200).map(|x| format!("{x},{}\n", 10 * x + 2 * (x % 2) - 1)).collect();
    let text = format!("x,y\n{rows}");
    let table = read_reference(text.as_bytes(), "table.csv", &CsvOptions::new("y")).unwrap();
    let number = |text: &String| text.parse::<f64>().unwrap();
    let input = ProfileInput {
        name: "tenfold".into(),
        classes: Vec::new(),
        outputs: (1..=200).map(|x| Output::Number(10.0 * f64::from(x))).collect(),
        truth: Truth::Numbers(table.target.iter().flatten().map(number).collect()),
        engine: Some(Arc::new(Tenfold)),
        accepts_missing: Vec::new(),
        external: None,
        server: None,
        seed: 1,
        table,
    };
    let card = profile(input, |_| {}).unwrap().card;
    Service::loaded(Settings::default(), LoadedModel { card, engine: Arc::new(Tenfold) })
}

/// A sum in double precision that once took the fourth power of 1e18 would never show usual errors again.
#[tokio::test]
async fn an_error_above_the_largest_is_refused_and_one_from_a_wrong_unit_is_counted() {
    let service = of_numbers();
    let predicted = async || {
        let (_, body) = service.predict(r#"{"features":[100]}"#).await;
        body["prediction_id"].as_str().unwrap().to_owned()
    };
    let sum = async |metric: &str, size: &str| service.metric(metric, &[("size", size)]).await;
    for (label, code) in [
        ("1e300", "error_too_large"),
        ("-1e18", "error_too_large"),
        ("\"1e12\"", "error_too_large"),
        ("1e999", "unknown_label"),
        ("\"NaN\"", "unknown_label"),
        ("\"inf\"", "unknown_label"),
    ] {
        let id = predicted().await;
        let (status, body) = send_feedback_text(&service, &id, label).await;
        assert_eq!((status, &body["error"]["code"]), (422, &json!(code)), "{label}: {body}");
        assert_eq!(body["error"]["field"], "label");
        // The prediction can still be given feedback.
        assert_eq!(send_feedback_text(&service, &id, "999").await.0, 202, "{label}");
    }
    assert_eq!(service.metric("feedback_rejected_total", &[("reason", "error_too_large")]).await, 3.0);
    assert_eq!(sum("feedback_squared_error_sum", "usual").await, 6.0);

    // The label is in another unit, so it is 1000 times too large. Usual errors are counted separately from it.
    assert_eq!(send_feedback_text(&service, &predicted().await, "1000000").await.0, 202);
    let large = 999_000_f64;
    assert_eq!(sum("feedback_squared_error_sum", "large").await, large.powi(2));
    assert_eq!(service.metric("feedback_absolute_error_sum", &[("sign", "under")]).await, large);
    assert_eq!(send_feedback_text(&service, &predicted().await, "998").await.0, 202);
    assert_eq!(sum("feedback_error_fourth_power_sum", "usual").await, 6.0 + 16.0);
    assert_eq!(sum("feedback_error_fourth_power_sum", "large").await, large.powi(4));
}
