//! Runs the real service in a thread.

use inference::{Application, LoadedModel, Settings, load_model};
use model::ModelFile;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::oneshot;

pub struct Service {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    pub fn start() -> Self {
        Self::with(Settings { allow_fault_injection: true, ..Settings::default() })
    }

    pub fn with(settings: Settings) -> Self {
        Self::of(settings, load_model(None).unwrap())
    }

    pub fn of(settings: Settings, model: ModelFile) -> Self {
        Self::serving(settings, LoadedModel::built_in(model).unwrap())
    }

    pub fn serving(settings: Settings, model: LoadedModel) -> Self {
        let (sender, receiver) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let settings = Settings { workers: Some(1), drain: Duration::ZERO, ..settings };
                let application = Application::build(&settings, model).unwrap();
                sender.send(application.address()).unwrap();
                let stopped = async {
                    let _ = stopped.await;
                    "test over"
                };
                application.run_until_stopped(stopped).await.unwrap();
            });
        });
        let address = receiver.recv_timeout(Duration::from_secs(30)).unwrap();
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns the sum over all series of a counter.
    pub fn counted(&self, counter: &str) -> f64 {
        self.counted_where(counter, |_| true)
    }

    /// Returns the sum over those series of a counter whose labels match.
    pub fn counted_where(&self, counter: &str, fits: impl Fn(&str) -> bool) -> f64 {
        let mut page = String::new();
        let mut connection = TcpStream::connect(self.address).unwrap();
        connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        connection.read_to_string(&mut page).unwrap();
        let series =
            page.lines().filter_map(|line| line.strip_prefix(counter)?.strip_prefix('{')?.rsplit_once("} "));
        series.filter(|(labels, _)| fits(labels)).map(|(_, value)| value.parse::<f64>().unwrap()).sum()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
