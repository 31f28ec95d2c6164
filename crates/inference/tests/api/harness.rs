//! Starts services and sends requests to them.

use inference::{Application, LoadedModel, Settings, load_model};
use model::ModelFile;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use std::{
    net::SocketAddr,
    sync::{LazyLock, mpsc},
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::oneshot;

/// The longest time that a test waits for a condition, which is enough for a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub static IRIS: LazyLock<ModelFile> = LazyLock::new(|| load_model(None).unwrap());

/// A service in another thread, which is stopped gracefully when this is dropped.
pub struct Service {
    pub address: SocketAddr,
    pub metrics_address: Option<SocketAddr>,
    pub client: Client,
    stop: Option<oneshot::Sender<&'static str>>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    pub fn start() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        Self::of(settings, IRIS.clone())
    }

    pub fn of(settings: Settings, file: ModelFile) -> Self {
        Self::loaded(settings, LoadedModel::built_in(file).unwrap())
    }

    pub fn loaded(settings: Settings, model: LoadedModel) -> Self {
        let (sender, receiver) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let settings =
                    Settings { workers: settings.workers.or(Some(1)), drain: Duration::ZERO, ..settings };
                let application = Application::build(&settings, model).unwrap();
                sender.send((application.address(), application.metrics_address())).unwrap();
                application.run_until_stopped(async { stopped.await.unwrap_or("dropped") }).await.unwrap();
            });
        });
        let (address, metrics_address) = receiver.recv_timeout(DEADLINE).unwrap();
        // If it is built with the whole workspace, reqwest supports TLS and needs an installed crypto provider. Another test may have
        // installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client =
            Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(DEADLINE);
        Self {
            address,
            metrics_address,
            client: client.build().unwrap(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub async fn get_json<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        serde_json::from_slice(&self.get(path).await.bytes().await.unwrap()).unwrap()
    }

    pub fn post(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.client.post(self.url("/predict")).header("Content-Type", "application/json").body(body)
    }

    pub async fn predict(&self, body: &str) -> (u16, Value) {
        answer(self.post(body.to_owned())).await
    }

    /// Returns the value of one series of `/metrics`. Its labels may be in any order.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let page = self.get("/metrics").await.text().await.unwrap();
        metric(&page, name, labels).unwrap_or_else(|| panic!("{name} {labels:?} is missing in\n{page}"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send("test over");
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status} {text:?}: {error}")))
}

pub fn metric(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let has = |line: &&str| labels.iter().all(|(key, value)| line.contains(&format!("{key}=\"{value}\"")));
    let named = |line: &&str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(if labels.is_empty() { ' ' } else { '{' }))
    };
    let line = page.lines().find(|line| named(line) && has(line))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Calls `holds` repeatedly until it returns true. Panics after [`DEADLINE`].
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let asking = async {
        while !holds().await {
            // The service may need this core to reach the condition.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asking).await.unwrap_or_else(|_| panic!("never: {what}"));
}
