//! Tests feedback and the alert on concept drift, with two replicas and one Prometheus that runs the shipped rules.

use crate::{service::Service, world::World};
use driftsim::{DriftSpec, RowSource};
use inference::{Settings, load_model};
use serde_json::json;

const ROWS: usize = 400;

/// The rows stay the same, but two in five have another true class. Features, predictions and confidence do not show this.
#[tokio::test]
async fn concept_drift_shows_in_the_gap_between_confidence_and_truth() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "a key of the tests, more than thirty-two bytes long").unwrap();
    let settings = Settings { receipt_key_file: Some(key.path().to_owned()), ..Settings::default() };
    let (one, other) = (Service::with(settings.clone()), Service::with(settings));
    let world = World::scraping(&[one.address, other.address]);
    let query = "sum(model_info{job=\"ml-inference\"})";
    world.until(query, |replicas| replicas == 2.0).await;

    let card = load_model(None).unwrap().card;
    let rows: Vec<_> = RowSource::new(&card, &DriftSpec::steady(), 42).unwrap().take(ROWS).collect();
    let (mut right, mut confidence, mut feedback) = (0, 0.0, Vec::new());
    for (at, row) in rows.iter().enumerate() {
        let asked = if at % 2 == 0 { &one } else { &other };
        let answer = world.post(asked.address, "/predict", &json!({ "features": row.values })).await;
        let truth = row.class.unwrap();
        let class = if at % 5 < 2 { (truth + 1) % card.classes.len() } else { truth };
        let predicted = answer["prediction"].as_u64().unwrap() as usize;
        right += usize::from(predicted == class);
        confidence += answer["probabilities"][predicted].as_f64().unwrap() / ROWS as f64;
        feedback.push(json!({ "prediction_id": answer["prediction_id"], "label": card.classes[class] }));
    }
    // All feedback goes to one replica, although half of it is about predictions of the other.
    let answer = world.post(other.address, "/feedback", &json!(feedback)).await;
    assert_eq!(answer, json!({ "accepted": ROWS, "rejected": [] }));

    let accuracy = right as f64 / ROWS as f64;
    let hour = "{job=\"ml-inference\",window=\"1h\"}";
    // Of a counter that began at 0, up to a twelfth is not counted (rules/minutes.yml). The share is the same in all cells.
    let seen = ROWS as f64 * 0.9;
    world.until(&format!("model_window:feedback:rows{hour}"), |rows| rows > seen).await;
    let seen = world.until(&format!("model_window:feedback:accuracy{hour}"), |_| true).await;
    assert!((seen - accuracy).abs() < 0.02, "{seen}, not {accuracy}");
    let gap = world.until(&format!("model_window:feedback:accuracy_gap{hour}"), |_| true).await;
    let reference = &card.reference;
    let estimate =
        drift::accuracy_estimate(confidence, reference.confidence.unwrap(), reference.accuracy.unwrap());
    assert!((gap - (estimate - accuracy)).abs() < 0.02, "{gap}, not {estimate} - {accuracy}");
    for alert in ["ModelAccuracyGap", "ModelAccuracyDrop"] {
        // The alert is pending, because it waits for five minutes before it fires.
        world
            .until(&format!("count(ALERTS{{alertname=\"{alert}\",window=\"1h\"}})"), |count| count == 1.0)
            .await;
    }
    let drifting = world.values("max(model_signal_window:signal_bin:drifting)").await;
    assert_eq!(drifting, [0.0], "neither inputs nor predictions tell");
}
