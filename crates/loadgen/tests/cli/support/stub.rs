//! A stub of the inference service. It has the real model and counts like the service; options make it misbehave.

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    body::MessageBody,
    dev::{ServerHandle, ServiceRequest, ServiceResponse},
    http::header::HeaderValue,
    middleware::{Next, from_fn},
    web::{self, Data},
};
use model::{ModelFile, Predictor};
use rustls::ServerConfig;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// The model, which is trained only once, so that a starting stub does not use CPU time while another test measures a run.
pub(super) static MODEL: LazyLock<ModelFile> =
    LazyLock::new(|| model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap());

/// How the stub misbehaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct StubOptions {
    /// At this request, the whole server stops for a second.
    pub stalls_at: Option<u64>,
    /// Whether `/metrics` answers 500.
    pub no_metrics: bool,
    /// The time that every prediction takes.
    pub delay: Duration,
    /// The number of prediction requests after which the stub, acting as a Prometheus server, has the alert `Trouble` firing.
    pub alerts_at: Option<u64>,
    /// How often the stub, acting as a Prometheus server, answers 503 before it returns its rules, `Trouble` and `Other`.
    pub rules_unavailable: usize,
    /// The required header `Authorization`; requests with another one are answered with 401.
    pub authorization: Option<&'static str>,
    /// The address to which `/model` redirects with 307.
    pub moved_to: Option<&'static str>,
}

pub struct Stub {
    pub url: String,
    state: Arc<State>,
    server: ServerHandle,
}

struct State {
    options: StubOptions,
    file: &'static ModelFile,
    predictor: Predictor,
    seen: AtomicU64,
    statuses: Mutex<BTreeMap<u16, u64>>,
    outputs: Mutex<Vec<u64>>,
    bins: Mutex<Vec<Vec<u64>>>,
    bodies: Mutex<Vec<Vec<u8>>>,
    requests: Mutex<Vec<Received>>,
    elsewhere: Mutex<BTreeMap<String, u64>>,
}

/// A received request.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    /// The path, with its query.
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

impl Stub {
    pub fn start(options: StubOptions) -> Self {
        Self::with(options, None)
    }

    /// Starts a stub over https://, with the certificate of `tls`.
    pub fn start_tls(options: StubOptions, tls: ServerConfig) -> Self {
        Self::with(options, Some(tls))
    }

    fn with(options: StubOptions, tls: Option<ServerConfig>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let file = &*MODEL;
        let state = Arc::new(State {
            options,
            predictor: Predictor::built_in(file).unwrap(),
            seen: AtomicU64::new(0),
            statuses: Mutex::default(),
            outputs: Mutex::new(vec![0; file.card.classes.len()]),
            bins: Mutex::new(file.card.reference.signals.iter().map(|s| vec![0; s.bins.len()]).collect()),
            bodies: Mutex::default(),
            requests: Mutex::default(),
            elsewhere: Mutex::default(),
            file,
        });
        let (sender, receiver) = mpsc::channel();
        let shared = Data::from(Arc::clone(&state));
        thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    App::new()
                        .app_data(shared.clone())
                        .app_data(web::PayloadConfig::new(1024 * 1024))
                        .wrap(from_fn(at_the_door))
                        .route("/model", web::get().to(model))
                        .route("/metrics", web::get().to(metrics))
                        .route("/predict", web::post().to(predict))
                        .route("/api/v1/alerts", web::get().to(alerts))
                        .route("/api/v1/rules", web::get().to(rules))
                        .route("/healthz", web::to(elsewhere))
                        .route("/v2/models/{model}/infer", web::to(elsewhere))
                })
                // There is a single worker, so that a stall delays all requests.
                .workers(1);
                let server = match tls {
                    Some(tls) => server.bind_rustls_0_23(("127.0.0.1", 0), tls),
                    None => server.bind(("127.0.0.1", 0)),
                }
                .unwrap();
                let address = server.addrs()[0];
                let server = server.disable_signals().run();
                sender.send((address, server.handle())).unwrap();
                server.await.unwrap();
            });
        });
        let (address, server) = receiver.recv().unwrap();
        Self { url: format!("{scheme}://{address}"), state, server }
    }

    /// Returns the number of prediction requests.
    pub fn seen(&self) -> u64 {
        self.state.seen.load(Ordering::SeqCst)
    }

    /// Returns the bodies of all prediction requests, in the order of their arrival.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.state.bodies.lock().unwrap().clone()
    }
}

impl Stub {
    /// Returns all requests, including those for `/model` and `/metrics`, in the order of their arrival.
    pub fn requests(&self) -> Vec<Received> {
        self.state.requests.lock().unwrap().clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

/// Stores every request, and rejects some.
async fn at_the_door(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, actix_web::Error> {
    let state = request.app_data::<Data<State>>().unwrap().clone();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = request.headers().iter().map(|(name, value)| (name.to_string(), text(value)));
    let received = Received {
        method: request.method().to_string(),
        path: request.uri().to_string(),
        headers: headers.collect(),
    };
    let known = |wanted: &str| received.headers.get("authorization").is_some_and(|value| value == wanted);
    let refusal = match (state.options.authorization, state.options.moved_to) {
        (Some(wanted), _) if !known(wanted) => Some(HttpResponse::Unauthorized().finish()),
        (_, Some(to)) if request.path() == "/model" => {
            Some(HttpResponse::TemporaryRedirect().insert_header(("location", to)).finish())
        }
        _ => None,
    };
    state.requests.lock().unwrap().push(received);
    match refusal {
        Some(refusal) => Ok(request.into_response(refusal)),
        None => Ok(next.call(request).await?.map_into_boxed_body()),
    }
}

/// Answers requests for other routes than `/predict`.
async fn elsewhere(request: HttpRequest, state: Data<State>) -> HttpResponse {
    let pattern = request.match_pattern().unwrap();
    *state.elsewhere.lock().unwrap().entry(pattern).or_default() += 1;
    HttpResponse::Ok().finish()
}

async fn model(state: Data<State>) -> HttpResponse {
    let mut card = serde_json::to_value(&state.file.card).unwrap();
    // The card has an additional field, so every test also checks that the card of a newer service can be read.
    card["introduced_later"] = serde_json::json!({ "a": [1] });
    card["reference"]["introduced_later"] = 1.into();
    for list in ["/features", "/reference/signals", "/reference/shape/classes"] {
        for item in card.pointer_mut(list).and_then(|list| list.as_array_mut()).unwrap() {
            item["introduced_later"] = "x".into();
        }
    }
    HttpResponse::Ok().json(card)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Features {
    features: Vec<f64>,
}

async fn predict(
    request: HttpRequest,
    state: Data<State>,
    body: Result<web::Bytes, actix_web::Error>,
) -> HttpResponse {
    let number = state.seen.fetch_add(1, Ordering::SeqCst);
    if state.options.stalls_at == Some(number) {
        thread::sleep(Duration::from_secs(1));
    }
    actix_web::rt::time::sleep(state.options.delay).await;
    let header = |name: &str| request.headers().get(name)?.to_str().ok()?.parse::<u64>().ok();
    if let Some(delay) = header("x-envoy-fault-delay-request") {
        actix_web::rt::time::sleep(Duration::from_millis(delay)).await;
    }
    let status = match (header("x-envoy-fault-abort-request"), body) {
        (Some(status), _) => u16::try_from(status).unwrap(),
        (None, Err(_)) => 413,
        (None, Ok(body)) => {
            state.bodies.lock().unwrap().push(body.to_vec());
            if request.headers().get("content-type").is_some_and(|value| value == "application/json") {
                state.answer(&body)
            } else {
                415
            }
        }
    };
    *state.statuses.lock().unwrap().entry(status).or_default() += 1;
    HttpResponse::build(status.try_into().unwrap()).json(serde_json::json!({ "prediction": 0 }))
}

impl State {
    fn answer(&self, body: &[u8]) -> u16 {
        let Ok(Features { features }) = serde_json::from_slice(body) else {
            return if serde_json::from_slice::<serde_json::Value>(body).is_ok() { 422 } else { 400 };
        };
        if features.len() != self.file.card.features.len() {
            return 422;
        }
        let row: Vec<Option<f64>> = features.into_iter().map(Some).collect();
        let prediction = self.predictor.predict_row(&row).unwrap();
        self.outputs.lock().unwrap()[prediction.class().unwrap()] += 1;
        let outputs = prediction.signal_values().map(Some);
        let mut bins = self.bins.lock().unwrap();
        for ((signal, value), bins) in self
            .file
            .card
            .reference
            .signals
            .iter()
            .zip(row.iter().copied().chain(outputs))
            .zip(bins.iter_mut())
        {
            bins[signal.bins.index(value)] += 1;
        }
        200
    }
}

async fn metrics(state: Data<State>) -> HttpResponse {
    if state.options.no_metrics {
        return HttpResponse::InternalServerError().finish();
    }
    let card = &state.file.card;
    let mut page = String::from("# HELP inference_requests_total Requests.\n");
    for (status, count) in &*state.statuses.lock().unwrap() {
        writeln!(page, "inference_requests_total{{endpoint=\"/predict\",status=\"{status}\"}} {count}")
            .unwrap();
    }
    for (pattern, count) in &*state.elsewhere.lock().unwrap() {
        writeln!(page, "inference_requests_total{{endpoint=\"{pattern}\",status=\"200\"}} {count}").unwrap();
    }
    for (class, count) in card.classes.iter().zip(&*state.outputs.lock().unwrap()) {
        writeln!(page, "prediction_output_total{{class=\"{class}\"}} {count}").unwrap();
    }
    let version = &card.version;
    writeln!(page, "signal_reference_rows{{version=\"{version}\"}} {}", card.reference.rows).unwrap();
    let signals = &card.reference.signals;
    for (signal, bins) in signals.iter().zip(&*state.bins.lock().unwrap()) {
        let labels = format!("version=\"{version}\",signal=\"{}\"", signal.name);
        let critical = signal.critical_chi2(drift::FalseAlarmBudget::default().alpha(signals.len()));
        writeln!(page, "signal_critical_chi2{{{labels}}} {critical}").unwrap();
        for ((bin, count), expected) in signal.bins.labels().iter().zip(bins).zip(&signal.expected) {
            writeln!(page, "signal_bin_total{{{labels},bin=\"{bin}\"}} {count}").unwrap();
            writeln!(page, "signal_bin_expected_ratio{{{labels},bin=\"{bin}\"}} {expected}").unwrap();
        }
    }
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(page)
}

async fn rules(state: Data<State>) -> HttpResponse {
    let asked = |request: &&Received| request.path.starts_with("/api/v1/rules");
    let times = state.requests.lock().unwrap().iter().filter(asked).count();
    if times <= state.options.rules_unavailable {
        return HttpResponse::ServiceUnavailable().finish();
    }
    let rules = ["Trouble", "Other"].map(|name| serde_json::json!({ "type": "alerting", "name": name }));
    HttpResponse::Ok()
        .json(serde_json::json!({ "status": "success", "data": { "groups": [ { "rules": rules } ] } }))
}

async fn alerts(state: Data<State>) -> HttpResponse {
    let seen = state.seen.load(Ordering::SeqCst);
    let firing = state.options.alerts_at.is_some_and(|from| seen >= from);
    let alert = serde_json::json!({ "labels": { "alertname": "Trouble" }, "state": "firing" });
    let alerts = if firing { vec![alert] } else { Vec::new() };
    HttpResponse::Ok().json(serde_json::json!({ "status": "success", "data": { "alerts": alerts } }))
}
