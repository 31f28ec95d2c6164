//! Declares the load generator's own metrics, and defines the events that change them.
//!
//! All handles are created at start, so that each series exists at 0. They are updated from the records that the workers hand
//! over once a second, never by the workers themselves.

use crate::{
    engine::{DropReason, DurationHistogram, FeedbackTotals, Outcome, Record},
    plan::Plan,
};
use cli_meta::build_info;
use metrics::{Counter, Gauge, Histogram, with_local_recorder};
use metrics_exporter_prometheus::PrometheusRecorder;
use std::collections::BTreeMap;

metric_families::families! { pub(self)
    REQUESTS: Counter = "loadgen_requests_total", ["scenario", "phase", "payload", "outcome"],
        "Requests offered, by outcome: completed means an expected status, unexpected means another status.";
    RESPONSE: Histogram = "loadgen_response_seconds", ["scenario", "phase"],
        "Time from the planned instant to the end of the answer, in seconds.", BUCKETS;
    LAG: Histogram = "loadgen_send_lag_seconds", ["scenario", "phase"],
        "Time from the planned instant to the send, in seconds.", BUCKETS;
    DROPPED: Counter = "loadgen_dropped_total", ["reason"],
        "Requests that were due but never sent, by reason.";
    FEEDBACK: Counter = "loadgen_feedback_total", ["scenario", "phase", "outcome"],
        "Pieces of feedback on predictions, by outcome.";
    PHASE: Gauge = "loadgen_phase_active", ["scenario", "phase"],
        "1 while the phase is running, 0 otherwise.";
    BUILD_INFO: Gauge = "loadgen_build_info", ["version", "commit", "target"],
        "Version, commit and target of the program; always 1.";
}

/// The bucket boundaries, from the latency of a fast model on the same machine to the default timeout. 0.25 s is the latency
/// objective of the alert rules.
const BUCKETS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The reasons why requests are never sent, with their label values.
const REASONS: [(DropReason, &str); 2] =
    [(DropReason::InFlightLimit, "in_flight_limit"), (DropReason::WorkerGone, "worker_gone")];

/// The load generator's metrics.
pub struct Metrics {
    recorder: PrometheusRecorder,
    phases: Vec<PhaseMetrics>,
    dropped: BTreeMap<DropReason, Counter>,
}

struct PhaseMetrics {
    requests: BTreeMap<(usize, Outcome), Counter>,
    response: Histogram,
    lag: Histogram,
    /// The feedback counters: accepted, refused, failed, interrupted.
    feedback: [Counter; 4],
    active: Gauge,
}

impl Metrics {
    /// Registers every series of a plan at 0.
    pub fn new(plan: &Plan) -> Self {
        let recorder = metric_families::recorder(HISTOGRAMS);
        let (phases, dropped) = with_local_recorder(&recorder, || {
            describe();
            BUILD_INFO.with(build_info::LABEL_VALUES).set(1.0);
            let phases = (0..plan.scenario.phases.len()).map(|phase| register(plan, phase)).collect();
            let dropped = REASONS.map(|(reason, name)| (reason, DROPPED.with([name])));
            (phases, dropped.into())
        });
        Self { recorder, phases, dropped }
    }

    /// Adds the counts and times of a record.
    pub fn recorded(&self, record: &Record) {
        for (phase, record) in record.phases() {
            let metrics = &self.phases[phase];
            for (key, &count) in &record.payloads {
                if let Some(counter) = metrics.requests.get(key) {
                    counter.increment(count);
                }
            }
            for (reason, &count) in &record.drops {
                if let Some(counter) = self.dropped.get(reason) {
                    counter.increment(count);
                }
            }
            let FeedbackTotals { due: _, accepted, refused, failed, interrupted } = record.feedback;
            for (counter, count) in metrics.feedback.iter().zip([accepted, refused, failed, interrupted]) {
                counter.increment(count);
            }
            add(&metrics.response, &record.response);
            add(&metrics.lag, &record.lag);
        }
        // The exporter keeps every sample in memory until this call adds it to its bucket.
        self.recorder.handle().run_upkeep();
    }

    /// Sets which phase is running, by its position; `None` for no phase.
    pub fn playing(&self, phase: Option<usize>) {
        for (at, metrics) in self.phases.iter().enumerate() {
            metrics.active.set(if phase == Some(at) { 1.0 } else { 0.0 });
        }
    }

    /// Returns all metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        self.recorder.handle().render()
    }
}

fn add(histogram: &Histogram, times: &DurationHistogram) {
    for (seconds, count) in times.counts() {
        histogram.record_many(seconds, usize::try_from(count).unwrap_or(usize::MAX));
    }
}

fn register(plan: &Plan, at: usize) -> PhaseMetrics {
    let scenario = &plan.scenario;
    let phase = &scenario.phases[at];
    let labels = || [scenario.name.clone(), phase.name.clone()];
    let sent = scenario.payloads.iter().enumerate().filter(|(payload, _)| phase.mix[*payload] > 0);
    let requests = sent.flat_map(|(payload, sent)| {
        Outcome::ALL.map(|outcome| {
            let [scenario, phase] = labels();
            let counter = REQUESTS.with([scenario, phase, sent.name.clone(), outcome.name().to_owned()]);
            ((payload, outcome), counter)
        })
    });
    PhaseMetrics {
        requests: requests.collect(),
        response: RESPONSE.with(labels()),
        lag: LAG.with(labels()),
        feedback: ["accepted", "refused", "failed", "interrupted"].map(|outcome| {
            let [scenario, phase] = labels();
            FEEDBACK.with([scenario, phase, outcome.to_owned()])
        }),
        active: PHASE.with(labels()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Ending, FeedbackOutcome, Timing},
        plan::Shard,
        scenario::Scenario,
    };
    use std::{
        io::Write,
        process::{Command, Stdio},
        sync::Arc,
        time::Duration,
    };

    fn metrics() -> Metrics {
        let scenario = "
name: x
payloads: { flowers: { source: { model: {} } }, late: { weight: 0, source: { model: {} } } }
phases:
  - { name: calm, executor: constant-arrival-rate, rate: 10, duration: 1s }
  - { name: slow, executor: constant-arrival-rate, rate: 10, duration: 1s, mix: { late: 1 } }
";
        let scenario = Scenario::parse(scenario, "x.yaml").unwrap();
        let card = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card;
        Metrics::new(&Plan::new(Arc::new(scenario), Arc::new(card), 1, Shard::WHOLE).unwrap())
    }

    #[test]
    fn every_series_exists_from_the_start_and_records_add_none() {
        let metrics = metrics();
        let series =
            |page: &str| page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        let before = metrics.render();
        for line in [
            r#"loadgen_requests_total{scenario="x",phase="slow",payload="late",outcome="timed_out"} 0"#,
            r#"loadgen_response_seconds_count{scenario="x",phase="calm"} 0"#,
            r#"loadgen_dropped_total{reason="in_flight_limit"} 0"#,
            r#"loadgen_feedback_total{scenario="x",phase="calm",outcome="refused"} 0"#,
            r#"loadgen_phase_active{scenario="x",phase="calm"} 0"#,
        ] {
            assert!(before.lines().any(|known| known == line), "{line}\n{before}");
        }
        assert!(
            !before.contains(r#"phase="calm",payload="late""#),
            "this payload is never sent in this phase"
        );

        let mut record = Record::default();
        let phase = record.phase(0);
        let time = Duration::from_millis(3);
        let ending = Ending::Completed { status: 500, expected: false };
        for _ in 0..3 {
            phase.ended(0, ending, Timing { response: time, service: time, lag: Some(time) });
        }
        phase.dropped(0, DropReason::InFlightLimit);
        phase.feedback_ended(FeedbackOutcome::Refused);
        metrics.recorded(&record);
        metrics.recorded(&record);
        metrics.playing(Some(1));
        let page = metrics.render();
        for line in [
            r#"loadgen_requests_total{scenario="x",phase="calm",payload="flowers",outcome="unexpected"} 6"#,
            r#"loadgen_requests_total{scenario="x",phase="calm",payload="flowers",outcome="completed"} 0"#,
            r#"loadgen_requests_total{scenario="x",phase="calm",payload="flowers",outcome="dropped"} 2"#,
            r#"loadgen_response_seconds_bucket{scenario="x",phase="calm",le="0.0025"} 0"#,
            r#"loadgen_response_seconds_bucket{scenario="x",phase="calm",le="0.005"} 6"#,
            r#"loadgen_dropped_total{reason="in_flight_limit"} 2"#,
            r#"loadgen_phase_active{scenario="x",phase="calm"} 0"#,
            r#"loadgen_feedback_total{scenario="x",phase="calm",outcome="refused"} 2"#,
            r#"loadgen_phase_active{scenario="x",phase="slow"} 1"#,
        ] {
            assert!(page.lines().any(|known| known == line), "{line}\n{page}");
        }
        assert_eq!(series(&page), series(&before));
    }

    #[test]
    fn promtool_accepts_the_metrics() {
        let mut promtool = Command::new("promtool");
        let promtool = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            promtool.stdout(Stdio::piped()).spawn().expect("promtool is missing: `just test` installs it");
        child.stdin.take().unwrap().write_all(metrics().render().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
}
