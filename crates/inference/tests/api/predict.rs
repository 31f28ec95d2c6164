use crate::harness::{DEADLINE, IRIS, Service};
use inference::Settings;
use model::{Output, Predictor};
use serde_json::json;

const NAMES: [&str; 4] = ["sepal_length", "sepal_width", "petal_length", "petal_width"];

#[tokio::test]
async fn predictions_equal_those_of_the_model() {
    let service = Service::start();
    let predictor = Predictor::built_in(&IRIS).unwrap();
    for row in model::iris::table().rows().step_by(10) {
        let Output::Class { class, probabilities } = predictor.predict_row(&row).unwrap().output else {
            panic!()
        };
        let listed: Vec<f64> = row.iter().flatten().copied().collect();
        let named: serde_json::Map<_, _> =
            NAMES.iter().zip(&listed).map(|(name, value)| (name.to_string(), json!(value))).collect();
        for features in [json!(listed), json!(named)] {
            let (status, body) = service.predict(&json!({ "features": features }).to_string()).await;
            assert_eq!(status, 200, "{body}");
            assert_eq!(body["prediction"], class);
            assert_eq!(body["class"], IRIS.card.classes[class]);
            assert_eq!(body["probabilities"], json!(probabilities.as_deref()));
            assert_eq!(body["model"], "iris");
            assert_eq!(body["version"], IRIS.card.version);
        }
    }
}

#[tokio::test]
async fn a_batch_is_answered_row_by_row_and_counted() {
    let service = Service::start();
    let (status, body) = service.predict(r#"{"instances":[[5.1,3.5,1.4,0.2],[6.3,3.3,6.0,2.5]]}"#).await;
    assert_eq!(status, 200);
    let answers = body["predictions"].as_array().unwrap();
    let classes: Vec<_> = answers.iter().map(|answer| answer["class"].as_str().unwrap()).collect();
    assert_eq!(classes, ["setosa", "virginica"]);
    assert_ne!(answers[0]["prediction_id"], answers[1]["prediction_id"]);
    assert_eq!(service.metric("prediction_output_total", &[("class", "virginica")]).await, 1.0);
    assert_eq!(
        service.metric("inference_requests_total", &[("endpoint", "/predict"), ("status", "200")]).await,
        1.0
    );
}

#[tokio::test]
async fn a_batch_with_an_invalid_row_is_refused() {
    let service = Service::start();
    let (status, body) = service.predict(r#"{"instances":[[5.1,3.5,1.4,0.2],[1,2,null,4]]}"#).await;
    assert_eq!((status, body["error"]["field"].as_str()), (422, Some("instances[1].petal_length")));
    for class in ["setosa", "versicolor", "virginica"] {
        assert_eq!(service.metric("prediction_output_total", &[("class", class)]).await, 0.0);
    }
    // The missing value is counted although the batch is refused, because an increase of missing values is drift.
    let missing = [("signal", "petal_length"), ("bin", "missing")];
    assert_eq!(service.metric("signal_bin_total", &missing).await, 1.0);
}

#[tokio::test]
async fn requests_above_the_limit_are_refused_until_a_permit_is_released() {
    let settings = Settings {
        max_in_flight: 3,
        allow_fault_injection: true,
        request_timeout: DEADLINE,
        ..Settings::default()
    };
    let service = Service::with(settings);
    // Long enough that the last of the ten comes before the first is answered.
    let slow = || {
        let request =
            service.post(r#"{"features":[5.1,3.5,1.4,0.2]}"#).header("x-envoy-fault-delay-request", "4500");
        async { request.send().await.unwrap() }
    };
    let answers = futures_util::future::join_all((0..10).map(|_| slow())).await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status() == 200);
    assert_eq!((served.len(), refused.len()), (3, 7));
    for answer in refused {
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["Retry-After"], "1");
        assert!(answer.text().await.unwrap().contains("\"overloaded\""));
    }
    assert_eq!(service.metric("inference_rejections_total", &[("reason", "overloaded")]).await, 7.0);
    assert_eq!(service.metric("inference_requests_in_flight", &[]).await, 0.0);
    assert_eq!(service.predict(r#"{"features":[5.1,3.5,1.4,0.2]}"#).await.0, 200);
}

#[tokio::test]
async fn the_permit_of_a_disconnected_client_is_released_after_the_request_timeout() {
    let settings = Settings {
        max_in_flight: 1,
        allow_fault_injection: true,
        request_timeout: std::time::Duration::from_secs(1),
        ..Settings::default()
    };
    let service = Service::with(settings);
    // The injected delay is longer than the test.
    let impatient = service
        .post(r#"{"features":[5.1,3.5,1.4,0.2]}"#)
        .header("x-envoy-fault-delay-request", "600000")
        .timeout(std::time::Duration::from_millis(200));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    crate::harness::until("the permit is released", || async {
        service.predict(r#"{"features":[5.1,3.5,1.4,0.2]}"#).await.0 == 200
    })
    .await;
}
