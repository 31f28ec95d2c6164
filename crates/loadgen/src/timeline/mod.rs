//! The course of a run for plots, as measured by the client and by the service: slots of equal width, whose memory does not grow
//! with the length of the run.
//!
//! When all slots are taken, neighbours are merged in pairs and the slots become twice as wide. Counts and histograms
//! add up, so a merged slot is what it would have been had it been that wide from the start. What can't be added up
//! keeps its greatest value: memory, and how far a signal is on the way to its limit.
//!
//! A slot costs about 10 kB with the Iris model (31 counters, 7 signals, three histograms of a hundred steps), which makes
//! 4 MB when all are taken; a hundred classes or signals add some 10 kB each.
//!
//! What does not belong here: judging ([`crate::judge`]) and drawing ([`crate::page`]).

pub mod log_histogram;

pub use log_histogram::LogHistogram;

use crate::{
    engine::{FLUSH, Record, Totals},
    watch::{
        CounterIncreases, EVERY, SignalState, Snapshot, State,
        snapshot::{Bound, Counter},
    },
};
use std::{collections::BTreeMap, time::Duration};

/// The most slots: a plot is hardly wider in pixels, and five minutes fit without any merging.
pub const SLOTS: usize = 360;

/// The course of a run. Times are counted from its start.
#[derive(Debug, Clone)]
pub struct Timeline {
    width: Duration,
    slots: Vec<Slot>,
    last: Option<(Duration, Snapshot)>,
}

/// What happened in one slot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slot {
    /// What the client saw.
    pub client: ClientSlot,
    /// What the service said of itself; `None` when no reading of it succeeded.
    pub server: Option<ServerSlot>,
}

/// What the client saw in a slot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClientSlot {
    /// Where the requests ended up.
    pub totals: Totals,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Times from the intended instant.
    pub response: LogHistogram,
    /// Times from the actual send.
    pub service: LogHistogram,
    /// How late requests were sent.
    pub lag: LogHistogram,
}

/// What the service said of itself in a slot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServerSlot {
    /// By how much its counters rose, those of the signals' bins left out, and over what time.
    pub increases: CounterIncreases,
    /// Resident memory in bytes.
    pub memory: Option<f64>,
    /// The drift of each signal that has a verdict, by all that was counted in its phase: PSI as a ratio to its limit.
    pub drift: BTreeMap<String, f64>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { width: EVERY, slots: Vec::new(), last: None }
    }
}

impl Timeline {
    /// Takes what was recorded in the time up to `at`.
    pub fn record(&mut self, at: Duration, record: &Record) {
        // In the middle of the time that it covers, so that it does not alternate between two slots.
        let client = &mut self.slot(at.saturating_sub(FLUSH / 2)).client;
        for (_, phase) in record.phases() {
            client.totals.add(&phase.totals);
            for (&status, count) in &phase.statuses {
                *client.statuses.entry(status).or_default() += count;
            }
            client.response.add(phase.response.counts());
            client.service.add(phase.service.counts());
            client.lag.add(phase.lag.counts());
        }
    }

    /// Takes a reading of the service made at `at`, with what it means for the signals. Without one there is a gap: the
    /// next reading shows how far the counters moved since the last one, but not when.
    pub fn read(&mut self, at: Duration, reading: Option<Snapshot>, signals: &BTreeMap<String, SignalState>) {
        let Some(snapshot) = reading else { return };
        // As in `Watch`: a reading that was overtaken would look like a counter's reset.
        if self.last.as_ref().is_some_and(|(last, _)| at <= *last) {
            return;
        }
        if let Some((before, earlier)) = self.last.take() {
            let mut read = ServerSlot { memory: snapshot.resident_memory, ..ServerSlot::default() };
            read.increases.add(&earlier, &snapshot, at - before);
            read.increases.increases.retain(|counter, _| !matches!(counter, Counter::SignalBin { .. }));
            read.drift =
                signals.iter().filter_map(|(name, state)| Some((name.clone(), ratio(state)?))).collect();
            // The middle of the last second: that is what a reading is about unless the one before it failed.
            let slot = self.slot(at.saturating_sub(EVERY / 2));
            slot.server.get_or_insert_default().merge(&read);
        }
        self.last = Some((at, snapshot));
    }

    /// Returns how wide a slot is.
    pub fn width(&self) -> Duration {
        self.width
    }

    /// Returns the slots in their order, each with its start.
    pub fn slots(&self) -> impl Iterator<Item = (Duration, &Slot)> {
        self.slots.iter().zip(0u32..).map(|(slot, at)| (self.width * at, slot))
    }

    fn slot(&mut self, at: Duration) -> &mut Slot {
        let mut index = (at.as_nanos() / self.width.as_nanos()) as usize;
        while index >= SLOTS {
            self.slots = self.slots.chunks(2).map(merged).collect();
            self.width *= 2;
            index /= 2;
        }
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        &mut self.slots[index]
    }
}

/// Returns a signal's PSI as a ratio to its limit; `None` while it has no verdict.
fn ratio(state: &SignalState) -> Option<f64> {
    if state.state == State::CannotTell { None } else { Some(state.psi? / state.threshold?) }
}

fn merged(pair: &[Slot]) -> Slot {
    let mut slot = pair[0].clone();
    if let Some(other) = pair.get(1) {
        slot.client.merge(&other.client);
        if let Some(other) = &other.server {
            slot.server.get_or_insert_default().merge(other);
        }
    }
    slot
}

impl ClientSlot {
    fn merge(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        for (&status, count) in &other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.response.merge(&other.response);
        self.service.merge(&other.service);
        self.lag.merge(&other.lag);
    }
}

impl ServerSlot {
    fn merge(&mut self, other: &Self) {
        self.increases.covered += other.increases.covered;
        for (counter, increase) in &other.increases.increases {
            *self.increases.increases.entry(counter.clone()).or_default() += increase;
        }
        self.memory = self.memory.into_iter().chain(other.memory).reduce(f64::max);
        for (signal, &ratio) in &other.drift {
            let known = self.drift.entry(signal.clone()).or_insert(ratio);
            *known = known.max(ratio);
        }
    }

    /// Returns the mean time that the service took, in seconds; `None` without requests.
    pub fn latency_mean(&self) -> Option<f64> {
        let rise = |counter| self.increases.increases.get(&counter).copied();
        let count = rise(Counter::DurationBucket { le: Bound(f64::INFINITY) })?;
        (count > 0.0).then_some(rise(Counter::DurationSum)? / count)
    }

    /// Cores in use.
    pub fn cpu(&self) -> Option<f64> {
        self.per_second(*self.increases.increases.get(&Counter::CpuSeconds)?)
    }

    /// Returns a count as a rate.
    pub fn per_second(&self, count: f64) -> Option<f64> {
        let seconds = self.increases.covered.as_secs_f64();
        (seconds > 0.0).then_some(count / seconds)
    }
}

#[cfg(test)]
mod tests;
