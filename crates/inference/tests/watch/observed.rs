//! What passes is counted as in `serve`, and each request for a prediction in exactly one outcome.

use crate::{
    message,
    support::{IRIS, Watched},
    upstream::{Answer, Upstream},
};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

const ROW: &str = r#"{"features":[5.1,3.5,1.4,0.2]}"#;
const ANSWER: &str = r#"{"prediction":"setosa","probabilities":[0.9,0.06,0.04]}"#;

fn rows(watched: &Watched, signal: &str) -> f64 {
    watched.metric("signal_bin_total", &[&format!("signal=\"{signal}\"")])
}

fn class(watched: &Watched, class: &str) -> f64 {
    watched.metric("prediction_output_total", &[&format!("class=\"{class}\"")])
}

#[test]
fn rows_and_predictions_are_counted_like_those_of_the_service() {
    let upstream = Upstream::predicting(ANSWER);
    let watched = Watched::iris(upstream.address, &[]);
    let answer = watched.post("/predict", ROW);
    assert_eq!(answer.body, ANSWER.as_bytes());
    watched.until_outcome("observed", 1.0);
    for signal in ["sepal_length", "petal_width", "prediction", "confidence", "distance"] {
        assert_eq!(rows(&watched, signal), 1.0, "{signal}");
    }
    assert_eq!((class(&watched, "setosa"), class(&watched, "virginica")), (1.0, 0.0));
    let requests = watched.metric("inference_requests_total", &["endpoint=\"/predict\"", "status=\"200\""]);
    assert_eq!(requests, 1.0);
    assert_eq!(watched.metric("inference_duration_seconds_count", &["endpoint=\"/predict\""]), 1.0);
    assert_eq!(watched.metric("model_info", &[&format!("version=\"{}\"", IRIS.card.version)]), 1.0);
}

#[test]
fn every_protocol_is_observed_at_its_path() {
    let upstream = Upstream::answering(|request| {
        let start = String::from_utf8_lossy(&request.start);
        let body = if start.contains("/v2/") {
            r#"{"model_name":"iris","outputs":[{"name":"predict","datatype":"BYTES","shape":[2,1],"data":["setosa","virginica"]}]}"#
        } else if start.contains("/score") {
            r#"{"label":"virginica","confidence":0.8}"#
        } else {
            r#"{"predictions":["setosa","virginica"]}"#
        };
        Answer::json(200, body)
    });
    let profile = crate::support::PROFILE.display().to_string();
    let score = format!("/score={profile}");
    let rows = "[[5.1,3.5,1.4,0.2],[6.3,2.9,5.6,1.8]]";
    let names = r#"["sepal_length","sepal_width","petal_length","petal_width"]"#;
    for (path, body) in [
        (
            "/v2/models/iris/infer",
            format!(r#"{{"inputs":[{{"name":"x","shape":[2,4],"datatype":"FP64","data":{rows}}}]}}"#),
        ),
        ("/v1/models/iris:predict", format!(r#"{{"instances":{rows}}}"#)),
        ("/invocations", format!(r#"{{"dataframe_split":{{"columns":{names},"data":{rows}}}}}"#)),
        ("/predict", format!(r#"{{"instances":{rows}}}"#)),
    ] {
        let watched = Watched::iris(upstream.address, &[]);
        watched.post(path, &body);
        watched.until_outcome("observed", 1.0);
        assert_eq!((class(&watched, "setosa"), class(&watched, "virginica")), (1.0, 1.0), "{path}");
    }
    let watched = Watched::start(upstream.address, &["--profile", &score]);
    watched.post("/score", ROW);
    watched.until_outcome("observed", 1.0);
    assert_eq!(class(&watched, "virginica"), 1.0);
    assert_eq!(watched.metric("inference_requests_total", &["endpoint=\"/predict\"", "status=\"200\""]), 1.0);
}

#[test]
fn what_cannot_be_observed_is_counted_by_its_reason_and_passes() {
    let upstream = Upstream::answering(|request| match request.field("x-case").as_deref() {
        Some("error") => Answer::json(500, "{}"),
        Some("refused") => Answer::json(422, "{}"),
        Some("shape") => Answer::json(200, "[]"),
        Some("page") => Answer::json(200, "<html>Please log in</html>"),
        Some("brotli") => Answer {
            bytes: b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n\x0b\x02".to_vec(),
            then_close: false,
        },
        _ => Answer::json(200, ANSWER),
    });
    let watched = Watched::iris(upstream.address, &["--body-limit", "1KiB"]);
    let large = format!(r#"{{"instances":[{}]}}"#, vec!["[5.1,3.5,1.4,0.2]"; 100].join(","));
    let cases = [
        ("none", ROW, 200, "observed"),
        ("error", ROW, 500, "upstream_error"),
        ("refused", ROW, 422, "refused"),
        ("shape", ROW, 200, "unknown_shape"),
        ("page", ROW, 200, "unknown_shape"),
        ("brotli", ROW, 200, "encoded"),
        ("none", r#"{"features":[1,2,3]}"#, 200, "not_readable"),
        ("none", "not JSON", 200, "not_readable"),
        ("none", &large, 200, "too_large"),
    ];
    for (case, body, status, _) in cases {
        let request = String::from_utf8(message::post("/predict", body)).unwrap();
        let request = request.replace("Host: model\r\n", &format!("Host: model\r\nX-Case: {case}\r\n"));
        assert_eq!(watched.ask(request.as_bytes()).status(), status, "{case}");
    }
    for outcome in cases.map(|case| case.3) {
        let expected = cases.iter().filter(|case| case.3 == outcome).count();
        watched.until_outcome(outcome, expected as f64);
    }
    assert_eq!(watched.metric("watch_requests_total", &[]), cases.len() as f64);
    // Refused rows are counted, too; those of answers that cannot be read as well.
    assert_eq!(rows(&watched, "sepal_length"), 5.0);
}

#[test]
fn compressed_bodies_are_read() {
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let body = gzip(ANSWER);
    let upstream = Upstream::answering(move |_| {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
        Answer { bytes: [head.as_bytes(), &body].concat(), then_close: false }
    });
    let watched = Watched::iris(upstream.address, &[]);
    let row = gzip(ROW);
    let head = format!(
        "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        row.len()
    );
    let answer = watched.ask(&[head.as_bytes(), &row].concat());
    assert!(answer.field("x-prediction-id").is_some());
    watched.until_outcome("observed", 1.0);
    assert_eq!(class(&watched, "setosa"), 1.0);
}

#[test]
fn other_requests_are_counted_as_unmatched_and_not_observed() {
    let upstream = Upstream::predicting(ANSWER);
    let watched = Watched::iris(upstream.address, &[]);
    watched.ask(b"GET /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    watched.post("/other", ROW);
    watched.until("both are counted", |watched| {
        watched.metric("inference_requests_total", &["endpoint=\"unmatched\"", "status=\"200\""]) == 2.0
    });
    assert_eq!(watched.metric("watch_requests_total", &[]), 0.0);
}
