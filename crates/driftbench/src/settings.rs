//! Defines and checks the flags of the benchmark.

use crate::timeline::{BEAT, MINUTE, Span};
use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use driftsim::duration::parse;
use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

/// The seconds of a week.
pub(crate) const WEEK: f64 = 604_800.0;

/// The windows that were compared to choose those of the shipped rules.
const CANDIDATES: [Span; 7] = [
    Span::Scrapes(4),
    Span::Scrapes(5),
    Span::Scrapes(6),
    Span::Scrapes(MINUTE),
    Span::Minutes(10),
    Span::Minutes(60),
    Span::Minutes(1440),
];

/// The long windows of the shipped rules.
const LONG: [Span; 3] = [Span::Minutes(10), Span::Minutes(60), Span::Minutes(1440)];

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// How often steady traffic raises a false alarm
    FalseAlarms,
    /// How often chance exceeds the limits, over many references
    Null,
    /// How soon each drift is detected
    Detection,
    /// How soon each candidate window detects drift on its own
    Windows,
}

/// The settings of a benchmark.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Run only these parts [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,…")]
    pub only: Vec<Part>,
    /// Seed; the same seed gives the same figures on any number of threads
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
    /// Number of threads [default: the number of processors]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Rates of steady traffic, in rows per second
    ///
    /// At 3 rows per second, the short window has hardly more rows than a verdict needs, so chance has the greatest effect.
    #[arg(long, value_name = "R,…", value_delimiter = ',', default_value = "1,3,50,1000", value_parser = rate)]
    pub rates: Vec<f64>,
    /// Number of weeks of steady traffic per rate
    #[arg(long, value_name = "WEEKS", default_value = "4", value_parser = weeks, allow_negative_numbers = true)]
    pub weeks: f64,
    /// Number of references, among which the weeks and the trials are divided
    #[arg(long, value_name = "N", default_value = "14", value_parser = count)]
    pub references: usize,
    /// Number of references for measuring how often chance exceeds the limits
    #[arg(long, value_name = "N", default_value = "1000", value_parser = count)]
    pub null_references: usize,
    /// Length of the short window of the rules
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = short_window)]
    pub fast: Duration,
    /// Rate of traffic that drifts, in rows per second
    #[arg(long, value_name = "R", default_value = "50", value_parser = rate)]
    pub rate: f64,
    /// Number of trials per drift
    #[arg(long, value_name = "N", default_value = "100", value_parser = count)]
    pub trials: usize,
    /// A drift that is not detected within this time counts as missed
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub cap: Duration,
    /// Length of the steady traffic before a drift
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = duration)]
    pub warm_up: Duration,
    /// Rates at which candidate windows are compared, in rows per second
    #[arg(long, value_name = "R,…", value_delimiter = ',', default_value = "0.1,1,50", value_parser = rate)]
    pub window_rates: Vec<f64>,
    /// Number of trials per drift for the comparison of windows
    #[arg(long, value_name = "N", default_value = "10", value_parser = count)]
    pub window_trials: usize,
    /// A drift that a window does not detect within this time counts as missed in the comparison of windows
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = duration)]
    pub window_cap: Duration,
    /// Write traffic of the detection part to this folder, as CSV files with an index in JSON, for other detectors
    #[arg(long, value_name = "DIR")]
    pub streams: Option<PathBuf>,
    /// Do not write progress to stderr
    #[arg(long)]
    pub quiet: bool,
}

impl Settings {
    /// Checks that the settings do not contradict each other.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            self.beats_per_reference() > 0,
            "--weeks: {} weeks, divided among {} references, leave less than one scrape for each; \
             raise --weeks or lower --references",
            self.weeks,
            self.references
        );
        ensure!(
            self.streams.is_none() || self.has(Part::Detection),
            "--streams: streams are written by the detection part, which --only leaves out; add detection to --only"
        );
        Ok(())
    }

    pub(crate) fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
    }

    /// Returns the number of scrapes of steady traffic for each reference.
    pub(crate) fn beats_per_reference(&self) -> u64 {
        (self.weeks * WEEK / BEAT as f64 / self.references as f64) as u64
    }

    fn fast_span(&self) -> Span {
        Span::Scrapes(usize::try_from(self.fast.as_secs() / BEAT).unwrap_or(usize::MAX))
    }

    /// Returns all windows that are judged, the shortest first.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let mut spans = CANDIDATES.to_vec();
        spans.push(self.fast_span());
        spans.sort_by_key(|span| span.seconds());
        spans.dedup();
        spans
    }

    /// Returns whether the shipped rules have this window.
    pub(crate) fn in_use(&self, span: Span) -> bool {
        span == self.fast_span() || LONG.contains(&span)
    }
}

fn rate(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|rate| (1e-3..=1e6).contains(rate))
        .ok_or_else(|| "give 0.001 to 1000000 rows per second".into())
}

fn weeks(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|weeks| *weeks > 0.0 && *weeks <= 520.0)
        .ok_or_else(|| "give more than 0 and at most 520 weeks".into())
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| (1..=100_000).contains(count)).ok_or_else(|| "give 1 to 100000".into())
}

fn duration(text: &str) -> Result<Duration, String> {
    let longest = Duration::from_secs(30 * 24 * 3600);
    let read = parse(text).map_err(|problem| format!("{problem}; give a time such as 90s or 1h"))?;
    let fits = (Duration::from_secs(BEAT)..=longest).contains(&read);
    if fits { Ok(read) } else { Err(format!("give {BEAT}s to 30d")) }
}

fn short_window(text: &str) -> Result<Duration, String> {
    let window = duration(text)?;
    let whole = window.subsec_nanos() == 0 && window.as_secs().is_multiple_of(BEAT);
    // Windows of ten minutes and more are sums of minutes in the rules.
    if whole && window < Duration::from_secs(600) {
        Ok(window)
    } else {
        Err(format!("give a multiple of {BEAT}s, the scrape interval, below 10m"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::false_alarms::JUDGEMENTS_TO_ALERT;
    use clap::Parser;
    use serde_yaml::Value;
    use std::{collections::BTreeSet, path::Path};

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        settings: Settings,
    }

    fn yaml(path: &str) -> Value {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        serde_yaml::from_str(&std::fs::read_to_string(root.join(path)).unwrap()).unwrap()
    }

    fn rules(file: &str) -> Vec<Value> {
        let file = yaml(&format!("monitoring/rules/{file}"));
        let groups = file["groups"].as_sequence().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_sequence().unwrap().clone()).collect()
    }

    #[test]
    fn the_simulation_has_the_windows_and_waits_of_the_shipped_rules() {
        let windows = ["drift.yml", "minutes.yml"].map(rules).concat();
        let windows = windows.iter().filter(|rule| rule["record"] == *"model_signal_window:signal_bin:rows");
        let shipped: BTreeSet<String> =
            windows.filter_map(|rule| rule["labels"]["window"].as_str()).map(str::to_owned).collect();
        let settings = Flags::parse_from(["driftbench"]).settings;
        let spans = settings.spans().into_iter().filter(|span| settings.in_use(*span));
        assert_eq!(spans.map(Span::label).collect::<BTreeSet<_>>(), shipped);

        let prometheus = yaml("monitoring/prometheus.yml");
        for interval in ["scrape_interval", "evaluation_interval"] {
            assert_eq!(prometheus["global"][interval].as_str().unwrap(), format!("{BEAT}s"));
        }
        let alerts = rules("alerts.yml");
        for name in ["ModelInputDrift", "ModelPredictionDrift", "ModelConfidenceDrop"] {
            let alert = alerts.iter().find(|rule| rule["alert"] == *name).unwrap();
            let wait = parse(alert["for"].as_str().unwrap()).unwrap().as_secs();
            // The alert fires at the first evaluation at which the condition has held for that long.
            assert_eq!(wait / BEAT + 1, u64::from(JUDGEMENTS_TO_ALERT), "{name}");
        }
    }
}
