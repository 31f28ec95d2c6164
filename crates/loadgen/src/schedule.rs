//! Computes when each phase of a run starts and ends.

use std::time::Duration;

/// The times of all phases of a run, counted from the run's start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    spans: Vec<Span>,
}

/// The time of one phase, from `start` up to but not including `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When the phase starts.
    pub start: Duration,
    /// When the phase ends.
    pub end: Duration,
}

impl Schedule {
    /// Places phases of these durations one after the other.
    pub fn new(durations: impl IntoIterator<Item = Duration>) -> Self {
        let mut start = Duration::ZERO;
        let spans = durations.into_iter().map(|duration| {
            let span = Span { start, end: start + duration };
            start = span.end;
            span
        });
        Self { spans: spans.collect() }
    }

    /// Returns the time of a phase, given by its position.
    ///
    /// # Panics
    /// If there is no such phase.
    pub fn span(&self, phase: usize) -> Span {
        self.spans[phase]
    }

    /// Returns the times of all phases, in their order.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Returns the position of the phase that runs at a time, or `None` from the end of the last phase on.
    pub fn phase_at(&self, at: Duration) -> Option<usize> {
        let ended = self.spans.partition_point(|span| span.end <= at);
        (ended < self.spans.len()).then_some(ended)
    }

    /// Returns the end of the last phase, which is the planned end of the run.
    pub fn end(&self) -> Duration {
        self.spans.last().map_or(Duration::ZERO, |span| span.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_boundary_belongs_to_the_phase_that_starts_there() {
        let schedule = Schedule::new([2, 3].map(seconds));
        assert_eq!(schedule.span(1), Span { start: seconds(2), end: seconds(5) });
        let phases = [0, 1, 2, 4, 5, 9].map(|at| schedule.phase_at(seconds(at)));
        assert_eq!(phases, [Some(0), Some(0), Some(1), Some(1), None, None]);
        assert_eq!(schedule.end(), seconds(5));
        assert_eq!((Schedule::default().end(), Schedule::default().phase_at(seconds(0))), (seconds(0), None));
    }

    proptest! {
        #[test]
        fn every_time_before_the_end_lies_in_exactly_one_phase(
            durations in prop::collection::vec(1u64..1000, 1..8),
            at in 0u64..10_000,
        ) {
            let schedule = Schedule::new(durations.iter().map(|&millis| Duration::from_millis(millis)));
            let at = Duration::from_millis(at);
            let spans = schedule.spans().iter();
            let around: Vec<_> = spans.enumerate().filter(|(_, span)| span.start <= at && at < span.end).collect();
            prop_assert_eq!(around.len(), usize::from(at < schedule.end()));
            prop_assert_eq!(schedule.phase_at(at), around.first().map(|(phase, _)| *phase));
        }
    }
}
