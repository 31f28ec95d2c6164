//! Tests the Open Inference Protocol, with requests of Triton's clients.

use crate::{
    harness::{DEADLINE, IRIS, Service, answer, metric},
    raw::{Answer, Raw},
};
use inference::Settings;
use model::{CsvOptions, TrainOptions, read_csv};
use serde_json::{Value, json};

const INFER: &str = "/v2/models/iris/infer";

/// Requests of tritonclient 2.73.0, byte for byte. `just oip-clients DIRECTORY` writes them. They contain the rows below.
macro_rules! captured {
    ($($name:literal),*) => { [$(($name, &include_bytes!(concat!("captured/", $name, ".http"))[..])),*] };
}

const ROWS: &str = r#"{"instances":[[5.1,3.5,1.4,0.2],[6.3,3.3,6.0,2.5],[5.9,3.0,4.2,1.5]]}"#;

async fn infer(service: &Service, body: &Value) -> (u16, Value) {
    answer(service.client.post(service.url(INFER)).body(body.to_string())).await
}

fn flowers() -> Value {
    json!({ "inputs": [{ "name": "x", "shape": [3, 4], "datatype": "FP64",
        "data": [5.1, 3.5, 1.4, 0.2, 6.3, 3.3, 6.0, 2.5, 5.9, 3.0, 4.2, 1.5] }] })
}

/// Returns the JSON of an answer, and the bytes of each output.
fn binary_answer(answer: &Answer) -> (Value, Vec<Vec<u8>>) {
    let length: usize = answer.header("inference-header-content-length").unwrap().parse().unwrap();
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    let (json, mut tensors) = answer.body.split_at(length);
    let json: Value = serde_json::from_slice(json).unwrap();
    let outputs = json["outputs"].as_array().unwrap().iter().map(|output| {
        let size = output["parameters"]["binary_data_size"].as_u64().unwrap() as usize;
        let (own, rest) = tensors.split_at(size);
        tensors = rest;
        own.to_vec()
    });
    let outputs = outputs.collect();
    assert!(tensors.is_empty());
    (json, outputs)
}

fn texts(mut bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (text, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        texts.push(String::from_utf8(text.to_vec()).unwrap());
        bytes = rest;
    }
    texts
}

fn numbers(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks::<8>().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect()
}

#[tokio::test]
async fn requests_of_tritonclient_get_the_predictions_of_predict() {
    let service = Service::start();
    let expected = service.predict(ROWS).await.1["predictions"].clone();
    let expected = expected.as_array().unwrap();
    let classes: Vec<&str> = expected.iter().map(|row| row["class"].as_str().unwrap()).collect();
    let probabilities: Vec<f64> = expected
        .iter()
        .flat_map(|row| row["probabilities"].as_array().unwrap())
        .map(|probability| probability.as_f64().unwrap())
        .collect();
    for (name, request) in captured![
        "triton-fp64-binary",
        "triton-fp64-json",
        "triton-fp32-binary",
        "triton-fp16-binary",
        "triton-columns-binary"
    ] {
        let head = String::from_utf8_lossy(request).to_ascii_lowercase();
        assert!(!head.contains("content-type"), "{name}: the client does not send a content type");
        let answer = Raw::connect(service.address).ask(request);
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let (json, outputs) = binary_answer(&answer);
        assert_eq!(texts(&outputs[0]), classes, "{name}");
        let tolerance = if name.contains("fp64") || name.contains("columns") { 0.0 } else { 0.05 };
        let got = numbers(&outputs[1]);
        assert_eq!(got.len(), probabilities.len(), "{name}");
        for (got, expected) in got.iter().zip(&probabilities) {
            assert!((got - expected).abs() <= tolerance, "{name}: {got} {expected}");
        }
        assert_eq!(json["outputs"][0]["shape"], json!([3, 1]), "{name}");
        assert_eq!(json["outputs"][1]["shape"], json!([3, 3]), "{name}");
    }
}

#[tokio::test]
async fn the_requested_outputs_are_sent_in_the_requested_form() {
    let service = Service::start();
    let [(_, binary), (_, text)] = captured!["triton-outputs-binary", "triton-outputs-json"];
    let (json, outputs) = binary_answer(&Raw::connect(service.address).ask(binary));
    let names: Vec<&str> =
        json["outputs"].as_array().unwrap().iter().map(|output| output["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["prediction_id", "predict_proba", "label", "predict"]);
    let ids = texts(&outputs[0]);
    assert_eq!(json["parameters"]["prediction_ids"], ids.join(","));
    assert_eq!(outputs[2], [0_i64, 2, 1].map(i64::to_le_bytes).concat());
    assert_eq!(texts(&outputs[3]), ["setosa", "virginica", "versicolor"]);

    let json = Raw::connect(service.address).ask(text).json();
    let data = |at: usize| &json["outputs"][at]["data"];
    assert_eq!(data(2), &json!([0, 2, 1]));
    assert_eq!(data(3), &json!(["setosa", "virginica", "versicolor"]));
    assert_eq!(json["parameters"]["prediction_ids"].as_str().unwrap().split(',').count(), 3);
}

#[tokio::test]
async fn a_json_request_gets_a_json_answer_and_is_counted() {
    let service = Service::start();
    let mut body = flowers();
    body["id"] = json!("seven");
    body["parameters"] = json!({ "content_type": "pd", "unknown": [1] });
    let expected = service.predict(ROWS).await.1;
    let (status, json) = infer(&service, &body).await;
    assert_eq!(status, 200, "{json}");
    assert_eq!((&json["model_name"], &json["model_version"]), (&json!("iris"), &json!(IRIS.card.version)));
    assert_eq!(json["id"], "seven");
    assert_eq!(json["outputs"][0]["data"], json!(["setosa", "virginica", "versicolor"]));
    let probabilities: Vec<&Value> = expected["predictions"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row["probabilities"].as_array().unwrap())
        .collect();
    assert_eq!(json["outputs"][1]["data"], json!(probabilities));
    let page = service.get("/metrics").await.text().await.unwrap();
    let counted = |name: &str, labels: &[(&str, &str)]| metric(&page, name, labels);
    let endpoint = ("endpoint", "/v2/models/{model}/infer");
    assert_eq!(counted("inference_requests_total", &[endpoint, ("status", "200")]), Some(1.0));
    assert_eq!(counted("prediction_output_total", &[("class", "virginica")]), Some(2.0));
    assert_eq!(counted("inference_duration_seconds_count", &[endpoint]), Some(1.0));

    // Feedback for one of the prediction ids is accepted.
    let ids = json["parameters"]["prediction_ids"].as_str().unwrap();
    let feedback = json!({ "prediction_id": ids.split(',').nth(1), "label": "virginica" }).to_string();
    let request = service.client.post(service.url("/feedback")).header("Content-Type", "application/json");
    assert_eq!(answer(request.body(feedback)).await.0, 202);
    let labels = [("predicted", "virginica"), ("actual", "virginica")];
    assert_eq!(service.metric("feedback_total", &labels).await, 1.0);
}

#[tokio::test]
async fn the_server_and_its_model_are_described() {
    let service = Service::start();
    let server: Value = service.get_json("/v2").await;
    assert_eq!(server["extensions"], json!(["binary_tensor_data"]));
    let version = &IRIS.card.version;
    let model: Value = service.get_json("/v2/models/iris").await;
    assert_eq!((&model["name"], &model["versions"]), (&json!("iris"), &json!([version])));
    assert_eq!(model["inputs"][0], json!({ "name": "sepal_length", "datatype": "FP64", "shape": [-1, 1] }));
    assert_eq!(model["outputs"][1], json!({ "name": "predict_proba", "datatype": "FP64", "shape": [-1, 3] }));
    let same: Value = service.get_json(&format!("/v2/models/iris/versions/{version}")).await;
    assert_eq!(same, model);
    for path in [
        "/v2/health/live".to_owned(),
        "/v2/health/ready".to_owned(),
        "/v2/models/iris/ready".to_owned(),
        format!("/v2/models/iris/versions/{version}/ready"),
    ] {
        assert_eq!(service.get(&path).await.status(), 200, "{path}");
    }
    let url = service.url(&format!("/v2/models/iris/versions/{version}/infer"));
    assert_eq!(answer(service.client.post(url).body(flowers().to_string())).await.0, 200);
}

#[tokio::test]
async fn another_model_or_version_is_not_found() {
    let service = Service::start();
    for path in [
        "/v2/models/tulips",
        "/v2/models/tulips/ready",
        "/v2/models/iris/versions/1",
        "/v2/models/iris/versions/1/ready",
        "/v2/models/a%20b",
    ] {
        let (status, json) = answer(service.client.get(service.url(path))).await;
        let text = json["error"].as_str().unwrap();
        assert!(status == 404 && text.contains("unknown_model"), "{path}: {json}");
        assert!(text.contains("\"iris\"") && text.contains(&IRIS.card.version), "{path}: {json}");
    }
    for path in ["/v2/models/tulips/infer", "/v2/models/iris/versions/1/infer"] {
        let (status, json) = answer(service.client.post(service.url(path)).body("{}")).await;
        assert!(status == 404 && json["error"].is_string(), "{path}: {json}");
    }
    assert_eq!(service.metric("inference_rejections_total", &[("reason", "unknown_model")]).await, 7.0);
    for path in ["/v2/nothing", "/v2/models/iris/config", "/v2/models/%ff"] {
        let (status, json) = answer(service.client.get(service.url(path))).await;
        assert!(status == 404 && json["error"].is_string(), "{path}: {json}");
    }
    let page = service.get("/metrics").await.text().await.unwrap();
    assert!(!page.contains("tulips"), "names from paths must not become labels");
}

#[tokio::test]
async fn refusals_are_texts_and_have_the_status_and_count_of_predict() {
    let service = Service::with(Settings { allow_fault_injection: true, ..Settings::default() });
    let post = || service.client.post(service.url(INFER));
    let valid = flowers().to_string();
    let cases = [
        (post().body("{"), 400, "malformed_json"),
        (post().body(""), 400, "malformed_json"),
        (post().body("{}"), 422, "missing_field"),
        (post().body(valid.replace("[3,4]", "[4,3]")), 422, "wrong_feature_count"),
        (post().body(valid.replace("6.3", "null")), 422, "missing_value"),
        (post().body(valid.replace("6.3", "1e300")), 422, "number_out_of_range"),
        (post().body(valid.replacen('{', r#"{"outputs":[{"name":"y"}],"#, 1)), 422, "unknown_output"),
        (
            post().body(valid.replacen('{', r#"{"outputs":[{"name":"predict"},{"name":"predict"}],"#, 1)),
            422,
            "duplicate_field",
        ),
        (post().header("Inference-Header-Content-Length", "x").body("{}"), 422, "wrong_data_size"),
        (post().header("Inference-Header-Content-Length", "9999").body("{}"), 422, "wrong_data_size"),
        (post().header("Content-Type", "text/plain").body(valid.clone()), 415, "unsupported_media_type"),
        (post().header("Content-Encoding", "gzip").body(valid.clone()), 415, "unsupported_encoding"),
        (post().body(vec![b' '; 2 << 20]), 413, "body_too_large"),
        (post().header("x-envoy-fault-abort-request", "503").body(valid.clone()), 503, "fault_injected"),
        (post().header("x-envoy-fault-abort-request", "7").body(valid.clone()), 400, "bad_fault_header"),
        (service.client.put(service.url(INFER)).body(valid.clone()), 405, "method_not_allowed"),
    ];
    for (request, status, code) in cases {
        let before = service.metric("inference_rejections_total", &[("reason", code)]).await;
        let (got, json) = answer(request).await;
        let text = json["error"].as_str().unwrap_or_else(|| panic!("{json}"));
        assert!(got == status && text.ends_with(&format!("({code})")), "{status} {code}: {got} {json}");
        assert_eq!(
            service.metric("inference_rejections_total", &[("reason", code)]).await,
            before + 1.0,
            "{code}"
        );
    }
    // A row with a missing value that the reference never lacks is refused, and the missing value is counted.
    let missing = [("signal", "sepal_length"), ("bin", "missing")];
    assert_eq!(service.metric("signal_bin_total", &missing).await, 1.0);
    for media_type in ["application/json", "application/octet-stream", "APPLICATION/JSON; charset=utf-8"] {
        let request = post().header("Content-Type", media_type).body(valid.clone());
        assert_eq!(answer(request).await.0, 200, "{media_type}");
    }
}

/// The number of rows is checked before they take memory. Here, a row is one byte long, or is declared but not sent.
#[tokio::test]
async fn large_requests_have_the_limits_of_predict() {
    let service = Service::with(Settings { request_timeout: DEADLINE, ..Settings::default() });
    let rows = 20_000;
    let header = json!({ "inputs": [{ "name": "x", "shape": [rows, 4], "datatype": "INT8",
        "parameters": { "binary_data_size": 4 * rows } }] })
    .to_string();
    let body = [header.as_bytes(), &vec![3; 4 * rows]].concat();
    let request = service.client.post(service.url(INFER));
    let request = request.header("Inference-Header-Content-Length", header.len()).body(body);
    let (status, json) = answer(request).await;
    assert_eq!(status, 200);
    assert_eq!(json["outputs"][0]["data"].as_array().unwrap().len(), rows);

    let rows = 240_000;
    let header = json!({ "inputs": [{ "name": "x", "shape": [rows, 4], "datatype": "INT8",
        "parameters": { "binary_data_size": 4 * rows } }] })
    .to_string();
    let body = [header.as_bytes(), &vec![3; 4 * rows]].concat();
    let request = service.client.post(service.url(INFER));
    let request = request.header("Inference-Header-Content-Length", header.len()).body(body);
    let (status, json) = answer(request).await;
    assert_eq!(status, 413);
    let text = json["error"].as_str().unwrap();
    assert!(text.contains("at most") && text.contains("answer_too_large"), "{text}");
}

#[tokio::test]
async fn categories_are_read_in_the_same_way_as_by_predict() {
    let rows = (0..400).map(|row| {
        let plan = ["monthly", "yearly"][row * 7 % 2];
        let city = if row % 20 > 17 { "" } else { ["Oslo", "Rome"][row % 3 % 2] };
        let leaves = if plan == "monthly" && row % 5 > 0 { "yes" } else { "no" };
        format!("{},{city},{},{},{plan},{leaves}\n", 20 + row * 13 % 50, row % 3 == 0, row % 4 * 10)
    });
    let table = "age,city,new,code,plan,leaves\n".to_owned() + &rows.collect::<String>();
    let options = CsvOptions { categorical: vec!["code".into()], ..CsvOptions::new("leaves") };
    let table = read_csv(table.as_bytes(), "customers.csv", &options).unwrap().table;
    let file = model::train(&table, &TrainOptions::new("customers")).unwrap();
    let service = Service::of(Settings::default(), file);
    let metadata: Value = service.get_json("/v2/models/customers").await;
    let datatypes: Vec<&str> =
        metadata["inputs"].as_array().unwrap().iter().map(|i| i["datatype"].as_str().unwrap()).collect();
    assert_eq!(datatypes, ["FP64", "BYTES", "BYTES", "BYTES", "BYTES"]);

    let expected = service
        .predict(r#"{"instances":[[30,"Oslo",true,20,"monthly"],[40,null,false,99,"yearly"]]}"#)
        .await
        .1;
    let infer = async |new: Value, code: Value, city: Value| {
        let input = |name: &str, datatype: &str, data: Value| json!({ "name": name, "shape": [2, 1], "datatype": datatype, "data": data });
        let body = json!({ "inputs": [
            input("plan", "BYTES", json!(["monthly", "yearly"])), new, code,
            input("city", "BYTES", city), input("age", "INT32", json!([30, 40])),
        ]});
        answer(service.client.post(service.url("/v2/models/customers/infer")).body(body.to_string())).await
    };
    let input = |name: &str, datatype: &str, data: Value| json!({ "name": name, "shape": [2], "datatype": datatype, "data": data });
    let probabilities = |answer: &Value| {
        let of_row = |row: usize| answer["predictions"][row]["probabilities"].as_array().unwrap().clone();
        [of_row(0), of_row(1)].concat()
    };
    for (new, code, city) in [
        (
            input("new", "BOOL", json!([true, false])),
            input("code", "INT64", json!([20, 99])),
            json!(["Oslo", ""]),
        ),
        (
            input("new", "BYTES", json!(["True", "false"])),
            input("code", "FP32", json!([20, 99])),
            json!([" Oslo ", null]),
        ),
        (
            input("new", "BOOL", json!([true, false])),
            input("code", "BYTES", json!(["20.0", "99"])),
            json!(["Oslo", " "]),
        ),
    ] {
        let (status, json) = infer(new, code, city).await;
        assert_eq!(status, 200, "{json}");
        assert_eq!(json["outputs"][1]["data"], json!(probabilities(&expected)), "{json}");
    }
    let (status, json) = infer(
        input("new", "INT8", json!([1, 0])),
        input("code", "INT8", json!([20, 99])),
        json!(["Oslo", "Rome"]),
    )
    .await;
    let text = json["error"].as_str().unwrap();
    assert!(status == 422 && text.starts_with("inputs.new.data[0]: ") && text.contains("BOOL"), "{text}");
    let matrix = json!({ "inputs": [{ "name": "x", "shape": [1, 5], "datatype": "FP64", "data": [30, 1, 1, 20, 2] }] });
    let url = service.url("/v2/models/customers/infer");
    let (status, json) = answer(service.client.post(url).body(matrix.to_string())).await;
    let text = json["error"].as_str().unwrap();
    assert!(status == 422 && text.contains("as a separate input, with BYTES"), "{text}");
}
