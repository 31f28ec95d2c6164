//! Runs the real watcher in a thread.

use clap::Parser;
use inference::watch::{WatchSettings, Watcher};
use std::{net::SocketAddr, sync::mpsc, thread::JoinHandle, time::Duration};
use tokio::sync::oneshot;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: WatchSettings,
}

/// A watcher, which is stopped gracefully when this is dropped.
pub struct Watched {
    /// The address of the proxy.
    pub address: SocketAddr,
    /// The address of the watcher's own routes.
    pub own: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watched {
    /// Starts a watcher in front of the server at `upstream`, with these flags besides the addresses.
    pub fn start(upstream: SocketAddr, flags: &[&str]) -> Self {
        let upstream = format!("http://{upstream}");
        let usual = ["watch", "--upstream", &upstream, "--listen", "127.0.0.1:0", "--metrics-listen"];
        let usual = usual.iter().chain(&["127.0.0.1:0", "--workers", "1", "--drain", "0s"]);
        let flags = Flags::try_parse_from(usual.chain(flags)).unwrap_or_else(|error| panic!("{error}"));
        let (sender, receiver) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let watcher = Watcher::build(&flags.settings).unwrap();
                sender.send((watcher.address().unwrap(), watcher.own_address())).unwrap();
                let stopped = async {
                    let _ = stopped.await;
                    "test over"
                };
                watcher.run_until_stopped(stopped).await.unwrap();
            });
        });
        let (address, own) = receiver.recv_timeout(Duration::from_secs(30)).unwrap();
        Self { address, own, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
