//! Requests as TensorFlow Serving, KServe V1 and MLflow are sent them.

use crate::harness::{Service, answer};
use serde_json::{Value, json};

async fn ask(service: &Service, path: &str, body: &Value) -> (u16, Value) {
    let request = service.client.post(service.url(path)).header("Content-Type", "application/json");
    answer(request.body(body.to_string())).await
}

#[tokio::test]
async fn every_form_is_answered_with_the_classes() {
    let service = Service::start();
    let rows = json!([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]);
    let record = |row: [f64; 4]| {
        let [sepal_length, sepal_width, petal_length, petal_width] = row;
        json!({ "petal_width": petal_width, "sepal_length": sepal_length, "sepal_width": sepal_width, "petal_length": petal_length })
    };
    let records = json!([record([5.1, 3.5, 1.4, 0.2]), record([6.3, 3.3, 6.0, 2.5])]);
    let columns = json!({ "sepal_length": [5.1, 6.3], "sepal_width": [3.5, 3.3], "petal_width": [0.2, 2.5], "petal_length": [1.4, 6.0] });
    let split = json!({
        "columns": ["petal_width", "sepal_length", "sepal_width", "petal_length"], "index": [0, 1],
        "data": [[0.2, 5.1, 3.5, 1.4], [2.5, 6.3, 3.3, 6.0]],
    });
    let (v1, mlflow) = ("/v1/models/iris:predict", "/invocations");
    for (path, body) in [
        (v1, json!({ "instances": rows })),
        (v1, json!({ "signature_name": "x", "instances": records })),
        (mlflow, json!({ "instances": rows, "params": {} })),
        (mlflow, json!({ "inputs": rows })),
        (mlflow, json!({ "inputs": columns })),
        (mlflow, json!({ "dataframe_records": records })),
        (mlflow, json!({ "dataframe_split": split })),
    ] {
        let (status, json) = ask(&service, path, &body).await;
        assert_eq!((status, &json["predictions"]), (200, &json!(["setosa", "virginica"])), "{body} {json}");
        let feedback = json!({ "prediction_id": json["prediction_ids"][1], "label": "virginica" });
        assert_eq!(ask(&service, "/feedback", &feedback).await.0, 202);
    }
    for (endpoint, count) in [("/v1/models/{model}:predict", 2.0), (mlflow, 5.0)] {
        let labels = [("endpoint", endpoint), ("status", "200")];
        assert_eq!(service.metric("inference_requests_total", &labels).await, count);
    }
    assert_eq!(service.metric("prediction_output_total", &[("class", "virginica")]).await, 7.0);
}

#[tokio::test]
async fn refusals_are_texts_that_name_the_place() {
    let service = Service::start();
    let (v1, mlflow) = ("/v1/models/iris:predict", "/invocations");
    for (path, body, status, start, code) in [
        ("/v1/models/rose:predict", json!({}), 404, "there is no model", "unknown_model"),
        (v1, json!({}), 422, "instances: ", "missing_field"),
        (v1, json!({ "instances": [[1]] }), 422, "instances[0]: ", "wrong_feature_count"),
        (mlflow, json!({}), 422, "dataframe_split: ", "missing_field"),
        (mlflow, json!({ "inputs": [], "instances": [] }), 422, "dataframe_split: ", "missing_field"),
        (mlflow, json!({ "dataframe_records": [] }), 422, "dataframe_records: ", "empty_batch"),
        (mlflow, json!({ "inputs": { "a": [1] } }), 422, "inputs: ", "unknown_feature"),
        (mlflow, json!({ "inputs": {} }), 422, "inputs: ", "missing_feature"),
        (
            mlflow,
            json!({ "dataframe_split": { "columns": ["a"], "data": [] } }),
            422,
            "dataframe_split.columns: ",
            "unknown_feature",
        ),
        (
            mlflow,
            json!({ "inputs": { "sepal_length": [1], "sepal_width": [1, 2], "petal_length": [1], "petal_width": [1] } }),
            422,
            "inputs.sepal_width: ",
            "wrong_shape",
        ),
        (
            mlflow,
            json!({ "dataframe_split": {
                "columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[1, 2, "x", 4]],
            } }),
            422,
            "dataframe_split.data[0][2]: ",
            "not_a_number",
        ),
    ] {
        let (got, json) = ask(&service, path, &body).await;
        let text = json["error"].as_str().unwrap_or_else(|| panic!("{body} {json}"));
        let fits = text.starts_with(start) && text.ends_with(&format!("({code})"));
        assert!(got == status && fits, "{body}: {got} {text}");
    }
}

/// As text, because a JSON value would round the integers before they are sent.
#[tokio::test]
async fn integers_that_would_be_rounded_are_refused_by_every_protocol() {
    let service = Service::start();
    let names = "\"columns\":[\"sepal_length\",\"sepal_width\",\"petal_length\",\"petal_width\"]";
    let columns = |value: &str| {
        format!(r#"{{"sepal_length":[5],"sepal_width":[{value}],"petal_length":[1],"petal_width":[0.2]}}"#)
    };
    let named = |value: &str| {
        format!(r#"{{"petal_width":0.2,"sepal_length":5,"sepal_width":{value},"petal_length":1}}"#)
    };
    let bodies = |value: &str| {
        let row = format!("[5,{value},1,0.2]");
        let tensor = r#""name":"x","shape":[1,4],"datatype":"INT64""#;
        [
            ("/predict", format!(r#"{{"features":{row}}}"#)),
            ("/predict", format!(r#"{{"instances":[[5,3,1,0.2],{row}]}}"#)),
            ("/predict", format!(r#"{{"features":{}}}"#, named(value))),
            ("/v1/models/iris:predict", format!(r#"{{"instances":[{row}]}}"#)),
            ("/v1/models/iris:predict", format!(r#"{{"instances":[{}]}}"#, named(value))),
            ("/invocations", format!(r#"{{"inputs":{}}}"#, columns(value))),
            ("/invocations", format!(r#"{{"dataframe_records":[{}]}}"#, named(value))),
            ("/invocations", format!(r#"{{"dataframe_split":{{{names},"data":[{row}]}}}}"#)),
            ("/v2/models/iris/infer", format!(r#"{{"inputs":[{{{tensor},"data":[5,{value},1,0]}}]}}"#)),
        ]
    };
    let ask = async |path: &str, body: String| {
        let request = service.client.post(service.url(path)).header("Content-Type", "application/json");
        answer(request.body(body)).await
    };
    let mut refused = 0.0;
    for value in ["9007199254740993", "-9007199254740993", "18446744073709551615", "100000000000000000000000"]
    {
        for (path, body) in bodies(value) {
            let (status, json) = ask(path, body.clone()).await;
            let text = json.to_string();
            assert_eq!(status, 422, "{body} {text}");
            assert!(text.contains("number_out_of_range"), "{body} {text}");
            if path != "/v2/models/iris/infer" {
                assert!(text.contains(value) && text.contains("sepal_width"), "{body} {text}");
                assert!(text.contains("decimal point"), "{body} {text}");
            }
            refused += 1.0;
        }
    }
    let reason = [("reason", "number_out_of_range")];
    assert_eq!(service.metric("inference_rejections_total", &reason).await, refused);
    // What is held exactly, and what is no integer, is scored.
    for value in ["9007199254740992", "9007199254740993.0", "1e20"] {
        for (path, body) in bodies(value).into_iter().take(8) {
            assert_eq!(ask(path, body.clone()).await.0, 200, "{body}");
        }
    }
}
