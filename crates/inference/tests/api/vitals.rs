use crate::harness::{IRIS, Service, metric};
use inference::Settings;
use model::ModelCard;
use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

#[tokio::test]
async fn the_page_passes_promtool() {
    let service = Service::start();
    service.predict(r#"{"features":[5.1,3.5,1.4,0.2]}"#).await;
    service.predict(r#"{"features":[]}"#).await;
    let answer = service.get("/metrics").await;
    assert_eq!(answer.headers()["Content-Type"], "text/plain; version=0.0.4; charset=utf-8");
    let page = answer.text().await.unwrap();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: `just test` installs it");
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let verdict = promtool.wait_with_output().unwrap();
    let words =
        String::from_utf8_lossy(&verdict.stdout).into_owned() + &String::from_utf8_lossy(&verdict.stderr);
    assert!(verdict.status.success() && words.trim().is_empty(), "{words}");
}

#[tokio::test]
async fn the_page_has_exactly_the_documented_metrics() {
    let service = Service::start();
    let page = service.get("/metrics").await.text().await.unwrap();
    let kinds = [
        ("inference_requests_total", "counter"),
        ("inference_duration_seconds", "histogram"),
        ("inference_requests_in_flight", "gauge"),
        ("inference_connections_open", "gauge"),
        ("inference_connections_dropped_total", "counter"),
        ("inference_rejections_total", "counter"),
        ("inference_faults_total", "counter"),
        ("prediction_output_total", "counter"),
        ("prediction_confidence", "histogram"),
        ("feedback_total", "counter"),
        ("feedback_rejected_total", "counter"),
        ("feedback_lag_seconds", "histogram"),
        ("feedback_confidence", "histogram"),
        ("signal_bin_total", "counter"),
        ("signal_bin_expected_ratio", "gauge"),
        ("signal_reference_rows", "gauge"),
        ("signal_critical_chi2", "gauge"),
        ("signal_degrees_of_freedom", "gauge"),
        ("model_reference_accuracy", "gauge"),
        ("model_reference_confidence", "gauge"),
        ("model_reference_recall", "gauge"),
        ("model_reference_class_rows", "gauge"),
        ("model_reloads_total", "counter"),
        ("inference_build_info", "gauge"),
        ("model_loaded", "gauge"),
        ("model_info", "gauge"),
        ("model_load_timestamp_seconds", "gauge"),
        ("process_cpu_seconds_total", "counter"),
        ("process_resident_memory_bytes", "gauge"),
        ("process_virtual_memory_bytes", "gauge"),
        ("process_virtual_memory_max_bytes", "gauge"),
        ("process_open_fds", "gauge"),
        ("process_max_fds", "gauge"),
        ("process_threads", "gauge"),
        ("process_start_time_seconds", "gauge"),
    ];
    let expected: BTreeSet<String> = kinds.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
    let published = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(str::to_owned);
    assert_eq!(published.collect::<BTreeSet<_>>(), expected);
    for (name, _) in kinds {
        assert!(page.contains(&format!("# HELP {name} ")), "{name}");
    }
    let version = IRIS.card.version.as_str();
    assert_eq!(metric(&page, "model_info", &[("model", "iris"), ("version", version)]), Some(1.0));
    assert_eq!(metric(&page, "signal_reference_rows", &[("version", version)]), Some(147.0));
}

#[tokio::test]
async fn a_scan_of_random_paths_makes_no_series() {
    let service = Service::start();
    service.get("/nothing").await;
    let before = labels(&service).await;
    for path in
        ["/wp-login.php", "/predict/", "/predict/7", "/..%2f..%2fetc", "/metrics2", "//", "/%ff%fe", "/?a=1"]
    {
        let answer = service.get(path).await;
        assert_eq!(answer.status(), 404, "{path}");
        assert!(answer.text().await.unwrap().contains("\"not_found\""));
    }
    for method in ["BREW", "PROPFIND", "M-SEARCH"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(
            service.client.request(method, service.url("/predict")).send().await.unwrap().status(),
            405
        );
    }
    let mut expected = before;
    expected
        .insert(r#"inference_requests_total{method="other",endpoint="/predict",status="405"}"#.to_owned());
    let new: BTreeSet<_> = labels(&service).await.difference(&expected).cloned().collect();
    assert!(new.iter().all(|series| series.starts_with("inference_duration_seconds_")), "{new:?}");
    assert_eq!(
        service
            .metric(
                "inference_requests_total",
                &[("method", "GET"), ("endpoint", "unmatched"), ("status", "404")]
            )
            .await,
        9.0
    );
}

async fn labels(service: &Service) -> BTreeSet<String> {
    let page = service.get("/metrics").await.text().await.unwrap();
    let series = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    series.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series.to_owned()).collect()
}

#[tokio::test]
async fn the_metrics_listener_serves_vitals_only() {
    let settings = Settings { metrics_listen: Some(([127, 0, 0, 1], 0).into()), ..Settings::default() };
    let service = Service::with(settings);
    let ask = |path: &str| {
        let url = format!("http://{}{path}", service.metrics_address.unwrap());
        let request = service.client.get(url);
        async { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(ask("/metrics").await, 200);
    assert_eq!(ask("/healthz").await, 200);
    assert_eq!(ask("/readyz").await, 200);
    assert_eq!(ask("/predict").await, 404);
    assert_eq!(ask("/model").await, 404);
}

#[tokio::test]
async fn the_model_route_returns_the_card_of_the_served_model() {
    let service = Service::start();
    let card: ModelCard = service.get_json("/model").await;
    assert_eq!(card, IRIS.card);
    assert!(!service.get("/model").await.text().await.unwrap().contains("coefficients"));
}

#[tokio::test]
async fn a_smaller_false_alarm_budget_raises_the_critical_value() {
    let critical = async |settings| {
        let service = Service::with(settings);
        service.metric("signal_critical_chi2", &[("signal", "prediction")]).await
    };
    let week = critical(Settings::default()).await;
    let year = Duration::from_secs(365 * 24 * 3600);
    let rarely = critical(Settings { one_false_alarm_in: year, ..Settings::default() }).await;
    // Two degrees of freedom: χ² = −2 ln α, and α falls with the time.
    assert!((rarely - week - 2.0 * (365.0_f64 / 7.0).ln()).abs() < 1e-3, "{week} {rarely}");
}
