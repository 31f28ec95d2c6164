//! The flags of `inference serve`. Each can be set by an environment variable `INFERENCE_…`.

use crate::secret_file;
use anyhow::{Context, Result};
use bytesize::ByteSize;
use clap::{Args, ValueEnum, builder::BoolishValueParser};
use drift::FalseAlarmBudget;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Flags of `inference serve`.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Listen address; port 0 takes a free port
    #[arg(long, env = "INFERENCE_LISTEN", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// Second listen address for /metrics, /healthz and /readyz, which answers even if the first one is overloaded
    #[arg(long, env = "INFERENCE_METRICS_LISTEN", value_name = "ADDR")]
    pub metrics_listen: Option<SocketAddr>,
    /// Model file of `inference train`, or with --profile an ONNX model; by default the built-in Iris model
    #[arg(long, env = "INFERENCE_MODEL", value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Profile of the ONNX model, written by `inference profile`
    #[arg(long, env = "INFERENCE_PROFILE", value_name = "CARD.json", requires = "model")]
    pub profile: Option<PathBuf>,
    /// Library of ONNX Runtime; by default that of ORT_DYLIB_PATH or of the active Python environment
    #[arg(long, env = "INFERENCE_ONNXRUNTIME", value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// Worker threads [default: one per core]
    #[arg(long, env = "INFERENCE_WORKERS", value_name = "N", value_parser = workers)]
    pub workers: Option<usize>,
    /// Greatest number of concurrent requests for predictions and feedback; further ones get 503
    #[arg(long, env = "INFERENCE_MAX_IN_FLIGHT", value_name = "N", default_value = "512", value_parser = at_least_one)]
    pub max_in_flight: usize,
    /// Greatest number of large requests among them, such as batches of hundreds of rows; further ones wait
    #[arg(long, env = "INFERENCE_MAX_LARGE_IN_FLIGHT", value_name = "N", default_value = "4", value_parser = at_least_one)]
    pub max_large_in_flight: usize,
    /// Greatest number of open connections; further ones are closed immediately
    #[arg(long, env = "INFERENCE_MAX_CONNECTIONS", value_name = "N", default_value = "4096", value_parser = at_least_one)]
    pub max_connections: usize,
    /// Time limit for the body to arrive, for a large request to wait, and for injected delays; a prediction itself is not interrupted
    #[arg(long, env = "INFERENCE_REQUEST_TIMEOUT", value_name = "TIME", default_value = "5s", value_parser = request_timeout)]
    pub request_timeout: Duration,
    /// Largest request body; larger ones get 413
    #[arg(long, env = "INFERENCE_BODY_LIMIT", value_name = "SIZE", default_value = "1MiB", value_parser = byte_size)]
    pub body_limit: usize,
    /// Largest answer; a batch whose answer could be larger gets 413
    #[arg(long, env = "INFERENCE_ANSWER_LIMIT", value_name = "SIZE", default_value = "32MiB", value_parser = byte_size)]
    pub answer_limit: usize,
    /// Time between a signal to stop and the closing of the listener; meanwhile /readyz answers 503 and other requests are served
    #[arg(long, env = "INFERENCE_DRAIN", value_name = "TIME", default_value = "5s", value_parser = drain)]
    pub drain: Duration,
    /// File with the key that signs prediction ids, the same on every replica; by default a random key
    #[arg(long, env = "INFERENCE_RECEIPT_KEY_FILE", value_name = "FILE")]
    pub receipt_key_file: Option<PathBuf>,
    /// File with the token for POST /admin/reload; without it, this route does not exist
    #[arg(long, env = "INFERENCE_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// Average time between two false alarms about drift, over all signals; a longer time needs more rows to detect drift
    #[arg(long, env = "INFERENCE_ONE_FALSE_ALARM_IN", value_name = "TIME", default_value = "7days", value_parser = false_alarms)]
    pub one_false_alarm_in: Duration,
    /// Inject faults that requests ask for with the headers x-envoy-fault-abort-request and x-envoy-fault-delay-request; for drills
    #[arg(long, env = "INFERENCE_ALLOW_FAULT_INJECTION", value_parser = BoolishValueParser::new())]
    pub allow_fault_injection: bool,
    /// Format of log lines; RUST_LOG sets which ones are written
    #[arg(long, env = "INFERENCE_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Plain text
    Text,
    /// One JSON object per line
    Json,
}

impl Default for Settings {
    /// Returns the defaults of the command line, except that the port is a free one.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            metrics_listen: None,
            model: None,
            profile: None,
            onnxruntime: None,
            workers: None,
            max_in_flight: 512,
            max_large_in_flight: 4,
            max_connections: 4096,
            request_timeout: Duration::from_secs(5),
            body_limit: 1 << 20,
            answer_limit: 32 << 20,
            drain: Duration::from_secs(5),
            receipt_key_file: None,
            admin_token_file: None,
            one_false_alarm_in: FalseAlarmBudget::default().one_alarm_in,
            allow_fault_injection: false,
            log_format: LogFormat::Text,
        }
    }
}

impl Settings {
    /// Returns the number of worker threads.
    pub fn worker_threads(&self) -> usize {
        self.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from).min(512))
    }

    /// Returns the rate of false alarms that verdicts on drift allow.
    pub fn false_alarm_budget(&self) -> FalseAlarmBudget {
        FalseAlarmBudget { one_alarm_in: self.one_false_alarm_in, ..FalseAlarmBudget::default() }
    }

    /// Returns the key for prediction ids: the key in the file, or random bytes without a file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is not safe to use.
    pub fn receipt_key(&self) -> Result<Vec<u8>> {
        let Some(path) = &self.receipt_key_file else {
            tracing::info!(
                "prediction ids are signed with a random key, so they are not valid after a restart or on another \
                replica; give all replicas the same --receipt-key-file to change that"
            );
            let mut key = vec![0; secret_file::MIN_BYTES];
            getrandom::fill(&mut key).context("the system provides no random bytes for the receipt key")?;
            return Ok(key);
        };
        secret_file::read("--receipt-key-file", path)
    }

    /// Returns the token of administrators, if there is one.
    ///
    /// # Errors
    /// If the file cannot be read or is not safe to use.
    pub fn admin_token(&self) -> Result<Option<Vec<u8>>> {
        let read = |path: &PathBuf| secret_file::read("--admin-token-file", path);
        self.admin_token_file.as_ref().map(read).transpose()
    }
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a whole number of at least 1".into()),
        Ok(number) => Ok(number),
    }
}

/// Reads the number of worker threads, of which actix allows at most 512.
pub(crate) fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=512) => Ok(number),
        _ => Err("must be a whole number from 1 to 512".into()),
    }
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match duration_or_none(text)? {
        Duration::ZERO => Err("must be longer than 0s, such as 5s".into()),
        duration => Ok(duration),
    }
}

fn duration_or_none(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 5s or 250ms"))
}

/// The longest time. Longer ones are probably typing errors, and sums of very long times would overflow.
const DAY: Duration = Duration::from_secs(24 * 3600);

fn at_most_a_day(duration: Duration) -> Result<Duration, String> {
    if duration > DAY { Err("must be at most 1day".into()) } else { Ok(duration) }
}

pub(crate) fn request_timeout(text: &str) -> Result<Duration, String> {
    at_most_a_day(duration(text)?)
}

pub(crate) fn drain(text: &str) -> Result<Duration, String> {
    at_most_a_day(duration_or_none(text)?)
}

/// Reads the time between false alarms. Below an hour almost every deviation would count as drift; above a century the quantile is
/// not exact in floating point.
pub(crate) fn false_alarms(text: &str) -> Result<Duration, String> {
    const HOUR: Duration = Duration::from_secs(3600);
    match duration(text)? {
        time if (HOUR..=HOUR * 876_600).contains(&time) => Ok(time),
        _ => Err("must be from 1h to 100years".into()),
    }
}

pub(crate) fn byte_size(text: &str) -> Result<usize, String> {
    let size: ByteSize = text.parse().map_err(|error| format!("{error}; write it like 1MiB or 64KiB"))?;
    match usize::try_from(size.as_u64()) {
        Ok(0) | Err(_) => Err("must be above 0 and fit the address space".into()),
        Ok(bytes) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Harness {
        #[command(flatten)]
        settings: Settings,
    }

    fn parse(flags: &[&str]) -> Result<Settings, String> {
        let typed = std::iter::once("serve").chain(flags.iter().copied());
        Harness::try_parse_from(typed).map(|harness| harness.settings).map_err(|error| error.to_string())
    }

    #[test]
    fn default_settings_equal_those_of_the_command_line() {
        let typed = parse(&["--listen", "127.0.0.1:0"]).unwrap();
        assert_eq!(format!("{typed:?}"), format!("{:?}", Settings::default()));
    }

    #[test]
    fn errors_about_flags_name_the_flag() {
        let cases = [
            ("--workers", "0", "whole number from 1 to 512"),
            ("--workers", "513", "whole number from 1 to 512"),
            ("--max-in-flight", "many", "whole number of at least 1"),
            ("--request-timeout", "5", "write it like 5s"),
            ("--request-timeout", "0s", "longer than 0s"),
            ("--request-timeout", "25h", "at most 1day"),
            ("--drain", "400000000000years", "at most 1day"),
            ("--one-false-alarm-in", "5m", "from 1h to 100years"),
            ("--one-false-alarm-in", "200years", "from 1h to 100years"),
            ("--body-limit", "big", "write it like 1MiB"),
            ("--listen", "localhost", "invalid socket address"),
        ];
        for (flag, value, expected) in cases {
            let error = parse(&[flag, value]).unwrap_err();
            assert!(error.contains(flag) && error.contains(expected), "{error}");
        }
    }
}
