//! Tests the limits on the memory that requests can take, and on the time for which they take it.

use crate::{
    binary::Binary,
    harness::{DEADLINE, IRIS, Service, metric, until},
    raw::{Raw, post},
};
use inference::Settings;
use serde_json::json;
use std::{path::Path, process::Command, time::Duration};

const FLOWER: &str = r#"{"features":[5.1,3.5,1.4,0.2]}"#;

fn batch(rows: usize) -> String {
    format!("{{\"instances\":[{}[5.1,3.5,1.4,0.2]]}}", "[5.1,3.5,1.4,0.2],".repeat(rows - 1))
}

fn one_at_a_time() -> Settings {
    Settings { max_in_flight: 1, request_timeout: DEADLINE, ..Settings::default() }
}

#[tokio::test]
async fn an_answer_holds_its_permit_until_it_is_read() {
    let service = Service::with(one_at_a_time());
    let mut client = Raw::connect(service.address);
    // The answer has 2 MB, which is more than the buffers of the system can hold.
    client.post("/predict", &batch(8_000));
    let head = client.head().unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(service.metric("inference_requests_in_flight", &[]).await, 1.0);
    let (status, refusal) = service.predict(FLOWER).await;
    assert_eq!((status, refusal["error"]["code"].as_str()), (503, Some("overloaded")));

    drop(client);
    until("the permit is released", || async { service.predict(FLOWER).await.0 == 200 }).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected_and_counted() {
    let service = Service::with(Settings { request_timeout: Duration::from_secs(1), ..one_at_a_time() });
    let mut client = Raw::connect(service.address);
    client.post("/predict", &batch(8_000));
    until("it is dropped", || async {
        service.metric("inference_connections_dropped_total", &[("reason", "unread_answer")]).await == 1.0
    })
    .await;
    until("the permit is released", || async { service.predict(FLOWER).await.0 == 200 }).await;
    let read = client.rest().len();
    assert!(read < 1_000_000, "{read} bytes were sent");
}

#[tokio::test]
async fn the_refusal_of_a_large_answer_names_the_number_of_rows_to_send() {
    let service = Service::with(Settings { answer_limit: 100_000, ..Settings::default() });
    let (status, refusal) = service.predict(&batch(5_000)).await;
    assert_eq!((status, refusal["error"]["code"].as_str()), (413, Some("answer_too_large")), "{refusal}");
    let message = refusal["error"]["message"].as_str().unwrap();
    let most = message.split("at most ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let most: usize = most.parse().unwrap();
    assert_eq!(service.predict(&batch(most + 1)).await.0, 413);
    let answer = service.post(batch(most)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let length = answer.bytes().await.unwrap().len();
    assert!((50_000..=100_000).contains(&length), "{length}");
    assert_eq!(service.metric("inference_rejections_total", &[("reason", "answer_too_large")]).await, 2.0);
    // Rows that are refused before they are scored are not counted.
    assert_eq!(metric_sum(&service, "prediction_output_total").await, most as f64);
    // A single row is always answered.
    let service = Service::with(Settings { answer_limit: 1, ..Settings::default() });
    assert_eq!(service.predict(&batch(1)).await.0, 200);
    assert_eq!(service.predict(&batch(2)).await.0, 413);
}

#[tokio::test]
async fn answers_stay_within_the_estimated_size() {
    // The size of an answer is checked before it is written, so the estimate must hold for unusual names, too.
    let mut file = IRIS.clone();
    file.card.name = "\u{1}\"\\\u{1f33a}".repeat(20);
    file.card.classes = vec!["\u{7f}\"".repeat(50), "b".into(), "c".into()];
    let row = 1_500_000;
    let settings = Settings { answer_limit: row, ..Settings::default() };
    let service = Service::of(settings, file);
    let refusal = service.predict(&batch(5_000)).await.1;
    let message = refusal["error"]["message"].as_str().unwrap();
    let most = message.split("at most ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let answer = service.post(batch(most.parse().unwrap())).send().await.unwrap();
    let length = answer.bytes().await.unwrap().len();
    assert!((row / 2..=row).contains(&length), "{length}");
}

#[tokio::test]
async fn unfinished_bodies_do_not_block_other_requests() {
    let service =
        Service::with(Settings { max_in_flight: 4, request_timeout: DEADLINE, ..Settings::default() });
    let request = post("/predict", "", FLOWER);
    let mut unfinished: Vec<Raw> = (0..40).map(|_| Raw::connect(service.address)).collect();
    for client in &mut unfinished {
        client.send(&request[..request.len() - 1]);
    }
    for _ in 0..100 {
        assert_eq!(service.predict(FLOWER).await.0, 200);
    }
    assert_eq!(service.metric("inference_requests_in_flight", &[]).await, 0.0);
    // They are answered once they are complete.
    for mut client in unfinished {
        assert_eq!(client.ask(&request[request.len() - 1..]).status, 200);
    }
}

#[tokio::test]
async fn the_memory_of_arriving_bodies_is_limited() {
    let settings = Settings { body_limit: 4096, request_timeout: DEADLINE, ..Settings::default() };
    for path in ["/predict", "/feedback"] {
        let service = Service::with(settings.clone());
        let body = format!("{FLOWER}{}", " ".repeat(4096 - FLOWER.len()));
        let request = post(path, "", &body);
        let (most, last) = request.split_at(request.len() - 1);
        let mut clients: Vec<Raw> = (0..64).map(|_| Raw::connect(service.address)).collect();
        clients.iter_mut().for_each(|client| client.send(most));
        // The limit is 32 bodies of the largest size.
        until("half of them are evicted", || async {
            service.metric("inference_rejections_total", &[("reason", "overloaded")]).await >= 32.0
        })
        .await;
        let (refused, arriving): (Vec<_>, Vec<_>) = clients
            .into_iter()
            .map(|mut client| (client.has_arrived(), client))
            .partition(|(arrived, _)| *arrived);
        assert_eq!((refused.len(), arriving.len()), (32, 32));
        for (_, mut client) in refused {
            let refusal = client.answer();
            assert_eq!((refusal.status, refusal.code().as_str()), (503, "overloaded"));
        }
        for (_, mut client) in arriving {
            assert_eq!(client.ask(last).status, if path == "/predict" { 200 } else { 422 });
        }
    }
}

#[tokio::test]
async fn the_answer_to_feedback_is_smaller_than_the_request() {
    let service = Service::start();
    let id = service.predict(FLOWER).await.1["prediction_id"].clone();
    let valid = json!({ "prediction_id": id, "label": "setosa" }).to_string();

    let body = format!("[{valid}{}]", ",0".repeat(9_999));
    let answer = Raw::connect(service.address).ask(post("/feedback", "", &body));
    assert_eq!(answer.status, 202);
    let answered = answer.json();
    assert_eq!(answered["accepted"], 1);
    assert_eq!(answered["rejected"].as_array().unwrap().len(), 100);
    assert_eq!(
        (&answered["rejected"][0]["index"], &answered["rejected"][99]["index"]),
        (&json!(1), &json!(100))
    );
    assert_eq!(answered["rejected_without_detail"], 9_899);
    assert!(answer.body.len() < body.len(), "{}", answer.body.len());
    let counted = service.metric("feedback_rejected_total", &[("reason", "wrong_type")]).await;
    assert_eq!(counted, 9_999.0);

    for bad in [10_000, 450_000] {
        let body = format!("[{valid}{}]", ",0".repeat(bad));
        let refusal = Raw::connect(service.address).ask(post("/feedback", "", &body));
        assert_eq!((refusal.status, refusal.code().as_str()), (413, "too_many_pieces"));
        assert!(refusal.body.len() < 500, "{}", refusal.body.len());
    }
    assert_eq!(service.metric("feedback_rejected_total", &[("reason", "wrong_type")]).await, counted);
    assert_eq!(service.metric("inference_rejections_total", &[("reason", "too_many_pieces")]).await, 2.0);
}

#[tokio::test]
async fn the_limit_on_requests_in_flight_applies_to_feedback() {
    let service = Service::with(one_at_a_time());
    let mut unread = Raw::connect(service.address);
    unread.post("/predict", &batch(40_000));
    assert!(unread.head().unwrap().starts_with("HTTP/1.1 200"));
    let refusal = Raw::connect(service.address).ask(post("/feedback", "", "[]"));
    assert_eq!((refusal.status, refusal.code().as_str()), (503, "overloaded"));
}

#[tokio::test]
async fn a_large_batch_does_not_delay_small_requests() {
    let service = Service::with(Settings { request_timeout: DEADLINE, ..Settings::default() });
    let large = post("/predict", "", &batch(50_000));
    // On a busy machine, a small request may by chance be answered only after the large one, so there are several attempts. If the only
    // worker scored the batch itself, every attempt would fail.
    for _ in 0..20 {
        let mut batches = Raw::connect(service.address);
        batches.send(&large);
        until("it is in flight or answered", || async {
            service.metric("inference_requests_in_flight", &[]).await == 1.0
                || batches_answered(&service).await
        })
        .await;
        assert_eq!(service.predict(FLOWER).await.0, 200);
        if !batches.has_arrived() {
            assert_eq!(batches.answer().status, 200);
            return;
        }
    }
    panic!("no small request was answered while a large one was worked on");
}

#[tokio::test]
async fn waiting_batches_do_not_block_small_requests() {
    let service = Service::with(Settings {
        max_in_flight: 8,
        max_large_in_flight: 1,
        body_limit: 160 << 10,
        // The batches wait until all small requests are answered, which takes long on a busy machine.
        request_timeout: DEADLINE * 10,
        ..Settings::default()
    });
    let mut unread = Raw::connect(service.address);
    unread.post("/predict", &batch(8_000));
    let head = unread.head().unwrap();
    let body = format!("{}{}", batch(2_000), " ".repeat((160 << 10) - batch(2_000).len()));
    let mut waiting: Vec<Raw> = (0..40).map(|_| Raw::connect(service.address)).collect();
    waiting.iter_mut().for_each(|client| client.post("/predict", &body));
    // The bytes of 32 such bodies may wait; the others are refused.
    until("the queue is full", || async {
        service.metric("inference_rejections_total", &[("reason", "overloaded")]).await >= 8.0
    })
    .await;
    let request = post("/predict", "", FLOWER);
    let (first, last) = request.split_at(request.len() - 1);
    for _ in 0..50 {
        assert_eq!(service.predict(FLOWER).await.0, 200);
        let mut client = Raw::connect(service.address);
        client.send(first);
        assert_eq!(client.ask(last).status, 200);
    }
    unread.body(&head);
    let statuses: Vec<u16> = waiting.iter_mut().map(|client| client.answer().status).collect();
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(503)), (32, 8), "{statuses:?}");
    // A row is counted once even if it is parsed twice, as with a small body and a large answer.
    let rows = 8_000.0 + 32.0 * 2_000.0 + 100.0;
    assert_eq!(metric_sum(&service, "prediction_output_total").await, rows);
    assert_eq!(service.predict(&batch(500)).await.0, 200);
    assert_eq!(metric_sum(&service, "prediction_output_total").await, rows + 500.0);
}

async fn batches_answered(service: &Service) -> bool {
    metric_sum(service, "prediction_output_total").await >= 50_000.0
}

#[test]
fn memory_stays_below_the_announced_limit() {
    let mebibyte = 1 << 20;
    let fill = |start: &str, item: &str, end: &str| {
        let items = (mebibyte - start.len() - end.len()) / item.len();
        format!("{start}{}{end}", item.repeat(items))
    };
    let bodies = [
        ("/predict", fill("{\"instances\":[[]", ",[]", "]}")),
        ("/predict", fill("{\"instances\":[0", ",0", "]}")),
        ("/predict", fill("{\"instances\":[{}", ",{}", "]}")),
        ("/predict", fill("{\"instances\":[[0]", ",[0]", "]}")),
        ("/predict", fill("{\"instances\":[{\"a\":0}", ",{\"a\":0}", "]}")),
        ("/predict", fill("{\"features\":[0", ",0", "]}")),
        ("/predict", fill("{\"features\":{\"a\":0", ",\"a\":0", "}}")),
        ("/predict", fill("{\"instances\":[[1,2,3,4]", ",[1,2,3,4]", "]}")),
        ("/predict", fill("{\"instances\":[[1,2,3,4]", ",[1,2,3,4]", "],\"x\":1}")),
        ("/predict", fill("{\"x\":[0", ",0", "]}")),
        ("/predict", fill("{\"x\":[{\"\":0}", ",{\"\":0}", "]}")),
        ("/predict", fill("{\"", "\\u0001", "\":1}")),
        ("/feedback", fill("[0", ",0", "]")),
        ("/feedback", fill("[{}", ",{}", "]")),
        ("/feedback", fill("[{\"a\":0}", ",{\"a\":0}", "]")),
        ("/feedback", fill("{\"a\":0", ",\"a\":0", "}")),
        ("/feedback", fill("{\"label\":[0", ",0", "]}")),
        ("/feedback", fill("{\"label\":[[]", ",[]", "]}")),
        ("/feedback", fill("{\"label\":{\"\":0", ",\"\":0", "}}")),
        ("/feedback", fill("[{\"label\":[{\"\":0}", ",{\"\":0}", "]}]")),
    ];
    let tensor = |rows: usize, columns: usize, datatype: &str, element: &str| {
        let data = vec![element; rows * columns].join(",");
        format!(
            r#"{{"inputs":[{{"name":"x","shape":[{rows},{columns}],"datatype":"{datatype}","data":[{data}]}}]}}"#
        )
    };
    let infer = "/v2/models/iris/infer";
    let oip = [
        (infer, tensor(100_000, 4, "INT8", "0")),
        (infer, tensor(65_000, 4, "BYTES", r#""""#)),
        (infer, fill("{\"inputs\":[0", ",0", "]}")),
        (infer, fill("{\"inputs\":[{}", ",{}", "]}")),
        (infer, fill("{\"inputs\":[{\"a\":0", ",\"a\":0", "}]}")),
        (infer, fill("{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP64\",\"shape\":[0", ",0", "]}]}")),
        (
            infer,
            fill(
                "{\"inputs\":[{\"name\":\"x\",\"data\":[[]",
                ",[]",
                "],\"shape\":[4],\"datatype\":\"FP64\"}]}",
            ),
        ),
        (infer, fill("{\"inputs\":[],\"outputs\":[{\"name\":\"\"}", ",{\"name\":\"\"}", "]}")),
        (infer, fill("{\"inputs\":[],\"parameters\":{\"\":0", ",\"\":0", "}}")),
    ];
    let frames = [
        ("/invocations", fill("{\"dataframe_split\":{\"columns\":[\"a\"],\"data\":[[0]", ",[0]", "]}}")),
        ("/invocations", fill("{\"dataframe_records\":[{\"a\":0}", ",{\"a\":0}", "]}")),
        ("/invocations", fill("{\"inputs\":{\"a\":[0", ",0", "]}}")),
        ("/invocations", fill("{\"inputs\":{\"a\":[0],\"\":0", ",\"\":0", "}}")),
    ];
    let narrow_rows = ("/v2/models/narrow/infer", tensor(130_000, 1, "INT8", "0"));
    // With a model of one feature, a body can contain the greatest number of rows.
    let dir = tempfile::tempdir().unwrap();
    let (table, narrow) = (dir.path().join("narrow.csv"), dir.path().join("narrow.json"));
    let rows: String =
        (0..100).map(|row| format!("{row},{}\n", if row < 50 { "low" } else { "high" })).collect();
    std::fs::write(&table, format!("a,class\n{rows}")).unwrap();
    let trained = Command::new(env!("CARGO_BIN_EXE_inference"))
        .args(["train", "--target", "class", "--data"])
        .args([&table, Path::new("--out"), &narrow])
        .output()
        .unwrap();
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let narrow = ["--model", narrow.to_str().unwrap()];
    let cases = bodies.iter().map(|(path, body)| (&[][..], *path, body));
    let cases = cases.chain(oip.iter().map(|(path, body)| (&[][..], *path, body)));
    let cases = cases.chain(bodies[..5].iter().map(|(path, body)| (&narrow[..], *path, body)));
    let cases = cases.chain(frames.iter().map(|(path, body)| (&narrow[..], *path, body)));
    let cases = cases.chain([(&narrow[..], narrow_rows.0, &narrow_rows.1)]);
    for (model, path, body) in cases {
        // With one large request at a time and low other limits, the announced limit is mostly the memory of this request.
        let flags = [
            "--max-large-in-flight",
            "1",
            "--max-in-flight",
            "8",
            "--max-connections",
            "8",
            "--workers",
            "1",
        ];
        let service = Binary::start(&[&flags, model].concat());
        assert_eq!(Raw::connect(service.address).ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
        let before = service.peak_memory();
        let mut clients: Vec<Raw> = (0..2).map(|_| Raw::connect(service.address)).collect();
        clients.iter_mut().for_each(|client| client.post(path, body));
        let statuses: Vec<u16> = clients.iter_mut().map(|client| client.answer().status).collect();
        let taken = service.peak_memory() - before;
        let shown = format!("{taken} bytes of {}, {statuses:?}: {path} {}", service.worst_case, &body[..40]);
        eprintln!("{shown}");
        assert!(taken < service.worst_case, "{shown}");
    }
}

async fn metric_sum(service: &Service, name: &str) -> f64 {
    let page = service.get("/metrics").await.text().await.unwrap();
    assert!(metric(&page, name, &[("class", "virginica")]).is_some());
    let lines = page.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}
