use crate::harness::{DEADLINE, Service, answer};
use inference::Settings;
use std::time::{Duration, Instant};

const FLOWER: &str = r#"{"features":[5.1,3.5,1.4,0.2]}"#;
const ABORT: &str = "x-envoy-fault-abort-request";
const DELAY: &str = "x-envoy-fault-delay-request";

fn drilled(request_timeout: Duration) -> Service {
    Service::with(Settings { allow_fault_injection: true, request_timeout, ..Settings::default() })
}

#[tokio::test]
async fn fault_headers_are_ignored_and_counted_unless_allowed() {
    let service = Service::start();
    let (status, _) = answer(service.post(FLOWER).header(ABORT, "503").header(DELAY, "60000")).await;
    assert_eq!(status, 200);
    for fault in ["abort", "delay"] {
        assert_eq!(
            service.metric("inference_faults_total", &[("fault", fault), ("outcome", "ignored")]).await,
            1.0
        );
        assert_eq!(
            service.metric("inference_faults_total", &[("fault", fault), ("outcome", "injected")]).await,
            0.0
        );
    }
}

#[tokio::test]
async fn an_abort_fault_is_answered_with_its_status() {
    let service = drilled(DEADLINE);
    for status in [503, 500, 429, 599] {
        let (got, body) = answer(service.post(FLOWER).header(ABORT, status.to_string())).await;
        assert_eq!((got, body["error"]["code"].as_str()), (status, Some("fault_injected")));
        let labels = [("endpoint", "/predict"), ("status", &status.to_string())];
        assert_eq!(service.metric("inference_requests_total", &labels).await, 1.0);
    }
    assert_eq!(service.metric("prediction_output_total", &[("class", "setosa")]).await, 0.0);
}

#[tokio::test]
async fn a_delay_fault_delays_the_answer_up_to_the_request_timeout() {
    let took = async |service: &Service| {
        service.metric("inference_duration_seconds_sum", &[("endpoint", "/predict")]).await
    };
    // The timeout is long here, because on a busy machine a short delay may take longer than a short timeout.
    let patient = drilled(DEADLINE);
    let start = Instant::now();
    assert_eq!(answer(patient.post(FLOWER).header(DELAY, "100")).await.0, 200);
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert!(took(&patient).await >= 0.1);
    let hasty = drilled(Duration::from_millis(500));
    let (status, body) = answer(hasty.post(FLOWER).header(DELAY, "60000")).await;
    assert_eq!((status, body["error"]["code"].as_str()), (504, Some("too_slow")));
    assert!(took(&hasty).await >= 0.5);
}

#[tokio::test]
async fn invalid_fault_headers_are_rejected() {
    let service = drilled(DEADLINE);
    for (header, value) in
        [(ABORT, "no"), (ABORT, "399"), (ABORT, "600"), (ABORT, "-1"), (DELAY, "1s"), (DELAY, "")]
    {
        let (status, body) = answer(service.post(FLOWER).header(header, value)).await;
        assert_eq!((status, body["error"]["field"].as_str()), (400, Some(header)), "{value}: {body}");
    }
    let labels = [("reason", "bad_fault_header")];
    assert_eq!(service.metric("inference_rejections_total", &labels).await, 6.0);
}
