//! `loadgen run`: runs a scenario and writes its report. [`crate::session`] follows the run while requests are sent.

use super::preflight::{check_alerts, check_queries, fit, read_profile};
use crate::{
    connect::{Endpoint, Target, Tls, page_url},
    engine,
    exit::Exit,
    metrics::Metrics,
    page::{Page, document},
    plan::{Model, Plan, Shard},
    report::summary,
    scenario::{
        ProtocolName, Scenario, Source, TableSource,
        library::{self, Found},
    },
    serve::{self, Listeners, Servers},
    session::{RunInfo, Session, StopSignals},
    watch::{Routes, reader::Reader},
};
use anyhow::{anyhow, bail};
use clap::ValueHint;
use cli_io::{
    clock, descriptors,
    output_file::OutputFile,
    printable::{MOST_QUOTED, printable, printable_message},
    stdout::print,
};
use driftsim::Interface;
use model::ModelCard;
use reqwest::Url;
use sha2::{Digest, Sha256};
use std::{net::SocketAddr, path::PathBuf, sync::Arc};

const ENVIRONMENT: &str = "Environment: The token in LOADGEN_BEARER_TOKEN is sent only to the target, with every request \
that has no authorization of its own; the tokens in LOADGEN_PROMETHEUS_BEARER_TOKEN, LOADGEN_METRICS_BEARER_TOKEN and \
LOADGEN_FEEDBACK_BEARER_TOKEN are sent to the addresses of --prometheus, --metrics and --feedback. An address may instead have a user name and a password, as in http://user:password@host, but `ps` shows them.";

/// The environment variable with the completion index of a pod of an Indexed Job, from 0.
const JOB_INDEX: &str = "JOB_COMPLETION_INDEX";

/// The flags of `loadgen run`.
#[derive(Debug, clap::Args)]
#[command(after_help = ENVIRONMENT)]
pub struct Args {
    /// The scenario: a file, or a name that is looked up in ./scenarios and then among the built-in ones
    #[arg(long, value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    pub scenario: String,
    /// The address of the inference service, or of any other model server
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, default_value = "http://127.0.0.1:8000", value_parser = http_url)]
    pub target: Url,
    /// Use the model in this file (a profile, a model file, or a card) instead of asking the target with GET /model
    #[arg(long, value_name = "CARD.json", value_hint = ValueHint::FilePath)]
    pub profile: Option<PathBuf>,
    /// Send the rows that the scenario posts to /predict by this protocol instead
    #[arg(long, value_name = "PROTOCOL")]
    pub protocol: Option<ProtocolName>,
    /// The server's name of the model, in the paths of the protocols oip-v2 and v1
    #[arg(long, value_name = "NAME", requires = "protocol")]
    pub served_model: Option<String>,
    /// The page with the metrics, if it is not /metrics at the target; an address without a path stands for its /metrics
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = page_url)]
    pub metrics: Option<Url>,
    /// Where feedback is sent, if not to /feedback at the target; an address without a path stands for its /feedback
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = page_url)]
    pub feedback: Option<Url>,
    /// The address of a Prometheus server, for expectations about alerts and queries
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = http_url)]
    pub prometheus: Option<Url>,
    /// Additional certificate authorities to trust over https:// (PEM)
    #[arg(long, value_name = "FILE.pem", value_hint = ValueHint::FilePath)]
    pub ca_cert: Option<PathBuf>,
    /// Take rows from this CSV file instead of generating them, and also the true classes or numbers if it has a column with
    /// them
    #[arg(long, value_name = "FILE.csv", value_hint = ValueHint::FilePath)]
    pub table: Option<PathBuf>,
    /// Also treat this text, such as NA, as a missing value in the table; may be repeated
    #[arg(long, value_name = "TOKEN", requires = "table", allow_hyphen_values = true)]
    pub missing: Vec<String>,
    /// Field separator of the table; \t stands for a tab
    #[arg(long, value_name = "CHARACTER", requires = "table", default_value = ",", value_parser = cli_io::table_file::separator)]
    pub separator: u8,
    /// Seed of all random numbers, instead of the scenario's own
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Run only part I of N, if several machines run the plan together; `loadgen merge` merges their reports
    #[arg(long, value_name = "I/N", default_value_t = Shard::WHOLE)]
    pub shard: Shard,
    /// Run one of N parts as a pod of an Indexed Job in Kubernetes: part JOB_COMPLETION_INDEX + 1
    #[arg(long, value_name = "N", conflicts_with = "shard")]
    pub job_shards: Option<u32>,
    /// Write the report as JSON to this file, or to a pipe such as /dev/stdout
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,
    /// Write the report as an HTML page to this file, or to a pipe
    #[arg(long, value_name = "FILE.html", value_hint = ValueHint::FilePath)]
    pub report: Option<PathBuf>,
    /// Serve a live page at this address until the run ends [127.0.0.1:5665 if no address is given]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:5665")]
    pub dashboard: Option<SocketAddr>,
    /// Serve the load generator's own /metrics for Prometheus at this address, such as 0.0.0.0:9464
    #[arg(long, value_name = "ADDR")]
    pub metrics_listen: Option<SocketAddr>,
}

fn http_url(text: &str) -> Result<Url, String> {
    scrape::endpoint::http_url(text, "put it into the `path` of the scenario's payloads")
}

/// Runs a scenario and writes its report.
///
/// # Errors
/// If the run cannot start, because of the scenario or the target, or if a file cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    clock::check()?;
    descriptors::require(descriptors::least_of_a_server())?;
    let shard = match args.job_shards {
        Some(of) => Shard::of_job(std::env::var(JOB_INDEX).ok().as_deref(), of)
            .map_err(|problem| anyhow!("--job-shards {of}: {JOB_INDEX}: {problem}"))?,
        None => args.shard,
    };
    let found = library::find(&args.scenario)?;
    let mut scenario = Scenario::parse(&found.text, &found.place)?;
    scenario.read_tokens(&found.text, &found.place)?;
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    if let Some(protocol) = args.protocol {
        scenario.send_by(protocol, args.served_model.as_deref()).map_err(anyhow::Error::msg)?;
    }
    scenario.name_endpoint().map_err(|problem| found.locate(problem.into()))?;
    if let Some(table) = &args.table {
        // The path is made absolute, because paths in the scenario are relative to its folder.
        let file = std::path::absolute(table)?;
        scenario.take_rows_from(&TableSource {
            more_missing: args.missing.clone(),
            separator: args.separator,
            interface: Interface::CommandLine,
            ..TableSource::of_file(file)
        });
    }
    let json = args.json.as_deref().map(|path| OutputFile::new("--json", path)).transpose()?;
    let html = args.report.as_deref().map(|path| OutputFile::new("--report", path)).transpose()?;
    if let (Some(json), Some(html), Some(path)) = (&json, &html, &args.json)
        && json.is_same_file(html)
    {
        bail!("--json and --report both name {}; name a different file in each", path.display());
    }
    let listeners = Listeners::bind(args.dashboard, args.metrics_listen)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let page = runtime.block_on(execute(args, scenario, shard, &found, listeners))?;
    let report = &page.report;
    // If the report goes to standard output, nothing else is printed there.
    let report_on_stdout = [&json, &html].into_iter().flatten().any(OutputFile::is_stdout);
    // Files are written first, so that they are written even if standard output is closed. If one file cannot be written, the
    // other one and the summary are still written.
    let written = [
        json.map_or(Ok(()), |file| file.write(&report.to_json())),
        html.map_or(Ok(()), |file| file.write(document(&page, false).as_bytes())),
    ];
    let summary = summary::render(report);
    if report_on_stdout {
        eprint!("{summary}");
    } else {
        print(&summary)?;
    }
    if !report.totals.add_up() {
        bail!("a request was lost or counted twice, which is a fault of this program: {:?}", report.totals);
    }
    let failed: Vec<_> = written.iter().filter_map(|written| written.as_ref().err()).collect();
    if !failed.is_empty() {
        bail!("{}", failed.iter().map(|error| format!("{error:#}")).collect::<Vec<_>>().join("\nerror: "));
    }
    if let Some(path) = &args.report {
        eprintln!("report: {}", printable(&path.display().to_string(), usize::MAX));
    }
    Ok(report.verdict.into())
}

/// Returns the SHA-256 in hexadecimal.
fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn execute(
    args: &Args,
    mut scenario: Scenario,
    shard: Shard,
    found: &Found,
    listeners: Listeners,
) -> anyhow::Result<Page> {
    let mut stops = StopSignals::new()?;
    let Addresses { target, prometheus } = addresses(args)?;
    let address = target.endpoint.url();
    let routes = Routes::new(&scenario.payloads, address.path());
    let mut reader = Reader::new(&target, routes, prometheus.clone())?;
    let model = match (&args.profile, scenario.needs_model()) {
        (Some(path), _) => Some(read_profile(path)?),
        (None, Some(what)) => {
            let card = reader.card().await;
            let card =
                card.map_err(|error| anyhow!("--target {address}: {what} needs the model, but {error}"))?;
            Some(Model::from(card))
        }
        (None, None) => None,
    };
    let model = model.map(Arc::new);
    let located = |error| found.locate(error);
    if let Some(model) = &model {
        let (card, notes) = (&model.card, fit(&mut scenario, found.folder(), model).map_err(located)?);
        for note in simulator_warning(&scenario, card).iter().chain(&notes) {
            eprintln!("warning: {}", printable_message(note));
        }
        reader.narrow(card);
    }
    let checked = reader.check_prometheus().await.transpose();
    let rules = checked.map_err(|error| anyhow!("--prometheus: {error}"))?;
    match &rules {
        Some(Ok(known)) => check_alerts(&scenario, known).map_err(located)?,
        // The report repeats this warning at the end of the run.
        Some(Err(error)) => {
            let error = printable_message(error);
            eprintln!("warning: {error}; Prometheus expectations cannot be checked until it responds");
        }
        None => {}
    }
    check_queries(&scenario, &reader).await.map_err(located)?;
    let target_labels = reader.target_labels(model.as_ref().map(|model| &model.card)).await;
    let seed = scenario.seed;
    let plan = Plan::new(Arc::new(scenario), model, seed, shard).map_err(located)?;

    listeners.announce()?;
    let metrics = Arc::new(Metrics::new(&plan));
    let (servers, publisher) = Servers::start(listeners, Arc::clone(&metrics))?;
    let info = RunInfo {
        scenario_sha256: digest(&found.text),
        target: address.to_string(),
        metrics: args.metrics.is_some().then(|| target.metrics.url().to_string()),
        prometheus: prometheus.map(|prometheus| prometheus.url().to_string()),
    };
    let mut session = Session::new(&plan, info, metrics, publisher);
    session.look_before(&reader, rules, target_labels).await;
    let mut running = engine::start(&plan, &target, engine::default_workers(), serve::MOST_DESCRIPTORS)?;
    let elapsed = session.follow(&mut running, &reader, &mut stops).await;
    running.join()?;
    session.look_after(&reader).await;
    let page = session.close(elapsed);
    drop(servers);
    Ok(page)
}

/// Returns a warning if the rows that are generated for the model differ from its reference, so that signals drift even if the scenario has no drift.
fn simulator_warning(scenario: &Scenario, card: &ModelCard) -> Option<String> {
    let drifting = &card.simulator.check.drifting;
    let drawn =
        scenario.payloads.iter().any(|payload| matches!(payload.source, Source::Model | Source::Drift(_)));
    (drawn && !drifting.is_empty()).then(|| {
        let signals = printable(&drifting.join(", "), MOST_QUOTED);
        let drift = if drifting.len() == 1 { "drifts" } else { "drift" };
        format!(
            "the rows generated for model {} differ from its reference, so {signals} {drift} even if the scenario has no drift; send real \
            rows with --table FILE.csv",
            printable(&card.name, MOST_QUOTED)
        )
    })
}

/// The environment variable with the token of all requests that have no authorization of their own. It is not a flag, because
/// `ps` shows flags.
const TOKEN: &str = "LOADGEN_BEARER_TOKEN";
const PROMETHEUS_TOKEN: &str = "LOADGEN_PROMETHEUS_BEARER_TOKEN";
const METRICS_TOKEN: &str = "LOADGEN_METRICS_BEARER_TOKEN";
const FEEDBACK_TOKEN: &str = "LOADGEN_FEEDBACK_BEARER_TOKEN";

/// The servers that a run sends requests to.
struct Addresses {
    target: Target,
    prometheus: Option<Endpoint>,
}

fn addresses(args: &Args) -> anyhow::Result<Addresses> {
    let endpoint = |flag: &str, url: &Url, variable: &str| {
        Endpoint::new(url.clone(), variable).map_err(|problem| anyhow!("{flag}: {problem}"))
    };
    let optional = |flag: &str, url: &Option<Url>, variable: &str| {
        url.as_ref().map(|url| endpoint(flag, url, variable)).transpose()
    };
    // The path of an address without one is `/`.
    let page =
        |server: Endpoint, path: &str| if server.url().path() == "/" { server.at(path) } else { server };
    let prometheus = optional("--prometheus", &args.prometheus, PROMETHEUS_TOKEN)?;
    let metrics = optional("--metrics", &args.metrics, METRICS_TOKEN)?;
    let feedback = optional("--feedback", &args.feedback, FEEDBACK_TOKEN)?;
    let target = endpoint("--target", &args.target, TOKEN)?;
    let mut servers = std::iter::once(&target).chain(&prometheus).chain(&metrics).chain(&feedback);
    let https = servers.any(|server| server.url().scheme() == "https");
    let tls = Tls::new(args.ca_cert.as_deref(), https).map_err(anyhow::Error::msg)?;
    let mut target = Target::new(target, tls);
    if let Some(metrics) = metrics {
        target.metrics = page(metrics, "metrics");
    }
    if let Some(feedback) = feedback {
        target.feedback = page(feedback, "feedback");
    }
    Ok(Addresses { target, prometheus })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_rows_that_differ_from_the_reference_cause_a_warning() {
        let mut card = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card;
        let scenario = |source| {
            let text = format!(
                "name: x\npayloads: {{ p: {{ source: {source} }} }}\n\
                 phases: [ {{ name: a, executor: constant-vus, vus: 2, duration: 1s }} ]"
            );
            Scenario::parse(&text, "x").unwrap()
        };
        let warning = |card: &ModelCard, source| simulator_warning(&scenario(source), card);
        assert_eq!(warning(&card, "{ model: {} }"), None);
        card.simulator.check.drifting = vec!["gdp".into()];
        assert!(
            warning(&card, "{ model: {} }")
                .unwrap()
                .contains(", so gdp drifts even if the scenario has no drift")
        );
        assert_eq!(warning(&card, "{ table: rows.csv }"), None);
        card.simulator.check.drifting.push("area".into());
        assert!(
            warning(&card, "{ model: {} }")
                .unwrap()
                .contains(", so gdp, area drift even if the scenario has no drift")
        );
    }
}
