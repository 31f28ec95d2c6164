//! Sends a hundred kinds of bad input. Each gets the documented status and a JSON error and is counted, and the service continues.

use crate::harness::{Service, metric};
use inference::Settings;
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

const JSON: &str = "application/json";

/// A body, and the expected status and code.
struct Case {
    body: Vec<u8>,
    headers: Vec<(&'static str, String)>,
    expected: (u16, &'static str),
}

fn case(body: impl Into<Vec<u8>>, status: u16, code: &'static str) -> Case {
    Case { body: body.into(), headers: vec![("Content-Type", JSON.into())], expected: (status, code) }
}

fn bodies() -> Vec<Case> {
    let malformed = [
        "",
        " ",
        "\n",
        "{",
        "}",
        "{]",
        "[",
        "nul",
        "{\"features\":",
        "{\"features\":[",
        "{\"features\":[1,2,3,4]",
        "{\"features\":[1,2,3,4}",
        "{\"features\":[1,2,3,4],}",
        "{\"features\":[1,,3,4]}",
        "{\"features\":[1,2,3,4,]}",
        "{features:[1,2,3,4]}",
        "{'features':[1,2,3,4]}",
        "{\"features\" [1,2,3,4]}",
        "{\"features\":[NaN,2,3,4]}",
        "{\"features\":[Infinity,2,3,4]}",
        "{\"features\":[-Infinity,2,3,4]}",
        "{\"features\":[nan,2,3,4]}",
        "{\"features\":[01,2,3,4]}",
        "{\"features\":[+1,2,3,4]}",
        "{\"features\":[.5,2,3,4]}",
        "{\"features\":[5.,2,3,4]}",
        "{\"features\":[1e,2,3,4]}",
        "{\"features\":[0x10,2,3,4]}",
        "{\"features\":[1_000,2,3,4]}",
        "{\"features\":[1 2 3 4]}",
        "{\"features\":[1,2,3,4]} {\"features\":[1,2,3,4]}",
        "{\"features\":[1,2,3,4]}x",
        "{\"features\":[1,2,3,4]}//",
        "features=1,2,3,4",
        "<features>1</features>",
        "1,2,3,4",
        "{\"a\\qb\":1}",
        "{\"\\ud800\":1}",
        "\u{feff}{\"features\":[1,2,3,4]}",
        "{\"features\":[1,2,3,\"4]}",
    ];
    let unusable = [
        ("null", "wrong_type"),
        ("true", "wrong_type"),
        ("7", "wrong_type"),
        ("\"text\"", "wrong_type"),
        ("[]", "wrong_type"),
        ("[1,2,3,4]", "wrong_type"),
        ("{}", "missing_field"),
        ("{\"data\":[1,2,3,4]}", "unknown_field"),
        ("{\"Features\":[1,2,3,4]}", "unknown_field"),
        ("{\"features\":[1,2,3,4],\"id\":7}", "unknown_field"),
        ("{\"\":[1,2,3,4]}", "unknown_field"),
        ("{\"features\":[1,2,3,4],\"features\":[1,2,3,4]}", "duplicate_field"),
        ("{\"features\":[1,2,3,4],\"instances\":[[1,2,3,4]]}", "duplicate_field"),
        ("{\"features\":null}", "wrong_type"),
        ("{\"features\":7}", "wrong_type"),
        ("{\"features\":true}", "wrong_type"),
        ("{\"features\":\"1,2,3,4\"}", "wrong_type"),
        ("{\"features\":[]}", "wrong_feature_count"),
        ("{\"features\":[1]}", "wrong_feature_count"),
        ("{\"features\":[1,2,3]}", "wrong_feature_count"),
        ("{\"features\":[1,2,3,4,5]}", "wrong_feature_count"),
        ("{\"features\":[[1,2,3,4]]}", "wrong_feature_count"),
        ("{\"features\":[\"1\",2,3,4]}", "not_a_number"),
        ("{\"features\":[\"a\",\"b\",\"c\",\"d\"]}", "not_a_number"),
        ("{\"features\":[1,2,3,\"\"]}", "not_a_number"),
        ("{\"features\":[1,2,3,\"NaN\"]}", "not_a_number"),
        ("{\"features\":[true,2,3,4]}", "not_a_number"),
        ("{\"features\":[[1],2,3,4]}", "not_a_number"),
        ("{\"features\":[{},2,3,4]}", "not_a_number"),
        ("{\"features\":[null,2,3,4]}", "missing_value"),
        ("{\"features\":[null,null,null,null]}", "missing_value"),
        ("{\"features\":[1e999,2,3,4]}", "number_out_of_range"),
        ("{\"features\":[-1e999,2,3,4]}", "number_out_of_range"),
        ("{\"features\":[1e308,2,3,4]}", "number_out_of_range"),
        ("{\"features\":[1,-1e308,3,4]}", "number_out_of_range"),
        ("{\"features\":{}}", "missing_feature"),
        ("{\"features\":{\"sepal_length\":1}}", "missing_feature"),
        ("{\"features\":{\"Sepal_Length\":1}}", "unknown_feature"),
        ("{\"features\":{\"\":1}}", "unknown_feature"),
        ("{\"features\":{\"sepal_length\":\"1\"}}", "not_a_number"),
        ("{\"features\":{\"sepal_length\":1,\"sepal_length\":1}}", "duplicate_field"),
        (
            "{\"features\":{\"sepal_length\":1,\"sepal_width\":null,\"petal_length\":1,\"petal_width\":1}}",
            "missing_value",
        ),
        ("{\"instances\":[]}", "empty_batch"),
        ("{\"instances\":null}", "wrong_type"),
        ("{\"instances\":7}", "wrong_type"),
        ("{\"instances\":{\"0\":[1,2,3,4]}}", "wrong_type"),
        ("{\"instances\":[7]}", "wrong_type"),
        ("{\"instances\":[[]]}", "wrong_feature_count"),
        ("{\"instances\":[[1,2,3,4],[1]]}", "wrong_feature_count"),
        ("{\"instances\":[[1,2,3,4],[1,2,3,\"x\"]]}", "not_a_number"),
        ("{\"instances\":[[1,2,3,null]]}", "missing_value"),
        ("{\"instances\":[[1,2,3,4],[1,2,3,1e300]]}", "number_out_of_range"),
    ];
    let mut cases: Vec<Case> = malformed.iter().map(|body| case(*body, 400, "malformed_json")).collect();
    cases.extend(unusable.iter().map(|(body, code)| case(*body, 422, code)));
    cases.push(case(vec![0xff, 0xfe, 0x00], 400, "malformed_json"));
    cases.push(case(vec![0; 64], 400, "malformed_json"));
    cases.push(case(b"{\"features\":[1,2,3,4]\xff}".to_vec(), 400, "malformed_json"));
    cases.push(case("[".repeat(500_000), 400, "malformed_json"));
    cases.push(case("{\"a\":".repeat(100_000), 400, "malformed_json"));
    cases.push(case(format!("{{\"features\":[{}1]}}", "1,".repeat(400_000)), 422, "wrong_feature_count"));
    cases.push(case(format!("{{\"features\":[{},2,3,4]}}", "9".repeat(400)), 422, "number_out_of_range"));
    cases.push(case(vec![b' '; (1 << 20) + 1], 413, "body_too_large"));
    cases.push(case(vec![b'x'; 5 << 20], 413, "body_too_large"));
    cases
}

fn declarations() -> Vec<Case> {
    let flower = || b"{\"features\":[5.1,3.5,1.4,0.2]}".to_vec();
    let media = [
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "application/xml",
        "json",
        "*/*",
        "application/jsonp",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "é",
        "/;;=",
    ];
    let declared = |content_type: &&str| Case {
        body: flower(),
        headers: if content_type.is_empty() {
            vec![]
        } else {
            vec![("Content-Type", (*content_type).into())]
        },
        expected: (415, "unsupported_media_type"),
    };
    let encoded = |encoding: &&str| Case {
        body: flower(),
        headers: vec![("Content-Type", JSON.into()), ("Content-Encoding", (*encoding).into())],
        expected: (415, "unsupported_encoding"),
    };
    media.iter().map(declared).chain(["gzip", "br", "zstd, gzip", "made-up"].iter().map(encoded)).collect()
}

#[tokio::test]
async fn a_hundred_kinds_of_bad_input_are_refused_in_json_and_counted() {
    let service = Service::start();
    let cases: Vec<Case> = bodies().into_iter().chain(declarations()).collect();
    assert!(cases.len() >= 100, "{}", cases.len());
    let mut counts = std::collections::BTreeMap::<&str, f64>::new();
    for Case { body, headers, expected } in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let mut request = service.client.post(service.url("/predict")).body(body);
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{shown} {headers:?}: {error:?}"));
        let status = answer.status().as_u16();
        assert_eq!(answer.headers()["Content-Type"], JSON, "{shown}");
        let text = answer.text().await.unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let got = (status, json["error"]["code"].as_str().unwrap());
        assert_eq!(got, expected, "{shown} {headers:?}: {text}");
        assert!(!json["error"]["message"].as_str().unwrap().is_empty());
        *counts.entry(expected.1).or_default() += 1.0;
    }
    let page = service.get("/metrics").await.text().await.unwrap();
    for (code, count) in counts {
        assert_eq!(metric(&page, "inference_rejections_total", &[("reason", code)]), Some(count), "{code}");
    }
    assert!(!page.lines().any(|line| line.starts_with("inference_requests_total")
        && line.contains("status=\"5")
        && !line.ends_with(" 0")));
    assert!(!page.contains("NaN"));
    assert_eq!(service.predict("{\"features\":[5.1,3.5,1.4,0.2]}").await.0, 200);
}

/// Sends bytes unchanged, and reads until the service has answered or closes the connection.
fn raw(service: &Service, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(service.address).unwrap();
    stream.set_read_timeout(Some(crate::harness::DEADLINE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn a_body_that_never_arrives_is_answered_with_408() {
    let service =
        Service::with(Settings { request_timeout: Duration::from_millis(300), ..Settings::default() });
    let head =
        "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n{";
    let answer = raw(&service, head.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"body_timeout\""), "{answer}");
    assert_eq!(service.metric("inference_rejections_total", &[("reason", "body_timeout")]).await, 1.0);
    assert_eq!(service.metric("inference_requests_in_flight", &[]).await, 0.0);
}

#[tokio::test]
async fn bytes_that_are_not_http_are_refused() {
    let service = Service::start();
    for bytes in [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
        "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut stream = TcpStream::connect(service.address).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream.set_read_timeout(Some(crate::harness::DEADLINE)).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{bytes:?}: {answer}");
    }
    assert_eq!(service.predict("{\"features\":[5.1,3.5,1.4,0.2]}").await.0, 200);
}

#[tokio::test]
async fn a_client_that_sends_everything_before_it_reads_gets_its_answer() {
    let service = Service::start();
    let body = vec![b'x'; 32 << 20];
    for (head, expected) in [
        ("POST /predict HTTP/1.1\r\nContent-Type: application/json", "HTTP/1.1 413"),
        ("POST /predict HTTP/1.1\r\nContent-Type: text/plain", "HTTP/1.1 415"),
        ("POST /nothing HTTP/1.1\r\nContent-Type: text/plain", "HTTP/1.1 404"),
        ("PUT /predict HTTP/1.1\r\nContent-Type: text/plain", "HTTP/1.1 405"),
    ] {
        let head = format!("{head}\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer = raw(&service, &[head.as_bytes(), &body].concat());
        assert!(answer.starts_with(expected), "{head}: {answer}");
    }
}
