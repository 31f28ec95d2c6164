//! `loadgen merge`: merges the reports of several machines into one.
//!
//! Counts and histograms are added up; percentiles and thresholds are computed from the sum, because an average of percentiles
//! is not a percentile. All machines observed the monitoring of the same service, so the strictest of their verdicts on an
//! expectation counts.

use crate::{
    engine::{DurationHistogram, FeedbackTotals, PhaseRecord, Totals},
    exit::Exit,
    judge::{RunVerdict, Verdict, expectations::ExpectationOutcome, thresholds::ThresholdOutcome},
    plan::Shard,
    report::{Evidence, Histograms, Report, summary},
    scenario::{Metric, Threshold},
};
use anyhow::{Context, anyhow, bail};
use cli_io::{
    file_kind::{self, Wanted},
    output_file::OutputFile,
    stdout::print,
};
use std::{collections::BTreeSet, fs, path::PathBuf};

/// The arguments of `loadgen merge`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Reports of `loadgen run --json`: all parts of one plan, or whole runs of one scenario
    #[arg(required = true, value_name = "REPORT.json")]
    pub reports: Vec<PathBuf>,
    /// Write the merged report as JSON to this file, or to a pipe
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Merges reports, judges the sum and prints its summary.
///
/// # Errors
/// If a file is not a report, or if the reports do not belong to one plan.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let json = args.json.as_deref().map(|path| OutputFile::new("--json", path)).transpose()?;
    let reports = args.reports.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    let merged = merged(&reports)?;
    // If the report goes to standard output, nothing else is printed there.
    let report_on_stdout = json.as_ref().is_some_and(OutputFile::is_stdout);
    let written = json.map_or(Ok(()), |file| file.write(&merged.to_json()));
    let summary = summary::render(&merged);
    if report_on_stdout {
        eprint!("{summary}");
    } else {
        print(&summary)?;
    }
    written?;
    Ok(merged.verdict.into())
}

/// The greatest tolerated difference between the starts of two parts, as a share of the run's length.
const TOLERATED_OFFSET: f64 = 0.1;

/// A report with the name of its file.
type Named = (String, Report);

fn read(path: &PathBuf) -> anyhow::Result<Named> {
    let place = path.display().to_string();
    let text = fs::read(path).with_context(|| format!("{place}: cannot be read"))?;
    let parse = || {
        let mut json = serde_json::Deserializer::from_slice(&text);
        let report = serde_path_to_error::deserialize(&mut json)?;
        json.end()?;
        Ok(report)
    };
    let report = parse().map_err(|error: anyhow::Error| {
        let error = file_kind::explain(error, &text, Wanted::Report);
        error.context(format!("{place}: expected a report written by `loadgen run --json`"))
    })?;
    Ok((place, report))
}

fn merged(reports: &[Named]) -> anyhow::Result<Report> {
    let Some((first, base)) = reports.first() else { bail!("there is nothing to merge") };
    for (at, (place, report)) in reports.iter().enumerate() {
        same_plan((first, base), (place, report))?;
        if let Some((twin, _)) = reports[..at].iter().find(|(_, earlier)| same_run(earlier, report)) {
            bail!("{place}: is a copy of {twin}, so its requests would count twice; leave one out");
        }
    }
    let missing = missing_shards(reports)?;
    let apart = apart(reports)?;
    let mut report = base.clone();
    report.shard = None;
    report.merged_from = reports.iter().map(|(place, _)| place.clone()).collect();
    let targets: BTreeSet<&str> = reports.iter().map(|(_, report)| report.target.as_str()).collect();
    report.target = targets.into_iter().collect::<Vec<_>>().join(", ");
    let pages: BTreeSet<&str> = reports.iter().filter_map(|(_, report)| report.metrics.as_deref()).collect();
    report.metrics = (!pages.is_empty()).then(|| pages.into_iter().collect::<Vec<_>>().join(", "));
    report.started_at = reports.iter().map(|(_, report)| report.started_at.clone()).min().unwrap_or_default();
    report.duration = reports.iter().map(|(_, report)| report.duration).fold(0.0, f64::max);
    for (at, phase) in report.phases.iter_mut().enumerate() {
        let of_phase = || reports.iter().map(|(_, report)| &report.phases[at]);
        phase.duration = of_phase().map(|phase| phase.duration).fold(0.0, f64::max);
        phase.generator_busy = of_phase().filter_map(|phase| phase.generator_busy).reduce(f64::max);
        // The metrics are those of the machine with the most readings, because they cover most of the phase.
        if let Some(best) = of_phase().max_by_key(|phase| phase.monitoring.readings) {
            phase.monitoring = best.monitoring.clone();
        }
    }
    report.expectations = (0..base.expectations.len()).map(|at| expectation(reports, at)).collect();
    report.prometheus = reports.iter().find_map(|(_, report)| report.prometheus.clone());
    report.warnings = warnings(reports);
    let names: Vec<String> = report.phases.iter().map(|phase| phase.name.clone()).collect();
    let thresholds: Vec<Threshold> = base
        .thresholds
        .iter()
        .map(|outcome| threshold(outcome, &names))
        .collect::<Result<_, _>>()
        .map_err(|error| anyhow!("{first}: thresholds: {error}"))?;
    let records: Vec<PhaseRecord> = (0..base.phases.len()).map(|at| record(reports, at)).collect();
    let interrupted = reports.iter().any(|(_, report)| report.verdict == RunVerdict::Interrupted);
    Ok(report.assemble(Evidence {
        records: &records.iter().collect::<Vec<_>>(),
        thresholds: &thresholds,
        interrupted,
        invalid: missing.or(apart).or_else(|| invalid(reports)),
        own_fault: false,
    }))
}

/// Checks that two reports belong to the same plan.
fn same_plan((first, base): (&str, &Report), (place, report): (&str, &Report)) -> anyhow::Result<()> {
    let sharded = |report: &Report| match &report.shard {
        Some(_) => "one part of several",
        None => "a whole run",
    };
    let differs = [
        ("scenario", &base.scenario, &report.scenario),
        ("scenario_sha256", &base.scenario_sha256, &report.scenario_sha256),
        ("model", &base.model, &report.model),
    ]
    .into_iter()
    .find(|(_, a, b)| a != b);
    if let Some((field, a, b)) = differs {
        bail!("{place}: {field} is {b}, in {first} it is {a}; only parts of one plan can be merged");
    }
    if !report.merged_from.is_empty() {
        bail!(
            "{place}: is itself a merged report, of {}; give the original reports",
            report.merged_from.join(", ")
        );
    }
    if sharded(base) != sharded(report) {
        bail!(
            "{place}: is {}, but {first} is {}; merge parts and whole runs separately",
            sharded(report),
            sharded(base)
        );
    }
    if base.shard.is_some() && base.seed != report.seed {
        bail!(
            "{place}: seed is {}, in {first} it is {}; only parts of one plan can be merged",
            report.seed,
            base.seed
        );
    }
    let shape = |report: &Report| {
        let thresholds: Vec<_> = report
            .thresholds
            .iter()
            .map(|t| (t.phase.clone(), t.metric.clone(), t.expression.clone()))
            .collect();
        let phases: Vec<_> = report.phases.iter().map(|phase| phase.name.clone()).collect();
        (phases, thresholds, report.expectations.len())
    };
    if shape(base) != shape(report) {
        bail!(
            "{place}: has other phases, thresholds or expectations than {first}, although the scenario is the same; give \
        unedited reports"
        );
    }
    sound(report).map_err(|problem| anyhow!("{place}: {problem}; give the unedited report"))
}

/// Checks that the figures of a report do not contradict each other.
fn sound(report: &Report) -> Result<(), String> {
    // A limit far above the counts of any run, below which sums cannot overflow.
    const MOST: u64 = 1 << 53;
    let totals = report.phases.iter().map(|phase| &phase.totals).chain([&report.totals]);
    if totals.clone().any(|totals| {
        totals.offered > MOST
            || totals.completed > MOST
            || !totals.add_up()
            || totals.unexpected > totals.completed
    }) {
        return Err("its totals do not add up".into());
    }
    let feedback = report.phases.iter().map(|phase| &phase.feedback).chain([&report.feedback]);
    if feedback.clone().any(|feedback| feedback.due > MOST || !feedback.add_up()) {
        return Err("its counts of feedback do not add up".into());
    }
    if !(0.0..1e9).contains(&report.duration) {
        return Err(format!("duration is {}, expected 0 to 1e9 seconds", report.duration));
    }
    let (mut sums, mut feedback) = (Totals::default(), FeedbackTotals::default());
    for phase in &report.phases {
        sums.add(&phase.totals);
        feedback.add(&phase.feedback);
        let answered = phase.totals.completed + phase.totals.timed_out;
        let statuses = phase.statuses.values().try_fold(0u64, |sum, count| sum.checked_add(*count));
        let Histograms { response_time, service_time, .. } = &phase.histograms;
        if [response_time.count(), service_time.count()] != [answered; 2]
            || statuses != Some(phase.totals.completed)
        {
            return Err(format!(
                "phase {}: the counts of its histograms and statuses do not match its totals",
                phase.name
            ));
        }
    }
    if sums == report.totals && feedback == report.feedback {
        Ok(())
    } else {
        Err("its totals are not the sum of its phases".into())
    }
}

/// Returns a problem if the runs did not start at about the same time, so that the target never had the load of all of them.
fn apart(reports: &[Named]) -> anyhow::Result<Option<String>> {
    let mut starts = Vec::new();
    for (place, report) in reports {
        let start = humantime::parse_rfc3339(&report.started_at)
            .map_err(|error| anyhow!("{place}: started_at: {error}"))?;
        starts.push((start, place));
    }
    let (Some((first, a)), Some((last, b))) = (starts.iter().min(), starts.iter().max()) else {
        return Ok(None);
    };
    let offset = last.duration_since(*first).unwrap_or_default();
    let planned = reports.iter().map(|(_, report)| report.duration).fold(f64::INFINITY, f64::min);
    // Reports state the start in whole seconds.
    let apart = offset.as_secs_f64() > 1.0 + planned * TOLERATED_OFFSET;
    Ok(apart.then(|| {
        format!(
            "{b} started {} after {a}, so the target never had their loads at the same time; start all parts together",
            humantime::format_duration(offset)
        )
    }))
}

/// Returns whether two reports are copies of the same one.
fn same_run(a: &Report, b: &Report) -> bool {
    fn times(report: &Report) -> impl Iterator<Item = &DurationHistogram> {
        report.phases.iter().map(|phase| &phase.histograms.response_time)
    }
    a.shard == b.shard && a.started_at == b.started_at && a.totals == b.totals && times(a).eq(times(b))
}

/// Returns a problem if parts of the plan are missing.
///
/// # Errors
/// If a part occurs twice, or if the plan was divided into a different number of parts.
fn missing_shards(reports: &[Named]) -> anyhow::Result<Option<String>> {
    let mut seen: Vec<(Shard, &str)> = Vec::new();
    for (place, report) in reports {
        let Some(text) = &report.shard else { return Ok(None) };
        let shard: Shard = text.parse().map_err(|error| anyhow!("{place}: shard: {error}"))?;
        if let Some((other, first)) = seen.first()
            && other.of() != shard.of()
        {
            bail!(
                "{place}: is part {shard}, but {first} is part {other}; give parts of the same division of the plan"
            );
        }
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == shard) {
            bail!("{place}: is part {shard}, and so is {first}; give each part once");
        }
        seen.push((shard, place));
    }
    let present: BTreeSet<u32> = seen.iter().map(|(shard, _)| shard.index()).collect();
    let of = seen.first().map_or(0, |(shard, _)| shard.of());
    let missing: Vec<String> =
        (1..=of).filter(|index| !present.contains(index)).map(|index| format!("{index}/{of}")).collect();
    Ok((!missing.is_empty()).then(|| format!("parts of the plan are missing: {}", missing.join(", "))))
}

fn record(reports: &[Named], phase: usize) -> PhaseRecord {
    let mut sum = PhaseRecord::default();
    reports.iter().for_each(|(_, report)| sum.merge(&report.phases[phase].record()));
    sum
}

fn threshold(outcome: &ThresholdOutcome, phases: &[String]) -> Result<Threshold, String> {
    let phase = outcome.phase.as_ref().map(|wanted| {
        phases.iter().position(|phase| phase == wanted).ok_or_else(|| format!("there is no phase {wanted}"))
    });
    Threshold::parse(phase.transpose()?, Metric::of_name(&outcome.metric)?, &outcome.expression)
}

/// Returns the outcome of one expectation with the strictest verdict of all reports.
fn expectation(reports: &[Named], at: usize) -> ExpectationOutcome {
    let outcomes = || reports.iter().map(|(_, report)| &report.expectations[at]);
    let verdict = Verdict::of_all(outcomes().map(|outcome| outcome.verdict));
    let strictest = outcomes().find(|outcome| outcome.verdict == verdict).or_else(|| outcomes().next());
    match strictest {
        Some(outcome) => outcome.clone(),
        None => unreachable!("there is at least one report"),
    }
}

fn invalid(reports: &[Named]) -> Option<String> {
    let (place, report) = reports.iter().find(|(_, report)| report.verdict == RunVerdict::Invalid)?;
    Some(format!("{place}: {}", report.reason.as_deref().unwrap_or("invalid")))
}

fn warnings(reports: &[Named]) -> Vec<String> {
    let of_one = |(place, report): &Named| {
        report.warnings.iter().map(|warning| format!("{place}: {warning}")).collect::<Vec<_>>()
    };
    reports.iter().flat_map(of_one).collect()
}
