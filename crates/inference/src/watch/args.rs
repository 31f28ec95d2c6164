//! The flags of `inference watch`. Each can be set by an environment variable `INFERENCE_…`.

use crate::{
    foreign::Protocol,
    settings::{LogFormat, Settings, at_least_one, byte_size, drain, false_alarms, request_timeout, workers},
};
use clap::builder::BoolishValueParser;
use hyper::Uri;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// Flags of `inference watch`.
#[derive(Debug, Clone, clap::Args)]
pub struct WatchSettings {
    /// Model server to watch, such as http://127.0.0.1:8080; without it, only rows that are sent to the watcher are observed
    #[arg(long, env = "INFERENCE_UPSTREAM", value_name = "URL")]
    pub upstream: Option<Upstream>,
    /// Profile or model file of the server's model. With several models, one flag each, with the server's name of the model or the path
    /// of its predictions first: churn=churn.json, /score=score.json
    #[arg(long = "profile", env = "INFERENCE_PROFILE", value_name = "[MODEL=]FILE", required = true)]
    pub profiles: Vec<ProfileArg>,
    /// Protocol of the predictions; by default it follows from the path of a request
    #[arg(long, env = "INFERENCE_PROTOCOL", value_name = "PROTOCOL")]
    pub protocol: Option<Protocol>,
    /// Listen address of the proxy; port 0 takes a free port
    #[arg(long, env = "INFERENCE_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// Listen address of the watcher's own routes: /metrics, /healthz, /readyz, /feedback, /observe
    #[arg(long, env = "INFERENCE_METRICS_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8001")]
    pub metrics_listen: SocketAddr,
    /// Worker threads of the proxy [default: one per core]
    #[arg(long, env = "INFERENCE_WORKERS", value_name = "N", value_parser = workers)]
    pub workers: Option<usize>,
    /// Greatest number of open connections of the proxy, including upgraded ones; further ones are closed immediately
    #[arg(long, env = "INFERENCE_MAX_CONNECTIONS", value_name = "N", default_value = "4096", value_parser = at_least_one)]
    pub max_connections: usize,
    /// Time limit for connecting to the upstream, for its answer to begin, and for each pause within a body
    #[arg(long, env = "INFERENCE_UPSTREAM_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = request_timeout)]
    pub upstream_timeout: Duration,
    /// Time after which a connection that was upgraded, such as to WebSocket, is closed if nothing passes in either direction
    #[arg(long, env = "INFERENCE_TUNNEL_IDLE", value_name = "TIME", default_value = "10min", value_parser = request_timeout)]
    pub tunnel_idle: Duration,
    /// Largest body that is observed; larger ones pass without being observed
    #[arg(long, env = "INFERENCE_BODY_LIMIT", value_name = "SIZE", default_value = "1MiB", value_parser = byte_size)]
    pub body_limit: usize,
    /// Memory for copies of bodies that are not observed yet; bodies beyond it pass without being observed
    #[arg(long, env = "INFERENCE_COPY_MEMORY", value_name = "SIZE", default_value = "8MiB", value_parser = byte_size)]
    pub copy_memory: usize,
    /// Send the prediction ids of answers with at most this number of rows in the header x-prediction-id; 0 sends none
    #[arg(long, env = "INFERENCE_PREDICTION_IDS", value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u8).range(0..=64))]
    pub prediction_ids: u8,
    /// Accept feedback that names the predicted class and an id of the client's own, for rows of /observe and of CloudEvents
    #[arg(long, env = "INFERENCE_OWN_IDS", value_parser = BoolishValueParser::new())]
    pub own_ids: bool,
    /// Time between a signal to stop and the closing of the listener; meanwhile /readyz answers 503 and requests pass
    #[arg(long, env = "INFERENCE_DRAIN", value_name = "TIME", default_value = "5s", value_parser = drain)]
    pub drain: Duration,
    /// File with the key that signs prediction ids, the same on every replica; by default a random key
    #[arg(long, env = "INFERENCE_RECEIPT_KEY_FILE", value_name = "FILE")]
    pub receipt_key_file: Option<PathBuf>,
    /// Average time between two false alarms about drift, over all signals of a model; a longer time needs more rows to detect drift
    #[arg(long, env = "INFERENCE_ONE_FALSE_ALARM_IN", value_name = "TIME", default_value = "7days", value_parser = false_alarms)]
    pub one_false_alarm_in: Duration,
    /// Inject faults that requests ask for with the headers x-envoy-fault-abort-request and x-envoy-fault-delay-request; for drills
    #[arg(long, env = "INFERENCE_ALLOW_FAULT_INJECTION", value_parser = BoolishValueParser::new())]
    pub allow_fault_injection: bool,
    /// Format of log lines; RUST_LOG sets which ones are written
    #[arg(long, env = "INFERENCE_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

impl WatchSettings {
    /// Returns the settings of the listener for the watcher's own routes.
    pub(super) fn of_own_listener(&self) -> Settings {
        Settings {
            listen: self.metrics_listen,
            body_limit: self.body_limit,
            drain: self.drain,
            receipt_key_file: self.receipt_key_file.clone(),
            one_false_alarm_in: self.one_false_alarm_in,
            log_format: self.log_format,
            allow_fault_injection: self.allow_fault_injection,
            workers: Some(1),
            ..Settings::default()
        }
    }

    /// Returns the number of worker threads of the proxy.
    pub(super) fn worker_threads(&self) -> usize {
        self.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from).min(512))
    }
}

/// The address of a model server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The name or the IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Upstream {
    /// Returns the address as it is written in the field `Host`.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let remedy = "write it like http://127.0.0.1:8080";
        let uri: Uri = text.parse().map_err(|error| format!("not a URL: {error}; {remedy}"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(
                    "https is not supported; run the watcher beside the server and give its http address"
                        .into(),
                );
            }
            _ => return Err(format!("expected a URL that begins with http://; {remedy}")),
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err("expected no path, because paths of requests are passed on unchanged; \
                        give the address alone, such as http://127.0.0.1:8080"
                .into());
        }
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        if authority.contains('@') {
            return Err("expected no user name; requests are passed on with the clients' own headers".into());
        }
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(format!("the URL has no host; {remedy}"));
        }
        match uri.port_u16() {
            Some(0) => Err(format!("port 0 is not an address; {remedy}")),
            port => Ok(Self { host: host.to_owned(), port: port.unwrap_or(80) }),
        }
    }
}

/// A profile, and the requests that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileArg {
    /// The requests.
    pub of: ProfileFor,
    /// The file.
    pub file: PathBuf,
}

/// The requests that a profile is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileFor {
    /// Those for predictions that no other profile is for.
    Any,
    /// Those whose path names this model.
    Model(String),
    /// Those to this path.
    Path(String),
}

impl FromStr for ProfileArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (of, file) = match text.split_once('=') {
            // The name of a file may contain an equals sign.
            Some((before, after)) if !Path::new(text).exists() => {
                let of = match before {
                    "" => return Err("expected the name of a model before =, got nothing".into()),
                    path if path.starts_with('/') => ProfileFor::Path(path.to_owned()),
                    name => ProfileFor::Model(name.to_owned()),
                };
                (of, after)
            }
            _ => (ProfileFor::Any, text),
        };
        if file.is_empty() {
            return Err("expected a file, got nothing".into());
        }
        Ok(Self { of, file: file.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstream_is_an_address_without_a_path() {
        let read = |text: &str| text.parse::<Upstream>();
        assert_eq!(read("http://model:9000").unwrap(), Upstream { host: "model".into(), port: 9000 });
        assert_eq!(read("http://[::1]:9000/").unwrap().authority(), "[::1]:9000");
        assert_eq!(read("http://model").unwrap().authority(), "model");
        for (text, expected) in [
            ("https://model", "https is not supported"),
            ("model:9000", "begins with http://"),
            ("http://model/base", "expected no path"),
            ("http://model/?a", "expected no path"),
            ("http://user@model", "user name"),
            ("http://model:0", "port 0"),
            ("", "not a URL"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_profile_may_name_its_model_or_its_path() {
        let read = |text: &str| text.parse::<ProfileArg>().unwrap();
        assert_eq!(read("a.json").of, ProfileFor::Any);
        assert_eq!(read("churn=a.json").of, ProfileFor::Model("churn".into()));
        assert_eq!(
            read("/score=a=b.json"),
            ProfileArg { of: ProfileFor::Path("/score".into()), file: "a=b.json".into() }
        );
        assert!("=a.json".parse::<ProfileArg>().is_err() && "churn=".parse::<ProfileArg>().is_err());
    }
}
