//! Prediction ids in a header, and feedback on the watcher's own listener.

use crate::{
    message::Message,
    support::Watched,
    upstream::{Answer, Upstream},
};
use serde_json::json;

const ROWS: &str = r#"{"instances":[[5.1,3.5,1.4,0.2],[6.3,2.9,5.6,1.8]]}"#;

fn message(refused: &Message) -> String {
    refused.json()["error"]["message"].as_str().unwrap().to_owned()
}

fn feedback(watched: &Watched, predicted: &str, actual: &str) -> f64 {
    watched
        .metric("feedback_total", &[&format!("predicted=\"{predicted}\""), &format!("actual=\"{actual}\"")])
}

#[test]
fn the_ids_of_an_answer_are_in_a_header_and_take_feedback() {
    let upstream = Upstream::predicting(
        r#"{"predictions":["setosa","virginica"],"probabilities":[[0.9,0.1,0],[0.1,0.2,0.7]]}"#,
    );
    let watched = Watched::iris(upstream.address, &[]);
    let answer = watched.post("/predict", ROWS);
    let ids = answer.field("x-prediction-id").unwrap();
    let ids: Vec<&str> = ids.split(',').collect();
    assert_eq!(ids.len(), 2);
    let body = json!([
        { "prediction_id": ids[0], "label": "setosa" },
        { "prediction_id": ids[1], "label": "versicolor" },
    ]);
    let accepted = watched.post_own("/feedback", &body.to_string());
    assert_eq!((accepted.status(), accepted.json()["accepted"].as_u64()), (202, Some(2)));
    assert_eq!(feedback(&watched, "setosa", "setosa"), 1.0);
    assert_eq!(feedback(&watched, "virginica", "versicolor"), 1.0);
    assert_eq!(watched.post_own("/feedback", &body.to_string()).status(), 422);
}

#[test]
fn large_answers_and_answers_that_cannot_be_read_have_no_ids() {
    let upstream = Upstream::answering(|request| {
        let rows = String::from_utf8_lossy(&request.body).matches("],[").count() + 1;
        Answer::json(200, &json!({ "predictions": vec!["setosa"; rows] }).to_string())
    });
    let watched = Watched::iris(upstream.address, &["--prediction-ids", "2"]);
    let ids = |body: &str| watched.post("/predict", body).field("x-prediction-id");
    assert!(ids(ROWS).is_some());
    assert_eq!(ids(&ROWS.replace("]]", "],[5,3,1,0.2]]")), None);
    let without = Watched::iris(upstream.address, &["--prediction-ids", "0"]);
    assert_eq!(without.post("/predict", ROWS).field("x-prediction-id"), None);
    without.until_outcome("observed", 1.0);
    let other = Watched::iris(Upstream::predicting("[]").address, &[]);
    assert_eq!(other.post("/predict", ROWS).field("x-prediction-id"), None);
}

#[test]
fn ids_of_the_clients_own_are_accepted_with_the_predicted_class_if_it_is_allowed() {
    let upstream = Upstream::predicting(r#"{"prediction":"setosa"}"#);
    let body =
        json!({ "prediction_id": "order 7", "prediction": "setosa", "label": "virginica" }).to_string();
    let strict = Watched::iris(upstream.address, &[]);
    let refused = strict.post_own("/feedback", &body);
    assert_eq!((refused.status(), refused.code().as_str()), (422, "unknown_field"));
    assert!(message(&refused).contains("start the watcher with --own-ids"), "{}", message(&refused));
    let unsigned = r#"{"prediction_id":"order 8","label":"setosa"}"#;
    let refused = strict.post_own("/feedback", unsigned);
    assert_eq!(refused.code(), "malformed_prediction_id");
    assert!(message(&refused).contains("start the watcher with --own-ids"), "{}", message(&refused));
    // The flag does not help with a misspelt field.
    let misspelt = strict.post_own("/feedback", r#"{"prediction_id":"order 8","truth":"setosa"}"#);
    assert!(!message(&misspelt).contains("--own-ids"), "{}", message(&misspelt));

    let profile = format!("iris={}", crate::support::PROFILE.display());
    let watched = Watched::start(upstream.address, &["--own-ids", "--profile", &profile]);
    assert_eq!(watched.post_own("/feedback", &body).status(), 202);
    assert_eq!(feedback(&watched, "setosa", "virginica"), 1.0);
    let repeated = watched.post_own("/feedback", &body);
    assert_eq!((repeated.status(), repeated.code().as_str()), (422, "repeated_prediction_id"));
    for (field, value, code) in [
        ("prediction", json!("rose"), "unknown_label"),
        ("label", json!("rose"), "unknown_label"),
        ("model", json!("other"), "foreign_version"),
        ("prediction", json!(null), "wrong_type"),
        ("class", json!("setosa"), "unknown_field"),
    ] {
        let mut piece: serde_json::Value = serde_json::from_str(&body).unwrap();
        piece[field] = value;
        let refused = watched.post_own("/feedback", &piece.to_string());
        assert_eq!((refused.status(), refused.code().as_str()), (422, code), "{field}");
        let remedy = match field {
            "class" => "with an id of your own, \"prediction\" and \"model\"",
            "model" => "--profile MODEL=FILE",
            _ => continue,
        };
        assert!(message(&refused).contains(remedy), "{field}: {}", message(&refused));
    }
    // An id of the watcher's contains the prediction, which would otherwise be counted twice.
    let answer = watched.post("/predict", r#"{"features":[5.1,3.5,1.4,0.2]}"#);
    let id = answer.field("x-prediction-id").unwrap();
    let both = json!({ "prediction_id": id, "prediction": "setosa", "label": "setosa" }).to_string();
    assert_eq!(watched.post_own("/feedback", &both).code(), "unknown_field");
    // A signed id is still needed without a predicted class.
    let unsigned = watched.post_own("/feedback", unsigned);
    assert_eq!(unsigned.code(), "malformed_prediction_id");
    let remedy = "add the predicted class or number as \"prediction\"";
    assert!(message(&unsigned).contains(remedy), "{}", message(&unsigned));
}
