//! The command line: commands and flags.

use crate::{
    Application, LoadedModel, Settings, healthcheck, inspect, load_model, profile,
    settings::LogFormat,
    train,
    watch::{WatchSettings, Watcher},
};
use anyhow::{Context, Result, bail};
use clap::{CommandFactory, Parser, Subcommand};
use cli_io::descriptors::{least_of_a_server, require};
use std::{env::VarError, io::IsTerminal, net::SocketAddr, path::PathBuf};
use tracing_subscriber::EnvFilter;

/// The default log filter. It silences actix, which logs every request that it cannot parse as an error: a port scan sends
/// thousands of them.
const DEFAULT_LOG: &str = "info,actix_http=off";

/// Serve a tabular classifier and publish its health as Prometheus metrics
#[derive(Debug, Parser)]
#[command(version, long_version = cli_meta::LONG_VERSION)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer predictions over HTTP and publish metrics
    Serve(Box<Settings>),
    /// Pass requests on to a model server, observe them, and publish metrics
    Watch(Box<WatchSettings>),
    /// Train a model from a CSV file with a class column
    Train(train::Args),
    /// Describe a model that was trained elsewhere, from a table and the model's predictions for it
    Profile(Box<profile::Args>),
    /// Print a model's classes, scores, signals and bins
    Inspect {
        /// Model file; by default the built-in Iris model
        #[arg(long, env = "INFERENCE_MODEL")]
        model: Option<PathBuf>,
    },
    /// Exit with 0 if a service is ready, for container health checks
    Healthcheck {
        /// URL to request, such as http://127.0.0.1:8000/readyz [default: /readyz at the listen address]
        #[arg(long)]
        url: Option<String>,
        /// Listen address of the service
        #[arg(long, env = "INFERENCE_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8000")]
        listen: SocketAddr,
    },
    /// Print a completion script for a shell
    #[command(after_help = cli_meta::completions_help!("inference"))]
    Completions(cli_meta::Completions),
    /// Write the manual pages
    #[command(hide = true)]
    ManPages(cli_meta::ManPages),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if the command fails. The error names the flag or file to correct.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Serve(settings) => serve(*settings),
            Command::Watch(settings) => watch(&settings),
            Command::Train(args) => train::run(&args),
            Command::Profile(args) => profile::run(&args),
            Command::Inspect { model } => inspect::run(&load_model(model.as_deref())?),
            Command::Healthcheck { url, listen } => {
                healthcheck::run(&url.unwrap_or_else(|| healthcheck::url_of(listen)))
            }
            Command::Completions(args) => args.print(Self::command()),
            Command::ManPages(args) => args.write(Self::command()),
        }
    }
}

fn watch(settings: &WatchSettings) -> Result<()> {
    start_log(settings.log_format)?;
    require(least_of_a_server())?;
    cli_io::clock::check()?;
    actix_web::rt::System::new().block_on(async { Watcher::build(settings)?.run_until_signalled().await })
}

/// Starts to write log lines to stderr.
fn start_log(format: LogFormat) -> Result<()> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(log_filter()?)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

fn serve(settings: Settings) -> Result<()> {
    start_log(settings.log_format)?;
    // Descriptors are checked first, because the runtime panics if there are too few.
    require(least_of_a_server())?;
    cli_io::clock::check()?;
    if let Some(path) =
        settings.model.as_deref().filter(|path| path.exists() && !path.is_file() && !path.is_dir())
    {
        tracing::info!(model = %path.display(), "the model is not a regular file; the service starts once it has been read");
    }
    let model = LoadedModel::load(&settings)?;
    actix_web::rt::System::new().block_on(async {
        let application = Application::build(&settings, model)?;
        application.run_until_signalled().await
    })
}

/// Returns the log filter of RUST_LOG, or the default if it is unset or empty.
fn log_filter() -> Result<EnvFilter> {
    let directives = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(directives) if !directives.trim().is_empty() => directives,
        Err(VarError::NotUnicode(text)) => bail!("RUST_LOG={}: expected text in UTF-8", text.display()),
        _ => DEFAULT_LOG.to_owned(),
    };
    EnvFilter::try_new(&directives).with_context(|| {
        format!(
            "RUST_LOG={directives}: not a log filter; write, for example, `info` or `warn,inference=debug`"
        )
    })
}
