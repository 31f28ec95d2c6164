//! The results of requests: counts and times, phase by phase. Records can be added up in any order.

use super::duration_histogram::DurationHistogram;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// How the offered requests ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Requests that were due by the plan, or sent by a user of a closed loop. The thread that counts the end of a request also
    /// counts it here, so a record never has more ends than offered requests.
    pub offered: u64,
    /// Requests with a complete answer of any status.
    pub completed: u64,
    /// Requests without a complete and usable answer.
    pub failed: u64,
    /// Requests given up after the scenario's timeout.
    pub timed_out: u64,
    /// Never sent.
    pub dropped: u64,
    /// Under way when the run was interrupted.
    pub interrupted: u64,
    /// Completed requests whose status is not one that their payload expects.
    pub unexpected: u64,
}

impl Totals {
    /// Returns whether every offered request has ended.
    pub fn add_up(&self) -> bool {
        let ends = [self.completed, self.failed, self.timed_out, self.dropped, self.interrupted];
        // Counts that were read from a file may overflow.
        ends.into_iter().try_fold(0u64, u64::checked_add) == Some(self.offered)
    }

    /// Returns the number of requests that have not ended yet; 0 after a run.
    pub fn in_flight(&self) -> u64 {
        self.offered - (self.settled() + self.dropped + self.interrupted)
    }

    /// Returns the number of requests that were sent and not interrupted.
    pub fn settled(&self) -> u64 {
        self.completed + self.failed + self.timed_out
    }

    /// Returns the number of requests that did not end as their payload expects.
    pub fn not_as_expected(&self) -> u64 {
        self.unexpected + self.failed + self.timed_out
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.completed += other.completed;
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.dropped += other.dropped;
        self.interrupted += other.interrupted;
        self.unexpected += other.unexpected;
    }
}

/// How the feedback on predictions ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackTotals {
    /// Predictions that were selected for feedback.
    pub due: u64,
    /// Feedback that the service accepted with status 202.
    pub accepted: u64,
    /// Answered with another status.
    pub refused: u64,
    /// Feedback without an answer, or not sent because the prediction had no id.
    pub failed: u64,
    /// Feedback that was not answered when the run was interrupted.
    pub interrupted: u64,
}

impl FeedbackTotals {
    /// Returns whether each piece of feedback has an outcome.
    pub fn add_up(&self) -> bool {
        let ends = [self.accepted, self.refused, self.failed, self.interrupted];
        // Counts that were read from a file may overflow.
        ends.into_iter().try_fold(0u64, u64::checked_add) == Some(self.due)
    }

    /// Returns the counts of all outcomes as text. With those that are pending, they add up to the feedback that was due.
    pub fn in_words(&self) -> String {
        let Self { due, accepted, refused, failed, interrupted } = *self;
        let ended = accepted + refused + failed + interrupted;
        let pending = if ended < due { format!(" + {} pending", due - ended) } else { String::new() };
        format!(
            "{accepted} accepted + {refused} refused + {failed} failed + {interrupted} interrupted{pending}"
        )
    }

    /// Returns whether no prediction was selected for feedback.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.due += other.due;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.failed += other.failed;
        self.interrupted += other.interrupted;
    }
}

/// How one piece of feedback ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FeedbackOutcome {
    /// Accepted by the service.
    Accepted,
    /// Answered with another status.
    Refused,
    /// Without an answer, or never sent.
    Failed,
    /// Not ended when the run was interrupted.
    Interrupted,
}

/// Why a request was never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// The scenario's limit on requests in flight was reached.
    InFlightLimit,
    /// The thread of the worker that should have sent it has ended.
    WorkerGone,
}

/// Why a request has no complete and usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No connection could be made.
    Connect,
    /// This machine has no sockets or ports left, which is a limit of the generator.
    OwnLimit,
    /// A secure connection could not be made or broke, for example because the certificate is from an unknown authority.
    Tls,
    /// The connection ended before the answer did.
    ClosedEarly,
    /// The response is not HTTP.
    NotHttp,
    /// An answer with status 200 that is not the requested prediction, or that is followed by further bytes.
    BadAnswer,
    /// Anything else.
    Other,
}

/// How a request that was sent ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ending {
    /// With an answer.
    Completed {
        /// The status of the answer.
        status: u16,
        /// Whether the request's payload expects this status.
        expected: bool,
    },
    /// Without a complete and usable answer.
    Failed(Failure),
    /// Without an answer in time.
    TimedOut,
}

impl Ending {
    /// Returns the name in reports and metrics.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Completed { expected: true, .. } => Outcome::Completed,
            Self::Completed { expected: false, .. } => Outcome::Unexpected,
            Self::Failed(_) => Outcome::Failed,
            Self::TimedOut => Outcome::TimedOut,
        }
    }
}

/// How an offered request ended. Unlike in [`Totals`], an unexpected answer does not count as completed: each request has
/// one outcome, and the counts of all outcomes add up to the offered requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Answered as its payload expects.
    Completed,
    /// Answered with another status.
    Unexpected,
    /// Without a complete answer.
    Failed,
    /// Given up after the timeout.
    TimedOut,
    /// Never sent.
    Dropped,
    /// Under way when the run was interrupted.
    Interrupted,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 6] =
        [Self::Completed, Self::Unexpected, Self::Failed, Self::TimedOut, Self::Dropped, Self::Interrupted];

    /// Returns the label value in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Unexpected => "unexpected",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Dropped => "dropped",
            Self::Interrupted => "interrupted",
        }
    }
}

/// How long a request took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// From the intended instant to the end of the answer.
    pub response: Duration,
    /// From the actual send to the end of the answer.
    pub service: Duration,
    /// From the intended instant to the actual send; `None` in a closed loop, which has no intended instants.
    pub lag: Option<Duration>,
}

/// Counts and times of one phase.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PhaseRecord {
    /// How the requests ended.
    pub totals: Totals,
    /// Times from the intended instant. A request that timed out counts with the time after which it was given up. A request
    /// that failed does not count, because a refused connection is fast but not an answer.
    pub response: DurationHistogram,
    /// Times of the same requests from the actual send.
    pub service: DurationHistogram,
    /// Times from the intended instant to the send.
    pub lag: DurationHistogram,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Failures by reason.
    pub failures: BTreeMap<Failure, u64>,
    /// Drops by reason.
    pub drops: BTreeMap<DropReason, u64>,
    /// Requests by the position of their payload, and by outcome.
    pub payloads: BTreeMap<(usize, Outcome), u64>,
    /// How the feedback on the phase's predictions ended.
    pub feedback: FeedbackTotals,
}

impl PhaseRecord {
    fn count_outcome(&mut self, payload: usize, outcome: Outcome) {
        *self.payloads.entry((payload, outcome)).or_default() += 1;
    }

    /// Counts the end of a payload's request that had not ended when the run was interrupted.
    pub fn interrupted(&mut self, payload: usize) {
        self.totals.interrupted += 1;
        self.count_outcome(payload, Outcome::Interrupted);
    }

    /// Counts a payload's request that was offered but never sent.
    pub fn dropped(&mut self, payload: usize, reason: DropReason) {
        self.totals.offered += 1;
        self.count_outcome(payload, Outcome::Dropped);
        self.totals.dropped += 1;
        *self.drops.entry(reason).or_default() += 1;
    }

    /// Counts the end of a payload's request that was sent.
    pub fn ended(&mut self, payload: usize, ending: Ending, timing: Timing) {
        self.count_outcome(payload, ending.outcome());
        if let Some(lag) = timing.lag {
            self.lag.record(lag);
        }
        match ending {
            Ending::Completed { status, expected } => {
                self.totals.completed += 1;
                self.totals.unexpected += u64::from(!expected);
                *self.statuses.entry(status).or_default() += 1;
            }
            Ending::TimedOut => self.totals.timed_out += 1,
            Ending::Failed(reason) => {
                self.totals.failed += 1;
                *self.failures.entry(reason).or_default() += 1;
                return;
            }
        }
        self.response.record(timing.response);
        self.service.record(timing.service);
    }

    /// Counts the end of one piece of feedback.
    pub fn feedback_ended(&mut self, outcome: FeedbackOutcome) {
        let count = match outcome {
            FeedbackOutcome::Accepted => &mut self.feedback.accepted,
            FeedbackOutcome::Refused => &mut self.feedback.refused,
            FeedbackOutcome::Failed => &mut self.feedback.failed,
            FeedbackOutcome::Interrupted => &mut self.feedback.interrupted,
        };
        *count += 1;
    }

    /// Adds another's counts and times.
    pub fn merge(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        self.feedback.add(&other.feedback);
        self.response.merge(&other.response);
        self.service.merge(&other.service);
        self.lag.merge(&other.lag);
        add_counts(&mut self.statuses, &other.statuses);
        add_counts(&mut self.failures, &other.failures);
        add_counts(&mut self.drops, &other.drops);
        add_counts(&mut self.payloads, &other.payloads);
    }
}

fn add_counts<K: Ord + Copy>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (&key, count) in from {
        *to.entry(key).or_default() += count;
    }
}

/// Counts and times by phase.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record(BTreeMap<usize, PhaseRecord>);

impl Record {
    /// Returns the record of one phase, for changes.
    pub fn phase(&mut self, phase: usize) -> &mut PhaseRecord {
        self.0.entry(phase).or_default()
    }

    /// Returns the record of one phase, or `None` if nothing happened in it.
    pub fn get(&self, phase: usize) -> Option<&PhaseRecord> {
        self.0.get(&phase)
    }

    /// Adds another's counts and times.
    pub fn merge(&mut self, other: &Self) {
        for (&phase, record) in &other.0 {
            self.phase(phase).merge(record);
        }
    }

    /// Returns the sum of all phases.
    pub fn whole(&self) -> PhaseRecord {
        let mut whole = PhaseRecord::default();
        self.0.values().for_each(|record| whole.merge(record));
        whole
    }

    /// Returns the phases in which something happened, by position.
    pub fn phases(&self) -> impl Iterator<Item = (usize, &PhaseRecord)> {
        self.0.iter().map(|(&phase, record)| (phase, record))
    }

    /// Returns whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(events: &[(usize, u8)]) -> Record {
        let mut record = Record::default();
        for &(phase, kind) in events {
            let phase = record.phase(phase);
            phase.totals.offered += 1;
            let time = Duration::from_micros(u64::from(kind) * 100);
            let timing = Timing { response: time, service: time, lag: Some(time / 2) };
            match kind % 5 {
                0 => phase.ended(0, Ending::Completed { status: 200, expected: true }, timing),
                1 => phase.ended(0, Ending::Failed(Failure::Connect), timing),
                2 => phase.ended(0, Ending::TimedOut, timing),
                3 => {
                    phase.totals.offered -= 1;
                    phase.dropped(0, DropReason::InFlightLimit);
                }
                _ => phase.totals.interrupted += 1,
            }
        }
        record
    }

    #[test]
    fn a_timeout_is_counted_with_its_time_and_a_failure_without() {
        let whole = record(&[(0, 1), (0, 2)]).whole();
        assert_eq!((whole.response.count(), whole.lag.count()), (1, 2));
        assert_eq!(whole.totals.not_as_expected(), 2);
    }

    proptest! {
        #[test]
        fn records_merge_in_any_order_and_always_add_up(
            events in prop::collection::vec((0usize..3, any::<u8>()), 0..60),
            cut in 0usize..60,
        ) {
            let (a, b) = events.split_at(cut.min(events.len()));
            let (mut forth, mut back) = (record(a), record(b));
            forth.merge(&record(b));
            back.merge(&record(a));
            prop_assert_eq!(forth.whole(), back.whole());
            prop_assert_eq!(forth.whole().totals, record(&events).whole().totals);
            prop_assert!(forth.whole().totals.add_up());
        }
    }
}
