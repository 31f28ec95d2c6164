//! Records the course of a run for plots, as measured by the client and by the service. The run is divided into slots of equal
//! width, whose memory does not grow with the length of the run.
//!
//! When all slots are in use, neighbours are merged in pairs and the slots become twice as wide. Counts and histograms are
//! added, so a merged slot equals one that was twice as wide from the start. Values that cannot be added keep their maximum:
//! memory, and each signal's PSI as a ratio to its limit.
//!
//! With the Iris model (31 counters, 7 signals, three histograms of a hundred steps), a slot takes about 10 kB, so all of them
//! take 4 MB. A hundred classes or a hundred signals add about 10 kB per slot.
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

/// The most slots. A plot has hardly more pixels in width, and five minutes of a run need no merging.
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
    /// The measurements of the client.
    pub client: ClientSlot,
    /// The service's own metrics; `None` if no reading succeeded.
    pub server: Option<ServerSlot>,
}

/// The measurements of the client in a slot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClientSlot {
    /// How the requests ended.
    pub totals: Totals,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Times from the intended instant.
    pub response: LogHistogram,
    /// Times from the actual send.
    pub service: LogHistogram,
    /// Times from the intended instant to the send.
    pub lag: LogHistogram,
}

/// The service's own metrics in a slot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServerSlot {
    /// The increases of its counters, without those of the signals' bins, and the time in which they increased.
    pub increases: CounterIncreases,
    /// Resident memory in bytes.
    pub memory: Option<f64>,
    /// The PSI of each signal that has a verdict, as a ratio to its limit, from all rows of the phase so far.
    pub drift: BTreeMap<String, f64>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { width: EVERY, slots: Vec::new(), last: None }
    }
}

impl Timeline {
    /// Adds a record of the time up to `at`.
    pub fn record(&mut self, at: Duration, record: &Record) {
        // The record is added to the slot in the middle of its time. At its end, it could fall into the next slot by chance.
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

    /// Adds a reading of the service made at `at`, with the states of its signals. A failed reading leaves a gap, because the next
    /// one shows by how much the counters increased since the last one, but not when.
    pub fn read(&mut self, at: Duration, reading: Option<Snapshot>, signals: &BTreeMap<String, SignalState>) {
        let Some(snapshot) = reading else { return };
        // As in `Watch`: an older reading that arrives later would look like a reset of the counters.
        if self.last.as_ref().is_some_and(|(last, _)| at <= *last) {
            return;
        }
        if let Some((before, earlier)) = self.last.take() {
            let mut read = ServerSlot { memory: snapshot.resident_memory, ..ServerSlot::default() };
            read.increases.add(&earlier, &snapshot, at - before);
            read.increases.increases.retain(|counter, _| !matches!(counter, Counter::SignalBin { .. }));
            read.drift =
                signals.iter().filter_map(|(name, state)| Some((name.clone(), ratio(state)?))).collect();
            // A reading is added to the slot in the middle of the last second, because it covers that second if the one before
            // it succeeded.
            let slot = self.slot(at.saturating_sub(EVERY / 2));
            slot.server.get_or_insert_default().merge(&read);
        }
        self.last = Some((at, snapshot));
    }

    /// Returns the width of a slot.
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

/// Returns a signal's PSI as a ratio to its limit, or `None` without a verdict.
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

    /// Returns the service's mean response time in seconds, or `None` without requests.
    pub fn latency_mean(&self) -> Option<f64> {
        let rise = |counter| self.increases.increases.get(&counter).copied();
        let count = rise(Counter::DurationBucket { le: Bound(f64::INFINITY) })?;
        (count > 0.0).then_some(rise(Counter::DurationSum)? / count)
    }

    /// Returns the number of cores in use.
    pub fn cpu(&self) -> Option<f64> {
        self.per_second(*self.increases.increases.get(&Counter::CpuSeconds)?)
    }

    /// Returns a count per second.
    pub fn per_second(&self, count: f64) -> Option<f64> {
        let seconds = self.increases.covered.as_secs_f64();
        (seconds > 0.0).then_some(count / seconds)
    }
}

#[cfg(test)]
mod tests;
