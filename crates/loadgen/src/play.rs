//! `loadgen run`: from a scenario's name to a verdict and the files that tell of it. The run itself is followed by
//! [`crate::session`].

use crate::{
    before::{check_alerts, check_queries, check_signals},
    cli::RunArgs,
    connect::{Endpoint, Tls},
    engine::{self, Target},
    exit::Exit,
    metrics::Metrics,
    page::{Page, document},
    plan::Plan,
    report::{summary, text::to_stdout},
    scenario::{Scenario, library},
    serve::{Listeners, Servers},
    session::{Session, StopSignals, Told},
    watch::{Routes, reader::Reader},
};
use anyhow::{anyhow, bail};
use cli_io::{
    clock, descriptors,
    output_file::OutputFile,
    printable::{printable, printable_message},
};
use reqwest::Url;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Runs a scenario to its verdict.
///
/// # Errors
/// Whatever keeps it from starting: the scenario, the target, a file that can't be written.
pub fn play(args: &RunArgs) -> anyhow::Result<Exit> {
    clock::check()?;
    descriptors::require(descriptors::least_of_a_server())?;
    let found = library::find(&args.scenario)?;
    let mut scenario = Scenario::parse(&found.text, &found.place)?;
    scenario.read_tokens(&found.text, &found.place)?;
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    let json = args.json.as_deref().map(|path| OutputFile::new("--json", path)).transpose()?;
    let html = args.report.as_deref().map(|path| OutputFile::new("--report", path)).transpose()?;
    if let (Some(json), Some(html), Some(path)) = (&json, &html, &args.json)
        && json.is_same_file(html)
    {
        bail!("--json and --report both name {}; give each a file of its own", path.display());
    }
    let listeners = Listeners::bind(args.dashboard, args.metrics_listen)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let page = runtime.block_on(run(args, Arc::new(scenario), digest(&found.text), listeners))?;
    let report = &page.report;
    // A reader of the report should find nothing else there.
    let report_on_stdout = [&json, &html].into_iter().flatten().any(OutputFile::is_stdout);
    // The files first: they are not to suffer from a reader of the summary that has seen enough. But a full disk is to
    // cost neither the summary nor the other file.
    let written = [
        json.map_or(Ok(()), |file| file.write(&report.to_json())),
        html.map_or(Ok(()), |file| file.write(document(&page, false).as_bytes())),
    ];
    let summary = summary::render(report);
    if report_on_stdout {
        eprint!("{summary}");
    } else {
        to_stdout(summary.as_bytes())?;
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

/// SHA-256 in hexadecimal.
fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn run(
    args: &RunArgs,
    scenario: Arc<Scenario>,
    scenario_sha256: String,
    listeners: Listeners,
) -> anyhow::Result<Page> {
    let mut stops = StopSignals::new()?;
    let Addresses { target, prometheus } = addresses(args)?;
    let address = target.endpoint.url();
    let routes = Routes::new(&scenario.payloads, address.path());
    let reader = Reader::new(&target, routes, prometheus.clone())?;
    let card = reader.card().await.map_err(|error| anyhow!("--target {address}: {error}"))?;
    check_signals(&scenario, &card)?;
    let checked = reader.check_prometheus().await.transpose();
    let rules = checked.map_err(|error| anyhow!("--prometheus: {error}"))?;
    match &rules {
        Some(Ok(known)) => check_alerts(&scenario, known)?,
        // Minutes before the report says so, too.
        Some(Err(error)) => {
            let error = printable_message(error);
            eprintln!("warning: {error}; Prometheus expectations cannot be checked until it responds");
        }
        None => {}
    }
    check_queries(&scenario, &reader).await?;
    let target_labels = reader.target_labels(&card).await;
    let seed = scenario.seed;
    let plan = Plan::new(scenario, Arc::new(card), seed, args.shard).map_err(anyhow::Error::msg)?;

    listeners.announce()?;
    let metrics = Arc::new(Metrics::new(&plan));
    let (servers, publisher) = Servers::start(listeners, Arc::clone(&metrics))?;
    let told = Told {
        scenario_sha256,
        target: address.to_string(),
        prometheus: prometheus.map(|prometheus| prometheus.url().to_string()),
    };
    let mut session = Session::new(&plan, told, metrics, publisher);
    session.look_before(&reader, rules, target_labels).await;
    let mut running = engine::start(&plan, &target, engine::default_workers())?;
    let elapsed = session.follow(&mut running, &reader, &mut stops).await;
    running.join()?;
    session.look_after(&reader).await;
    let page = session.close(elapsed);
    drop(servers);
    Ok(page)
}

/// Sent to the target with every request that has no authorization of its own. No flags, for those show in `ps`.
const TOKEN: &str = "LOADGEN_BEARER_TOKEN";
const PROMETHEUS_TOKEN: &str = "LOADGEN_PROMETHEUS_BEARER_TOKEN";

/// The servers that a run talks to.
struct Addresses {
    target: Target,
    prometheus: Option<Endpoint>,
}

fn addresses(args: &RunArgs) -> anyhow::Result<Addresses> {
    let endpoint = |flag: &str, url: &Url, variable: &str| {
        Endpoint::new(url.clone(), variable).map_err(|problem| anyhow!("{flag}: {problem}"))
    };
    let prometheus = args.prometheus.as_ref();
    let prometheus = prometheus.map(|url| endpoint("--prometheus", url, PROMETHEUS_TOKEN)).transpose()?;
    let endpoint = endpoint("--target", &args.target, TOKEN)?;
    let https = std::iter::once(&endpoint).chain(&prometheus).any(|server| server.url().scheme() == "https");
    let tls = Tls::new(args.ca_cert.as_deref(), https).map_err(anyhow::Error::msg)?;
    Ok(Addresses { target: Target { endpoint, tls }, prometheus })
}
