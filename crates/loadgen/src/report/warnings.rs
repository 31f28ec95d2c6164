//! Writes warnings about what limits the meaning of a report.

use super::{Monitoring, PhaseReport, drills};
use crate::{
    judge::{expectations::Observations, thresholds::ThresholdOutcome},
    scenario::Metric,
};
use driftsim::counted::counted;

/// Returns the warnings of a report.
pub(super) fn warnings(
    phases: &[PhaseReport],
    thresholds: &[ThresholdOutcome],
    seen: &Observations,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if thresholds.is_empty() {
        warnings.push(
            "the scenario has no thresholds, so the client's measurements were not judged; add `thresholds`"
                .to_owned(),
        );
    }
    let looked_at = |outcome: &ThresholdOutcome| {
        [Metric::UnexpectedRate, Metric::Failed, Metric::TimedOut]
            .map(Metric::name)
            .contains(&outcome.metric.as_ref())
    };
    let unanswered: u64 = phases.iter().map(|phase| phase.totals.failed + phase.totals.timed_out).sum();
    if unanswered > 0 && !thresholds.iter().any(looked_at) {
        warnings.push(format!(
            "{} had no answer, but no threshold counts them; add one on unexpected_rate",
            counted(unanswered, "request", "requests")
        ));
    }
    let lost: u64 = phases.iter().map(|phase| phase.feedback.refused + phase.feedback.failed).sum();
    if lost > 0 {
        let due: u64 = phases.iter().map(|phase| phase.feedback.due).sum();
        warnings.push(format!(
            "{lost} of {} not accepted, so the service's accuracy metrics do not include those rows",
            counted(due, "piece of feedback was", "pieces of feedback were")
        ));
    }
    for phase in phases.iter().filter(|phase| phase.saturated()) {
        let busy = phase.generator_busy.unwrap_or_default() * 100.0;
        warnings.push(format!(
            "{}: the generator's own threads were busy {busy:.0} % of the time, so the rate is the limit of this machine, not of \
            the target, and times are upper bounds; use more cores, or more machines with --shard",
            phase.name
        ));
    }
    for phase in phases {
        let Monitoring { readings, failed_readings, last_error, .. } = &phase.monitoring;
        if let Some(error) = last_error {
            let all = readings + failed_readings;
            warnings.push(format!(
                "{}: {failed_readings} of {all} readings of /metrics failed: {error}",
                phase.name
            ));
        }
    }
    warnings.extend(seen.prometheus.into_iter().flat_map(drills::warnings));
    warnings
}
