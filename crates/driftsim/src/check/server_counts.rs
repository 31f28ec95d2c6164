//! Reads from a server's page of metrics how many rows it counted in each bin.

use crate::records::listed;
use anyhow::{Result, anyhow, bail, ensure};
use cli_io::printable::quoted;
use model::ModelCard;
use scrape::text_format::{Sample, parse};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, UNIX_EPOCH},
};

/// The last second of the year 9999 as Unix time. Later times cannot be written in the usual form.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Numbers from here on are beyond `u64`.
const BEYOND_U64: f64 = 18_446_744_073_709_551_616.0;

/// The counts of a server for one model, since its start.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerCounts {
    /// Counts per bin, signal by signal. A row may be missing from some signals: one without a prediction is only counted in the
    /// signals of the features.
    pub counts: Vec<Vec<u64>>,
    /// The number of rows with feedback on their class, and how many of those the model classified correctly.
    pub labelled: [u64; 2],
    /// The start of the server, as RFC 3339 writes it, if the page has it.
    pub server_start: Option<String>,
}

impl ServerCounts {
    /// Reads the counts of the model of `card` from a page in Prometheus' text format. Series that differ only in other labels are
    /// added up. `place` is the address of the page, for messages.
    ///
    /// # Errors
    /// If the page has another format, has no counts of this model, or counts in other bins than those of the card; or if a count is
    /// not a whole number.
    pub fn read(page: &[u8], place: &str, card: &ModelCard) -> Result<Self> {
        let not_metrics = |problem: String| {
            anyhow!(
                "{place}: expected metrics in the text format of Prometheus: {problem}; give the address of the metrics of \
                 `inference serve` or `inference watch`, such as http://127.0.0.1:8000/metrics"
            )
        };
        let text = str::from_utf8(page).map_err(|error| not_metrics(error.to_string()))?;
        let samples = parse(text).map_err(|error| not_metrics(error.to_string()))?;
        let samples: Vec<&Sample> = samples.iter().collect();
        let own = of_model(&samples, place, card)?;
        let counts = signal_counts(&own, place, card)?;
        let mut labelled = [0; 2];
        for sample in own.iter().filter(|sample| sample.name == "feedback_total") {
            let rows = count(sample, place)?;
            add(&mut labelled[0], rows, place)?;
            if sample.label("predicted") == sample.label("actual") {
                add(&mut labelled[1], rows, place)?;
            }
        }
        Ok(Self { counts, labelled, server_start: server_start(&samples) })
    }

    /// Returns the number of rows that the server counted, which is that of the signal with the most rows.
    pub fn rows(&self) -> u64 {
        self.counts.iter().map(|counts| counts.iter().sum()).max().unwrap_or_default()
    }
}

/// Returns the samples of the model of `card`.
fn of_model<'a>(samples: &[&'a Sample], place: &str, card: &ModelCard) -> Result<Vec<&'a Sample>> {
    let model = |sample: &Sample| (sample.label("model").to_owned(), sample.label("version").to_owned());
    let counted: BTreeSet<(String, String)> = samples
        .iter()
        .filter(|sample| sample.name == "signal_bin_total")
        .map(|sample| model(sample))
        .collect();
    let others: Vec<String> = counted.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let wanted = (card.name.clone(), card.version.clone());
    if counted.contains(&wanted) {
        return Ok(samples.iter().copied().filter(|sample| model(sample) == wanted).collect());
    }
    ensure!(
        !others.is_empty(),
        "{place}: the page has no metric signal_bin_total; give the address of the metrics of `inference serve` or `inference watch`, \
         such as http://127.0.0.1:8000/metrics"
    );
    bail!(
        "{place}: the page has no counts of model {} of the reference; it has those of {}; give the model file or the profile that the server \
         was started with in --reference, or the answer of its GET /model",
        quoted(&format!("{} {}", card.name, card.version)),
        listed(others.iter().map(String::as_str))
    )
}

/// Returns the counts per bin of each signal of the card.
fn signal_counts(samples: &[&Sample], place: &str, card: &ModelCard) -> Result<Vec<Vec<u64>>> {
    let mut counted: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.name == "signal_bin_total") {
        let rows = count(sample, place)?;
        let bins = counted.entry(sample.label("signal")).or_default();
        add(bins.entry(sample.label("bin")).or_default(), rows, place)?;
    }
    let differs = |signal: &str, bin: &str, has: &str, lacks: &str| {
        anyhow!(
            "{place}: signal {}: the {has} has a bin {} that the {lacks} lacks, so the reference is not that of the model that the server \
             runs; give the model file or the profile that the server was started with in --reference, or the answer of its GET /model",
            quoted(signal),
            quoted(bin)
        )
    };
    let mut counts = Vec::new();
    for signal in &card.reference.signals {
        let mut on_page = counted.remove(signal.name.as_str()).unwrap_or_default();
        let mut bins = Vec::new();
        for bin in signal.bins.labels() {
            let rows = on_page.remove(bin.as_str());
            bins.push(rows.ok_or_else(|| differs(&signal.name, &bin, "reference", "page"))?);
        }
        if let Some(bin) = on_page.keys().next() {
            return Err(differs(&signal.name, bin, "page", "reference"));
        }
        counts.push(bins);
    }
    let unknown = counted.iter().find_map(|(signal, bins)| Some((signal, bins.keys().next()?)));
    match unknown {
        Some((signal, bin)) => Err(differs(signal, bin, "page", "reference")),
        None => Ok(counts),
    }
}

fn count(sample: &Sample, place: &str) -> Result<u64> {
    let value = sample.value;
    ensure!(
        value.fract() == 0.0 && (0.0..BEYOND_U64).contains(&value),
        "{place}: {}: expected a whole number of rows, got {value}; give the address of the metrics of `inference serve` or \
         `inference watch`",
        series(sample)
    );
    Ok(value as u64)
}

/// Writes a series as it stands on the page.
fn series(sample: &Sample) -> String {
    let labels = sample.labels.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
    format!("{}{{{}}}", sample.name, labels.collect::<Vec<_>>().join(","))
}

fn add(sum: &mut u64, rows: u64, place: &str) -> Result<()> {
    *sum = sum
        .checked_add(rows)
        .ok_or_else(|| anyhow!("{place}: the counts add up to more than {}", u64::MAX))?;
    Ok(())
}

/// Returns the start of the server, if there is one on the page.
fn server_start(samples: &[&Sample]) -> Option<String> {
    let mut starts = samples.iter().filter(|sample| sample.name == "process_start_time_seconds");
    let start =
        starts.next().map(|sample| sample.value).filter(|start| (0.0..=LAST_SECOND).contains(start))?;
    let start = UNIX_EPOCH + Duration::from_secs_f64(start);
    starts.next().is_none().then(|| humantime::format_rfc3339_seconds(start).to_string())
}
