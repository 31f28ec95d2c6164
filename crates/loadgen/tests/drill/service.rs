//! The real service, in a thread.

use inference::{Application, Settings, load_model};
use std::{net::SocketAddr, sync::mpsc, thread::JoinHandle, time::Duration};
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
        let (sender, receiver) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let settings = Settings { workers: Some(1), drain: Duration::ZERO, ..settings };
                let application = Application::build(&settings, load_model(None).unwrap()).unwrap();
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
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
