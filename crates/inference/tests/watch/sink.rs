//! Rows and answers that are sent to the watcher instead of through it.

use crate::{
    message::Message,
    support::{Watched, ask},
    upstream::Upstream,
};
use serde_json::json;

const REQUEST: &str = "org.kubeflow.serving.inference.request";
const RESPONSE: &str = "org.kubeflow.serving.inference.response";

fn sink(flags: &[&str]) -> Watched {
    // Nothing passes through the proxy in these tests.
    Watched::iris(Upstream::predicting("{}").address, flags)
}

/// Sends an event as KServe's logger does.
fn event(watched: &Watched, kind: &str, id: &str, body: &str) -> Message {
    let length = body.len();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: sink\r\nContent-Type: application/json\r\nCe-Specversion: 1.0\r\nCe-Type: {kind}\r\n\
         Ce-Id: {id}\r\nCe-Source: http://localhost:9081/\r\nCe-Inferenceservicename: iris\r\nCe-Namespace: default\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    ask(watched.own, request.as_bytes())
}

#[test]
fn the_two_events_of_a_request_are_joined_in_any_order() {
    let watched = sink(&[]);
    let v1 = (r#"{"instances":[[5.1,3.5,1.4,0.2]]}"#, r#"{"predictions":["setosa"]}"#);
    let v2 = (
        r#"{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[6.3,2.9,5.6,1.8]}]}"#,
        r#"{"outputs":[{"name":"predict","datatype":"BYTES","shape":[1],"data":["virginica"]}]}"#,
    );
    assert_eq!(event(&watched, REQUEST, "1", v1.0).status(), 202);
    assert_eq!(event(&watched, RESPONSE, "2", v2.1).status(), 202);
    assert_eq!(watched.metric("watch_requests_total", &[]), 0.0);
    event(&watched, RESPONSE, "1", v1.1);
    event(&watched, REQUEST, "2", v2.0);
    watched.until_outcome("observed", 2.0);
    for class in ["setosa", "virginica"] {
        let label = format!("class=\"{class}\"");
        assert_eq!(watched.metric("prediction_output_total", &[&label]), 1.0, "{class}");
    }
}

#[test]
fn events_that_cannot_be_joined_are_counted_or_refused() {
    let watched = sink(&[]);
    event(&watched, REQUEST, "1", "{}");
    // A repeated event is not counted; another request with the same id is, because the id does not tell them apart.
    event(&watched, REQUEST, "1", "{}");
    assert_eq!(watched.metric("watch_requests_total", &[]), 0.0);
    event(&watched, REQUEST, "1", "[]");
    watched.until_outcome("unpaired", 1.0);
    event(&watched, RESPONSE, "1", "{}");
    watched.until_outcome("not_readable", 1.0);
    let other = event(&watched, "com.example.other", "3", "{}");
    assert_eq!((other.status(), other.code().as_str()), (422, "wrong_type"));
    let plain = watched.post_own("/", "{}");
    assert_eq!((plain.status(), plain.code().as_str()), (422, "missing_field"));
    assert!(plain.json()["error"]["message"].as_str().unwrap().contains("ce-type"));
}

#[test]
fn observed_rows_are_counted_once_per_id() {
    let watched = sink(&[]);
    let body = json!({
        "id": "batch 1",
        "instances": [[5.1, 3.5, 1.4, 0.2], { "sepal_length": 6.3, "sepal_width": 2.9, "petal_length": 5.6, "petal_width": 1.8 }],
        "predictions": ["setosa", "virginica"],
    });
    let observed = |answer: Message| answer.json()["observed"].as_u64();
    assert_eq!(observed(watched.post_own("/observe", &body.to_string())), Some(2));
    assert_eq!(observed(watched.post_own("/observe", &body.to_string())), Some(0));
    let one = json!({ "features": [5.1, 3.5, 1.4, 0.2], "predictions": ["setosa"] });
    assert_eq!(observed(watched.post_own("/observe", &one.to_string())), Some(1));
    assert_eq!(watched.metric("signal_bin_total", &["signal=\"sepal_length\""]), 3.0);
    assert_eq!(watched.metric("prediction_output_total", &["class=\"setosa\""]), 2.0);
    assert_eq!(watched.metric("watch_requests_total", &[]), 2.0);
}

#[test]
fn observed_rows_that_do_not_fit_are_refused_with_the_field() {
    let watched = sink(&[]);
    let row = json!([5.1, 3.5, 1.4, 0.2]);
    for (body, status, field) in [
        (json!({ "instances": [row, row], "predictions": ["setosa"] }), 422, "predictions"),
        (json!({ "instances": [row], "predictions": ["rose"] }), 422, "predictions"),
        (json!({ "instances": [[1]], "predictions": ["setosa"] }), 422, "instances[0]"),
        (json!({ "predictions": ["setosa"] }), 422, "instances"),
        (json!({ "instances": [row] }), 400, ""),
        (json!({ "instances": [row], "predictions": ["setosa"], "rows": 1 }), 400, ""),
    ] {
        let refused = watched.post_own("/observe", &body.to_string());
        assert_eq!(refused.status(), status, "{body}");
        assert_eq!(refused.json()["error"]["field"].as_str().unwrap_or_default(), field, "{body}");
    }
    assert_eq!(watched.metric("signal_bin_total", &["signal=\"sepal_length\""]), 0.0);
}
