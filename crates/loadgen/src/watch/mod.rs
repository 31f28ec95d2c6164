//! Observes the target during a run: its own `/metrics`, read once a second, and the answers of Prometheus and its
//! Alertmanagers.
//!
//! [`Watch`] and [`PrometheusWatch`] take readings and store what verdicts need, without HTTP and clocks. [`reader`] and
//! [`asking`] fetch the readings. What does not belong here: whether they meet expectations ([`crate::judge`]).

pub mod alertmanager;
pub mod alerts;
pub mod answer;
pub mod asking;
pub mod counter_increases;
pub mod instances;
pub mod prometheus;
pub mod queries;
pub mod reader;
pub mod routes;
pub mod signals;
pub mod snapshot;
pub mod target_labels;

pub use alerts::Alerts;
pub use counter_increases::{CounterIncreases, Vitals};
pub use prometheus::{PrometheusEvent, PrometheusWatch};
pub use routes::Routes;
pub use scrape::text_format;
pub use signals::{SignalState, State};
pub use snapshot::Snapshot;

use crate::schedule::Schedule;
use instances::AT_ONCE;
use std::{collections::BTreeMap, time::Duration};

/// How often the service's metrics are read: often enough for phases of a few seconds, and still a small load for the service.
pub const EVERY: Duration = Duration::from_secs(1);

/// The service's health, phase by phase. Times are counted from the run's start.
///
/// The increase between two readings belongs to the phase of the first; a reading at each boundary separates the phases.
/// If that reading failed or came late, the increase around the boundary belongs to neither phase. Requests under way at
/// a boundary count for the phase in which they are answered.
#[derive(Debug)]
pub struct Watch {
    schedule: Schedule,
    last: Option<(Duration, Snapshot)>,
    phases: Vec<PhaseWatch>,
    /// The phase that the last reading belongs to.
    last_phase: usize,
}

/// The readings of one phase.
#[derive(Debug, Clone, Default)]
pub struct PhaseWatch {
    /// The increases of the counters.
    pub increases: CounterIncreases,
    /// The state of each signal, from all rows since the phase's start.
    pub signals: BTreeMap<String, SignalState>,
    /// The time from the phase's start at which each signal was first found drifting.
    pub drifting_after: BTreeMap<String, Duration>,
    /// The longest time between two readings, within the phase or across its ends.
    pub longest_gap: Duration,
    /// Readings that succeeded.
    pub readings: u64,
    /// Readings that failed.
    pub failed_readings: u64,
    /// The error of the last failed reading.
    pub last_error: Option<String>,
}

impl Watch {
    /// Creates a watch over the phases of a run.
    pub fn new(schedule: &Schedule) -> Self {
        let phases = vec![PhaseWatch::default(); schedule.spans().len()];
        Self { schedule: schedule.clone(), last: None, phases, last_phase: 0 }
    }

    /// Takes a reading made at `at`, or the error of a failed one.
    pub fn observe(&mut self, at: Duration, reading: Result<Snapshot, String>) {
        // Readings may arrive out of order at the run's end; the older one would look like a reset of the counters.
        if self.last.as_ref().is_some_and(|(last, _)| at <= *last) {
            return;
        }
        let now = self.phase_at(at);
        let snapshot = match reading {
            Ok(snapshot) => snapshot,
            Err(error) => {
                self.phases[now].failed_readings += 1;
                self.phases[now].last_error = Some(error);
                return;
            }
        };
        self.phases[now].readings += 1;
        self.note_gap(at);
        if let Some((before, earlier)) = &self.last {
            let phase = self.phase_at(*before);
            let span = self.schedule.span(phase);
            // Requests that are answered after the last phase count for it, but the time after its end does not.
            let end = self.schedule.end();
            if span.end < end && at > span.end + AT_ONCE {
                self.last_phase = now;
            } else {
                self.last_phase = phase;
                let watch = &mut self.phases[phase];
                watch.increases.add(earlier, &snapshot, at.min(end).saturating_sub(*before));
                watch.signals = signals::states(&watch.increases, &snapshot.expected);
                for (signal, state) in &watch.signals {
                    if state.state == State::Drifting {
                        watch.drifting_after.entry(signal.clone()).or_insert(at.saturating_sub(span.start));
                    }
                }
            }
        }
        self.last = Some((at, snapshot));
    }

    /// Ends the observation at `at`; no further readings follow.
    pub fn close(&mut self, at: Duration) {
        self.note_gap(at.min(self.schedule.end()));
    }

    /// Stores the time since the last reading for every phase that it overlaps.
    fn note_gap(&mut self, until: Duration) {
        let since = self.last.as_ref().map_or(Duration::ZERO, |(at, _)| *at);
        let gap = until.saturating_sub(since);
        for (span, phase) in self.schedule.spans().iter().zip(&mut self.phases) {
            if since < span.end && until > span.start {
                phase.longest_gap = phase.longest_gap.max(gap);
            }
        }
    }

    /// Returns the readings of each phase.
    pub fn phases(&self) -> &[PhaseWatch] {
        &self.phases
    }

    /// Returns the state of each signal in the phase of the last reading, from all rows of the phase so far.
    pub fn signals(&self) -> &BTreeMap<String, SignalState> {
        &self.phases[self.last_phase].signals
    }

    /// Returns the phase at a time. After the end of the run it is the last one, whose requests may still be answered.
    fn phase_at(&self, at: Duration) -> usize {
        self.schedule.phase_at(at).unwrap_or(self.phases.len() - 1)
    }
}

/// Returns when the next reading after `after` is due, or `None` after the last one. Readings are due at every second of a phase
/// and at its end.
pub fn next_reading(schedule: &Schedule, after: Duration) -> Option<Duration> {
    let span = schedule.span(schedule.phase_at(after)?);
    let seconds = (after - span.start).as_millis() / EVERY.as_millis() + 1;
    let tick = span.start + EVERY * u32::try_from(seconds).unwrap_or(u32::MAX);
    // A reading just before the one at the phase's end is skipped.
    Some(if tick + EVERY / 4 < span.end { tick } else { span.end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn reading(ok: u64, low: u64, high: u64) -> Result<Snapshot, String> {
        let page = format!(
            r#"inference_requests_total{{endpoint="/predict",status="200"}} {ok}
signal_reference_rows{{version="v"}} 1000
signal_critical_chi2{{version="v",signal="a"}} 20
signal_bin_expected_ratio{{version="v",signal="a",bin="low"}} 0.5
signal_bin_expected_ratio{{version="v",signal="a",bin="high"}} 0.5
signal_bin_total{{version="v",signal="a",bin="low"}} {low}
signal_bin_total{{version="v",signal="a",bin="high"}} {high}
"#
        );
        Ok(Snapshot::new(&text_format::parse(&page).unwrap(), &Routes::predict(), None))
    }

    #[test]
    fn phases_are_kept_apart_and_drift_is_timed_from_their_start() {
        let mut watch = Watch::new(&Schedule::new([seconds(2.0), seconds(3.0)]));
        watch.observe(seconds(0.0), reading(10, 0, 0));
        watch.observe(seconds(1.0), reading(110, 50, 50));
        watch.observe(seconds(2.0), reading(210, 100, 100));
        watch.observe(seconds(3.0), reading(220, 110, 100));
        watch.observe(seconds(4.0), Err("refused".into()));
        watch.observe(seconds(5.0), reading(310, 200, 100));
        watch.observe(seconds(6.0), reading(320, 210, 100));
        let [calm, drifted] = watch.phases() else { panic!("two phases") };
        assert_eq!(calm.increases.vitals().throughput, Some(100.0));
        assert_eq!(calm.signals["a"].state, State::Steady);
        assert!(calm.drifting_after.is_empty());
        // 110 requests were answered in 3 s, 10 of them after the end of the phase.
        assert!((drifted.increases.vitals().throughput.unwrap() - 110.0 / 3.0).abs() < 1e-9);
        assert_eq!(drifted.drifting_after["a"], seconds(3.0));
        assert_eq!((drifted.failed_readings, drifted.last_error.as_deref()), (1, Some("refused")));
    }

    #[test]
    fn increases_around_a_boundary_without_a_reading_belong_to_neither_phase() {
        let requests_of = |boundary: Result<Snapshot, String>, at: f64| {
            let mut watch = Watch::new(&Schedule::new([seconds(2.0), seconds(3.0)]));
            watch.observe(seconds(0.0), reading(0, 0, 0));
            watch.observe(seconds(1.001), reading(10, 10, 0));
            watch.observe(seconds(at), boundary);
            watch.observe(seconds(3.001), reading(1020, 20, 1000));
            watch.observe(seconds(4.001), reading(2020, 20, 2000));
            watch.phases().iter().map(|phase| phase.increases.vitals().requests).collect::<Vec<_>>()
        };
        assert_eq!(requests_of(reading(20, 20, 0), 2.005), [20.0, 2000.0]);
        assert_eq!(requests_of(Err("refused".into()), 2.005), [10.0, 1000.0]);
        assert_eq!(requests_of(reading(520, 20, 500), 2.5), [10.0, 1500.0]);
    }

    #[test]
    fn a_boundary_without_a_reading_is_a_gap_in_both_phases() {
        let mut watch = Watch::new(&Schedule::new([seconds(2.0), seconds(3.0)]));
        watch.observe(seconds(0.0), reading(0, 0, 0));
        watch.observe(seconds(1.0), reading(100, 100, 0));
        assert!(watch.signals().contains_key("a"));
        watch.observe(seconds(2.0), Err("refused".into()));
        watch.observe(seconds(4.0), reading(200, 100, 100));
        assert!(watch.phases().iter().all(|phase| phase.longest_gap == seconds(3.0)));
        // Of the second phase nothing is known yet.
        assert!(watch.signals().is_empty());
    }

    #[test]
    fn readings_are_due_at_each_second_and_boundary() {
        let schedule = Schedule::new([seconds(2.5), seconds(2.1)]);
        let mut at = Duration::ZERO;
        let mut times = Vec::new();
        while let Some(next) = next_reading(&schedule, at) {
            times.push(next.as_secs_f64());
            at = next;
        }
        assert_eq!(times, [1.0, 2.0, 2.5, 3.5, 4.6]);
        assert_eq!(next_reading(&schedule, seconds(2.2)), Some(seconds(2.5)));
    }
}
